//! YAML as a tree in which everything knows its place: the part of the language that nobody reads in two ways.
//!
//! Anchors, aliases and tags are refused, so that a text is never larger than it looks, and a value what it looks like.

use std::collections::{BTreeMap, BTreeSet};

use chaperone_policy::Problem;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{SYNTAX, Stop};

/// How deep values may nest.
const DEPTH_MAX: usize = 64;
/// How many values one file may have.
const NODES_MAX: usize = 200_000;
/// After how many values it is looked whether the time is over.
const NODES_PER_TURN: usize = 1_000;

/// A range of characters of a file.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// The first one.
    start: usize,
    /// Behind the last one.
    end: usize,
    /// The line of the first one, from 1.
    pub line: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where.
    pub place: Place,
    /// What.
    pub value: Value,
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text; `plain` without quotes, so that it may be something else than a text.
    Scalar { text: String, plain: bool },
    /// Values in their order.
    List(Vec<Node>),
    /// Values by their names, in the order of the text.
    Map(Vec<(Key, Node)>),
}

/// The name of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// What a scalar is, as YAML's core schema has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number of 64 bits.
    Long(i64),
    /// Another number, as it was written.
    Number(&'a str),
    /// A text.
    Text(&'a str),
}

/// Something that is wrong at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
}

impl Place {
    /// As a problem of a file.
    pub fn problem(self, file: &str, text: &str, code: &'static str, message: impl Into<String>) -> Problem {
        // Characters are counted by the parser, bytes by a problem.
        let offset = |count: usize| text.char_indices().nth(count).map_or(text.len(), |(offset, _)| offset);
        let (start, end) = (offset(self.start), offset(self.end));
        Problem::at(file, text, start, end.saturating_sub(start), code, message)
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self { start: span.start.index(), end: span.end.index(), line: span.start.line() }
    }
}

impl Node {
    /// A fault of this value.
    pub fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { place: self.place, message: message.into() }
    }

    /// What it is, if it is a scalar.
    pub fn scalar(&self) -> Option<Scalar<'_>> {
        let Value::Scalar { text, plain } = &self.value else { return None };
        Some(if *plain { resolve(text) } else { Scalar::Text(text) })
    }

    /// Whether it says that there is nothing.
    pub fn is_null(&self) -> bool {
        self.scalar() == Some(Scalar::Null)
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }

    /// This with what `over` says otherwise: maps by their names, everything else as a whole.
    #[must_use]
    pub fn overlaid(&self, over: &Self) -> Self {
        let (Value::Map(below), Value::Map(above)) = (&self.value, &over.value) else { return over.clone() };
        let mut entries = below.clone();
        let places: BTreeMap<_, _> = below.iter().enumerate().map(|(place, (key, _))| (&key.text, place)).collect();
        for (key, node) in above {
            match places.get(&key.text).and_then(|place| entries.get_mut(*place)) {
                Some((_, known)) => *known = known.overlaid(node),
                None => entries.push((key.clone(), node.clone())),
            }
        }
        Self { place: over.place, value: Value::Map(entries) }
    }
}

/// Plain texts that are something else.
fn resolve(text: &str) -> Scalar<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Scalar::Text(text);
    }
    match text.parse::<i64>() {
        Ok(number) => Scalar::Long(number),
        Err(_) if text.parse::<f64>().is_ok() => Scalar::Number(text),
        Err(_) => Scalar::Text(text),
    }
}

/// Reads one document. `is_over` says when it takes too long.
///
/// # Errors
/// With the first thing that is wrong, or when it is stopped.
pub fn parse(file: &str, text: &str, is_over: &dyn Fn() -> bool) -> Result<Node, Stop> {
    let mut loader = Loader { open: Vec::new(), root: None, nodes: 0 };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let (start, line) = (error.marker().index(), error.marker().line());
            Stop::from(Place { start, end: start + 1, line }.problem(file, text, SYNTAX, error.info()))
        })?;
        let fault = |fault: Fault| Stop::from(fault.place.problem(file, text, SYNTAX, fault.message));
        loader.take(event, span.into()).map_err(fault)?;
        if loader.nodes.is_multiple_of(NODES_PER_TURN) && is_over() {
            return Err(Stop::Time);
        }
    }
    let empty = || Stop::from(Problem::of_file(file, SYNTAX, "the file is empty"));
    loader.root.ok_or_else(empty)
}

/// Makes a tree of events, with no recursion.
struct Loader {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
}

/// A list or a map of which the end is still to come.
struct Open {
    place: Place,
    what: Collection,
}

enum Collection {
    List(Vec<Node>),
    /// With the names that it has, and the one of which the value is still to come.
    Map(Vec<(Key, Node)>, BTreeSet<String>, Option<Key>),
}

