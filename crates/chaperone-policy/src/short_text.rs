//! Short texts of numbers.

use smol_str::SmolStr;

/// What a `SmolStr` holds in place.
const BYTES_MAX: usize = 23;

/// A text that is put together in place. Values of requests have such texts in nearly every record: the way through formatting, which asks
/// for every part of a text how it is written, takes longer than to write it.
pub(crate) struct ShortText {
    bytes: [u8; BYTES_MAX],
    len: usize,
}

impl ShortText {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; BYTES_MAX], len: 0 }
    }

    /// Puts `part` behind what is there. What does not fit is left out as a whole: the caller knows that all of it does.
    pub(crate) fn push(&mut self, part: &str) {
        debug_assert!(self.len + part.len() <= BYTES_MAX, "`{part}` does not fit behind {:?}", &self.bytes);
        let place = self.bytes.get_mut(self.len..).and_then(|free| free.get_mut(..part.len()));
        if let Some(place) = place {
            place.copy_from_slice(part.as_bytes());
            self.len += part.len();
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        // Parts of texts are texts.
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl From<ShortText> for SmolStr {
    fn from(text: ShortText) -> Self {
        Self::new(text.as_str())
    }
}
