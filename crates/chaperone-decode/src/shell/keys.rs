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

use smol_str::SmolStr;

use super::options;
use super::word::Word;
use crate::{Class, ClassSet, Classes, Decoder};

/// The actions that a command is; `None` where only its run shows which subcommand it has. Empty if the table does not know the program.
pub(super) fn select(classes: &Classes, program: &str, arguments: &[Word]) -> Option<Vec<SmolStr>> {
    let keys: Vec<Key<'_>> = classes
        .starting_with(Decoder::Shell, program)
        .take_while(|(key, _)| key.len() == program.len() || key.as_bytes().get(program.len()) == Some(&b' '))
        .map(|(key, classes)| Key::new(key, program, classes))
        .collect();
    let (path, open) = subcommands(program, arguments, &keys)?;
    let free = arguments.iter().any(Word::may_be_flag);
    let mut chosen: Vec<(&Key<'_>, bool)> = Vec::new();
    let mut longest = 0;
    for key in &keys {
        let named = key.subcommands().zip(&path).all(|(subcommand, word)| subcommand == *word);
        let reached = key.subcommands().count() <= path.len();
        if !named || !(reached || open) {
            continue;
        }
        let flagged = key.flags().all(|flag| arguments.iter().any(|word| matches(flag, word)));
        let certain = reached && flagged;
        if certain {
            longest = longest.max(key.length());
        }
        if certain || flagged || free {
            chosen.push((key, certain));
        }
    }
    chosen.retain(|(key, certain)| !certain || key.length() == longest);
    chosen.sort_by_key(|(key, certain)| (std::cmp::Reverse(key.classes.iter().count()), !certain, key.text));
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
    /// Without the program.
    words: &'k str,
    classes: ClassSet,
}

impl<'k> Key<'k> {
    fn new(text: &'k SmolStr, program: &str, classes: ClassSet) -> Self {
        Self { text, words: text.get(program.len()..).unwrap_or_default().trim_start(), classes }
    }

    fn length(&self) -> usize {
        self.words.split(' ').count() + usize::from(!self.words.is_empty())
    }

    fn subcommands(&self) -> impl Iterator<Item = &'k str> {
        self.words.split(' ').filter(|word| !word.is_empty()).take_while(|word| !is_flag(word))
    }

    /// Whether it has these subcommands, and more.
    fn goes_beyond(&self, path: &[&str]) -> bool {
        let mut words = self.subcommands();
        path.iter().all(|word| words.next() == Some(word)) && words.next().is_some()
    }

    fn flags(&self) -> impl Iterator<Item = &'k str> {
        self.words.split(' ').filter(|word| is_flag(word))
    }
}

fn is_flag(word: &str) -> bool {
    word.starts_with('-') || word.ends_with('=')
}
