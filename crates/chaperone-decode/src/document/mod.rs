//! Bodies of requests, read strictly into one tree that pointers look into.

mod content_type;
mod form;
mod json;
mod node;
mod pointer;

use crate::Undecodable;

pub(crate) use content_type::Format;
pub use node::{Node, Object};
pub use pointer::{Pointer, PointerError};

/// The most bytes that a body may have.
pub(crate) const BYTES_MAX: usize = 1 << 20;
/// The most values that a body may have, counting every list, object and scalar.
pub(crate) const NODES_MAX: usize = 100_000;
/// How many lists and objects may lie in one another.
pub(crate) const DEPTH_MAX: usize = 64;

/// A body that was read, and that can be read in one way only.
///
/// Whoever reads a body later must see in it what Chaperone saw. So whatever two readers are known to read differently is refused: a name that
/// stands in an object twice, half of a surrogate pair, a byte order mark, bytes behind the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// The whole of it.
    pub root: Node,
}

impl Document {
    /// Reads JSON (RFC 8259) in UTF-8, of at most 1 MiB, 100,000 values and 64 levels.
    ///
    /// # Errors
    /// [`Undecodable`] if it is not such JSON, or if a name stands in an object twice or has a NUL.
    pub fn json(bytes: &[u8]) -> Result<Self, Undecodable> {
        json::read(bytes).map(|root| Self { root })
    }

    /// Reads `application/x-www-form-urlencoded`: an object of texts, and of lists of texts where a name is repeated.
    ///
    /// # Errors
    /// [`Undecodable`] if a pair has no name, if a byte is not what a browser would write there or at least escaped as it would be, or if what
    /// the escapes stand for is not UTF-8 or has a NUL.
    pub fn form(bytes: &[u8]) -> Result<Self, Undecodable> {
        form::read(bytes).map(|root| Self { root })
    }

    /// A document of this object.
    pub(crate) const fn of(object: Object) -> Self {
        Self { root: Node::Object(object) }
    }

    /// Reads what the `content-type` of a request says that it is: JSON, `application/*+json` or a form.
    ///
    /// # Errors
    /// [`Undecodable`] if the type is none of these, or the body not of its type.
    pub fn of_content_type(content_type: &[u8], bytes: &[u8]) -> Result<Self, Undecodable> {
        match Format::of(content_type)? {
            Format::Json => Self::json(bytes),
            Format::Form => Self::form(bytes),
        }
    }
}
