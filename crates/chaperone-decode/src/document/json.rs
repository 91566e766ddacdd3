//! JSON, read strictly.
//!
//! A reader of our own: `serde_json` cannot tell a number as it was written unless a feature changes it for the whole program, and it takes the
//! last of two members of one name unless every type forbids that. Tests compare the two.

use smol_str::SmolStr;

use super::{BYTES_MAX, DEPTH_MAX, NODES_MAX, Node, Object};
use crate::Undecodable;

/// What is left to read.
struct Reader<'a> {
    /// The whole text.
    text: &'a str,
    /// How many bytes of it were read: always a whole number of characters.
    at: usize,
    /// How many lists and objects are open.
    depth: usize,
    /// How many values began.
    nodes: usize,
}

/// Reads a whole body.
pub(super) fn read(bytes: &[u8]) -> Result<Node, Undecodable> {
    if bytes.len() > BYTES_MAX {
        return Err(Undecodable::new(format!("JSON of more than {BYTES_MAX} bytes")));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(Undecodable::new("JSON begins with a byte order mark"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Undecodable::new(format!("JSON is not UTF-8 at byte {}", error.valid_up_to())))?;
    let mut reader = Reader { text, at: 0, depth: 0, nodes: 0 };
    reader.skip_space();
    let root = reader.node()?;
    reader.skip_space();
    if reader.at < bytes.len() { Err(reader.wrong("something follows the end")) } else { Ok(root) }
}

impl<'a> Reader<'a> {
    fn wrong(&self, what: &str) -> Undecodable {
        Undecodable::new(format!("JSON: {what} at byte {}", self.at))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The rest of the text.
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Reads this byte, if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// A value. Calls itself through lists and objects, at most [`DEPTH_MAX`] deep.
    fn node(&mut self) -> Result<Node, Undecodable> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Undecodable::new(format!("JSON of more than {NODES_MAX} values")));
        }
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::list),
            Some(b'"') => self.text().map(Node::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'n') => self.word("null", Node::Null),
            Some(_) => Err(self.wrong("no value")),
            None => Err(self.wrong("it ends where a value is missing")),
        }
    }

    /// Reads what is between the bracket that comes next and its counterpart.
    fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<Node, Undecodable>) -> Result<Node, Undecodable> {
        if self.depth == DEPTH_MAX {
            return Err(Undecodable::new(format!("JSON of more than {DEPTH_MAX} levels")));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_space();
        let node = read(self)?;
        self.depth -= 1;
        Ok(node)
    }

    fn object(&mut self) -> Result<Node, Undecodable> {
        let start = self.at;
        let mut members = Vec::new();
        if !self.take(b'}') {
            loop {
                members.push(self.member()?);
                self.skip_space();
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return Err(self.wrong("neither `,` nor `}` after a member"));
                }
                self.skip_space();
            }
        }
        Object::new(members)
            .map(Node::Object)
            .map_err(|_| Undecodable::new(format!("JSON: a name stands twice in the object at byte {}", start - 1)))
    }

    fn member(&mut self) -> Result<(SmolStr, Node), Undecodable> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong("no name of a member"));
        }
        let name = self.text()?;
        if name.contains('\0') {
            return Err(self.wrong("a NUL in the name that ends"));
        }
        self.skip_space();
        if !self.take(b':') {
            return Err(self.wrong("no `:` after the name of a member"));
        }
        self.skip_space();
        Ok((name, self.node()?))
    }

    fn list(&mut self) -> Result<Node, Undecodable> {
        let mut nodes = Vec::new();
        if self.take(b']') {
            return Ok(Node::List(nodes));
        }
        loop {
            nodes.push(self.node()?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Node::List(nodes));
            }
            if !self.take(b',') {
                return Err(self.wrong("neither `,` nor `]` after an element"));
            }
            self.skip_space();
        }
    }

    fn word(&mut self, word: &str, node: Node) -> Result<Node, Undecodable> {
        if !self.rest().starts_with(word) {
            return Err(self.wrong("no value"));
        }
        self.at += word.len();
        Ok(node)
    }

    fn number(&mut self) -> Result<Node, Undecodable> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'-') {
                self.take(b'+');
            }
            self.digits()?;
        }
        Ok(Node::Number(self.text.get(start..self.at).unwrap_or_default().into()))
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Undecodable> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.wrong("a digit is missing")) } else { Ok(()) }
    }

    /// A text, from its opening quote to its closing one.
    fn text(&mut self) -> Result<SmolStr, Undecodable> {
        self.at += 1;
        let plain = self.plain();
        if self.take(b'"') {
            return Ok(plain.into());
        }
        let mut text = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text.into());
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                    text.push_str(self.plain());
                }
                Some(_) => return Err(self.wrong("a control character in a text")),
                None => return Err(self.wrong("it ends within a text")),
            }
        }
    }

    /// What stands for itself, up to a quote, a backslash, a control character or the end.
    fn plain(&mut self) -> &'a str {
        let rest = self.rest();
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        let length = rest.as_bytes().iter().position(is_special).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// What comes after a backslash.
    fn escape(&mut self) -> Result<char, Undecodable> {
        let sign = match self.peek() {
            Some(sign @ (b'"' | b'\\' | b'/')) => char::from(sign),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.wrong("no escape that JSON has")),
        };
        self.at += 1;
        Ok(sign)
    }

    /// The four digits after `\u`, and the second half of a pair if they are the first one.
    fn unicode(&mut self) -> Result<char, Undecodable> {
        let first = self.unit()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if !(self.take(b'\\') && self.take(b'u')) {
                return Err(self.wrong("half of a surrogate pair"));
            }
            match self.unit()? {
                second @ 0xdc00..0xe000 => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                _ => return Err(self.wrong("half of a surrogate pair")),
            }
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.wrong("half of a surrogate pair"))
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Undecodable> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += if unit.is_some() { 4 } else { 0 };
        unit.ok_or_else(|| self.wrong("four hexadecimal digits are missing"))
    }
}
