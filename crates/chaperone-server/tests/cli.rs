//! The real program against small stand-ins for the services: exit codes, what goes to which stream, and JSON output.

#![expect(clippy::expect_used, reason = "a test that cannot go on should say so")]

#[path = "cli/bundle_test.rs"]
mod bundle_test;
#[path = "cli/fakes.rs"]
mod fakes;
#[path = "cli/trail.rs"]
mod trail;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use chaperone_api::chaperone::v1::session_service_revoke_request::Target;
use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{Consistency, SignalRevoke, scope, session_service_signal_request};
use fakes::{Fakes, HANDLE, SESSION};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

/// The program in an empty environment, so that the caller's variables change nothing.
fn chaperone(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaperone"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    chaperone(arguments).output().expect("the program runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it exits")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn json_of(output: &Output) -> Value {
    assert_eq!(stderr(output), "");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn check<'a>(url: &'a str, resource: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["check", "--data", url, "--session", HANDLE, "--action", "read", "--resource", resource], more].concat()
}

#[test]
fn check_exits_0_for_an_allow_and_explains_it() {
    let fakes = Fakes::start();
    let output = run(&check(&fakes.url, "Document::\"welcome\"", &[]));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let shown = stdout(&output);
    assert!(shown.starts_with("ALLOW read Document::\"welcome\"\n"), "{shown}");
    for part in ["permitted", "agents-read", SESSION, "bundle    7", "took"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // Not a terminal: no colours.
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn check_exits_1_for_a_denial_and_says_so_in_json() {
    let fakes = Fakes::start();
    let output = run(&check(&fakes.url, "Document::\"secret\"", &["--output", "json"]));
    assert_eq!(code(&output), 1);
    let mut decision = json_of(&output);
    assert!(decision["took_us"].take().as_u64().is_some_and(|took| took > 0));
    assert_eq!(
        decision,
        json!({
            "outcome": "deny",
            "code": "forbidden",
            "reason": "secrets stay here",
            "policies": [{ "id": "no-secrets", "reason": "secrets stay here", "failure": null }],
            "effects": [],
            "session_id": SESSION,
            "bundle_number": 7,
            "decision_id": "0198c0de-0000-7000-8000-000000000009",
            "decided_at": "2026-01-31T12:00:00Z",
            "took_us": null,
        })
    );
}

#[test]
fn check_exits_1_for_a_challenge() {
    let fakes = Fakes::start();
    let output = run(&check(&fakes.url, "Document::\"asks\"", &[]));
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).starts_with("CHALLENGE"), "{}", stdout(&output));
}

#[test]
fn check_exits_2_when_there_is_no_decision() {
    let fakes = Fakes::start();
    let stale = run(&check(&fakes.url, "Document::\"stale\"", &[]));
    assert_eq!((code(&stale), stdout(&stale)), (2, String::new()));
    assert!(stderr(&stale).starts_with("error[STALE]: state is too old"), "{}", stderr(&stale));

    let slow = run(&check(&fakes.url, "Document::\"slow\"", &["--timeout", "50ms"]));
    assert_eq!(code(&slow), 2);
    assert!(stderr(&slow).contains("did not answer within 50ms"), "{}", stderr(&slow));

    let unknown = run(&check(&fakes.url, "Document::\"unknown-outcome\"", &[]));
    assert_eq!((code(&unknown), stdout(&unknown)), (2, String::new()));

    let usage = run(&["check", "--action", "read", "--resource", "nonsense"]);
    assert_eq!(code(&usage), 2);
    assert!(stderr(&usage).contains("Document::\"welcome\""), "{}", stderr(&usage));
}

#[test]
fn server_that_is_not_there_gives_2_and_advice() {
    // Bound and closed again: nobody listens there.
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
    let output = run(&check(&format!("http://{address}"), "Document::\"welcome\"", &[]));
    assert_eq!(code(&output), 2);
    let shown = stderr(&output);
    assert!(shown.contains(&address.to_string()) && shown.contains("chaperone serve"), "{shown}");
}

