//! `application/x-www-form-urlencoded`, read strictly.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use smol_str::SmolStr;

use super::{BYTES_MAX, NODES_MAX, Node, Object};
use crate::Undecodable;

/// Reads a whole body.
pub(super) fn read(bytes: &[u8]) -> Result<Node, Undecodable> {
    if bytes.len() > BYTES_MAX {
        return Err(Undecodable::new(format!("a form of more than {BYTES_MAX} bytes")));
    }
    // Some readers take `;` for a separator as well, and what a browser would not write they read in ways of their own.
    if let Some(at) = bytes.iter().position(|byte| !byte.is_ascii_graphic() || *byte == b';') {
        return Err(Undecodable::new(format!("a form has a byte that must be escaped at byte {at}")));
    }
    let mut members: BTreeMap<SmolStr, Node> = BTreeMap::new();
    // An empty form has no pair, rather than one without a name.
    let pairs = bytes.split(|byte| *byte == b'&').filter(|_| !bytes.is_empty());
    for (number, pair) in (1..).zip(pairs) {
        if number > NODES_MAX {
            return Err(Undecodable::new(format!("a form of more than {NODES_MAX} pairs")));
        }
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = unescape(halves.next().unwrap_or_default(), number)?;
        let value = Node::Text(unescape(halves.next().unwrap_or_default(), number)?);
        if name.is_empty() {
            return Err(Undecodable::new(format!("pair {number} of a form has no name")));
        }
        match members.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(mut entry) => match entry.get_mut() {
                Node::List(values) => values.push(value),
                first => {
                    let first_value = std::mem::replace(first, Node::Null);
                    *first = Node::List(vec![first_value, value]);
                }
            },
        }
    }
    Object::new(members.into_iter().collect())
        .map(Node::Object)
        .map_err(|_| Undecodable::new("a form has a name twice"))
}

/// What a name or a value of the pair of this number stands for.
fn unescape(escaped: &[u8], number: usize) -> Result<SmolStr, Undecodable> {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let [first, others @ ..] = rest {
        rest = others;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (high, low, others) = match others {
                    [high, low, others @ ..] => (digit(*high), digit(*low), others),
                    _ => (None, None, others),
                };
                let (Some(high), Some(low)) = (high, low) else {
                    return Err(Undecodable::new(format!("pair {number} of a form has `%` without two digits")));
                };
                rest = others;
                high << 4 | low
            }
            byte => *byte,
        });
    }
    if bytes.contains(&0) {
        return Err(Undecodable::new(format!("pair {number} of a form has a NUL")));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| Undecodable::new(format!("pair {number} of a form is not UTF-8")))?;
    Ok(text.into())
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
