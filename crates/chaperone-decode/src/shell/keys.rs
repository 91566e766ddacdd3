//! Which actions of the table a command is.
//!
//! A key is a program, then subcommands in order, then flags: `git`, `git push`, `git push --force`, `find -delete`, `dd of=`.
//!
//! - A subcommand is a word without a dash. It matches the next word of the command that is no option. Options before it are passed over if
//!   they are in the list of the program's options ([`options`]); with one that is not, or with a computed word, nobody can
//!   tell which subcommand it is.
//! - `--flag` matches wherever it stands, also with `=value` and shortened, as GNU programs allow. `-x` matches in any cluster of letters.
//!   `-flag` and `flag=` match literally, as `find` and `dd` have them. A value that looks like a flag matches as well: flags only ever add
//!   classes, so that this errs on the safe side.
//! - A computed word that may be an option matches every flag.
//!
//! The longest keys win. Where several are equally long, or hang on what is computed, the one with the most classes is the action; for each
//! other one that has a class which is not among those yet, there is an operation of its own. All of them must be allowed.

use std::cmp::Reverse;
use std::collections::HashMap;

use smol_str::SmolStr;

use super::options;
use super::word::Word;
use crate::ClassSet;

/// Actions that are no commands, though programs have the names that they start with.
const REDIRECTIONS: [&str; 5] = ["open connection", "read file", "read secret file", "write file", "write system file"];

/// The keys of a table by their programs, taken apart once for all command lines.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Keys {
    programs: HashMap<SmolStr, Vec<Key>>,
}

/// An entry of the table.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Key {
    text: SmolStr,
    /// Its words without the program.
    subcommands: Box<[SmolStr]>,
    flags: Box<[SmolStr]>,
    classes: ClassSet,
}

impl Keys {
    /// Those of a table, which are in order.
    pub(crate) fn of<'t>(table: impl Iterator<Item = (&'t SmolStr, ClassSet)>) -> Self {
        let mut programs: HashMap<SmolStr, Vec<Key>> = HashMap::new();
        for (text, classes) in table.filter(|(text, _)| !REDIRECTIONS.contains(&text.as_str())) {
            let (program, words) = text.split_once(' ').unwrap_or((text, ""));
            programs.entry(program.into()).or_default().push(Key::new(text, words, classes));
        }
        Self { programs }
    }

    fn of_program(&self, program: &str) -> &[Key] {
        self.programs.get(program).map_or(&[], Vec::as_slice)
    }
}

/// The actions that a command is, with their classes; `None` where only its run shows which subcommand it has. Empty if the table does not
/// know the program.
pub(super) fn select(keys: &Keys, program: &str, arguments: &[Word]) -> Option<Vec<(SmolStr, ClassSet)>> {
    let keys = keys.of_program(program);
    let (path, open) = subcommands(program, arguments, keys)?;
    let free = arguments.iter().any(Word::may_be_flag);
    let mut chosen: Vec<(&Key, bool)> = Vec::new();
    let mut longest = 0;
    for key in keys {
        let reached = key.subcommands.len() <= path.len();
        if !(reached || open) || !key.is_named(&path) {
            continue;
        }
        let flagged = key.flags.iter().all(|flag| arguments.iter().any(|word| matches(flag, word)));
        let certain = reached && flagged;
        if certain {
            longest = longest.max(key.length());
        }
        if certain || flagged || free {
            chosen.push((key, certain));
        }
    }
    chosen.retain(|(key, certain)| !certain || key.length() == longest);
    if chosen.len() > 1 {
        chosen.sort_by_key(|(key, certain)| (Reverse(key.classes.len()), !certain, key.text.len(), &key.text));
    }
    let mut covered = ClassSet::default();
    let mut actions = Vec::new();
    for (key, _) in chosen {
        if actions.is_empty() || !covered.covers(key.classes) {
            covered = covered.with(key.classes);
            actions.push((key.text.clone(), key.classes));
        }
    }
    Some(actions)
}

/// The subcommands, as far as there are keys for them, and whether there may be more that cannot be told; `None` where not even the first
/// one can.
fn subcommands<'w>(program: &str, arguments: &'w [Word], keys: &[Key]) -> Option<(Vec<&'w str>, bool)> {
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

impl Key {
    fn new(text: &SmolStr, words: &str, classes: ClassSet) -> Self {
        let mut words = words.split(' ').filter(|_| !words.is_empty()).peekable();
        let is_flag = |word: &str| word.starts_with('-') || word.ends_with('=');
        let mut subcommands = Vec::new();
        while let Some(subcommand) = words.next_if(|word| !is_flag(word)) {
            subcommands.push(subcommand.into());
        }
        let flags = words.map(SmolStr::from).collect();
        Self { text: text.clone(), subcommands: subcommands.into(), flags, classes }
    }

    /// How many words it has after the program.
    fn length(&self) -> usize {
        self.subcommands.len() + self.flags.len()
    }

    /// Whether these subcommands are its own, as far as both have any.
    fn is_named(&self, path: &[&str]) -> bool {
        self.subcommands.iter().zip(path).all(|(subcommand, word)| subcommand == *word)
    }

    /// Whether it has these subcommands, and more.
    fn goes_beyond(&self, path: &[&str]) -> bool {
        self.subcommands.len() > path.len() && self.is_named(path)
    }
}
