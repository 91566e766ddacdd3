//! The store: sessions, bundles, entities and the feed of their changes, on Postgres or embedded; on Postgres also the trail.
//!
//! Knows sessions and rows, never requests or policy text.

mod attempt;
mod candidate;
#[cfg(feature = "conformance")]
pub mod conformance;
mod embedded;
mod error;
mod failure;
mod feed;
mod feed_page;
mod postgres;
mod revocation;
mod rows;
mod schema;
mod store;
mod stored_time;
#[cfg(feature = "conformance")]
pub mod test_postgres;
mod trail;
mod transitions;
mod wake;

pub use candidate::{Candidate, CandidateRole, Share};
pub use embedded::EmbeddedStore;
pub use error::{BoxError, SchemaError, StoreError, TreeLimit};
pub use feed::{Changed, Changes, Cursor, SHARDS};
pub use postgres::{InvalidUrl, PostgresOptions, PostgresStore};
pub use store::{
    ApprovalFilter, BundleActivation, BundleInfo, Committed, NewActivation, NewBundle, OpenedApproval, ReplicaReport,
    RevokeTarget, SavedApproval, SessionFilter, Store, StoredBundle, StoredMemory, Transition, TreeLimits,
};
pub use trail::{TrailError, TrailMaintained, TrailRetention, TrailStore};
