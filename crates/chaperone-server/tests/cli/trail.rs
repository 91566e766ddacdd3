//! `chaperone trail` and `chaperone session timeline`, against the real service over records in memory.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chaperone_policy::MemoryLimits;
use chaperone_policy::recorded::BundleState;
use chaperone_trail::{
    Acted, ChainId, Clock, Digest, Event, Identity, RecordSource as _, SigningKey, Trail, TrailOptions,
};
use serde_json::{Value, json};

use super::fakes::{Fakes, SESSION, STORY, broken_bundle, sealed};
use super::{chaperone, code, json_of, run, stderr, stdout};

const DENIAL: &str = "0198c0de-0000-7000-8000-0000000d0005";
const CHALLENGE: &str = "0198c0de-0000-7000-8000-0000000d0006";

fn ask(fakes: &Fakes, arguments: &[&str]) -> std::process::Output {
    run(&[arguments, &["--admin", &fakes.url]].concat())
}

#[test]
fn query_lists_what_matches_for_people_and_for_programs() {
    let fakes = Fakes::start();
    let shown = stdout(&ask(&fakes, &["trail", "query", "--tree", SESSION, "--outcome", "deny"]));
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("TIME") && lines.len() == 5, "{shown}");
    assert!(lines[1].starts_with("2026-01-31T12:01:13.000Z  deny  session_revoked"), "the newest first: {shown}");
    assert!(lines[4].contains("export Document::\"customers\"") && lines[4].ends_with(DENIAL), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");

    let json = json_of(&ask(
        &fakes,
        &["trail", "query", "--action", "export", "--reason", "forbidden", "--output", "json", "--all"],
    ));
    let [record] = json.as_array().expect("an array").as_slice() else { panic!("{json}") };
    assert_eq!((&record["seq"], &record["record"]["outcome"]), (&json!(9), &json!("deny")));
    assert_eq!(record["digest"], sealed(STORY.lines().nth(8).expect("a line").as_bytes()).digest().to_string());
}

#[test]
fn all_records_are_listed_however_many_pages_they_take() {
    let fakes = Fakes::start();
    let limited = ask(&fakes, &["trail", "query", "--limit", "3", "--oldest-first"]);
    assert_eq!(stdout(&limited).lines().count(), 4);
    assert!(stderr(&limited).contains("more exist"), "{}", stderr(&limited));
    let count = |more: &[&str]| {
        let all = ask(&fakes, &[&["trail", "query", "--all", "--oldest-first", "--output", "json"], more].concat());
        json_of(&all).as_array().expect("an array").len()
    };
    // States are there for who asks for them.
    let states = count(&["--kind", "state"]);
    assert_eq!((states, states + count(&[])), (1, STORY.lines().count()));
}

#[test]
fn show_tells_everything_about_a_decision_and_what_followed() {
    let fakes = Fakes::start();
    let shown = stdout(&ask(&fakes, &["trail", "show", DENIAL]));
    assert!(shown.starts_with(&format!("DENY decision {DENIAL}\n")), "{shown}");
    for part in [
        "forbidden",
        "no-bulk-export",
        "Agent::\"report-bot\"",
        "export Document::\"customers\"",
        "rows = {\"long\":50000}",
        "label tree:pii",
        "bundle",
        "there was none",
        "412 µs",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "  9 of chain 0198c0de",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let challenged = stdout(&ask(&fakes, &["trail", "show", CHALLENGE]));
    assert!(challenged.contains("followed by\n") && challenged.contains("by bob@example.com"), "{challenged}");

    let unknown = ask(&fakes, &["trail", "show", SESSION]);
    assert_eq!((code(&unknown), stdout(&unknown)), (2, String::new()));
    assert!(stderr(&unknown).contains("has no record"), "{}", stderr(&unknown));
}

#[test]
fn tail_prints_what_comes_and_fails_when_the_stream_ends() {
    let fakes = Fakes::start();
    let mut tail = chaperone(&["trail", "tail", "--outcome", "deny", "--output", "json", "--admin", &fakes.url])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut notes = BufReader::new(tail.stderr.take().expect("a pipe"));
    let mut note = String::new();
    notes.read_line(&mut note).expect("a note");
    assert!(note.contains("watching records"), "{note}");
    // The same story once more, in another chain.
    let other = STORY.replace("0000000c4a11", "0000000c4a12");
    other.lines().for_each(|line| fakes.trail.push(sealed(line.as_bytes())));
    let mut lines = BufReader::new(tail.stdout.take().expect("a pipe")).lines();
    let seqs: Vec<u64> = (0..4)
        .map(|_| {
            let line = lines.next().expect("a line").expect("a line");
            serde_json::from_str::<Value>(&line).expect("JSON")["seq"].as_u64().expect("a number")
        })
        .collect();
    assert_eq!(seqs, [9, 16, 17, 21]);
    fakes.stop.cancel();
    assert_eq!(tail.wait().expect("it ends").code(), Some(2));
}

#[test]
fn export_writes_the_very_bytes_and_nothing_under_its_name_when_it_fails() {
    let fakes = Fakes::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trail.jsonl");
    let output = ask(&fakes, &["trail", "export", "--file", file.to_str().expect("UTF-8")]);
    assert_eq!((code(&output), stdout(&output)), (0, String::new()), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&file).expect("a file"), STORY);
    assert!(stderr(&output).contains("exported 21 records"), "{}", stderr(&output));

    let csv = stdout(&ask(&fakes, &["trail", "export", "--format", "csv", "--outcome", "deny"]));
    assert!(csv.starts_with("chain,seq,time,kind,") && csv.matches(",deny,").count() == 4, "{csv}");
    let ocsf = stdout(&ask(&fakes, &["trail", "export", "--format", "ocsf", "--kind", "decision"]));
    let events: Vec<Value> = ocsf.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(events.len() == 12 && events.iter().all(|event| event["class_uid"] == 6003), "{ocsf}");

    fakes.stop.cancel();
    let lost = folder.path().join("lost.jsonl");
    let output = ask(&fakes, &["trail", "export", "--file", lost.to_str().expect("UTF-8")]);
    assert_eq!(code(&output), 2);
    assert!(!lost.exists());
}

