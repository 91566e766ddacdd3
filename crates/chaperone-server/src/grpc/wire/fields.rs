//! Reading: fields are walked in place, and what is read borrows from the message.

use prost::encoding::{WireType, decode_key, decode_varint};

/// How deep messages may be nested, as in prost.
const DEPTH_MAX: u32 = 100;

/// The bytes are no such message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::grpc) struct Malformed;

impl From<prost::DecodeError> for Malformed {
    fn from(_: prost::DecodeError) -> Self {
        Self
    }
}

/// The fields of one message, from the first to the last.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::grpc) struct Fields<'a> {
    rest: &'a [u8],
    /// How many messages may still be nested in this one.
    depth: u32,
}

/// What a message may hold that nobody reads here: it is walked all the same, since what is malformed anywhere is malformed.
pub(in crate::grpc) type Shape = [(u32, Content)];

/// What a field of a [`Shape`] holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::grpc) enum Content {
    /// A number, an enumeration or a `bool`.
    Varint,
    /// A `double`.
    Fixed64,
    /// A `string`.
    Text,
    /// `bytes`.
    Bytes,
    /// A message.
    Message(&'static Shape),
    /// A map with texts as keys, whose entries have this shape.
    Map(&'static Shape),
}

impl<'a> Fields<'a> {
    /// Of a whole message.
    pub(in crate::grpc) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, depth: DEPTH_MAX }
    }

    /// The next field's number and wire type. Its content must be read, or skipped, before the next field is asked for.
    #[inline]
    pub(in crate::grpc) fn next(&mut self) -> Result<Option<(u32, WireType)>, Malformed> {
        match self.rest {
            [] => Ok(None),
            // Fields 1 to 15 have a key of one byte.
            [key @ 0x08..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(Some((u32::from(*key >> 3), WireType::try_from(u64::from(*key & 7))?)))
            }
            _ => Ok(Some(decode_key(&mut self.rest)?)),
        }
    }

    /// A `string`.
    #[inline]
    pub(in crate::grpc) fn text(&mut self, wire_type: WireType) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(wire_type)?).map_err(|_| Malformed)
    }

    /// `bytes`.
    #[inline]
    pub(in crate::grpc) fn bytes(&mut self, wire_type: WireType) -> Result<&'a [u8], Malformed> {
        require(WireType::LengthDelimited, wire_type)?;
        self.delimited()
    }

    /// A number, an enumeration or a `bool`.
    pub(in crate::grpc) fn varint(&mut self, wire_type: WireType) -> Result<u64, Malformed> {
        require(WireType::Varint, wire_type)?;
        self.number()
    }

    /// A `double`.
    pub(in crate::grpc) fn double(&mut self, wire_type: WireType) -> Result<f64, Malformed> {
        require(WireType::SixtyFourBit, wire_type)?;
        let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
        Ok(f64::from_le_bytes(bytes))
    }

    /// A message.
    pub(in crate::grpc) fn message(&mut self, wire_type: WireType) -> Result<Self, Malformed> {
        require(WireType::LengthDelimited, wire_type)?;
        self.entry()
    }

    /// An entry of a map, which is a message: key and value are its fields 1 and 2.
    ///
    /// Prost reads it whatever its wire type says, and so does this.
    pub(in crate::grpc) fn entry(&mut self) -> Result<Self, Malformed> {
        let depth = self.deeper()?;
        Ok(Self { rest: self.delimited()?, depth })
    }

    /// An entry of a map of texts. Without a key, or a value, that is empty.
    pub(in crate::grpc) fn text_entry(&mut self) -> Result<(&'a str, &'a str), Malformed> {
        let (mut key, mut value) = ("", "");
        let mut fields = self.entry()?;
        while let Some((number, wire_type)) = fields.next()? {
            match number {
                1 => key = fields.text(wire_type)?,
                2 => value = fields.text(wire_type)?,
                _ => fields.skip(number, wire_type)?,
            }
        }
        Ok((key, value))
    }

    /// Passes over a field that is not known.
    pub(in crate::grpc) fn skip(&mut self, number: u32, wire_type: WireType) -> Result<(), Malformed> {
        let depth = self.deeper()?;
        match wire_type {
            WireType::Varint => drop(decode_varint(&mut self.rest)?),
            WireType::ThirtyTwoBit => drop(self.take(4)?),
            WireType::SixtyFourBit => drop(self.take(8)?),
            WireType::LengthDelimited => drop(self.delimited()?),
            WireType::StartGroup => {
                let mut group = Self { rest: self.rest, depth };
                loop {
                    match group.next()?.ok_or(Malformed)? {
                        (end, WireType::EndGroup) if end == number => break,
                        (inner, wire_type) => group.skip(inner, wire_type)?,
                    }
                }
                self.rest = group.rest;
            }
            WireType::EndGroup => return Err(Malformed),
        }
        Ok(())
    }

    /// Walks the rest of a message that nobody reads.
    pub(in crate::grpc) fn walk(mut self, shape: &Shape) -> Result<(), Malformed> {
        while let Some((number, wire_type)) = self.next()? {
            let content = shape.iter().find(|(known, _)| *known == number).map(|(_, content)| *content);
            match content {
                Some(Content::Varint) => drop(self.varint(wire_type)?),
                Some(Content::Fixed64) => {
                    require(WireType::SixtyFourBit, wire_type)?;
                    self.take(8)?;
                }
                Some(Content::Text) => drop(self.text(wire_type)?),
                Some(Content::Bytes) => drop(self.bytes(wire_type)?),
                Some(Content::Message(shape)) => self.message(wire_type)?.walk(shape)?,
                Some(Content::Map(entry)) => self.entry()?.walk(entry)?,
                None => self.skip(number, wire_type)?,
            }
        }
        Ok(())
    }

    #[inline]
    fn delimited(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| Malformed)?)
    }

    #[inline]
    fn number(&mut self) -> Result<u64, Malformed> {
        match self.rest {
            // Most are that small.
            [number @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*number))
            }
            _ => Ok(decode_varint(&mut self.rest)?),
        }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn deeper(&self) -> Result<u32, Malformed> {
        self.depth.checked_sub(1).ok_or(Malformed)
    }
}

#[inline]
fn require(expected: WireType, actual: WireType) -> Result<(), Malformed> {
    if expected == actual { Ok(()) } else { Err(Malformed) }
}

/// A map's entries by key, and of several with one key the last. A map has no order, so that sorting loses nothing.
pub(in crate::grpc) fn keep_last<V>(entries: &mut Vec<(&str, V)>) {
    if entries.len() > 1 {
        entries.sort_by_key(|(key, _)| *key);
        entries.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                std::mem::swap(later, kept);
            }
            is_same
        });
    }
}
