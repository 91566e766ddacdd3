//! A session with its ancestors and what is remembered of them: which states.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{StateError, hex, json};

/// Which states a decision of a session read: the session's and its ancestors', and those of what is remembered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ChainState {
    /// The session's first, its root's last.
    sessions: Vec<Hex>,
    /// Each session's, the tree's and the principal's; absent: nothing was remembered.
    memories: Vec<Option<Hex>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Hex([u8; 32]);

impl ChainState {
    /// Of these states.
    pub fn new<'a>(
        sessions: impl IntoIterator<Item = &'a [u8; 32]>,
        memories: impl IntoIterator<Item = Option<&'a [u8; 32]>>,
    ) -> Self {
        let sessions = sessions.into_iter().map(|digest| Hex(*digest)).collect();
        Self { sessions, memories: memories.into_iter().map(|digest| digest.map(|digest| Hex(*digest))).collect() }
    }

    /// The text.
    pub fn text(&self) -> String {
        json(self)
    }

    /// From a text.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, StateError> {
        serde_json::from_str(text).map_err(|error| StateError::new("chain", &error))
    }

    /// The session's first, its root's last.
    pub fn sessions(&self) -> impl ExactSizeIterator<Item = &[u8; 32]> {
        self.sessions.iter().map(|digest| &digest.0)
    }

    /// Each session's, the tree's and the principal's; `None` where nothing was remembered.
    pub fn memories(&self) -> impl ExactSizeIterator<Item = Option<&[u8; 32]>> {
        self.memories.iter().map(|digest| digest.as_ref().map(|digest| &digest.0))
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::text(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        hex::digest(&text).map(Self).ok_or_else(|| de::Error::custom("a digest has 64 hexadecimal digits"))
    }
}
