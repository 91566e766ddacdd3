//! What a command is: which program it runs, through which others, and which action that is.

use smol_str::SmolStr;

use super::program_text::{is_plain_awk, is_plain_sed};
use super::report::{Circumstances, DYNAMIC, RUN, Report};
use super::word::Word;
use super::wrapper::Wrapper;
use super::{builtin, environment, keys, path, runner, secret};
use crate::{Class, Decoder, Undecodable};

/// How many wrappers a command may be in.
const WRAPPERS_MAX: usize = 16;

/// A command that is still to be told.
pub(super) struct Command {
    pub(super) words: Vec<Word>,
    pub(super) circumstances: Circumstances,
}

impl Report<'_> {
    /// Adds the operations of a command and of those that it runs.
    pub(super) fn tell(&mut self, command: Command) -> Result<(), Undecodable> {
        let mut commands = vec![command];
        while let Some(mut command) = commands.pop() {
            if command.circumstances.via.len() > WRAPPERS_MAX {
                return Err(Undecodable::new("commands within commands are too many"));
            }
            let first = commands.len();
            self.tell_one(&mut command, &mut commands)?;
            if let Some(new) = commands.get_mut(first..) {
                new.reverse();
            }
        }
        Ok(())
    }

    fn tell_one(&mut self, command: &mut Command, inner: &mut Vec<Command>) -> Result<(), Undecodable> {
        // What a wrapper hands on was looked at with the wrapper.
        for word in command.words.iter_mut().skip(1).filter(|word| word.secret.is_none()) {
            word.secret = Some(self.secret(word, &command.circumstances)?);
        }
        let command = &*command;
        let Some((program, arguments)) = command.words.split_first() else { return Ok(()) };
        let circumstances = &command.circumstances;
        let Some(text) = program.as_literal().filter(|text| is_name(text)) else {
            return self.command(DYNAMIC, &command.words, circumstances);
        };
        let Some(name) = path::program(text) else {
            return self.command(RUN, &command.words, circumstances);
        };
        if command.words.iter().any(|word| word.obscure) {
            return self.command(DYNAMIC, &command.words, circumstances);
        }
        if let Some(action) = builtin::action(name, arguments) {
            return self.command(action, &command.words, circumstances);
        }
        if runner::run(self, name, command, inner)? {
            return Ok(());
        }
        if let Some(wrapper) = Wrapper::named(name) {
            return self.wrapped(wrapper, name, command, inner);
        }
        if !is_plain(name, arguments) {
            return self.command(DYNAMIC, &command.words, circumstances);
        }
        self.known(name, arguments, command)
    }

    /// Adds the operations of a command by the keys of its program.
    pub(super) fn known(&mut self, name: &str, arguments: &[Word], command: &Command) -> Result<(), Undecodable> {
        match keys::select(self.classes.commands(), name, arguments) {
            None => self.command(DYNAMIC, &command.words, &command.circumstances),
            Some(actions) if actions.is_empty() => self.command(RUN, &command.words, &command.circumstances),
            Some(actions) => {
                let mut writes = false;
                for (action, classes) in actions {
                    writes |= classes.contains(Class::DataWrite) && !classes.contains(Class::Privileged);
                    self.command(&action, &command.words, &command.circumstances)?;
                }
                if writes { self.system_files(arguments, &command.circumstances) } else { Ok(()) }
            }
        }
    }

    /// Files of the system that arguments of a command which writes name may be what it writes.
    pub(super) fn system_files(
        &mut self,
        arguments: &[Word],
        circumstances: &Circumstances,
    ) -> Result<(), Undecodable> {
        for word in arguments {
            let named = path::normalise(path::within(word.start()));
            if path::is_system(&named) {
                self.file("write system file", &path::normalise(path::within(&word.text)), circumstances)?;
            }
        }
        Ok(())
    }

    /// A program that runs the command which follows.
    fn wrapped(
        &mut self,
        wrapper: &Wrapper,
        name: &str,
        command: &Command,
        inner: &mut Vec<Command>,
    ) -> Result<(), Undecodable> {
        let circumstances = &command.circumstances;
        let arguments = command.words.get(1..).unwrap_or_default();
        let Some(parsed) = wrapper.parse(arguments) else {
            return self.command(DYNAMIC, &command.words, circumstances);
        };
        let rest = arguments.get(parsed.command..).unwrap_or_default();
        if parsed.assigned.iter().any(|name| environment::is_decisive(name)) {
            self.command(DYNAMIC, &command.words, circumstances)?;
        }
        if wrapper.matters || rest.is_empty() {
            let own = command.words.get(..=parsed.command).unwrap_or_default();
            let own = Command { words: own.to_vec(), circumstances: circumstances.clone() };
            self.known(name, own.words.get(1..).unwrap_or_default(), &own)?;
        }
        let mut within = circumstances.within(name);
        within.environment.extend(parsed.assigned.iter().cloned());
        self.tainted.extend(parsed.assigned.iter().cloned());
        if name == "xargs" {
            inner.push(Command { words: runner::with_input(rest, &parsed), circumstances: within });
            return Ok(());
        }
        // `flock FILE -c SCRIPT`
        if name == "flock" && rest.first().is_some_and(|word| matches!(word.text.as_str(), "-c" | "--command")) {
            return runner::script(self, rest.get(1), within, command);
        }
        if name == "watch" && !rest.is_empty() {
            return runner::joined(self, rest, within, command);
        }
        inner.push(Command { words: rest.to_vec(), circumstances: within });
        Ok(())
    }

    /// A file with secrets that a word names is read or written, whatever else is done with the word.
    pub(super) fn secret(&mut self, word: &Word, circumstances: &Circumstances) -> Result<bool, Undecodable> {
        let secret = secret::is_secret(word);
        if secret {
            self.file("read secret file", &path::normalise(path::within(&word.text)), circumstances)?;
        }
        Ok(secret)
    }

    /// Adds an operation for a redirection.
    pub(super) fn redirection(
        &mut self,
        target: &Word,
        writes: bool,
        circumstances: &Circumstances,
    ) -> Result<(), Undecodable> {
        let Some(text) = target.as_literal() else {
            return self.file(DYNAMIC, &target.text, circumstances);
        };
        let path = path::normalise(text);
        if path::is_stream(&path) {
            return Ok(());
        }
        if let Some(address) = path.strip_prefix("/dev/tcp/").or_else(|| path.strip_prefix("/dev/udp/")) {
            let host = SmolStr::from(address.split('/').next().unwrap_or_default().to_ascii_lowercase());
            let words = [Word::literal(&path)];
            return self.host("open connection", if host.is_empty() { "." } else { &host }, &words, circumstances);
        }
        let action = match (writes, secret::is_secret(target)) {
            (false, true) => "read secret file",
            (false, false) => "read file",
            (true, true) => "write system file",
            (true, false) if path::is_system(&path) => "write system file",
            (true, false) => "write file",
        };
        self.file(action, &path, circumstances)
    }

    /// Whether the table has keys for a program of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.classes.get(Decoder::Shell, name).is_some() || Wrapper::named(name).is_some() || builtin::is_builtin(name)
    }
}

