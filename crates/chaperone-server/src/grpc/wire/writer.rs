//! Writing: fields go straight into the bytes of a gRPC message.

use std::fmt::{Display, Write as _};

use bytes::{BufMut as _, Bytes};
use prost::encoding::{WireType, encode_key, encode_varint};

/// What stands before a message on a gRPC stream: whether it is compressed, and its length.
const PREFIX: [u8; 5] = [0; 5];

/// A message that is being written. Its fields have to come in the order in which prost writes them.
#[derive(Debug)]
pub(in crate::grpc) struct Writer(Vec<u8>);

impl Writer {
    /// Writes a message, and frames it as gRPC does. `capacity` is about how many bytes it will have.
    pub(in crate::grpc) fn frame(capacity: usize, message: impl FnOnce(&mut Self)) -> Bytes {
        let mut writer = Self(Vec::with_capacity(PREFIX.len() + capacity));
        writer.0.extend_from_slice(&PREFIX);
        message(&mut writer);
        let Self(mut bytes) = writer;
        // An answer is far from 4 GiB; were it not, the caller would get a message that it cannot read.
        let length = u32::try_from(bytes.len() - PREFIX.len()).unwrap_or(u32::MAX);
        if let Some(place) = bytes.get_mut(1..PREFIX.len()) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        bytes.into()
    }

    /// A number, an enumeration or a `bool`; zero is not written.
    pub(in crate::grpc) fn varint(&mut self, number: u32, value: u64) {
        if value != 0 {
            encode_key(number, WireType::Varint, &mut self.0);
            encode_varint(value, &mut self.0);
        }
    }

    /// A `double` that is written even when it is zero: one of a `oneof`.
    pub(in crate::grpc) fn double(&mut self, number: u32, value: f64) {
        encode_key(number, WireType::SixtyFourBit, &mut self.0);
        self.0.put_f64_le(value);
    }

    /// A `string`; an empty one is not written.
    pub(in crate::grpc) fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.element(number, text);
        }
    }

    /// A `string` that is written even when it is empty: one of a `repeated`, or of a `oneof`.
    pub(in crate::grpc) fn element(&mut self, number: u32, text: &str) {
        encode_key(number, WireType::LengthDelimited, &mut self.0);
        encode_varint(text.len() as u64, &mut self.0);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A `string` as [`Writer::element`], from what can be displayed.
    pub(in crate::grpc) fn shown(&mut self, number: u32, value: impl Display) {
        self.message(number, |writer| {
            // Memory does not fail to be written.
            let _ = write!(Text(&mut writer.0), "{value}");
        });
    }

    /// A message.
    pub(in crate::grpc) fn message(&mut self, number: u32, content: impl FnOnce(&mut Self)) {
        encode_key(number, WireType::LengthDelimited, &mut self.0);
        let place = self.0.len();
        // Most are shorter than 128 bytes, for which this byte is the length. For the rest of them the content moves.
        self.0.push(0);
        content(self);
        let length = self.0.len() - place - 1;
        match (u8::try_from(length), self.0.get_mut(place)) {
            (Ok(short @ 0..0x80), Some(byte)) => *byte = short,
            _ => {
                let mut varint = Vec::with_capacity(2);
                encode_varint(length as u64, &mut varint);
                self.0.splice(place..=place, varint);
            }
        }
    }
}

struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
