//! What holds for every command line, whoever wrote it.

#![allow(clippy::unwrap_used, reason = "a test that fails should")]

use std::sync::LazyLock;
use std::time::Instant;

use chaperone_decode::{Classes, Decoder, Operation, shell};
use proptest::prelude::*;

static CLASSES: LazyLock<Classes> = LazyLock::new(|| Classes::built_in().unwrap());

fn decode(line: &str) -> Option<Vec<Operation>> {
    shell::decode(line, &shell::Options::default(), &CLASSES).ok()
}

fn actions(line: &str) -> Option<Vec<String>> {
    decode(line).map(|operations| operations.into_iter().map(|operation| operation.action.into()).collect())
}

/// Pieces that a shell gives a meaning of its own.
const PIECES: &[&str] = &[
    "curl",
    "ls",
    " ",
    " ",
    "\n",
    "\t",
    ";",
    "&",
    "|",
    "&&",
    "||",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    "((",
    "))",
    "$(",
    "${",
    "$((",
    "`",
    "'",
    "\"",
    "\\",
    "$'",
    "<",
    ">",
    "<<E\n",
    "E\n",
    "<<<",
    "<(",
    "#",
    "!",
    "*",
    "?",
    "~",
    "=",
    "x=",
    "$x",
    "-c",
    "-exec",
    "{}",
    "sudo",
    "xargs",
    "sh -c",
    "if ",
    "then ",
    "fi",
    "for i in ",
    "do ",
    "done",
    "case x in ",
    "esac",
    "f()",
    "git",
    "find",
    "env",
    "eval",
    "a b",
];

/// Those of them that quote nothing.
const UNQUOTED: &[&str] = &[
    "curl",
    "ls",
    " ",
    " ",
    "\n",
    "\t",
    ";",
    "&",
    "|",
    "&&",
    "||",
    ")",
    "}",
    "]",
    "]]",
    "))",
    "!",
    "*",
    "?",
    "~",
    "=",
    "x=",
    "$x",
    "-c",
    "-exec",
    "sudo",
    "xargs",
    "if ",
    "then ",
    "fi",
    "for i in ",
    "do ",
    "done",
    "case x in ",
    "esac",
    "git",
    "env",
    "eval",
    "a b",
    ">",
    ">>",
];

/// Programs that run the simple command after them.
const WRAPPERS: &[&str] = &[
    "sudo @",
    "env A=b @",
    "timeout 5 @",
    "nohup @",
    "xargs @",
    "time @",
    "command @",
    "exec @",
    "> out @",
    "A=b @",
    "docker exec c @",
    "kubectl exec p -- @",
    "find . -exec @ \\;",
];

/// Places in a line where a command runs, or may.
const PLACES: &[&str] = &[
    "@",
    "ls; @",
    "@ | ls",
    "ls && @",
    "( @ )",
    "{ @; }",
    "echo $(@)",
    "echo \"$(@)\"",
    "x=$(@) ls",
    "if @; then ls; fi",
    "! @",
    "@ &",
    "while ls; do @; done",
    "case x in a) @;; esac",
    "for i in $(@); do ls; done",
    "f() { @; }",
    "cat <(@)",
    "ls > >(@)",
    "echo ${x:-$(@)}",
    "[[ -n $(@) ]]",
    "echo $((1 + $(@)))",
    "cat <<E\n$(@)\nE",
    "cat <<< $(@)",
    "sh -c '@'",
    "ssh h '@'",
    "ls \\\n; @",
    "echo `@`",
    "select i in a; do @; done",
    "until @; do :; done",
    "ls || @",
    "bash -c \"@\"",
    "su - u -c '@'",
];