/// A chain that a replica wrote and signed, its file, and its key.
fn signed(folder: &Path) -> (Vec<u8>, String) {
    let micros = AtomicI64::new(1_769_860_800_000_000);
    let at = move || chaperone_policy::Timestamp::from_micros(micros.fetch_add(1_000, Ordering::Relaxed));
    let clock: Clock = Arc::new(at);
    let key = SigningKey::load_or_create(&folder.join("key.pem")).expect("a key");
    let shown = key.verifying_key().to_string();
    let chain: ChainId = "0198c0de-0000-7000-8000-0000000c4a13".parse().expect("a UUID");
    let identity = Identity { replica: "pdp-2".to_owned(), version: "0.1.0".to_owned() };
    let options = TrailOptions::journal(folder.join("journal"));
    let (trail, thread) = Trail::start(options, identity, key, chain, clock.clone()).expect("a trail");
    for n in 0..5 {
        let act = Acted {
            act: "session.opened".into(),
            by: "token".into(),
            session: None,
            principal: None,
            decision: None,
            approval: None,
            bundle: None,
            effects: Vec::new(),
            note: format!("note {n}").into(),
        };
        trail.append(clock(), &Event::Act(Box::new(act))).expect("a ticket");
    }
    let source = chaperone_trail::JournalSource::new(trail.segments().expect("a journal").clone());
    thread.stop().expect("it stops");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let records = runtime.block_on(source.records(chain, 1, 100)).expect("records");
    let bytes = records.iter().flat_map(|sealed| [&sealed.bytes[..], b"\n"].concat()).collect();
    (bytes, shown)
}

#[test]
fn export_is_verified_without_a_server_and_the_first_bad_record_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bytes, key) = signed(folder.path());
    let text = String::from_utf8(bytes).expect("UTF-8");
    let verify = |text: &str, key: &str| {
        let file = folder.path().join("export.jsonl");
        std::fs::write(&file, text).expect("written");
        let keys: &[&str] = if key.is_empty() { &[] } else { &["--key", key] };
        run(&[&["trail", "verify", "--file", file.to_str().expect("UTF-8"), "--output", "json"], keys].concat())
    };
    let proved = verify(&text, &key);
    assert_eq!(code(&proved), 0, "{}", stdout(&proved));
    let report = json_of(&proved);
    let chain = &report["chains"][0];
    // Started, five acts, a checkpoint, a stop.
    assert_eq!((&report["valid"], &chain["last_seq"], &chain["signed_seq"]), (&json!(true), &json!(8), &json!(8)));
    assert_eq!((&chain["stopped"], &chain["fault"]), (&json!(true), &Value::Null));

    let first_bad = |text: &str, key: &str| {
        let output = verify(text, key);
        assert_eq!(code(&output), 1, "{}{}", stdout(&output), stderr(&output));
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let fault = &report["chains"][0]["fault"];
        (fault["code"].as_str().expect("a code").to_owned(), fault["seq"].as_u64().expect("a place"))
    };
    let bad = |code: &str, seq: u64| (code.to_owned(), seq);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without = |place: usize| [&lines[..place], &lines[place + 1..]].concat().concat();
    assert_eq!(first_bad(&text.replace("note 2", "note 9"), &key), bad("hash", 5));
    assert_eq!(first_bad(&without(3), &key), bad("gap", 4));
    assert_eq!(first_bad(&text.replace("note 2\"}", "note 2\""), &key), bad("malformed", 4));
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    assert_eq!(first_bad(&swapped.concat(), &key), bad("gap", 4));
    // Without the signed end it hangs together, and nobody vouches for it.
    assert_eq!(first_bad(&lines[..6].concat(), &key), bad("unsigned", 1));
    let other =
        SigningKey::load_or_create(&folder.path().join("other.pem")).expect("a key").verifying_key().to_string();
    assert_eq!(first_bad(&text, &other), bad("unknown_key", 1));

    let unkeyed = verify(&lines[..6].concat(), "");
    assert_eq!(code(&unkeyed), 0);
    assert!(stderr(&unkeyed).contains("no --key"), "{}", stderr(&unkeyed));
    for nothing in ["", "not a record\n"] {
        assert_eq!(code(&verify(nothing, &key)), 2, "{nothing}");
    }
}

