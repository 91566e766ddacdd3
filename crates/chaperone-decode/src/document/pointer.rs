//! JSON pointers (RFC 6901).

use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;

/// The way from a value to one within it, such as `/mail/to/0`.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Pointer {
    tokens: Vec<SmolStr>,
}

/// A text that is no JSON pointer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PointerError {
    /// It neither is empty nor begins with a slash.
    #[error("a JSON pointer is empty or begins with `/`")]
    NoSlash,
    /// A tilde that does not stand for a tilde or a slash.
    #[error("in a JSON pointer `~` is written `~0` and `/` within a name `~1`")]
    Tilde,
}

impl Pointer {
    /// Reads `""`, which is the whole document, or tokens with a slash before each.
    ///
    /// # Errors
    /// [`PointerError`] if it is neither.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let tokens = text.strip_prefix('/').ok_or(PointerError::NoSlash)?;
        tokens.split('/').map(unescape).collect::<Result<_, _>>().map(|tokens| Self { tokens })
    }

    /// Its tokens, unescaped.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(SmolStr::as_str)
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        Self::parse(text)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tokens.iter().try_for_each(|token| write!(formatter, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

fn unescape(token: &str) -> Result<SmolStr, PointerError> {
    let mut parts = token.split('~');
    let mut unescaped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            (None, None) => return Err(PointerError::Tilde),
        };
        unescaped.push(sign);
        unescaped.push_str(rest);
    }
    Ok(unescaped.into())
}
