//! The operations that a line comes to, while they are gathered.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::Options;
use super::builtin::ASSIGN;
use super::line::BYTES_MAX;
use super::syntax::GRAMMAR_BYTES_MAX;
use super::word::Word;
use super::{path, secret};
use crate::{Classes, Decoder, Fact, FactMap, Operation, Resource, Undecodable};

/// The most operations that a line may come to.
const OPERATIONS_MAX: usize = 10_000;

/// How many scripts may be in a line, and how deeply.
const SCRIPTS_MAX: usize = 256;
const DEPTH_MAX: usize = 8;

/// The action of a command that the table does not know.
pub(super) const RUN: &str = "run";
/// The action of what nobody can tell before it runs.
pub(super) const DYNAMIC: &str = "dynamic";

/// What gathers the operations.
pub(super) struct Report<'a> {
    pub(super) options: &'a Options,
    pub(super) classes: &'a Classes,
    pub(super) operations: Vec<Operation>,
    /// Scripts that are still to be read.
    pub(super) scripts: Vec<Script>,
    /// How many scripts there were, and of how many bytes.
    pub(super) scripts_seen: (usize, usize),
    /// How much of them the grammar may still read.
    pub(super) grammar_bytes_left: usize,
    /// Variables whose value is computed, or may hold what runs when it is evaluated.
    pub(super) tainted: BTreeSet<SmolStr>,
    /// Variables that are evaluated as arithmetic.
    pub(super) evaluated: BTreeSet<SmolStr>,
}

/// A script that a command of another one runs.
pub(super) struct Script {
    pub(super) text: String,
    pub(super) circumstances: Circumstances,
}

/// What is true of a command because of where it stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Circumstances {
    /// The programs that run it, from the outside in.
    pub(super) via: Vec<SmolStr>,
    pub(super) background: bool,
    /// How many scripts and wrappers it is in.
    pub(super) depth: usize,
    /// The host that it runs on, if that is another one.
    pub(super) host: Option<SmolStr>,
    /// Whether a shell other than bash reads it.
    pub(super) posix: bool,
    /// Names of variables that are set for it.
    pub(super) environment: BTreeSet<SmolStr>,
    pub(super) reads: BTreeSet<SmolStr>,
    pub(super) writes: BTreeSet<SmolStr>,
}