#[test]
fn check_sends_what_it_was_given() {
    let fakes = Fakes::start();
    let folder = tempfile::tempdir().expect("a folder");
    let (handle, attributes) = (folder.path().join("handle"), folder.path().join("attributes.json"));
    std::fs::write(&handle, format!("{HANDLE}\n")).expect("written");
    std::fs::write(&attributes, r#"{"tags": ["a"], "from": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}}"#)
        .expect("written");
    let output = chaperone(&["check", "--action", "read", "--resource", "Document::welcome", "--strict"])
        .args(["--attr", "rows:long=5", "--attr", "format=csv", "--spiffe-id", "spiffe://example.org/ci"])
        .args([Path::new("--session-file"), &handle, Path::new("--attrs-json"), &attributes])
        .args(["--certificate", &format!("sha256:{}", "ab".repeat(32))])
        .env("CHAPERONE_DATA_URL", &fakes.url)
        .env("CHAPERONE_SESSION", "chp_the-file-goes-first")
        .output()
        .expect("the program runs");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let asked = fakes.seen().checks.pop().expect("a check");
    assert_eq!(asked.session_handle, HANDLE);
    assert_eq!(asked.consistency(), Consistency::Strict);
    let presenter = asked.presenter.expect("a presenter");
    assert_eq!(
        (presenter.spiffe_id.as_str(), presenter.certificate_sha256),
        ("spiffe://example.org/ci", vec![0xab; 32])
    );
    let attributes = asked.action.expect("an action").attributes;
    let kind = |name: &str| attributes[name].kind.clone().expect("a kind");
    assert_eq!(kind("rows"), Kind::Long(5));
    assert_eq!(kind("format"), Kind::String("csv".to_owned()));
    assert_eq!(kind("from"), Kind::Ip("10.0.0.1".to_owned()));
    assert!(matches!(kind("tags"), Kind::Set(set) if set.values.len() == 1));
}

#[test]
fn attribute_given_twice_is_not_guessed_at() {
    let output = run(&check("http://127.0.0.1:1", "Document::a", &["--attr", "a=1", "--attr", "a=2"]));
    assert_eq!(code(&output), 2);
    assert_eq!(stderr(&output), "error: the attribute `a` is given twice\n");
}

#[test]
fn empty_handle_is_not_taken_for_none() {
    let check = ["check", "--data", "http://127.0.0.1:1", "--action", "read", "--resource", "Document::a"];
    let given = run(&[check.as_slice(), &["--session", " "]].concat());
    let unset = chaperone(&check).env("CHAPERONE_SESSION", "").output().expect("the program runs");
    for output in [given, unset] {
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains("handle is empty"), "{}", stderr(&output));
    }
}

#[test]
fn refused_store_url_ends_its_line() {
    let output = run(&["migrate", "--store-url", "nonsense"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).ends_with("`embedded::memory:`\n"), "{}", stderr(&output));
}

#[test]
fn session_opens_quietly_and_in_json() {
    let fakes = Fakes::start();
    let open = ["session", "open", "--admin", &fakes.url, "--principal", "Agent::report-bot", "--owner", "ann"];
    let quiet = run(&[&open[..], &["--quiet"]].concat());
    assert_eq!((code(&quiet), stdout(&quiet)), (0, format!("{HANDLE}\n")));

    let grants = ["--scope-allow", "read:Document::\"welcome\"", "--scope-allow", "list", "--lifetime", "1h"];
    let opened = json_of(&run(&[&open[..], &grants, &["--output", "json"]].concat()));
    assert_eq!((&opened["session_id"], &opened["handle"]), (&json!(SESSION), &json!(HANDLE)));
    let sent = fakes.seen().opens.pop().expect("an open");
    assert_eq!(sent.lifetime.expect("a lifetime").seconds, 3_600);
    assert!(sent.binding.is_none());
    let Some(scope::Kind::Grants(grants)) = sent.scope.and_then(|scope| scope.kind) else { panic!("no grants") };
    assert_eq!(grants.grants.len(), 2);
}

