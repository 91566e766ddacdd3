//! Why a decision cannot be made again.

use chaperone_policy::{EntityRef, Level, MemoryName};
use chaperone_trail::Digest;

/// Why a decision cannot be made again from its record. That is no difference: nothing is known of what it would be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Obstacle {
    /// What was asked could not be read, and so is not on record.
    #[error("what was asked could not be read, and is not on record")]
    Undecodable,
    /// It was recorded without what it was made on.
    #[error("what it was made on was not recorded")]
    NoState,
    /// A state that it names is not in these records.
    #[error("the state {digest} of `{of}` is not in these records: it was dropped by retention, or stands before them")]
    StateMissing {
        /// Whose.
        of: String,
        /// Which.
        digest: Digest,
    },
    /// A state is one that this program does not read.
    #[error("the state of `{of}` cannot be read: {message}")]
    StateUnreadable {
        /// Whose.
        of: String,
        /// Why.
        message: String,
    },
    /// Nothing says what the bundle of this number was.
    #[error("bundle {0} is not at hand")]
    BundleMissing(u64),
    /// The decision hangs on an attribute that the mapping keeps out of records.
    #[error("attribute `{name}` was {how}")]
    AttributeRedacted {
        /// The attribute.
        name: String,
        /// `hashed` or `dropped`.
        how: &'static str,
    },
    /// The decision hangs on an attribute of an entity that the mapping keeps out of records.
    #[error("attribute `{name}` of `{uid}` was dropped")]
    EntityAttributeRedacted {
        /// The entity.
        uid: EntityRef,
        /// The attribute.
        name: String,
    },
    /// The decision hangs on a remembered set whose values the mapping keeps out of records.
    #[error("set `{name}` of the {level} was dropped")]
    SetRedacted {
        /// Whose.
        level: Level,
        /// The set.
        name: MemoryName,
    },
    /// An approval may have lifted it, or not: what that was given for is not on record.
    #[error("an approval that may lift it is for attributes that were hashed or dropped")]
    GrantRedacted,
    /// Another bundle looks at an attribute that nobody looked at then.
    #[error("attribute `{0}` was not read then")]
    AttributeUnread(String),
    /// Another bundle looks at an entity that nobody looked at then.
    #[error("entity `{0}` was not looked at then")]
    EntityUnread(EntityRef),
    /// What is on record does not fit the schema of the bundle.
    #[error("`{0}` is not what the bundle's schema allows")]
    Unfit(String),
    /// A report told it, and what it was is not on record.
    #[error("what a report told as `{0}` is not on record")]
    FactMissing(String),
    /// It was denied because too much was remembered, of which not all is on record.
    #[error("how much was remembered, or how many approvals waited, is not on record")]
    Full,
    /// A defect of this program was caught.
    #[error("deciding again failed")]
    Defect,
}

impl Obstacle {
    /// A stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::NoState => "no_state",
            Self::StateMissing { .. } => "state_missing",
            Self::StateUnreadable { .. } => "state_unreadable",
            Self::BundleMissing(_) => "bundle_missing",
            Self::AttributeRedacted { .. } | Self::EntityAttributeRedacted { .. } => "attribute_redacted",
            Self::SetRedacted { .. } => "set_redacted",
            Self::GrantRedacted => "approval_redacted",
            Self::AttributeUnread(_) => "attribute_unread",
            Self::EntityUnread(_) => "entity_unread",
            Self::Unfit(_) => "unfit",
            Self::FactMissing(_) => "fact_missing",
            Self::Full => "memory_full",
            Self::Defect => "defect",
        }
    }
}