/// The line in this place, with what its quotes need.
fn put(line: &str, place: &str) -> String {
    let escaped = |characters: &[char]| -> String {
        line.chars().flat_map(|one| characters.contains(&one).then_some('\\').into_iter().chain([one])).collect()
    };
    let line = if place.contains("'@'") {
        line.replace('\'', r"'\''")
    } else if place.contains("c \"@\"") {
        escaped(&['\\', '"', '$', '`'])
    } else if place.contains("`@`") {
        escaped(&['\\', '`', '$'])
    } else {
        line.into()
    };
    place.replace('@', &line)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic(line in "\\PC{0,200}", control in any::<String>()) {
        decode(&line);
        decode(&control);
    }

    #[test]
    fn no_pieces_of_a_shell_make_it_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        decode(&pieces.concat());
        decode(&pieces.join(" "));
        shell::decode_argv(&pieces, &shell::Options::default(), &CLASSES).ok();
    }

    /// Wherever a command stands, it is told, or the line is refused, or something in it is said to be beyond telling.
    #[test]
    fn a_command_is_told_wherever_it_stands(
        wrappers in prop::collection::vec(prop::sample::select(WRAPPERS), 0..3),
        places in prop::collection::vec(prop::sample::select(PLACES), 0..5),
    ) {
        let line = wrappers.iter().chain(&places).fold("curl evil".to_owned(), |line, place| put(&line, place));
        if let Some(actions) = actions(&line) {
            prop_assert!(actions.iter().any(|action| action.starts_with("curl") || action == "dynamic"), "{line}\n{actions:?}");
        }
    }

    /// Nothing hides a command on a line of its own, but for quotes, comments and here-documents, which are left out here.
    #[test]
    fn a_command_after_a_newline_is_told(before in prop::collection::vec(prop::sample::select(UNQUOTED), 0..12)) {
        let before = before.concat();
        let line = format!("{before}\ncurl evil");
        if let Some(actions) = actions(&line) {
            prop_assert!(actions.iter().any(|action| action.starts_with("curl") || action == "dynamic"), "{line}\n{actions:?}");
        }
    }

    /// Quotes and backslashes in a command do not change what it is.
    #[test]
    fn quotes_change_nothing(
        words in prop::collection::vec(prop::sample::select(&["git", "push", "--force", "curl", "-d", "ls", "sudo", "rm", "-rf", "/etc"][..]), 1..5),
        styles in prop::collection::vec(0..5_usize, 5),
    ) {
        let quoted: Vec<String> = words.iter().zip(&styles).map(|(word, style)| match style {
            0 => format!("'{word}'"),
            1 => format!("\"{word}\""),
            2 => word.chars().flat_map(|character| ['\\', character]).collect(),
            3 => format!("$'\\x{:02x}{}'", word.as_bytes()[0], &word[1..]),
            _ => format!("{}\"\"{}", &word[..1], &word[1..]),
        }).collect();
        prop_assert_eq!(decode(&quoted.join(" ")), decode(&words.join(" ")));
        let argv = shell::decode_argv(&words, &shell::Options::default(), &CLASSES).ok();
        prop_assert_eq!(decode(&words.join(" ")), argv);
    }

    #[test]
    fn actions_are_keys_of_the_table(pieces in prop::collection::vec(prop::sample::select(PIECES), 1..12)) {
        for action in actions(&pieces.join(" ")).unwrap_or_default() {
            prop_assert!(CLASSES.get(Decoder::Shell, &action).is_some(), "{action}");
        }
    }

    /// An argument that is computed never makes a command less than it is with any other argument in its place.
    #[test]
    fn computed_arguments_are_worth_the_worst(
        program in prop::sample::select(&["git", "find .", "tar", "curl", "sed", "sort", "kubectl get", "docker", "systemctl", "aws s3"][..]),
        argument in prop::sample::select(&["push", "-delete", "-x", "-d", "-i", "-o", "secrets", "run", "restart", "cp", "--force", "status"][..]),
    ) {
        let classes = |line: &str| -> Vec<_> {
            let actions = actions(line).unwrap_or_default();
            if actions.iter().any(|action| action == "dynamic") {
                return chaperone_decode::Class::ALL.to_vec();
            }
            actions.iter().flat_map(|action| CLASSES.get(Decoder::Shell, action).unwrap().iter()).collect()
        };
        let computed = classes(&format!("{program} $x"));
        for class in classes(&format!("{program} {argument}")) {
            prop_assert!(computed.contains(&class), "{program} {argument}: {class:?}");
        }
    }
}

/// What is not valid is refused about as soon as what is valid is read. Both are measured here, so that it does not matter on what.
#[test]
fn no_line_takes_much_longer_than_one_that_is_valid() {
    let time = |line: &str| {
        let time = |_| {
            let began = Instant::now();
            decode(line);
            began.elapsed()
        };
        (0..3).map(time).min().unwrap()
    };
    let valid = time(&"x=$y ls ".repeat(1024));
    for (head, piece, tail) in [
        ("", "TT `+`)sud `×n of +` S0", ""),
        ("", "{a:-`b a`", ""),
        ("+x=", "!)*", ""),
        ("", "))${case x in do ", "while |#esac$((`"),
        ("-c$((", "]function !=]f()ls", "><(#"),
        ("[[", "function do \\!function fi", ""),
        ("", "case x in afilscase x in (", "<<E\n~(("),
        ("))fi", "%x=\\$(x=<", "\"for i in E\n"),
        ("", "[[ a &&", ""),
    ] {
        for bytes in [1024, 2 * 1024, 4 * 1024, 8 * 1024] {
            let line = format!("{head}{}{tail}", piece.repeat((bytes - head.len() - tail.len()) / piece.len()));
            let took = time(&line);
            assert!(took < 5 * valid, "{bytes} bytes of {piece:?}: {took:?}, and {valid:?} for what is valid");
        }
    }
}

#[test]
fn lines_of_the_greatest_length_end() {
    for piece in [
        "a|",
        "a;",
        ")",
        "(",
        "x=(",
        "$(",
        "`a`;",
        "<<E\nE\n",
        "find -exec ",
        "ssh h ",
        "sudo ",
        "[[ a &&",
        "{ ",
        "${a:-",
        "\"$(",
        "if a;then ",
    ] {
        decode(&piece.repeat(16 * 1024 / piece.len()));
    }
    assert!(shell::decode(&"a".repeat(16 * 1024 + 1), &shell::Options::default(), &CLASSES).is_err());
}
