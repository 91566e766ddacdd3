//! One value of a document.

use smol_str::SmolStr;

use super::Pointer;

/// One value of a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Node {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written, which JSON would allow.
    Number(SmolStr),
    /// A text.
    Text(SmolStr),
    /// Values in their order.
    List(Vec<Node>),
    /// Values by their names.
    Object(Object),
}

/// Values by their names, each name once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Object {
    // INVARIANT (sorted): in the order of the names, and no name twice.
    members: Vec<(SmolStr, Node)>,
}

impl Node {
    /// The value that a pointer leads to from this one.
    ///
    /// Names are compared as they are: without case folding, and without Unicode normalization. An index of a list is written without leading
    /// zeros; `-`, the place behind the last element, has no value.
    pub fn at(&self, pointer: &Pointer) -> Option<&Self> {
        pointer.tokens().try_fold(self, |node, token| match node {
            Self::Object(object) => object.get(token),
            Self::List(nodes) => nodes.get(index(token)?),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => None,
        })
    }

    /// What it is, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The text that it is.
    pub const fn as_text(&self) -> Option<&SmolStr> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean that it is.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    /// The integer that it is, if it is written as one: `1.0` and `1e3` are not, since some readers take them for integers and some do not.
    pub fn as_long(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.parse().ok(),
            _ => None,
        }
    }

    /// The values that it is a list of.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// The object that it is.
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

impl Object {
    /// An object of these.
    ///
    /// # Errors
    /// With the name that stands there twice, if one does.
    pub fn new(mut members: Vec<(SmolStr, Node)>) -> Result<Self, SmolStr> {
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        match members.windows(2).find_map(|pair| match pair {
            [(one, _), (other, _)] if one == other => Some(one),
            _ => None,
        }) {
            Some(twice) => Err(twice.clone()),
            None => Ok(Self { members }),
        }
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        let place = self.members.binary_search_by(|(member, _)| member.as_str().cmp(name)).ok()?;
        self.members.get(place).map(|(_, node)| node)
    }

    /// Takes the value of this name out.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Node> {
        let place = self.members.binary_search_by(|(member, _)| member.as_str().cmp(name)).ok()?;
        Some(self.members.remove(place).1)
    }

    /// Each name with its value, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&SmolStr, &Node)> {
        self.members.iter().map(|(name, node)| (name, node))
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// The index that a token of a pointer is, as RFC 6901 writes them.
fn index(token: &str) -> Option<usize> {
    let canonical = token == "0" || (!token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit()));
    canonical.then(|| token.parse().ok()).flatten()
}