#[test]
fn open_sends_zones_and_the_act_claim() {
    let fakes = Fakes::start();
    let folder = tempfile::tempdir().expect("a folder");
    let claim = folder.path().join("act.json");
    std::fs::write(&claim, r#"{"sub":"worker","act":{"sub":"planner"},"client_id":"x"}"#).expect("written");
    let from_file = format!("@{}", claim.display());
    let open = ["session", "open", "--quiet", "--admin", &fakes.url, "--parent", SESSION];
    for act in [r#"{"sub":"worker","act":{"sub":"planner"}}"#, &from_file] {
        let output = run(&[&open[..], &["--bind-zone", "office", "--bind-zone", "lab", "--act", act]].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let sent = fakes.seen().opens.pop().expect("an open");
        assert_eq!(sent.binding.expect("a binding").zones, ["office", "lab"]);
        let act = sent.act.expect("a claim");
        assert_eq!((act.sub.as_str(), act.act.expect("a prior actor").sub.as_str()), ("worker", "planner"));
    }
    let output = run(&[&open[..], &["--act", "worker"]].concat());
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("the act claim is not as RFC 8693 has it"), "{}", stderr(&output));
}

#[test]
fn field_that_the_server_refuses_is_named() {
    let fakes = Fakes::start();
    let open = ["session", "open", "--admin", &fakes.url, "--principal", "Robot::r2", "--owner", "ann"];
    let output = run(&open);
    assert_eq!((code(&output), stdout(&output)), (2, String::new()));
    let shown = stderr(&output);
    assert!(shown.contains("error[INVALID_FIELD]") && shown.contains("principal.type: not in the schema"), "{shown}");
}

#[test]
fn revoke_sends_its_target_with_the_token() {
    let fakes = Fakes::start();
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "0123456789abcdef\n").expect("written");
    let output = chaperone(&["session", "revoke", "--owner", "ann", "--reason", "left", "--output", "json"])
        .env("CHAPERONE_ADMIN_URL", &fakes.url)
        .env("CHAPERONE_ADMIN_TOKEN_FILE", &token)
        .output()
        .expect("the program runs");
    assert_eq!(json_of(&output), json!({ "revoked_count": 3 }));
    let (request, authorization) = fakes.seen().revokes.pop().expect("a revocation");
    assert_eq!((request.target, request.reason.as_str()), (Some(Target::Owner("ann".to_owned())), "left"));
    assert_eq!(authorization.as_deref(), Some("Bearer 0123456789abcdef"));
}

