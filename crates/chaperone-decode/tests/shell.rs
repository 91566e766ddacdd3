//! Command lines and the operations that they come to: see `tests/shell/*.txt`.
//!
//! A case is a command after `$ ` (with more lines after `> `, or with Rust's escapes after `$e `), and under it, indented, either `denied`
//! or each operation: its action, its resource, and the facts that are worth a look.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails should")]

use std::fmt::Write as _;

use chaperone_decode::{Class, Classes, Decoder, Fact, Operation, shell};
use smol_str::SmolStr;

/// The cases of a file, each with its line and what it says below.
fn cases(text: &str) -> Vec<(String, String)> {
    let mut cases: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            cases.push((command.into(), String::new()));
        } else if let Some(command) = line.strip_prefix("$e") {
            cases.push((unescaped(command.strip_prefix(' ').unwrap_or(command)), String::new()));
        } else if let Some(more) = line.strip_prefix("> ") {
            let (command, _) = cases.last_mut().unwrap();
            command.push('\n');
            command.push_str(more);
        } else if line.starts_with("  ") {
            let (_, expected) = cases.last_mut().unwrap();
            expected.push_str(line);
            expected.push('\n');
        }
    }
    cases
}

fn unescaped(text: &str) -> String {
    let mut unescaped = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        unescaped.push_str(before);
        let (character, length) = match after.chars().next().unwrap() {
            'n' => ('\n', 1),
            'r' => ('\r', 1),
            't' => ('\t', 1),
            '0' => ('\0', 1),
            'u' => {
                let end = after.find('}').unwrap();
                (char::from_u32(u32::from_str_radix(&after[2..end], 16).unwrap()).unwrap(), end + 1)
            }
            other => panic!("an escape that is not known: {other}"),
        };
        unescaped.push(character);
        rest = &after[length..];
    }
    unescaped + rest
}

/// The operations as they are written in the files.
fn told(line: &str, classes: &Classes) -> String {
    let Ok(operations) = shell::decode(line, &shell::Options::default(), classes) else { return "  denied\n".into() };
    let mut told = String::new();
    for Operation { action, resource, facts } in operations {
        write!(told, "  {action} @ {}:{}", resource.kind, resource.id).unwrap();
        for name in ["via", "environment", "hosts", "sensitive_paths"] {
            if let Some(Fact::Texts(texts)) = facts.get(name) {
                let texts: Vec<&str> = texts.iter().map(SmolStr::as_str).collect();
                write!(told, " {name}={}", texts.join(",")).unwrap();
            }
        }
        for name in ["computed_arguments", "background"] {
            if facts.get(name) == Some(&Fact::Bool(true)) {
                write!(told, " {name}").unwrap();
            }
        }
        told.push('\n');
    }
    told
}

fn check(name: &str, text: &str) -> usize {
    let classes = Classes::built_in().unwrap();
    let cases = cases(text);
    let mut wrong = String::new();
    for (line, expected) in &cases {
        let told = told(line, &classes);
        if told != *expected {
            write!(wrong, "$ {line:?}\n{told}instead of\n{expected}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{name}\n{wrong}");
    cases.len()
}

#[test]
fn everyday_commands_are_told() {
    assert!(check("everyday", include_str!("shell/everyday.txt")) > 180);
}

#[test]
fn wrappers_are_seen_through() {
    assert!(check("wrappers", include_str!("shell/wrappers.txt")) > 150);
}

#[test]
fn evasions_hide_nothing() {
    assert!(check("evasions", include_str!("shell/evasions.txt")) > 300);
}

/// Whatever a flag is, it gives no less than the command has without it.
#[test]
fn flags_only_add_classes() {
    let classes = Classes::built_in().unwrap();
    for (key, set) in classes.actions(Decoder::Shell) {
        let flag = |word: &str| word.starts_with('-') || word.ends_with('=');
        let Some((base, _)) = key.rsplit_once(' ').filter(|(_, last)| flag(last)) else { continue };
        let base = classes.get(Decoder::Shell, base).unwrap_or_else(|| panic!("`{key}` has no key without its flag"));
        assert!(base.iter().all(|class| set.contains(class)), "`{key}` has fewer classes than without its flag");
    }
}

#[test]
fn what_nobody_can_tell_is_in_no_group_that_only_reads() {
    let classes = Classes::built_in().unwrap();
    let dynamic = classes.get(Decoder::Shell, "dynamic").unwrap();
    assert!(dynamic.contains(Class::Privileged) && !dynamic.contains(Class::DataRead));
    assert_eq!(classes.get(Decoder::Shell, "run").unwrap().iter().count(), 0);
}
