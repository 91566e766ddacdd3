//! Reading maps of YAML: every name is known, and every value of its kind.

use std::time::Duration;

use chaperone_policy::EntityRef;

use super::yaml::{Fault, Key, Node, Scalar, Value};
use crate::cli::parse;

/// What was read, or what is wrong.
pub type Read<T> = Result<T, Fault>;

/// The values of a map, each to be taken once.
#[derive(Debug)]
pub struct Fields<'n> {
    node: &'n Node,
    rest: Vec<&'n (Key, Node)>,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Of a map.
    ///
    /// # Errors
    /// For any other value.
    pub fn of(node: &'n Node) -> Read<Self> {
        Ok(Self { node, rest: entries(node)?.iter().collect(), known: Vec::new() })
    }

    /// The value of this name, where there is one.
    pub fn take(&mut self, name: &'static str) -> Option<&'n Node> {
        self.known.push(name);
        let place = self.rest.iter().position(|(key, _)| key.text == name)?;
        Some(&self.rest.swap_remove(place).1)
    }

    /// The value of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn require(&mut self, name: &'static str) -> Read<&'n Node> {
        self.take(name).ok_or_else(|| self.node.fault(format!("`{name}` is missing")))
    }

    /// What is made of the value of this name, where there is one.
    ///
    /// # Errors
    /// As `read` says.
    pub fn read<T>(&mut self, name: &'static str, read: impl FnOnce(&'n Node) -> Read<T>) -> Read<Option<T>> {
        self.take(name).map(read).transpose()
    }

    /// Says that these were all.
    ///
    /// # Errors
    /// For a name that nothing has asked for.
    pub fn finish(self) -> Read<()> {
        match self.rest.first() {
            None => Ok(()),
            Some((key, _)) => {
                let known = self.known.join("`, `");
                Err(Fault { place: key.place, message: format!("`{}` is not known here; `{known}` are", key.text) })
            }
        }
    }
}

/// The values of a map.
///
/// # Errors
/// For any other value.
pub fn entries(node: &Node) -> Read<&[(Key, Node)]> {
    match &node.value {
        Value::Map(entries) => Ok(entries),
        Value::Scalar { .. } | Value::List(_) => Err(node.fault("this is a map, such as `name: value`")),
    }
}

/// The values of a list.
///
/// # Errors
/// For any other value.
pub fn list(node: &Node) -> Read<&[Node]> {
    match &node.value {
        Value::List(nodes) => Ok(nodes),
        Value::Scalar { .. } | Value::Map(_) => Err(node.fault("this is a list, such as `[a, b]`")),
    }
}

/// A text; numbers and truths are taken as they are written.
///
/// # Errors
/// For any other value.
pub fn text(node: &Node) -> Read<&str> {
    match &node.value {
        Value::Scalar { text, .. } if !node.is_null() => Ok(text),
        _ => Err(node.fault("this is a text")),
    }
}

/// A list of texts.
///
/// # Errors
/// For any other value.
pub fn texts(node: &Node) -> Read<Vec<&str>> {
    list(node)?.iter().map(text).collect()
}

/// A whole number.
///
/// # Errors
/// For any other value.
pub fn number(node: &Node) -> Read<i64> {
    match node.scalar() {
        Some(Scalar::Long(number)) => Ok(number),
        _ => Err(node.fault("this is a whole number")),
    }
}

/// A time span, such as `10m`; `0s` and `0` are none.
///
/// # Errors
/// For any other value.
pub fn duration(node: &Node) -> Read<Duration> {
    match text(node)? {
        "0" | "0s" => Ok(Duration::ZERO),
        written => parse::duration(written).map_err(|message| node.fault(message)),
    }
}

/// An entity's name, such as `Agent::"report-bot"`.
///
/// # Errors
/// For any other value.
pub fn entity(node: &Node) -> Read<EntityRef> {
    let entity = parse::entity_ref(text(node)?).map_err(|message| node.fault(message))?;
    Ok(EntityRef::new(entity.r#type, entity.id))
}
