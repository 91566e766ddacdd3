//! The store: sessions, bundles, entities and the feed of their changes, on Postgres or embedded.
//!
//! Knows sessions and rows, never requests or policy text.

mod error;
mod feed;
mod store;

pub use error::{BoxError, SchemaError, StoreError};
pub use feed::{Changed, Changes, Cursor, SHARDS};
pub use store::{BundleInfo, NewBundle, RevokeTarget, SessionFilter, Store, StoredBundle};