/// Whether a program can be called so, without being something else to another shell.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"*?[]{}$`\"'\\<>|&;()#=".contains(&byte) || text == "[")
        && !text.starts_with(['=', '^', '!', '-', '%', '+', '@'])
}

/// Whether programs in the languages of `sed` and `awk` do what their program's key says, and no more.
fn is_plain(name: &str, arguments: &[Word]) -> bool {
    let plain: fn(&str) -> bool = match name {
        "sed" | "gsed" => is_plain_sed,
        "awk" | "gawk" | "mawk" | "nawk" => is_plain_awk,
        _ => return true,
    };
    let sed = name.ends_with("sed");
    let mut scripts = Vec::new();
    let mut first = None;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let Some(text) = word.as_literal() else {
            // After the script only files come, which are of no interest here.
            if word.may_be_flag() || first.is_none() && scripts.is_empty() {
                return false;
            }
            continue;
        };
        match text {
            "-e" | "--expression" if sed => match words.next().and_then(Word::as_literal) {
                Some(script) => scripts.push(script),
                None => return false,
            },
            "-n" | "-r" | "-E" | "-i" | "-s" | "-z" | "-u" | "-nr" | "-nE" | "-ni" | "-ri" | "-Ei" | "--quiet"
            | "--silent" | "--regexp-extended" | "--in-place" | "--separate" | "--null-data" | "--sandbox"
            | "--posix"
                if sed => {}
            // A suffix for backups: `-i.bak`.
            _ if sed && text.strip_prefix("-i").is_some_and(|suffix| suffix.starts_with('.')) => {}
            "-F" | "-v" if !sed => {
                if words.next().is_none_or(|value| value.free) {
                    return false;
                }
            }
            _ if !sed && (text.starts_with("-F") || text.starts_with("-v")) => {}
            "--" => {}
            _ if text.starts_with('-') && text != "-" => return false,
            _ => drop(first.get_or_insert(text)),
        }
    }
    if scripts.is_empty() {
        scripts.extend(first);
    }
    scripts.into_iter().all(plain)
}
