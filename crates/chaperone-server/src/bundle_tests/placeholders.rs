//! Tables: one test for each row, whose values stand in the places of `${name}`.

use std::cell::Cell;

use super::fields::{Read, entries, text};
use super::yaml::{Key, Node, Value};

/// How many values a test may have once its placeholders are filled in.
const NODES_MAX: usize = 100_000;
/// How many bytes of text.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long the part of a test's name may be that its row gives, in characters.
const TITLE_CHARS_MAX: usize = 120;

/// One row of a table.
#[derive(Debug)]
pub struct Row<'n> {
    values: &'n [(Key, Node)],
    used: Vec<Cell<bool>>,
    nodes: Cell<usize>,
    bytes: Cell<usize>,
}

impl<'n> Row<'n> {
    /// Of a map of names and values.
    ///
    /// # Errors
    /// For any other value.
    pub fn of(node: &'n Node) -> Read<Self> {
        let values = entries(node)?;
        Ok(Self { values, used: vec![Cell::new(false); values.len()], nodes: Cell::new(0), bytes: Cell::new(0) })
    }

    /// What tells this row's test from the others.
    pub fn title(&self) -> String {
        let shown = self.values.iter().filter_map(|(key, node)| Some(format!("{}={}", key.text, text(node).ok()?)));
        shown.collect::<Vec<_>>().join(", ").chars().take(TITLE_CHARS_MAX).collect()
    }

    /// A test with this row's values in it.
    ///
    /// # Errors
    /// When it asks for a value that the row does not have, never asks for one that it has, or gets too large.
    pub fn fill(&self, test: &Node) -> Read<Node> {
        let filled = self.node(test)?;
        match self.values.iter().zip(&self.used).find(|(_, used)| !used.get()) {
            None => Ok(filled),
            Some(((key, node), _)) => Err(node.fault(format!("nothing asks for `${{{}}}`", key.text))),
        }
    }

    fn node(&self, node: &Node) -> Read<Node> {
        self.spend(node, 1, 0)?;
        let value = match &node.value {
            Value::List(nodes) => Value::List(nodes.iter().map(|node| self.node(node)).collect::<Read<_>>()?),
            Value::Map(fields) => {
                let fields = fields.iter().map(|(key, node)| {
                    let name = self.text(node, &key.text)?;
                    Ok((Key { text: name, place: key.place }, self.node(node)?))
                });
                Value::Map(fields.collect::<Read<_>>()?)
            }
            Value::Scalar { text, plain } => {
                if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'))
                    && let Some(value) = self.find(name)
                {
                    // With the place of the row's value: that is what is to be looked at when it does not come true.
                    self.spend(value, size(value), 0)?;
                    return Ok(value.clone());
                }
                Value::Scalar { text: self.text(node, text)?, plain: *plain && !text.contains("${") }
            }
        };
        Ok(Node { place: node.place, value })
    }

    /// A text with the row's values in the places of `${name}`. `$${` stands for `${`.
    fn text(&self, node: &Node, template: &str) -> Read<String> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some(start) = rest.find("${") {
            let (before, found) = rest.split_at(start);
            if let Some(escaped) = before.strip_suffix('$') {
                filled.push_str(escaped);
                filled.push_str("${");
                rest = found.get(2..).unwrap_or_default();
                continue;
            }
            let Some(end) = found.find('}') else { return Err(node.fault("`${` has no `}`; `$${` stands for itself")) };
            let name = found.get(2..end).unwrap_or_default();
            filled.push_str(before);
            match self.find(name) {
                Some(value) => filled.push_str(text(value)?),
                // The runner's own.
                None if name == super::SESSION => filled.push_str("${session}"),
                None => return Err(node.fault(format!("the row has no `{name}`; `$${{` stands for `${{`"))),
            }
            if filled.len() > BYTES_MAX {
                return Err(node.fault("the table makes this too long"));
            }
            rest = found.get(end + 1..).unwrap_or_default();
        }
        filled.push_str(rest);
        self.spend(node, 0, filled.len())?;
        Ok(filled)
    }

    fn find(&self, name: &str) -> Option<&'n Node> {
        let place = self.values.iter().position(|(key, _)| key.text == name)?;
        self.used.get(place)?.set(true);
        self.values.get(place).map(|(_, node)| node)
    }

    fn spend(&self, node: &Node, nodes: usize, bytes: usize) -> Read<()> {
        self.nodes.set(self.nodes.get() + nodes);
        self.bytes.set(self.bytes.get() + bytes);
        if self.nodes.get() > NODES_MAX || self.bytes.get() > BYTES_MAX {
            return Err(node.fault("the table makes this test too large"));
        }
        Ok(())
    }
}

/// How many values it has; a text counts as what it is long.
fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { text, .. } => 1 + text.len() / 64,
        Value::List(nodes) => 1 + nodes.iter().map(size).sum::<usize>(),
        Value::Map(fields) => 1 + fields.iter().map(|(_, node)| size(node)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::yaml::parse;
    use super::*;

    fn node(text: &str) -> Node {
        parse("tests/a.yaml", text, &|| false).expect("it reads")
    }

    fn filled(row: &str, test: &str) -> Read<Node> {
        let row = node(row);
        Row::of(&row).and_then(|row| row.fill(&node(test)))
    }

    #[test]
    fn whole_values_keep_their_kind_and_parts_are_texts() {
        let test =
            filled("{a: 5, b: [x]}", "{one: \"${a}\", two: 'a${a}b', three: '${b}', '${a}': '$${a}'}").expect("filled");
        assert_eq!(test.get("one").and_then(Node::scalar), Some(super::super::yaml::Scalar::Long(5)));
        assert_eq!(test.get("two").map(|node| text(node).expect("a text").to_owned()), Some("a5b".into()));
        assert!(matches!(test.get("three").map(|node| &node.value), Some(Value::List(_))));
        assert_eq!(test.get("5").map(|node| text(node).expect("a text").to_owned()), Some("${a}".into()));
    }

    #[test]
    fn what_the_row_lacks_or_has_in_vain_is_refused() {
        for (row, test, message) in [
            ("{a: 1}", "{x: '${a}', y: '${b}'}", "the row has no `b`"),
            ("{a: 1, b: 2}", "{x: '${a}'}", "nothing asks for `${b}`"),
            ("{a: 1}", "{x: 'a${a'}", "has no `}`"),
            ("{a: [1]}", "{x: 'a${a}'}", "this is a text"),
            ("[a]", "{x: '${a}'}", "this is a map"),
        ] {
            let fault = filled(row, test).expect_err("it is refused");
            assert!(fault.message.contains(message), "{}", fault.message);
        }
    }

    #[test]
    fn tables_do_not_grow_without_end() {
        let long = format!("{{a: {}}}", "x".repeat(100_000));
        let test = format!("{{x: {}}}", "'${a}".to_owned() + &"${a}".repeat(100) + "'");
        assert!(filled(&long, &test).expect_err("too long").message.contains("too l"));
        let many = format!("{{a: [{}]}}", "1,".repeat(10_000));
        let test = format!("{{x: [{}]}}", "'${a}',".repeat(100));
        assert!(filled(&many, &test).expect_err("too large").message.contains("too large"));
    }
}
