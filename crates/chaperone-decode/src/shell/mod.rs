//! Command lines of bash, and of the shells that it shares its language with.
//!
//! Every command that would run is an [`Operation`], wherever it stands: in pipelines, lists, loops, functions and substitutions, and behind
//! programs that run others (`sudo`, `env`, `xargs`, `sh -c`, `ssh host`). So is every redirection to or from a file. Which action a command
//! is, the table of [`Classes`] says (see `keys.rs` for how its keys are matched); a program that the table does not know is the action
//! `run`, which is in no group. What only shows when it runs is the action `dynamic`: a program that is computed, `eval`, a script from
//! elsewhere, variables and builtins that change which programs run.
//!
//! A line is read as bash reads it. What the grammar says of it is checked byte for byte by a reader of our own, and where the two
//! disagree the line is refused. This tells what a line says, for policies and for people; it is no sandbox.

mod ansi;
mod arithmetic;
mod builtin;
mod command;
mod environment;
mod grammar;
mod keys;
mod lexer;
mod line;
mod options;
mod path;
mod plain;
mod program_text;
mod reader;
mod report;
mod runner;
mod script;
mod secret;
mod simple;
mod syntax;
mod word;
mod wrapper;

use smol_str::SmolStr;

use crate::{Classes, Fact, FactSpec, FactType, Operation, Undecodable};
use command::Command;
pub(crate) use keys::Keys;
use report::{Circumstances, DYNAMIC, Report};
use word::Word;

/// How command lines are decoded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// The host that the line is for: what ids of programs and files start with. May be empty.
    pub host: SmolStr,
}

/// The types of resources that the operations are on.
pub const RESOURCES: &[&str] = &["File", "Host", "Program"];

/// The facts that the operations have.
pub const FACTS: &[FactSpec] = &[
    FactSpec::optional("arguments", FactType::Texts, "The words of the command that are no options."),
    FactSpec::required("background", FactType::Bool, "Whether the shell does not wait for it."),
    FactSpec::optional(
        "command",
        FactType::Text,
        "The words of the command in one spelling, quoted for a shell; computed parts as written.",
    ),
    FactSpec::required("commands", FactType::Long, "How many operations the whole line comes to."),
    FactSpec::optional(
        "computed_arguments",
        FactType::Bool,
        "Whether any argument is computed: by a variable, a substitution, a pattern or braces.",
    ),
    FactSpec::optional("environment", FactType::Texts, "The names of variables that are set for the command."),
    FactSpec::optional("flags", FactType::Texts, "The words of the command that start with a dash."),
    FactSpec::optional("hosts", FactType::Texts, "Hosts that stand literally in its arguments."),
    FactSpec::optional(
        "program",
        FactType::Text,
        "The name of the program, or its path where that is in no standard directory.",
    ),
    FactSpec::optional("reads", FactType::Texts, "Files that its input is redirected from."),
    FactSpec::optional(
        "sensitive_paths",
        FactType::Texts,
        "Arguments that name files which hold keys, passwords or tokens.",
    ),
    FactSpec::optional("urls", FactType::Texts, "URLs that stand literally in its arguments."),
    FactSpec::optional("via", FactType::Texts, "The programs that run it, such as `sudo` or `xargs`."),
    FactSpec::optional("writes", FactType::Texts, "Files that its output is redirected to."),
];

/// Tells what a command line would do.
///
/// # Errors
/// If the line is longer than 16 KiB, or than 8 KiB with more in it than plain commands, is not valid, runs nothing, or has what shells
/// read in different ways.
pub fn decode(command_line: &str, options: &Options, classes: &Classes) -> Result<Vec<Operation>, Undecodable> {
    let mut report = Report::new(options, classes);
    report.script(command_line.into(), Circumstances::default())?;
    finish(report)
}

/// Tells what the program with these arguments would do, where no shell reads them. Programs that run others are seen through.
///
/// # Errors
/// As [`decode`], for what the arguments hold.
pub fn decode_argv(arguments: &[&str], options: &Options, classes: &Classes) -> Result<Vec<Operation>, Undecodable> {
    if arguments.iter().map(|argument| argument.len() + 1).sum::<usize>() > line::BYTES_MAX {
        return Err(Undecodable::new("the arguments are too long"));
    }
    if arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(Undecodable::new("an argument with a byte that ends it"));
    }
    let mut report = Report::new(options, classes);
    let words = arguments.iter().map(|argument| Word::literal(argument)).collect();
    report.tell(Command { words, circumstances: Circumstances::default() })?;
    finish(report)
}

fn finish(mut report: Report<'_>) -> Result<Vec<Operation>, Undecodable> {
    while let Some(script) = report.scripts.pop() {
        report.read(&script)?;
    }
    // The value of a variable that arithmetic evaluates may have a substitution in it, which then runs.
    if report.evaluated.iter().any(|name| report.tainted.contains(name) || environment::is_decisive(name)) {
        report.command(DYNAMIC, &[Word::literal("((")], &Circumstances::default())?;
    }
    if report.operations.is_empty() {
        return Err(Undecodable::new("there is no command"));
    }
    let commands = i64::try_from(report.operations.len()).unwrap_or(i64::MAX);
    for operation in &mut report.operations {
        operation.facts.insert("commands", Fact::Long(commands));
    }
    Ok(report.operations)
}