impl Loader {
    fn take(&mut self, event: Event<'_>, place: Place) -> Result<(), Fault> {
        let refuse = |message: &str| Err(Fault { place, message: message.to_owned() });
        match event {
            Event::Alias(_) => return refuse("aliases are not taken: write the value out, or use `table`"),
            Event::Scalar(_, _, anchor, tag) if anchor != 0 || tag.is_some() => return refuse(MARKED),
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) if anchor != 0 || tag.is_some() => {
                return refuse(MARKED);
            }
            Event::DocumentStart(_) if self.root.is_some() => return refuse("a file has one document"),
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                return self.put(Node { place, value: Value::Scalar { text: text.into_owned(), plain } });
            }
            Event::SequenceStart(..) => self.open(place, Collection::List(Vec::new()))?,
            Event::MappingStart(..) => self.open(place, Collection::Map(Vec::new(), BTreeSet::new(), None))?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { place: start, what }) = self.open.pop() {
                    let value = match what {
                        Collection::List(nodes) => Value::List(nodes),
                        Collection::Map(entries, ..) => Value::Map(entries),
                    };
                    return self.put(Node { place: start, value });
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, place: Place, what: Collection) -> Result<(), Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Fault { place, message: format!("values nest deeper than {DEPTH_MAX}") });
        }
        if let Some(Open { what: Collection::Map(_, _, None), .. }) = self.open.last() {
            return Err(Fault { place, message: "a name is a text".to_owned() });
        }
        self.open.push(Open { place, what });
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(node.fault(format!("the file has more than {NODES_MAX} values")));
        }
        match self.open.last_mut().map(|open| &mut open.what) {
            None => self.root = Some(node),
            Some(Collection::List(nodes)) => nodes.push(node),
            Some(Collection::Map(entries, names, name)) => match (name.take(), &node.value) {
                (Some(key), _) => entries.push((key, node)),
                (None, Value::Scalar { text, .. }) => {
                    if !names.insert(text.clone()) {
                        return Err(node.fault(format!("`{text}` is there twice")));
                    }
                    *name = Some(Key { text: text.clone(), place: node.place });
                }
                // `open` lets no other name begin.
                (None, Value::List(_) | Value::Map(_)) => {}
            },
        }
        Ok(())
    }
}

const MARKED: &str = "anchors and tags are not taken";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Node, Problem> {
        parse("tests/a.yaml", text, &|| false).map_err(|stop| match stop {
            Stop::Problem(problem) => *problem,
            Stop::Time => panic!("there is time"),
        })
    }

    #[test]
    fn values_know_their_places() {
        let text = "name: \"ä\"\nsteps:\n  - after: 10m\n";
        let root = read(text).expect("it reads");
        let after = root.get("steps").and_then(|steps| match &steps.value {
            Value::List(steps) => steps[0].get("after"),
            _ => None,
        });
        let problem = after.expect("it is there").place.problem("tests/a.yaml", text, "test_failed", "late");
        assert_eq!((problem.line, problem.column), (3, 12));
        assert!(problem.excerpt.ends_with("^^^"), "{}", problem.excerpt);
    }

    #[test]
    fn scalars_are_what_the_core_schema_says_and_quoted_ones_are_texts() {
        for (text, scalar) in [
            ("~", Scalar::Null),
            ("true", Scalar::Bool(true)),
            ("-5", Scalar::Long(-5)),
            ("12.50", Scalar::Number("12.50")),
            ("9223372036854775808", Scalar::Number("9223372036854775808")),
            ("10.0.0.1", Scalar::Text("10.0.0.1")),
            ("2026-01-01T00:00:00Z", Scalar::Text("2026-01-01T00:00:00Z")),
            ("yes", Scalar::Text("yes")),
            ("'5'", Scalar::Text("5")),
            ("\"\"", Scalar::Text("")),
        ] {
            assert_eq!(read(&format!("a: {text}")).expect("it reads").get("a").and_then(Node::scalar), Some(scalar));
        }
    }

    #[test]
    fn what_has_two_readings_or_grows_is_refused_where_it_stands() {
        for (text, line, says) in [
            ("a: &x [1]\nb: *x", 1, "anchors and tags"),
            ("a: 1\nb: *x", 2, ""),
            ("a: !!str 5", 1, "anchors and tags"),
            ("a: 1\nb: 2\na: 3", 3, "`a` is there twice"),
            ("? [a]\n: b", 1, "a name is a text"),
            ("a: 1\n---\nb: 2", 2, "a file has one document"),
            ("a: [1", 1, ""),
            ("", 0, "the file is empty"),
        ] {
            let problem = read(text).expect_err("it is refused");
            assert_eq!((problem.code, problem.line), ("test_syntax", line), "{text}: {problem}");
            assert!(problem.message.contains(says), "{text}: {problem}");
        }
        assert!(read(&format!("{}{}", "[".repeat(65), "]".repeat(65))).is_err());
        assert!(read(&format!("{}{}", "[".repeat(60), "]".repeat(60))).is_ok());
    }

    proptest! {
        #[test]
        fn every_text_is_read_or_refused(text in "[-:{}\\[\\],&*!|>'\"%@#? a1\n\t\u{e9}]{0,60}|\\PC{0,40}") {
            let _ = read(&text);
        }
    }

    #[test]
    fn overlaying_keeps_what_is_not_said_otherwise() {
        let (below, above) =
            (read("a: {b: 1, c: [1]}\nd: 1").expect("reads"), read("a: {c: [2], e: 5}").expect("reads"));
        let overlaid = below.overlaid(&above);
        let of = |path: &[&str]| path.iter().try_fold(&overlaid, |node, name| node.get(name)).and_then(Node::scalar);
        assert_eq!(
            (of(&["a", "b"]), of(&["a", "e"]), of(&["d"])),
            (Some(Scalar::Long(1)), Some(Scalar::Long(5)), Some(Scalar::Long(1)))
        );
        assert_eq!(
            overlaid.get("a").and_then(|a| a.get("c")).map(|c| matches!(&c.value, Value::List(l) if l.len() == 1)),
            Some(true)
        );
    }

    #[test]
    fn reading_stops_when_the_time_is_over() {
        let text = format!("[{}]", "1, ".repeat(5_000));
        assert!(matches!(parse("tests/a.yaml", &text, &|| true), Err(Stop::Time)));
    }
}
