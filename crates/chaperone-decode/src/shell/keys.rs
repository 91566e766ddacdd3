//! Which actions of the table a command is.
//!
//! A key is a program, then subcommands in order, then flags: `git`, `git push`, `git push --force`, `find -delete`, `dd of=`.
//!
//! - A subcommand is a word without a dash. It matches the next word of the command that is no option. Options before it are passed over if
//!   they are in the list of the program's options ([`options`](super::options)); with one that is not, or with a computed word, nobody can
//!   tell which subcommand it is.
//! - `--flag` matches wherever it stands, also with `=value` and shortened, as GNU programs allow. `-x` matches in any cluster of letters.
//!   `-flag` and `flag=` match literally, as `find` and `dd` have them. A value that looks like a flag matches as well: flags only ever add
//!   classes, so that this errs on the safe side.
//! - A computed word that may be an option matches every flag.
//!
//! The longest keys win. Where several are equally long, or hang on what is computed, the one with the most classes is the action; for each
//! other one that has a class which is not among those yet, there is an operation of its own. All of them must be allowed.

use std::cmp::Reverse;
use std::rc::Rc;

use smol_str::SmolStr;

use super::options;
use super::word::Word;
use crate::{Class, ClassSet, Classes, Decoder};

/// Actions that are no commands, though programs have the names that they start with.
const REDIRECTIONS: [&str; 5] = ["open connection", "read file", "read secret file", "write file", "write system file"];

/// The keys of programs, each taken apart once for a line.
pub(super) struct Keys<'c> {
    classes: &'c Classes,
    programs: Vec<(SmolStr, Rc<[Key<'c>]>)>,
}

impl<'c> Keys<'c> {
    pub(super) fn new(classes: &'c Classes) -> Self {
        Self { classes, programs: Vec::new() }
    }

    fn of(&mut self, program: &str) -> Rc<[Key<'c>]> {
        if let Some((_, keys)) = self.programs.iter().find(|(name, _)| name == program) {
            return Rc::clone(keys);
        }
        let keys: Rc<[Key<'c>]> = self
            .classes
            .starting_with(Decoder::Shell, program)
            .take_while(|(key, _)| {
                key.strip_prefix(program).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
            })
            .filter(|(key, _)| !REDIRECTIONS.contains(&key.as_str()))
            .map(|(key, classes)| Key::new(key, program, classes))
            .collect();
        if self.programs.len() >= PROGRAMS_MAX {
            self.programs.clear();
        }
        self.programs.push((program.into(), Rc::clone(&keys)));
        keys
    }
}

/// How many programs are kept.
const PROGRAMS_MAX: usize = 16;

/// The actions that a command is; `None` where only its run shows which subcommand it has. Empty if the table does not know the program.
pub(super) fn select(keys: &mut Keys<'_>, program: &str, arguments: &[Word]) -> Option<Vec<SmolStr>> {
    let keys = keys.of(program);
    let (path, open) = subcommands(program, arguments, &keys)?;
    let free = arguments.iter().any(Word::may_be_flag);
    let mut chosen: Vec<(&Key<'_>, bool)> = Vec::new();
    let mut longest = 0;
    for key in keys.iter() {
        let named = key.subcommands().zip(&path).all(|(subcommand, word)| subcommand == *word);
        let reached = key.subcommands <= path.len();
        if !named || !(reached || open) {
            continue;
        }
        let flagged = key.flags().all(|flag| arguments.iter().any(|word| matches(flag, word)));
        let certain = reached && flagged;
        if certain {
            longest = longest.max(key.length);
        }
        if certain || flagged || free {
            chosen.push((key, certain));
        }
    }
    chosen.retain(|(key, certain)| !certain || key.length == longest);
    chosen.sort_by_key(|(key, certain)| (Reverse(key.classes.iter().count()), !certain, key.text.len(), key.text));
    let mut covered: Vec<Class> = Vec::new();
    let mut actions = Vec::new();
    for (key, _) in chosen {
        if actions.is_empty() || key.classes.iter().any(|class| !covered.contains(&class)) {
            covered.extend(key.classes.iter());
            actions.push(key.text.clone());
        }
    }
    Some(actions)
}

/// The subcommands, as far as there are keys for them, and whether there may be more that cannot be told; `None` where not even the first
/// one can.
fn subcommands<'w>(program: &str, arguments: &'w [Word], keys: &[Key<'_>]) -> Option<(Vec<&'w str>, bool)> {
    let mut path: Vec<&str> = Vec::new();
    let mut words = arguments.iter();
    while keys.iter().any(|key| key.goes_beyond(&path)) {
        let Some(word) = words.next() else { break };
        match word.as_literal() {
            Some(text) if !text.starts_with('-') || text == "-" => {
                path.push(text);
                continue;
            }
            Some("--help" | "--version") => break,
            _ => {}
        }
        let passed = match options::takes_value(program, word.start()) {
            Some(true) => words.next().is_some_and(|value| !value.free),
            Some(false) => !word.may_be_flag(),
            None => false,
        };
        if !passed {
            return (!path.is_empty()).then_some((path, true));
        }
    }
    Some((path, false))
}

/// Whether a word is this flag.
fn matches(flag: &str, word: &Word) -> bool {
    let text = word.start();
    if let Some(name) = flag.strip_prefix("--") {
        let Some(given) = text.strip_prefix("--") else { return false };
        let given = given.split('=').next().unwrap_or_default();
        return !given.is_empty() && name.starts_with(given);
    }
    match flag.as_bytes() {
        [b'-', letter] => text.starts_with('-') && !text.starts_with("--") && text.as_bytes().contains(letter),
        _ if flag.ends_with('=') => text.starts_with(flag),
        _ => text.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')),
    }
}

/// An entry of the table.
struct Key<'k> {
    text: &'k SmolStr,
    /// Its words without the program: subcommands, then flags.
    words: &'k str,
    /// How many those are.
    length: usize,
    /// How many of them are subcommands.
    subcommands: usize,
    classes: ClassSet,
}

impl<'k> Key<'k> {
    fn new(text: &'k SmolStr, program: &str, classes: ClassSet) -> Self {
        let words = text.get(program.len() + 1..).unwrap_or_default();
        let length = if words.is_empty() { 0 } else { words.split(' ').count() };
        let is_flag = |word: &&str| word.starts_with('-') || word.ends_with('=');
        let subcommands = words.split(' ').take(length).take_while(|word| !is_flag(word)).count();
        Self { text, words, length, subcommands, classes }
    }

    fn subcommands(&self) -> impl Iterator<Item = &'k str> {
        self.words.split(' ').take(self.subcommands)
    }

    fn flags(&self) -> impl Iterator<Item = &'k str> {
        self.words.split(' ').take(self.length).skip(self.subcommands)
    }

    /// Whether it has these subcommands, and more.
    fn goes_beyond(&self, path: &[&str]) -> bool {
        self.subcommands > path.len() && self.subcommands().zip(path).all(|(subcommand, word)| subcommand == *word)
    }
}
