//! The wire format of protocol buffers.

use crate::Undecodable;

/// What is left of a message.
pub(super) struct Wire<'a> {
    bytes: &'a [u8],
}

/// A value before its type is known.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    /// A variable-length number.
    Varint(u64),
    /// Eight bytes, the lowest first.
    Fixed64(u64),
    /// Four bytes, the lowest first.
    Fixed32(u32),
    /// A length, and as many bytes.
    Bytes(&'a [u8]),
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
}

impl Form {
    /// The number that stands for it before a value.
    fn of(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Varint),
            1 => Some(Self::Fixed64),
            2 => Some(Self::Bytes),
            5 => Some(Self::Fixed32),
            // The two in between are groups, which nobody has written since proto2 came out.
            _ => None,
        }
    }
}

impl<'a> Wire<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of a field, and its value.
    pub(super) fn field(&mut self) -> Result<(u32, Raw<'a>), Undecodable> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let (Some(number), Some(form)) = (number, Form::of(key & 7)) else {
            return Err(Undecodable::new("a gRPC message has a field of no known form"));
        };
        Ok((number, self.value(form)?))
    }

    pub(super) fn value(&mut self, form: Form) -> Result<Raw<'a>, Undecodable> {
        Ok(match form {
            Form::Varint => Raw::Varint(self.varint()?),
            Form::Fixed64 => Raw::Fixed64(u64::from_le_bytes(self.array()?)),
            Form::Fixed32 => Raw::Fixed32(u32::from_le_bytes(self.array()?)),
            Form::Bytes => {
                let length = usize::try_from(self.varint()?).map_err(|_| ends())?;
                let (bytes, rest) = self.bytes.split_at_checked(length).ok_or_else(ends)?;
                self.bytes = rest;
                Raw::Bytes(bytes)
            }
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Undecodable> {
        let (bytes, rest) = self.bytes.split_first_chunk().ok_or_else(ends)?;
        self.bytes = rest;
        Ok(*bytes)
    }

    /// A number in groups of seven bits, the lowest first. At most ten bytes, since more would not fit.
    fn varint(&mut self) -> Result<u64, Undecodable> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Undecodable::new("a gRPC message has a number that is too long"))
    }
}

fn ends() -> Undecodable {
    Undecodable::new("a gRPC message ends within a field")
}
