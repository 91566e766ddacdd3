//! Whether a pointer can lead anywhere in a method's messages, for whoever writes one down before there is any message.

use prost_reflect::{Kind, MessageDescriptor};

use super::Method;
use crate::document::Pointer;

/// A pointer that finds nothing in any message of a method.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotInMessages {
    /// The method's messages are not looked into.
    #[error("`{0}` takes a stream of messages, which cannot be looked into")]
    Stream(String),
    /// There is no such field.
    #[error("`{message}` has no field `{field}`")]
    NoField {
        /// The message.
        message: String,
        /// The field's name, as the pointer has it.
        field: String,
    },
    /// A list has no names.
    #[error("`{0}` is a list, of which a number picks one, from 0")]
    NoIndex(String),
    /// A value has nothing within it.
    #[error("`{0}` is no message, and has no fields")]
    Leaf(String),
}

impl Method {
    /// Checks that messages to the method can have something where a pointer leads.
    ///
    /// # Errors
    /// [`NotInMessages`] if none can.
    pub fn check(&self, pointer: &Pointer) -> Result<(), NotInMessages> {
        if self.descriptor.is_client_streaming() {
            return Err(NotInMessages::Stream(self.descriptor.full_name().to_owned()));
        }
        let mut tokens = pointer.tokens();
        let mut message = self.input();
        while let Some(name) = tokens.next() {
            let field = message.get_field_by_name(name).filter(|field| !field.is_group());
            let Some(field) = field else {
                let message = message.full_name().to_owned();
                return Err(NotInMessages::NoField { message, field: name.to_owned() });
            };
            let mut kind = field.kind();
            if field.is_map() {
                match (tokens.next(), map_value(&kind)) {
                    (Some(_), Some(value)) => kind = value,
                    _ => return Ok(()),
                }
            } else if field.is_list() {
                match tokens.next() {
                    None => return Ok(()),
                    Some(index) if index.parse::<usize>().is_ok() => {}
                    Some(_) => return Err(NotInMessages::NoIndex(field.full_name().to_owned())),
                }
            }
            match kind {
                Kind::Message(inner) => message = inner,
                _ if tokens.next().is_none() => return Ok(()),
                _ => return Err(NotInMessages::Leaf(field.full_name().to_owned())),
            }
        }
        Ok(())
    }
}

/// What the entries of a map hold.
fn map_value(entry: &Kind) -> Option<Kind> {
    entry.as_message().map(MessageDescriptor::map_entry_value_field).map(|field| field.kind())
}
