//! The parser of the grammar, and how much work it may have.
//!
//! For a text that is valid the parser takes time in proportion. For others it may take hundreds of times as long: it goes on after an error in
//! several ways at once, and its scanner looks ahead for what never comes. Nothing but its answer for valid texts is of use here, so it is
//! stopped as soon as anything tells that the text is not, or is not likely to be.

use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::rc::Rc;

use tree_sitter::{LogType, ParseOptions, ParseState, Parser, Tree};

/// How long the parser may take, in hundreds of its steps. An ordinary line of the greatest length takes a fourth of it.
const STEPS_MAX: u32 = 1_000;

/// How many bytes the parser is given at a time, and less where that is within a character. So it has to ask again for what its scanner goes
/// over again.
const CHUNK_BYTES: usize = 64;

/// How often it may ask for each chunk, on the average. In valid texts that is three or four times.
const READS_MAX: usize = 8;

/// It may ask so many times more, since the end of a text is asked for at every look at it.
const READS_MORE: usize = 64;

/// Of texts that are longer, the parser's log is read at times to learn of its first error. Without, it goes through all of some texts that are
/// not valid, at a tenth of its speed.
const UNLOGGED_BYTES_MAX: usize = 1024;

/// Of so many hundreds of steps one is logged, since writing the log takes twice as long as parsing. Which ones hangs on the whole text, so that
/// it is hard to write one whose errors fall between them.
const LOGGED_ONE_OF: u64 = 4;

thread_local! {
    /// Making a parser costs more than parsing a line.
    static GRAMMAR: RefCell<Option<Grammar>> = const { RefCell::new(None) };
}

struct Grammar {
    parser: Parser,
    /// Whether the log told of an error that the parser goes on after.
    recovers: Rc<Cell<bool>>,
}

/// The tree of a text, if that is valid and does not take too long.
pub(super) fn parse(text: &str) -> Option<Tree> {
    GRAMMAR.with(|grammar| {
        let mut grammar = grammar.try_borrow_mut().ok()?;
        if grammar.is_none() {
            *grammar = Some(Grammar::new()?);
        }
        grammar.as_mut()?.parse(text)
    })
}

impl Grammar {
    fn new() -> Option<Self> {
        let mut parser = Parser::new();
        parser.set_language(&tree_sitter_bash::LANGUAGE.into()).ok()?;
        Some(Self { parser, recovers: Rc::default() })
    }

    fn parse(&mut self, text: &str) -> Option<Tree> {
        self.parser.reset();
        self.recovers.set(false);
        let mut reads_left = text.len() / CHUNK_BYTES * READS_MAX + READS_MORE;
        let mut read = |at: usize, _| {
            reads_left = reads_left.saturating_sub(1);
            // Never within a character: the parser, which is C, asks for the rest of it then, and where it gets none, it reads memory that is
            // not there.
            let end = if reads_left == 0 { at } else { text.floor_char_boundary(at + CHUNK_BYTES) };
            text.get(at..end).unwrap_or_default()
        };
        let mut turns = Turns::of(text);
        let mut steps_left = STEPS_MAX;
        let tree = loop {
            let is_logged = turns.are_logged;
            self.read_log(is_logged);
            let mut is_lost = false;
            let mut check = |state: &ParseState| {
                steps_left -= 1;
                is_lost = steps_left == 0 || state.has_error() || self.recovers.get();
                turns.next();
                if is_lost || turns.are_logged != is_logged {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            let options = ParseOptions::new().progress_callback(&mut check);
            // After a break, the parser goes on where it was.
            match self.parser.parse_with_options(&mut read, None, Some(options)) {
                None if is_lost || turns.are_logged == is_logged => return None,
                None => {}
                Some(tree) => break tree,
            }
        };
        // The tree of a text that seemed to end where it may be read no further says nothing.
        (reads_left > 0 && !self.recovers.get() && !tree.root_node().has_error()).then_some(tree)
    }

    fn read_log(&mut self, is_read: bool) {
        let recovers = Rc::clone(&self.recovers);
        let log = move |_: LogType, message: &str| {
            // All ways to read the text have come to an error, and the parser resumes one of them.
            if message.starts_with("resume version") {
                recovers.set(true);
            }
        };
        self.parser.set_logger(if is_read { Some(Box::new(log)) } else { None });
    }
}

/// Which hundreds of steps are logged: some of each text that is not short, and always the same ones.
struct Turns {
    are_logged: bool,
    random: Option<u64>,
}

impl Turns {
    fn of(text: &str) -> Self {
        let hash = || {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            hasher.finish()
        };
        Self { are_logged: false, random: (text.len() > UNLOGGED_BYTES_MAX).then(hash) }
    }

    fn next(&mut self) {
        if let Some(random) = &mut self.random {
            *random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            self.are_logged = (*random >> 32).is_multiple_of(LOGGED_ONE_OF);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_that_are_valid_are_parsed() {
        let body = "import sys  # $x, `y`\nprint('a', file=sys.stderr)\n".repeat(160);
        for text in [
            format!("cat > a.py <<'EOF'\n{body}EOF\npython3 a.py"),
            format!("cat > \"$a\" <<EOF\n{}EOF\n", "a = ${a:-b}, $b\n".repeat(500)),
            format!("python3 -c '{}' \"$x\"", body.replace('\'', "\"")),
            format!("echo \"{}\" | sort", "the date is $(date +%s), `pwd`\n".repeat(180)),
            "for i in $(seq 1 9); do\n  if [ -f \"$i\" ]; then grep -q 'a b' \"$i\" && echo ${i%.*} >> out; fi\ndone\n"
                .repeat(75),
            format!("x=({})", "\"$a\" ".repeat(1_300)),
            "export A=\"$B\" C=d; ".repeat(390),
            format!("[[ {} ]]", ["-n $a"; 500].join(" && ")),
            "case $x in a*|b) ls;; *) pwd;; esac\n".repeat(220),
            "f() { local a=$1; shift; \"$a\" \"$@\"; }\n".repeat(190),
            format!("echo {}", "a{b,c}\\ $((1 + 2 * $x)) ".repeat(300)),
            format!("a=$(curl -H 'a: b' \"https://$host/\" | jq -r '.a[] | .b') # {}", "why ".repeat(1_700)),
        ] {
            assert!(text.len() > 4 * 1024, "{} of {}", text.len(), &text[..20]);
            assert!(parse(&text).is_some(), "{}", &text[..40]);
        }
    }

    #[test]
    fn text_that_is_read_no_further_never_ends_within_a_character() {
        // The scanner looks through all of it again and again, until nothing more is read.
        let before = |count| format!("uniq it out\u{fffd}@{}", "\u{fffd}".repeat(count));
        for count in 0..CHUNK_BYTES {
            let text = format!(
                "{}{}?{}&&{}{}.txt",
                before(count),
                ">".repeat(20),
                ">".repeat(23),
                ">".repeat(17),
                "\u{fffd}".repeat(42)
            );
            assert!(parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn texts_are_parsed_one_after_the_other_whatever_became_of_the_one_before() {
        let valid = "ls $x;".repeat(1_000);
        for text in ["ls $x", &valid, "if", &"))".repeat(3_000), "ls $x", &valid] {
            assert_eq!(parse(text).is_some(), text.starts_with("ls"), "{text}");
        }
    }
}
