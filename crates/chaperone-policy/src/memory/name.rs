//! Names of counters and remembered sets, with how long what they hold is kept.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smol_str::SmolStr;

/// The shortest window.
pub const WINDOW_MIN: Duration = Duration::from_secs(1);
/// The longest window.
pub const WINDOW_MAX: Duration = Duration::from_hours(366 * 24);
/// How many characters the part before the `/` has at most.
const NAME_CHARS_MAX: usize = 64;

/// The name of a counter or a set, such as `exports/1h`: kept for an hour; or `exports`: kept for as long as the memory itself.
///
/// Two names of equal text are the same counter. `exports/60m` and `exports/1h` are two.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MemoryName {
    text: SmolStr,
    window: Option<Duration>,
}

/// A name that is none.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseMemoryNameError {
    /// Not 1 to 64 characters of `A-Z a-z 0-9 _ . -`.
    #[error("a name has 1 to 64 characters, each of `A-Z`, `a-z`, `0-9`, `_`, `.`, `-`")]
    Name,
    /// Not a whole number of `s`, `m`, `h` or `d`, or too long.
    #[error("a window is a whole number of `s`, `m`, `h` or `d`, such as `1h`, from one second to 366 days")]
    Window,
}

impl MemoryName {
    /// Reads `name` or `name/window`.
    ///
    /// # Errors
    /// When the name or its window is not one.
    pub fn parse(text: &str) -> Result<Self, ParseMemoryNameError> {
        let (name, window) = match text.split_once('/') {
            Some((name, window)) => (name, Some(window)),
            None => (text, None),
        };
        if !is_name(name) {
            return Err(ParseMemoryNameError::Name);
        }
        let window = window.map(|window| parse_window(window).ok_or(ParseMemoryNameError::Window)).transpose()?;
        Ok(Self { text: text.into(), window })
    }

    /// For how long what it holds is kept; `None` for as long as the memory.
    pub const fn window(&self) -> Option<Duration> {
        self.window
    }

    /// The text, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether this can name a label, a counter, a set, a step-up or an alert: 1 to 64 characters of `A-Z a-z 0-9 _ . -`.
pub fn is_name(text: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_valid)
}

fn parse_window(text: &str) -> Option<Duration> {
    let unit = match text.bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 24 * 3600,
        _ => return None,
    };
    let number = text.get(..text.len().checked_sub(1)?)?;
    // `parse` alone would take a sign; a leading zero would give one window two names.
    if number.starts_with('0') || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let window = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(unit)?);
    (WINDOW_MIN..=WINDOW_MAX).contains(&window).then_some(window)
}

impl fmt::Display for MemoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for MemoryName {
    type Err = ParseMemoryNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for MemoryName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for MemoryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<'_, str>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
