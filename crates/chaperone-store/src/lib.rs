//! The store: sessions, bundles, entities and the feed of their changes, on Postgres or embedded.
//!
//! Knows sessions and rows, never requests or policy text.

#[cfg(feature = "conformance")]
mod conformance_stub {}
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
mod test_postgres_stub {}
mod wake;

pub use embedded::EmbeddedStore;
pub use error::{BoxError, SchemaError, StoreError};
pub use feed::{Changed, Changes, Cursor, SHARDS};
pub use postgres::{InvalidUrl, PostgresOptions, PostgresStore};
pub use store::{BundleInfo, NewBundle, RevokeTarget, SessionFilter, Store, StoredBundle};
