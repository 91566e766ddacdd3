//! What can go wrong at the store, by what the caller can do next.

use chaperone_policy::{ApprovalId, BundleNumber, MemoryKey, SessionId};

/// A source error of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why the store did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another writer won. Load the session again and retry.
    #[error("session `{id}` changed since it was loaded")]
    SessionConflict {
        /// The session.
        id: SessionId,
    },
    /// It was answered, or answered in part, since it was loaded. Load it again.
    #[error("approval `{id}` changed since it was loaded")]
    ApprovalConflict {
        /// The approval.
        id: ApprovalId,
    },
    /// Another bundle is active than the caller expected. Look again before deciding.
    #[error("bundle {active} is active, not the expected one")]
    BundleConflict {
        /// The active bundle's number; 0 when there is none.
        active: BundleNumber,
    },
    /// Two of the transitions to commit together write the same memory. Nothing was changed; commit one after the other.
    #[error("memory `{key}` is written twice in one commit")]
    Overlap {
        /// The memory's key.
        key: MemoryKey,
    },
    /// The tree of sessions has no room for another. Nothing was changed.
    #[error("{limit}")]
    TreeFull {
        /// The limit that is reached.
        limit: TreeLimit,
    },
    /// There is no such thing. Nothing was changed.
    #[error("{what} does not exist")]
    NotFound {
        /// What was looked for, such as ``session `…` ``.
        what: String,
    },
    /// Changes between the cursor and the feed's oldest entry are gone. Load everything again.
    #[error("the change feed no longer holds the changes after the cursor")]
    FeedGap,
    /// The backend did not answer, or not in time. The caller may retry; it must not guess.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// A stored row breaks an invariant. It needs a person.
    #[error("table `{table}`, key `{key}`: {message}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The database's schema is not the one that this program was built for.
    #[error("{0}")]
    Schema(SchemaError),
}

/// A limit on a tree of sessions, with what it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TreeLimit {
    /// On the live children of one session.
    #[error("session `{parent}` has as many live children as it may have: {max}")]
    Children {
        /// The session.
        parent: SessionId,
        /// The limit.
        max: u32,
    },
    /// On the live sessions of one tree.
    #[error("tree `{tree}` has as many live sessions as it may have: {max}")]
    Sessions {
        /// The tree's root.
        tree: SessionId,
        /// The limit.
        max: u32,
    },
}

/// How a database's schema differs from what this program knows.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SchemaError {
    /// There is none yet.
    #[error("the database has no schema yet; run `chaperone migrate`")]
    Missing,
    /// It is older.
    #[error("the database's schema is at {found}, this program needs {wanted}; run `chaperone migrate`")]
    Behind {
        /// The newest applied migration.
        found: i64,
        /// The newest migration of this program.
        wanted: i64,
    },
    /// It is newer.
    #[error("the database's schema is at {found}, newer than {wanted}, which this program knows; upgrade the program")]
    Ahead {
        /// The newest applied migration.
        found: i64,
        /// The newest migration of this program.
        wanted: i64,
    },
    /// A migration failed halfway, or an applied one is not the one that this program has.
    #[error("migration {version} is applied in another form than this program's; restore the database or the program")]
    Changed {
        /// The migration.
        version: i64,
    },
}
