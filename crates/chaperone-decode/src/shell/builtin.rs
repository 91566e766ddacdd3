//! Commands that a shell runs by itself, where its key in the table does not say it all.

use super::environment;
use super::report::DYNAMIC;
use super::word::Word;

/// The action of setting variables and options that matter to the shell only.
pub(super) const ASSIGN: &str = "assign";
/// The action of showing all variables.
const SHOW: &str = "set";

/// Builtins that run what cannot be told from here, or change how the rest of the line is read.
const DYNAMIC_BUILTINS: &[&str] = &[
    "eval",
    "source",
    ".",
    "trap",
    "alias",
    "unalias",
    "shopt",
    "enable",
    "bind",
    "complete",
    "compgen",
    "compopt",
    "fc",
    "history",
    "hash",
    "mapfile",
    "readarray",
    "setopt",
    "unsetopt",
    "emulate",
    "autoload",
    "zmodload",
    "zle",
    "repeat",
    "functions",
    "sched",
    "vared",
    "foreach",
    "onintr",
    "setenv",
    "nameref",
    "integer",
];
/// Builtins that set variables.
const DECLARATIONS: &[&str] = &["declare", "typeset", "export", "readonly", "local"];

/// Whether a shell has a builtin of this name that this module knows.
pub(super) fn is_builtin(name: &str) -> bool {
    DYNAMIC_BUILTINS.contains(&name)
        || DECLARATIONS.contains(&name)
        || matches!(name, "set" | "unset" | "let" | "read" | "printf" | "getopts")
}

/// Whether it sets variables by arguments that are written as assignments.
pub(super) fn is_declaration(name: &str) -> bool {
    DECLARATIONS.contains(&name)
}

/// The action of a builtin, if the table is not to be asked.
pub(super) fn action(name: &str, arguments: &[Word]) -> Option<&'static str> {
    if DYNAMIC_BUILTINS.contains(&name) {
        return Some(DYNAMIC);
    }
    if DECLARATIONS.contains(&name) {
        return Some(declaration(arguments));
    }
    match name {
        "set" => Some(set(arguments)),
        "unset" | "getopts" => Some(names(arguments)),
        "read" => Some(names(arguments)).filter(|action| *action == DYNAMIC),
        "let" => {
            let plain = |word: &Word| word.as_literal().is_some_and(|text| !text.contains(['[', '$', '`']));
            Some(if arguments.iter().all(plain) { ASSIGN } else { DYNAMIC })
        }
        // Into a variable, whose index is evaluated.
        "printf" => arguments
            .first()
            .is_some_and(|word| word.may_be_flag() || word.start().starts_with("-v"))
            .then_some(DYNAMIC),
        "jobs" => (!arguments.is_empty()).then_some(DYNAMIC),
        "wait" => arguments.iter().any(|word| word.may_be_flag() || word.start().starts_with('-')).then_some(DYNAMIC),
        "test" | "[" => evaluates(arguments).then_some(DYNAMIC),
        _ => None,
    }
}

/// Whether a test looks at a variable whose name has an index, which is evaluated.
fn evaluates(arguments: &[Word]) -> bool {
    let mut words = arguments.iter();
    words.any(|word| word.text == "-v" || word.text == "-R")
        && words.next().is_none_or(|name| name.as_literal().is_none_or(|name| name.contains('[')))
}

fn declaration(arguments: &[Word]) -> &'static str {
    let mut names = false;
    for word in arguments {
        let text = word.start();
        if word.computed && !text.contains('=') {
            return DYNAMIC;
        }
        if let Some(flags) = text.strip_prefix(['-', '+']) {
            // References and numbers are evaluated; functions that are handed on are read by every shell below.
            if flags.contains(['n', 'i', 'f']) {
                return DYNAMIC;
            }
            if flags.contains(['p', 'F']) {
                return SHOW;
            }
            continue;
        }
        names = true;
        let name = text.split(['=', '+', '[']).next().unwrap_or_default();
        if environment::is_decisive(name) || text.split('=').next().is_some_and(|name| name.contains(['[', '`', '$'])) {
            return DYNAMIC;
        }
    }
    if names { ASSIGN } else { SHOW }
}

/// Builtins whose arguments are the names of variables.
fn names(arguments: &[Word]) -> &'static str {
    let decisive = |word: &Word| {
        word.as_literal().is_none_or(|text| {
            !text.starts_with('-') && (environment::is_decisive(text) || text.contains(['[', '$', '`']))
        })
    };
    // The value of an option may look like a name; that it is taken for one does no harm.
    if arguments.iter().filter(|word| !is_prompt(word)).any(decisive) { DYNAMIC } else { ASSIGN }
}

/// A text that can be no name, such as a prompt.
fn is_prompt(word: &Word) -> bool {
    word.as_literal().is_some_and(|text| text.contains([' ', ':', '?', '>']) && !text.contains(['$', '`', '[', '=']))
}

fn set(arguments: &[Word]) -> &'static str {
    if arguments.is_empty() {
        return SHOW;
    }
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let Some(text) = word.as_literal() else { return DYNAMIC };
        let Some(letters) = text.strip_prefix(['-', '+']) else { return DYNAMIC };
        // `-o` takes a name, and it is the last in its cluster.
        let (letters, named) = letters.strip_suffix('o').map_or((letters, false), |letters| (letters, true));
        if !letters.bytes().all(|letter| b"eufvEC".contains(&letter)) {
            return DYNAMIC;
        }
        if named {
            let name = words.next().and_then(Word::as_literal);
            if !name.is_some_and(|name| {
                matches!(name, "pipefail" | "errexit" | "nounset" | "noglob" | "noclobber" | "errtrace")
            }) {
                return DYNAMIC;
            }
        }
    }
    ASSIGN
}
