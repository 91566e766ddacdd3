//! Programs that run the command which follows their own options.

mod table;

use smol_str::SmolStr;

use super::word::Word;
pub(super) use table::{CONTAINER_EXEC, CONTAINER_RUN, SHELL};

/// How the arguments of such a program are read, up to the command.
pub(super) struct Wrapper {
    pub(super) name: &'static str,
    /// Letters of options without a value.
    alone: &'static str,
    /// Letters of options with a value, in the same word or the next.
    valued: &'static str,
    /// Letters of options whose value, if any, is in the same word.
    optional: &'static str,
    /// Long options without a value.
    long: &'static [&'static str],
    /// Long options with a value, in the same word or the next.
    long_valued: &'static [&'static str],
    /// How many words come before the command.
    operands: usize,
    /// Whether variables may be set before the command.
    pub(super) assigns: bool,
    /// Whether it matters that this program runs the command: it is an operation of its own.
    pub(super) matters: bool,
}

/// The arguments of a wrapper.
#[derive(Default)]
pub(super) struct Parsed {
    /// Its options with their values, by letter or long name.
    pub(super) options: Vec<(SmolStr, SmolStr)>,
    /// The words before the command.
    pub(super) operands: Vec<Word>,
    /// The variables that are set, and whether literally.
    pub(super) assigned: Vec<SmolStr>,
    /// Where the command starts.
    pub(super) command: usize,
}

impl Wrapper {
    const NONE: Self = Self {
        name: "",
        alone: "",
        valued: "",
        optional: "",
        long: &[],
        long_valued: &[],
        operands: 0,
        assigns: false,
        matters: false,
    };

    /// The wrapper of this name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        table::WRAPPERS.iter().find(|wrapper| wrapper.name == name)
    }

    /// Reads the arguments; `None` where an option is not known, or computed.
    pub(super) fn parse(&self, arguments: &[Word]) -> Option<Parsed> {
        let mut parsed = Parsed::default();
        let mut at = 0;
        while let Some(word) = arguments.get(at) {
            if word.may_be_flag() {
                return None;
            }
            let text = word.start();
            if word.computed && text.starts_with('-') && !text.contains('=') {
                return None;
            }
            if text == "--" {
                at += 1;
                break;
            }
            if text == "-" && self.name == "env" {
                at += 1;
                continue;
            }
            if !text.starts_with('-') || text == "-" {
                break;
            }
            at += 1;
            let next = arguments.get(at).filter(|value| !value.free);
            if self.option(text, next, &mut parsed)? {
                at += 1;
            }
        }
        while self.assigns
            && let Some(word) = arguments.get(at)
        {
            if word.free && !word.start().contains('=') {
                return None;
            }
            let Some((name, _)) = word.start().split_once('=') else { break };
            parsed.assigned.push(name.into());
            at += 1;
        }
        while parsed.operands.len() < self.operands
            && let Some(word) = arguments.get(at)
        {
            if word.free {
                return None;
            }
            parsed.operands.push(word.clone());
            at += 1;
        }
        parsed.command = at;
        Some(parsed)
    }

    /// Reads one word of options; whether the next word is its value.
    fn option(&self, text: &str, next: Option<&Word>, parsed: &mut Parsed) -> Option<bool> {
        if let Some(long) = text.strip_prefix("--") {
            if let Some((name, value)) = long.split_once('=') {
                if !self.long_valued.contains(&name) {
                    return None;
                }
                parsed.options.push((name.into(), value.into()));
                return Some(false);
            }
            if self.long.contains(&long) {
                parsed.options.push((long.into(), SmolStr::default()));
                return Some(false);
            }
            if !self.long_valued.contains(&long) {
                return None;
            }
            parsed.options.push((long.into(), next?.text.clone()));
            return Some(true);
        }
        let letters = text.get(1..)?;
        for (index, letter) in letters.char_indices() {
            let name = SmolStr::from_iter([letter]);
            let rest = letters.get(index + letter.len_utf8()..).unwrap_or_default();
            if self.alone.contains(letter) {
                parsed.options.push((name, SmolStr::default()));
            } else if self.valued.contains(letter) {
                let value = if rest.is_empty() { next?.text.clone() } else { rest.into() };
                parsed.options.push((name, value));
                return Some(rest.is_empty());
            } else if self.optional.contains(letter) {
                parsed.options.push((name, rest.into()));
                return Some(false);
            } else {
                return None;
            }
        }
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(name: &str, arguments: &[&str]) -> Option<usize> {
        let arguments: Vec<Word> = arguments.iter().map(|text| Word::literal(text)).collect();
        Wrapper::named(name).unwrap().parse(&arguments).map(|parsed| parsed.command)
    }

    #[test]
    fn options_of_wrappers_are_passed_over() {
        assert_eq!(command("sudo", &["-nu", "root", "A=b", "--", "id"]), Some(3));
        assert_eq!(command("sudo", &["-nuroot", "--", "A=b", "id"]), Some(3));
        assert_eq!(command("timeout", &["-k", "5", "10", "id"]), Some(3));
        assert_eq!(command("env", &["-i", "A=b", "id"]), Some(2));
        assert_eq!(command("nice", &["-n", "5", "id"]), Some(2));
        assert_eq!(command("nice", &["-10", "id"]), Some(1));
        assert_eq!(command("xargs", &["-I{}", "-n1", "id"]), Some(2));
        assert_eq!(command("sudo", &["-s"]), None);
        assert_eq!(command("env", &["-S", "id"]), None);
        assert_eq!(command("timeout", &["--unheard", "1", "id"]), None);
    }
}
