//! gRPC: the message that a call begins with, read by the descriptors of its service.

mod descriptors;
mod encode;
mod fields;
mod message;
mod wire;

use prost_reflect::{MessageDescriptor, MethodDescriptor};

pub use self::descriptors::{Descriptors, DescriptorsError};
pub use self::encode::encode;
pub use self::fields::NotInMessages;
use crate::Undecodable;
use crate::document::{BYTES_MAX, Document, Node};

/// A method of a service.
#[derive(Clone, Debug)]
pub struct Method {
    descriptor: MethodDescriptor,
}

impl Method {
    fn input(&self) -> MessageDescriptor {
        self.descriptor.input()
    }
}

/// Reads the body of a call: one message, framed as gRPC does.
///
/// A message is an object of its fields by their names in the `.proto` file. A field that cannot be absent has its default where it was not sent,
/// and a repeated field or a map is then empty. Numbers are numbers, however large; bytes are Base64; an enum is the name of its value; maps are
/// objects.
///
/// # Errors
/// [`Undecodable`] if the body is not exactly one message, is compressed, or has what the descriptors do not: a field or an enum value that they lack
/// may mean something to a server that knows more. Also if a field stands twice that can stand once, if a number is larger than its type, and if the
/// method takes a stream of messages, of which only the first could be seen.
pub fn decode(method: &Method, body: &[u8]) -> Result<Document, Undecodable> {
    if method.descriptor.is_client_streaming() {
        return Err(Undecodable::new("a gRPC method that takes a stream of messages cannot be looked into"));
    }
    let Some((&[flag, a, b, c, d], message)) = body.split_first_chunk() else {
        return Err(Undecodable::new("a gRPC message without its head of five bytes"));
    };
    if flag != 0 {
        return Err(Undecodable::new("a compressed gRPC message"));
    }
    if usize::try_from(u32::from_be_bytes([a, b, c, d])) != Ok(message.len()) {
        return Err(Undecodable::new("the body of a gRPC call is not exactly one message"));
    }
    if message.len() > BYTES_MAX {
        return Err(Undecodable::new(format!("a gRPC message of more than {BYTES_MAX} bytes")));
    }
    message::Messages::default().read(&method.input(), message).map(|object| Document { root: Node::Object(object) })
}
