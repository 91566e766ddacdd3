//! Writing: fields go straight into the bytes of a gRPC message.

use std::fmt::{Display, Write as _};

use bytes::{BufMut as _, Bytes};
use prost::Message;
use prost::encoding::{WireType, encode_varint, encoded_len_varint};

/// What stands before a message on a gRPC stream: whether it is compressed, and its length.
const PREFIX: [u8; 5] = [0; 5];

/// A message that is being written. Its fields have to come in the order in which prost writes them.
#[derive(Debug, Default)]
pub(in crate::grpc) struct Writer(Vec<u8>);

impl Writer {
    /// Writes a message, and frames it as gRPC does. `capacity` is about how many bytes it will have.
    pub(in crate::grpc) fn frame(capacity: usize, message: impl FnOnce(&mut Self)) -> Bytes {
        let mut writer = Self(Vec::with_capacity(PREFIX.len() + capacity));
        writer.framed(message);
        writer.0.into()
    }

    /// Writes a message behind what is there, and frames it as gRPC does.
    #[inline]
    pub(in crate::grpc) fn framed(&mut self, message: impl FnOnce(&mut Self)) {
        let prefix = self.0.len();
        self.0.extend_from_slice(&PREFIX);
        let start = self.0.len();
        message(self);
        // An answer is far from 4 GiB; were it not, the caller would get a message that it cannot read.
        let length = u32::try_from(self.0.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = self.0.get_mut(prefix + 1..start) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Makes room for so many bytes, where there is none yet.
    pub(in crate::grpc) fn prepare(&mut self, bytes: usize) {
        if self.0.capacity() == 0 {
            self.0.reserve(bytes);
        }
    }

    /// What was written.
    pub(in crate::grpc) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes what was written away.
    pub(in crate::grpc) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.0).into()
    }

    /// Forgets what was written, and keeps the room for it.
    pub(in crate::grpc) fn clear(&mut self) {
        self.0.clear();
    }

    /// A number, an enumeration or a `bool`; zero is not written.
    #[inline]
    pub(in crate::grpc) fn varint(&mut self, number: u32, value: u64) {
        if value != 0 {
            self.key(number, WireType::Varint);
            self.number(value);
        }
    }

    /// A `double` that is written even when it is zero: one of a `oneof`.
    pub(in crate::grpc) fn double(&mut self, number: u32, value: f64) {
        self.key(number, WireType::SixtyFourBit);
        self.0.put_f64_le(value);
    }

    /// A `string`; an empty one is not written.
    #[inline]
    pub(in crate::grpc) fn text(&mut self, number: u32, text: &str) {
        if !text.is_empty() {
            self.element(number, text);
        }
    }

    /// A `string` that is written even when it is empty: one of a `repeated`, or of a `oneof`.
    #[inline]
    pub(in crate::grpc) fn element(&mut self, number: u32, text: &str) {
        self.key(number, WireType::LengthDelimited);
        self.number(text.len() as u64);
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
    #[inline]
    pub(in crate::grpc) fn message(&mut self, number: u32, content: impl FnOnce(&mut Self)) {
        self.key(number, WireType::LengthDelimited);
        let place = self.0.len();
        // Most are shorter than 128 bytes, for which this byte is the length. For the rest of them the content moves.
        self.0.push(0);
        content(self);
        match (u8::try_from(self.0.len() - place - 1), self.0.get_mut(place)) {
            (Ok(length @ ..0x80), Some(place)) => *place = length,
            _ => self.lengthen(place),
        }
    }

    /// A message that prost writes.
    pub(in crate::grpc) fn encoded(&mut self, number: u32, message: &impl Message) {
        prost::encoding::message::encode(number, message, &mut self.0);
    }

    /// The fields of a message that prost writes, as those of this one.
    pub(in crate::grpc) fn fields(&mut self, message: &impl Message) {
        // Memory does not fail to be written.
        let _ = message.encode(&mut self.0);
    }

    /// Writes the length of what stands behind `place`, in more bytes than the one that is there.
    fn lengthen(&mut self, place: usize) {
        let end = self.0.len();
        let length = (end - place - 1) as u64;
        let place_bytes = encoded_len_varint(length);
        self.0.resize(end + place_bytes - 1, 0);
        self.0.copy_within(place + 1..end, place + place_bytes);
        if let Some(mut place) = self.0.get_mut(place..place + place_bytes) {
            encode_varint(length, &mut place);
        }
    }

    #[inline]
    fn key(&mut self, number: u32, wire_type: WireType) {
        self.number(u64::from(number << 3 | wire_type as u32));
    }

    #[inline]
    fn number(&mut self, value: u64) {
        match u8::try_from(value) {
            // Most are that small.
            Ok(byte @ ..0x80) => self.0.push(byte),
            _ => encode_varint(value, &mut self.0),
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