#[test]
fn signal_sends_what_was_noticed_and_says_whether_it_was_known() {
    let fakes = Fakes::start();
    let signal = |arguments: &[&str]| {
        let fixed = ["session", "signal", SESSION, "--reason", "odd", "--admin", &fakes.url];
        run(&[&fixed[..], arguments].concat())
    };
    let output =
        signal(&["--event-id", "known", "--risk", "-5", "--label", "a", "--tree-label", "b", "--revoke", "tree"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let shown = stdout(&output);
    assert!(shown.starts_with("signal known was known already: nothing was changed\n"), "{shown}");
    assert!(shown.contains("  count    exports/1h = 3\n"), "{shown}");
    let sent = fakes.seen().signals.pop().expect("a signal");
    assert_eq!((sent.event_id.as_str(), sent.risk, sent.revoke()), ("known", -5, SignalRevoke::Tree));
    assert_eq!((sent.labels, sent.tree_labels), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(sent.target, Some(session_service_signal_request::Target::SessionId(SESSION.to_owned())));

    let json = json_of(&signal(&["--risk", "+20", "--source", "edr", "--output", "json"]));
    let sent = fakes.seen().signals.pop().expect("a signal");
    assert_eq!((json["duplicate"].as_bool(), json["event_id"].as_str()), (Some(false), Some(sent.event_id.as_str())));
    assert_eq!((sent.event_id.len(), sent.source.as_str(), sent.risk), (36, "edr", 20));
    assert_eq!(json["memory"]["session"]["counts"]["exports/1h"], 3);
    for wrong in [&["--risk", "+101"][..], &["--revoke", "principal"], &["--tree", SESSION]] {
        assert_eq!(code(&signal(wrong)), 2, "{wrong:?}");
    }
}

#[test]
fn session_is_shown_with_what_is_remembered() {
    let fakes = Fakes::start();
    let shown = stdout(&run(&["session", "get", SESSION, "--admin", &fakes.url]));
    assert!(
        shown.contains("memory of the session\n  risk     20\n  labels   pii\n  count    exports/1h = 3\n"),
        "{shown}"
    );
    let json = json_of(&run(&["session", "show", SESSION, "--admin", &fakes.url, "--output", "json"]));
    assert_eq!((json["session_id"].as_str(), json["memory"]["risk"].as_i64()), (Some(SESSION), Some(20)));
}

#[test]
fn handle_in_place_of_an_id_is_refused_and_not_repeated() {
    for arguments in [["session", "revoke", "chp_c2VjcmV0"], ["session", "show", "chp_c2VjcmV0"]] {
        let output = run(&arguments);
        assert_eq!(code(&output), 2);
        let shown = stderr(&output);
        assert!(shown.contains("session list") && !shown.contains("c2VjcmV0"), "{shown}");
    }
}

#[test]
fn token_does_not_cross_a_network_in_the_clear() {
    let output = run(&["session", "list", "--admin", "http://10.0.0.1:7402", "--token-file", "/dev/null"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("in the clear"), "{}", stderr(&output));
}

#[test]
fn watch_prints_changes_and_fails_when_the_stream_ends() {
    let fakes = Fakes::start();
    let output = run(&["session", "watch", "--admin", &fakes.url, "--output", "json"]);
    let lines: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect();
    let states: Vec<&str> = lines.iter().map(|line| line["state"].as_str().expect("a state")).collect();
    assert_eq!(states, ["active", "revoked"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("ended the stream"), "{}", stderr(&output));
}

#[test]
fn refused_bundle_gives_1_and_every_problem_with_its_caret() {
    let fakes = Fakes::start();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("policies")).expect("made");
    std::fs::write(folder.path().join("policies/main.cedar"), "permit (principal);\n").expect("written");
    let path = folder.path().to_str().expect("UTF-8");
    let output = run(&["bundle", "push", path, "--admin", &fakes.url]);
    assert_eq!((code(&output), stdout(&output)), (1, String::new()), "{}", stderr(&output));
    let shown = stderr(&output);
    assert!(shown.contains("error[policy_syntax]: unexpected `)`"), "{shown}");
    assert!(shown.contains(&format!("--> {path}/policies/main.cedar:1:18\n")), "{shown}");
    assert!(shown.contains(" 1 | permit (principal);\n   |                  ^\n"), "{shown}");
    assert!(shown.ends_with(&format!("error: 500 problems in {path}\n")), "{shown}");
}

#[test]
fn folder_that_cannot_be_read_gives_2_and_one_with_problems_1() {
    assert_eq!(code(&run(&["bundle", "validate", "/does/not/exist"])), 2);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("polices")).expect("made");
    let output = run(&["bundle", "validate", folder.path().to_str().expect("UTF-8"), "--output", "json"]);
    assert_eq!(code(&output), 1);
    let findings = json_of(&output);
    assert_eq!(findings["valid"], false);
    let first = &findings["problems"][0];
    assert_eq!((&first["code"], &first["file"]), (&json!("unknown_file"), &json!("polices")));
}

#[test]
fn both_sides_show_certificates_over_tls() {
    let authority_key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).expect("a certificate").pem();
    let issuer = Issuer::from_params(&params, &authority_key);
    let key = KeyPair::generate().expect("a key");
    let subject = CertificateParams::new(["127.0.0.1".to_owned(), "pdp.example.com".to_owned()]).expect("names");
    let certificate = subject.signed_by(&key, &issuer).expect("a certificate").pem();
    let fakes = Fakes::start_with_tls(&authority, &certificate, &key.serialize_pem());

    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (ca, cert) = (file("ca.pem", &authority), file("cert.pem", &certificate));
    let key = file("key.pem", &key.serialize_pem());
    let mutual = ["--ca", &ca, "--client-cert", &cert, "--client-key", &key];
    let output = run(&check(&fakes.url, "Document::welcome", &mutual));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let renamed = [&mutual[..], &["--tls-server-name", "pdp.example.com"]].concat();
    assert_eq!(code(&run(&check(&fakes.url, "Document::welcome", &renamed))), 0);

    let other_name = [&mutual[..], &["--tls-server-name", "elsewhere.example.com"]].concat();
    for arguments in [&other_name[..], &["--ca", &ca], &[], &["--ca", &key]] {
        let output = run(&check(&fakes.url, "Document::welcome", arguments));
        assert_eq!((code(&output), stdout(&output)), (2, String::new()), "{arguments:?}");
    }
    let plaintext = run(&check(&fakes.url.replace("https", "http"), "Document::welcome", &[]));
    assert_eq!(code(&plaintext), 2);
    assert!(stderr(&plaintext).contains("https://"), "{}", stderr(&plaintext));
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("revoke"), "{shell}");
    }
}
