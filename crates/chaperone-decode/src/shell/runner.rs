//! Programs that run others in ways of their own: shells, `find`, `ssh`, `su`, containers.

use smol_str::SmolStr;

use super::command::Command;
use super::report::{Circumstances, DYNAMIC, Report, host_name};
use super::word::Word;
use super::wrapper::{CONTAINER_EXEC, CONTAINER_RUN, Parsed, SHELL, Wrapper};
use crate::Undecodable;

/// Options of ssh's `-o` that run nothing and open nothing.
const SSH_OPTIONS: &[&str] = &[
    "batchmode",
    "compression",
    "connecttimeout",
    "connectionattempts",
    "hostkeyalgorithms",
    "identitiesonly",
    "identityfile",
    "kexalgorithms",
    "loglevel",
    "passwordauthentication",
    "port",
    "preferredauthentications",
    "pubkeyauthentication",
    "requesttty",
    "serveralivecountmax",
    "serveraliveinterval",
    "stricthostkeychecking",
    "user",
    "userknownhostsfile",
];

/// Tells a command of such a program; whether it was one.
pub(super) fn run(
    report: &mut Report<'_>,
    name: &str,
    command: &Command,
    inner: &mut Vec<Command>,
) -> Result<bool, Undecodable> {
    match name {
        "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh" | "mksh" | "rbash" => shell(report, name, command)?,
        "su" | "script" => with_command_option(report, name, command)?,
        "runuser" if !argument_is(command, |text| text.starts_with("-u") || text.starts_with("--user")) => {
            with_command_option(report, name, command)?;
        }
        "find" | "gfind" => find(report, name, command, inner)?,
        "ssh" => ssh(report, command)?,
        "docker" | "podman" | "nerdctl" | "docker-compose" | "podman-compose" => {
            return container(report, name, command, inner);
        }
        // Its kinds are written in many ways: `secret/name`, `pods,secrets`, `Secrets.v1.`.
        "kubectl" | "oc" if !argument_is(command, |text| text == "exec") => {
            let means =
                |text: &str| text.to_ascii_lowercase().contains("secret") && !matches!(text, "secret" | "secrets");
            if argument_is(command, means) {
                report.command(
                    if name == "oc" { "oc get secret" } else { "kubectl get secret" },
                    &command.words,
                    &command.circumstances,
                )?;
            }
            return Ok(false);
        }
        "kubectl" | "oc" | "k3s" | "microk8s" if argument_is(command, |text| text == "exec") => {
            pod(report, name, command, inner)?;
        }
        "command" if argument_is(command, |text| matches!(text, "-v" | "-V" | "-pv" | "-pV")) => {
            // Only names are looked up, as long as nothing else comes before them.
            let first = command.words.get(1).and_then(Word::as_literal).unwrap_or_default();
            if !matches!(first, "-v" | "-V" | "-pv" | "-pV") {
                return Ok(false);
            }
            report.command("type", &command.words, &command.circumstances)?;
        }
        "tar" | "bsdtar" | "gtar" | "ar" => {
            // The first word holds flags even without a dash.
            let mut words = command.words.clone();
            if let Some(first) = words.get_mut(1)
                && !first.computed
                && !first.text.starts_with('-')
            {
                *first = Word::literal(&format!("-{}", first.text));
            }
            let told = Command { words: command.words.clone(), circumstances: command.circumstances.clone() };
            report.known(name, words.get(1..).unwrap_or_default(), &told)?;
            // An archive of another host is fetched by a program of its own.
            if argument_is(command, |text| text.contains(':')) && name != "ar" {
                report.command(DYNAMIC, &command.words, &command.circumstances)?;
            }
        }
        // `ext::` and other transports of git run programs.
        "git" if argument_is(command, |text| text.contains("::")) => {
            report.command(DYNAMIC, &command.words, &command.circumstances)?;
        }
        // A word without a dash holds options as well, among them the one that shows the environment.
        "ps" if argument_is(command, |text| {
            text.bytes().all(|byte| byte.is_ascii_alphabetic()) && text.contains('e')
        }) =>
        {
            report.command("ps -E", &command.words, &command.circumstances)?;
        }
        // What they are told to write to is their second word.
        "uniq" | "xxd" => {
            let files = command
                .words
                .iter()
                .skip(1)
                .filter(|word| word.computed || !word.text.starts_with('-') || word.text == "-");
            if files.clone().count() < 2 && !files.clone().any(|word| word.free || !word.text.is_ascii()) {
                return Ok(false);
            }
            let action = if name == "uniq" { "uniq --output" } else { "xxd --output" };
            report.command(action, &command.words, &command.circumstances)?;
            report.system_files(command.words.get(1..).unwrap_or_default(), &command.circumstances)?;
        }
        // A word that is no option and no format is what is set.
        "hostname" if argument_is(command, |text| !text.starts_with('-')) => {
            report.command("hostname -F", &command.words, &command.circumstances)?;
        }
        "date"
            if argument_is(command, |text| {
                !text.starts_with(['-', '+']) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            }) =>
        {
            report.command("date -s", &command.words, &command.circumstances)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn argument_is(command: &Command, test: fn(&str) -> bool) -> bool {
    command.words.iter().skip(1).filter_map(Word::as_literal).any(test)
}

/// A text that a shell is given to run.
pub(super) fn script(
    report: &mut Report<'_>,
    text: Option<&Word>,
    within: Circumstances,
    command: &Command,
) -> Result<(), Undecodable> {
    match text.and_then(Word::as_literal) {
        Some(text) => report.script(text.into(), Circumstances { posix: true, ..within }),
        None => report.command(DYNAMIC, &command.words, &command.circumstances),
    }
}

/// Words that are joined by blanks and then given to a shell.
pub(super) fn joined(
    report: &mut Report<'_>,
    words: &[Word],
    within: Circumstances,
    command: &Command,
) -> Result<(), Undecodable> {
    let texts: Option<Vec<&str>> = words.iter().map(Word::as_literal).collect();
    match texts {
        Some(texts) => report.script(texts.join(" "), Circumstances { posix: true, ..within }),
        None => report.command(DYNAMIC, &command.words, &command.circumstances),
    }
}

/// A shell says what it runs only if its text stands right there.
fn shell(report: &mut Report<'_>, name: &str, command: &Command) -> Result<(), Undecodable> {
    let arguments = command.words.get(1..).unwrap_or_default();
    let parsed = SHELL.parse(arguments).filter(|parsed| parsed.options.iter().any(|(option, _)| option == "c"));
    let text = parsed.and_then(|parsed| arguments.get(parsed.command)).and_then(Word::as_literal);
    let Some(text) = text else {
        return report.command(DYNAMIC, &command.words, &command.circumstances);
    };
    let mut within = command.circumstances.within(name);
    within.posix = !matches!(name, "bash" | "rbash");
    report.script(text.into(), within)
}

/// `su`, `runuser` and `script`, which give the value of `-c` to a shell.
fn with_command_option(report: &mut Report<'_>, name: &str, command: &Command) -> Result<(), Undecodable> {
    let arguments = command.words.get(1..).unwrap_or_default();
    let mut text = None;
    let mut words = arguments.iter();
    let mut own = vec![command.words.first().cloned().unwrap_or_default()];
    while let Some(word) = words.next() {
        let Some(literal) = word.as_literal() else {
            return report.command(DYNAMIC, &command.words, &command.circumstances);
        };
        match literal {
            "-c" | "--command" | "--session-command" | "-lc" | "-qc" | "-qec" | "-qefc" => {
                text = Some(words.next().cloned());
            }
            _ if literal.starts_with("--command=") => {
                text = Some(Some(Word::literal(literal.trim_start_matches("--command="))));
            }
            "-"
            | "-l"
            | "-m"
            | "-p"
            | "-P"
            | "-q"
            | "-f"
            | "-e"
            | "-a"
            | "--login"
            | "--pty"
            | "--quiet"
            | "--preserve-environment" => {
                own.push(word.clone());
            }
            _ if literal.starts_with('-') => return report.command(DYNAMIC, &command.words, &command.circumstances),
            _ => own.push(word.clone()),
        }
    }
    let own = Command { words: own, circumstances: command.circumstances.clone() };
    report.known(name, own.words.get(1..).unwrap_or_default(), &own)?;
    match text {
        Some(text) => script(report, text.as_ref(), command.circumstances.within(name), command),
        None if name == "script" => report.command(DYNAMIC, &command.words, &command.circumstances),
        None => Ok(()),
    }
}

/// `find`, and the commands that it runs for what it finds.
fn find(report: &mut Report<'_>, name: &str, command: &Command, inner: &mut Vec<Command>) -> Result<(), Undecodable> {
    let mut own: Vec<Word> = Vec::new();
    let mut words = command.words.iter();
    while let Some(word) = words.next() {
        if !matches!(word.as_literal(), Some("-exec" | "-execdir" | "-ok" | "-okdir")) {
            own.push(word.clone());
            continue;
        }
        let mut run = Vec::new();
        for word in words.by_ref() {
            let braces = run.last().is_some_and(|last: &Word| last.text == "{}");
            match word.text.as_str() {
                ";" => break,
                "+" if braces => break,
                // What is found starts with where it was looked for, so that it is no option.
                text if text.contains("{}") => {
                    let literal = text.find("{}").unwrap_or_default().max(1);
                    run.push(Word { computed: true, literal, raw: "{}".into(), ..word.clone() });
                }
                _ => run.push(word.clone()),
            }
        }
        if run.is_empty() || run.first().is_some_and(|program| program.computed) {
            report.command(DYNAMIC, &command.words, &command.circumstances)?;
        }
        inner.push(Command { words: run, circumstances: command.circumstances.within(name) });
    }
    let own = Command { words: own, circumstances: command.circumstances.clone() };
    report.known(name, own.words.get(1..).unwrap_or_default(), &own)
}

fn ssh(report: &mut Report<'_>, command: &Command) -> Result<(), Undecodable> {
    let arguments = command.words.get(1..).unwrap_or_default();
    let parsed = Wrapper::named("ssh").and_then(|wrapper| wrapper.parse(arguments));
    let Some(parsed) = parsed.filter(|parsed| parsed.options.iter().all(|(name, value)| is_plain_ssh(name, value)))
    else {
        return report.command(DYNAMIC, &command.words, &command.circumstances);
    };
    let Some(host) = parsed.operands.first().and_then(Word::as_literal) else {
        return report.command(DYNAMIC, &command.words, &command.circumstances);
    };
    // ssh reads options after the host as well.
    let rest = arguments.get(parsed.command..).unwrap_or_default();
    if rest.first().is_some_and(|word| word.may_be_flag() || word.text.starts_with('-')) {
        return report.command(DYNAMIC, &command.words, &command.circumstances);
    }
    let host = host_name(host.strip_prefix("ssh://").unwrap_or(host)).to_ascii_lowercase();
    let host = if host.is_empty() { "." } else { &host };
    let own = command.words.get(..=parsed.command).unwrap_or_default();
    let actions =
        super::keys::select(report.classes.commands(), "ssh", own.get(1..).unwrap_or_default()).unwrap_or_default();
    for (action, _) in actions {
        report.host(&action, host, own, &command.circumstances)?;
    }
    if rest.is_empty() {
        // What is typed there, nobody can tell.
        let forwards = parsed.options.iter().any(|(name, _)| name == "N");
        return if forwards { Ok(()) } else { report.command(DYNAMIC, &command.words, &command.circumstances) };
    }
    let mut within = command.circumstances.within("ssh");
    within.host = Some(host.into());
    joined(report, rest, within, command)
}

fn is_plain_ssh(name: &str, value: &str) -> bool {
    match name {
        "o" => {
            let option = value.split(['=', ' ', '\t']).next().unwrap_or_default().to_ascii_lowercase();
            SSH_OPTIONS.contains(&option.as_str())
        }
        "F" | "I" | "S" | "E" | "P" | "O" => false,
        _ => true,
    }
}

/// `docker exec`, `docker run` and those like them; whether it was one.
fn container(
    report: &mut Report<'_>,
    name: &str,
    command: &Command,
    inner: &mut Vec<Command>,
) -> Result<bool, Undecodable> {
    let arguments = command.words.get(1..).unwrap_or_default();
    let found = arguments.iter().position(|word| matches!(word.as_literal(), Some("exec" | "run")));
    let Some(at) = found else { return Ok(false) };
    let wrapper =
        if arguments.get(at).is_some_and(|word| word.text == "exec") { &CONTAINER_EXEC } else { &CONTAINER_RUN };
    // Were it no subcommand but the name of something, the table would say so: it then is another key.
    report.known(name, arguments, command)?;
    let Some(parsed) = wrapper.parse(arguments.get(at + 1..).unwrap_or_default()) else {
        report.command(DYNAMIC, &command.words, &command.circumstances)?;
        return Ok(true);
    };
    let rest = arguments.get(at + 1 + parsed.command..).unwrap_or_default();
    inner.push(Command { words: rest.to_vec(), circumstances: command.circumstances.within(name) });
    Ok(true)
}

/// `kubectl exec POD -- command`
fn pod(report: &mut Report<'_>, name: &str, command: &Command, inner: &mut Vec<Command>) -> Result<(), Undecodable> {
    let end = command.words.iter().position(|word| word.as_literal() == Some("--"));
    let own = command.words.get(..end.unwrap_or(command.words.len())).unwrap_or_default().to_vec();
    let free = own.iter().any(|word| word.free);
    let own = Command { words: own, circumstances: command.circumstances.clone() };
    report.known(name, own.words.get(1..).unwrap_or_default(), &own)?;
    let Some(end) = end.filter(|_| !free) else {
        return report.command(DYNAMIC, &command.words, &command.circumstances);
    };
    let rest = command.words.get(end + 1..).unwrap_or_default();
    inner.push(Command { words: rest.to_vec(), circumstances: command.circumstances.within(name) });
    Ok(())
}

/// The command of `xargs`, with what its input adds to it.
pub(super) fn with_input(words: &[Word], parsed: &Parsed) -> Vec<Word> {
    let replaced: Vec<SmolStr> = parsed
        .options
        .iter()
        .filter(|(name, _)| matches!(name.as_str(), "I" | "i" | "replace" | "J"))
        .map(|(_, value)| if value.is_empty() { "{}".into() } else { value.clone() })
        .collect();
    let mut command: Vec<Word> = words
        .iter()
        .map(|word| {
            if replaced.iter().any(|replaced| word.text.contains(replaced.as_str())) {
                let literal =
                    replaced.iter().filter_map(|replaced| word.text.find(replaced.as_str())).min().unwrap_or_default();
                // A replaced text stays one word, whatever is in it.
                return Word { computed: true, literal, raw: word.text.clone(), ..word.clone() };
            }
            word.clone()
        })
        .collect();
    if command.is_empty() {
        command.push(Word::literal("echo"));
    }
    if replaced.is_empty() {
        command.push(Word::unknown("…"));
    }
    command
}
