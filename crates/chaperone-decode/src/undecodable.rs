//! What a decoder says of bytes that it does not understand.

use std::borrow::Cow;

/// The bytes do not say what they would do, or not in one way only. Whoever asked is denied.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Undecodable {
    /// What is wrong with it, and where: the name of a part or its position, never a value that the client wrote.
    pub message: Cow<'static, str>,
}

impl Undecodable {
    /// Because of this.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into() }
    }
}
