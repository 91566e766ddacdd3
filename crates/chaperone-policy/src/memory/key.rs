//! Whose memory it is.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::effects::Level;
use crate::ids::SessionId;
use crate::value::EntityRef;

const SESSION: &str = "session";
const TREE: &str = "tree";
const PRINCIPAL: &str = "principal";

/// Whose memory it is.
///
/// As text, in the store and in logs: `session:<uuid>`, `tree:<uuid>`, `principal:<type>::"<id>"` with the id escaped as in JSON. Two
/// keys are equal exactly when their texts are.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MemoryKey {
    /// One session's.
    Session(SessionId),
    /// All of a tree's, by its root.
    Tree(SessionId),
    /// A principal's, in whatever session.
    Principal(EntityRef),
}

/// A text that is no key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not the key of a memory, such as `session:<uuid>`, `tree:<uuid>` or `principal:User::\"ann\"`")]
pub struct ParseMemoryKeyError(String);

impl MemoryKey {
    /// Whose memory that is.
    pub const fn level(&self) -> Level {
        match self {
            Self::Session(_) => Level::Session,
            Self::Tree(_) => Level::Tree,
            Self::Principal(_) => Level::Principal,
        }
    }

    /// Reads what `Display` writes, and nothing else.
    ///
    /// # Errors
    /// When the text is not one that a key is written as.
    pub fn parse(text: &str) -> Result<Self, ParseMemoryKeyError> {
        // Compared with what is written, because ids have other spellings (`\u0041`), and a key must not.
        read(text)
            .filter(|key| key.to_string() == text)
            .ok_or_else(|| ParseMemoryKeyError(text.chars().take(64).collect()))
    }
}

fn read(text: &str) -> Option<MemoryKey> {
    let (kind, whose) = text.split_once(':')?;
    match kind {
        SESSION => whose.parse().ok().map(MemoryKey::Session),
        TREE => whose.parse().ok().map(MemoryKey::Tree),
        PRINCIPAL => {
            // The id's first quote is the last that follows `::`, the closing one aside: those inside of the id are escaped.
            let (kind, _) = whose.strip_suffix('"')?.rsplit_once("::\"")?;
            let id: Cow<'_, str> = serde_json::from_str(whose.get(kind.len() + 2..)?).ok()?;
            Some(MemoryKey::Principal(EntityRef::new(kind, id)))
        }
        _ => None,
    }
}

impl fmt::Display for MemoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => write!(f, "{SESSION}:{id}"),
            Self::Tree(root) => write!(f, "{TREE}:{root}"),
            Self::Principal(principal) => {
                let id = serde_json::to_string(&principal.id).map_err(|_| fmt::Error)?;
                write!(f, "{PRINCIPAL}:{}::{id}", principal.kind)
            }
        }
    }
}

impl FromStr for MemoryKey {
    type Err = ParseMemoryKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for MemoryKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemoryKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<'_, str>::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