#[test]
fn bundle_that_no_longer_compiles_is_no_difference() {
    let fakes = Fakes::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trail.jsonl");
    let value = BundleState::new(&broken_bundle().digest(), &MemoryLimits::default()).text();
    let digest = Digest::of(value.as_bytes()).to_string();
    // In the place of another state.
    let change = |line: &str| {
        let mut record: Value = serde_json::from_str(line).expect("JSON");
        if record["kind"] == "state" {
            record["of"] = "bundle:7".into();
            record["digest"] = digest.clone().into();
            record["value"] = value.clone().into();
        }
        format!("{record}\n")
    };
    std::fs::write(&file, STORY.lines().map(change).collect::<String>()).expect("written");
    let output = ask(&fakes, &["trail", "replay", "--file", file.to_str().expect("UTF-8")]);
    assert_eq!(code(&output), 2, "{}{}", stdout(&output), stderr(&output));
    assert!(stdout(&output).contains("bundle_missing"), "{}", stdout(&output));
    assert!(stderr(&output).contains("bundle 7 is not at hand: bundle 7 has 2 problems"), "{}", stderr(&output));
}

#[test]
fn nothing_that_can_be_read_is_not_taken_for_no_difference() {
    let fakes = Fakes::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trail.jsonl");
    let replay = |text: &str| {
        std::fs::write(&file, text).expect("written");
        ask(&fakes, &["trail", "replay", "--file", file.to_str().expect("UTF-8")])
    };
    let output = replay("not a record\n");
    assert_eq!(code(&output), 2, "{}", stdout(&output));
    assert!(stdout(&output).contains("1 line is no record"), "{}", stdout(&output));
    assert_eq!(code(&replay("")), 0);
}

#[test]
fn server_proves_its_trail_and_names_the_first_bad_record() {
    let fakes = Fakes::start();
    let folder = tempfile::tempdir().expect("a folder");
    let (bytes, key) = signed(folder.path());
    let proved = ask(&fakes, &["trail", "verify"]);
    assert_eq!(code(&proved), 0, "{}", stderr(&proved));
    assert!(stdout(&proved).contains("VALID: of 21 records in 1 chain none was changed"), "{}", stdout(&proved));

    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).for_each(|line| fakes.trail.push(sealed(line)));
    let chain = ["--chain", "0198c0de-0000-7000-8000-0000000c4a13", "--key", &key];
    let proved = ask(&fakes, &[&["trail", "verify"], &chain[..]].concat());
    assert_eq!((code(&proved), stderr(&proved)), (0, String::new()));
    assert!(stdout(&proved).contains("signed   up to 8, the last\n"), "{}", stdout(&proved));

    let first = sealed(STORY.lines().next().expect("a line").as_bytes()).chain;
    fakes.trail.remove(first, 9);
    let refused = ask(&fakes, &["trail", "verify"]);
    assert_eq!(code(&refused), 1, "{}", stderr(&refused));
    assert!(stdout(&refused).contains("first bad") && stdout(&refused).contains("record 9: "), "{}", stdout(&refused));
}

#[test]
fn timeline_tells_the_story_of_a_session_with_its_children_indented() {
    let fakes = Fakes::start();
    let output = ask(&fakes, &["session", "timeline", SESSION]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let golden = include_str!("../../src/cli/session/timeline/story.txt");
    assert_eq!(stdout(&output), golden);
    let json = json_of(&ask(&fakes, &["session", "timeline", SESSION, "--output", "json"]));
    assert_eq!((&json["owner"], &json["beats"][1]["count"]), (&json!("ann@example.com"), &json!(3)));
    assert_eq!(code(&ask(&fakes, &["session", "timeline", DENIAL])), 2);
}
