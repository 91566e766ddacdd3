//! Protobuf's wire format for what is too hot to be built as messages: walked in place, and written straight to bytes.
//!
//! Both mean what prost means, quirks included, and take their primitives from there. The tests of those who use them hold the two
//! against each other.

mod fields;
mod writer;

pub(super) use fields::{Content, Fields, Malformed, keep_last};
pub(super) use writer::Writer;