impl Circumstances {
    /// Those of a command that this program runs.
    pub(super) fn within(&self, program: &str) -> Self {
        let mut inner = self.clone();
        inner.via.push(program.into());
        inner.depth += 1;
        inner
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(options: &'a Options, classes: &'a Classes) -> Self {
        Self {
            options,
            classes,
            operations: Vec::new(),
            scripts: Vec::new(),
            scripts_seen: (0, 0),
            grammar_bytes_left: GRAMMAR_BYTES_MAX,
            tainted: BTreeSet::new(),
            evaluated: BTreeSet::new(),
        }
    }

    /// Adds an operation on the program of a command.
    pub(super) fn command(
        &mut self,
        action: &str,
        words: &[Word],
        circumstances: &Circumstances,
    ) -> Result<(), Undecodable> {
        let program = words.first().map_or(ASSIGN, |word| word.text.as_str());
        let name = path::program(program).map_or_else(|| path::of_program(program), SmolStr::from);
        let resource = Resource { kind: "Program", id: self.id(&name, circumstances) };
        let facts = command_facts(&name, words, circumstances);
        self.push(action, resource, facts)
    }

    /// Adds an operation on a host.
    pub(super) fn host(
        &mut self,
        action: &str,
        host: &str,
        words: &[Word],
        circumstances: &Circumstances,
    ) -> Result<(), Undecodable> {
        let program = words.first().map_or("", |word| word.text.as_str());
        let mut facts = command_facts(&program.into(), words, circumstances);
        facts.insert("hosts", Fact::Texts(BTreeSet::from([host.into()])));
        self.push(action, Resource { kind: "Host", id: host.into() }, facts)
    }

    /// Adds an operation on a file.
    pub(super) fn file(&mut self, action: &str, path: &str, circumstances: &Circumstances) -> Result<(), Undecodable> {
        let path = if path.is_empty() { "." } else { path };
        let resource = Resource { kind: "File", id: self.id(path, circumstances) };
        self.push(action, resource, circumstances_facts(circumstances))
    }

    fn id(&self, name: &str, circumstances: &Circumstances) -> SmolStr {
        let name = if name.is_empty() { "." } else { name };
        let host = circumstances.host.as_ref().unwrap_or(&self.options.host);
        if host.is_empty() { name.into() } else { format!("{host}/{name}").into() }
    }

    fn push(&mut self, action: &str, resource: Resource, facts: FactMap) -> Result<(), Undecodable> {
        if self.operations.len() >= OPERATIONS_MAX {
            return Err(Undecodable::new("the command line comes to too many operations"));
        }
        // A table without an action cannot allow it, so there is no way around the ones that it must have.
        if self.classes.get(Decoder::Shell, action).is_none() {
            return Err(Undecodable::new("the table of classes lacks an action of the shell"));
        }
        self.operations.push(Operation { action: action.into(), resource, facts });
        Ok(())
    }

    /// Adds a script that is to be read as well.
    pub(super) fn script(&mut self, text: String, circumstances: Circumstances) -> Result<(), Undecodable> {
        let (count, bytes) = &mut self.scripts_seen;
        *count += 1;
        *bytes += text.len();
        if *count > SCRIPTS_MAX || *bytes > 2 * BYTES_MAX || circumstances.depth > DEPTH_MAX {
            return Err(Undecodable::new("scripts within scripts are too many"));
        }
        self.scripts.push(Script { text, circumstances });
        Ok(())
    }
}

fn circumstances_facts(circumstances: &Circumstances) -> FactMap {
    let mut facts = FactMap::with_capacity(13);
    facts.insert("background", Fact::Bool(circumstances.background));
    add(&mut facts, "via", circumstances.via.iter().cloned().collect());
    facts
}

fn command_facts(name: &SmolStr, words: &[Word], circumstances: &Circumstances) -> FactMap {
    let mut facts = circumstances_facts(circumstances);
    let arguments = words.get(1..).unwrap_or_default();
    let mut command = String::new();
    for word in words {
        if !command.is_empty() {
            command.push(' ');
        }
        word.canonical(&mut command);
    }
    facts.insert("program", Fact::Text(name.clone()));
    facts.insert("command", Fact::Text(command.into()));
    facts.insert("computed_arguments", Fact::Bool(arguments.iter().any(|word| word.computed)));
    let texts = |choose: fn(&Word) -> bool| {
        arguments.iter().filter(|word| choose(word)).map(|word| word.text.clone()).collect()
    };
    add(&mut facts, "arguments", texts(|word| !word.text.starts_with('-')));
    add(&mut facts, "flags", texts(|word| word.text.starts_with('-')));
    add(&mut facts, "sensitive_paths", texts(|word| word.secret.unwrap_or_else(|| secret::is_secret(word))));
    add(&mut facts, "urls", arguments.iter().filter_map(url).map(SmolStr::from).collect());
    add(&mut facts, "hosts", arguments.iter().filter_map(host).collect());
    add(&mut facts, "environment", circumstances.environment.clone());
    add(&mut facts, "reads", circumstances.reads.clone());
    add(&mut facts, "writes", circumstances.writes.clone());
    facts
}

fn add(facts: &mut FactMap, name: &'static str, texts: BTreeSet<SmolStr>) {
    if !texts.is_empty() {
        facts.insert(name, Fact::Texts(texts));
    }
}

/// The URL that a word says, perhaps after the name of an option.
fn url(word: &Word) -> Option<&str> {
    let text = word.as_literal()?;
    let scheme = text.find("://")?;
    let start =
        text.get(..scheme)?.rfind(|character: char| !character.is_ascii_alphanumeric() && !"+-.".contains(character));
    text.get(start.map_or(0, |start| start + 1)..)
}

/// The host that a word says: that of a URL, or of `user@host:path`.
fn host(word: &Word) -> Option<SmolStr> {
    let authority = match url(word) {
        Some(url) => url.split_once("://")?.1.split(['/', '?', '#']).next()?,
        None => {
            let text = word.as_literal().filter(|text| !text.starts_with('-'))?;
            let (_, host) = text.split_once('@').filter(|(user, _)| !user.is_empty())?;
            host.split([':', '/']).next()?
        }
    };
    let host = host_name(authority);
    let plain = |character: char| character.is_alphanumeric() || matches!(character, '.' | '-' | '_' | ':');
    (!host.is_empty() && host.chars().all(plain)).then(|| host.to_ascii_lowercase().into())
}

/// The host of `user@host:port`.
pub(super) fn host_name(authority: &str) -> &str {
    let host = authority.rsplit('@').next().unwrap_or_default();
    if let Some(address) = host.strip_prefix('[') {
        return address.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}
