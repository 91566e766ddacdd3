//! Names of things: newtypes, so that one id is never taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::timestamp::Timestamp;

/// An id that does not parse.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a UUID")]
pub struct ParseIdError(String);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// From a UUID that the caller made.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self).map_err(|_| ParseIdError(text.chars().take(64).collect()))
            }
        }
    };
}

uuid_id! {
    /// A session, and as the root's id a tree. A UUIDv7.
    SessionId
}
uuid_id! {
    /// A decision. A UUIDv7.
    DecisionId
}

impl DecisionId {
    /// When it was made, to the millisecond (RFC 9562 section 5.7); `None` for what is no UUIDv7.
    pub fn made_at(self) -> Option<Timestamp> {
        if self.0.get_version_num() != 7 {
            return None;
        }
        let milliseconds = i64::try_from(self.0.as_u128() >> 80).ok()?;
        Some(Timestamp::from_micros(milliseconds.saturating_mul(1_000)))
    }
}

uuid_id! {
    /// An approval, from when it was asked for. A UUIDv7.
    ApprovalId
}

/// The number of an uploaded bundle, from 1.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct BundleNumber(u64);

impl BundleNumber {
    /// From its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for BundleNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
