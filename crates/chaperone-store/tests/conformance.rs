//! The conformance suite over every store, each case a test of its own.

#![expect(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;

use chaperone_store::test_postgres::TestPostgres;
use chaperone_store::{EmbeddedStore, PostgresOptions, PostgresStore, Store, conformance};

macro_rules! embedded_memory {
    ($($case:ident,)+) => {
        mod embedded_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let store = super::EmbeddedStore::open(None).await.expect("it opens");
                super::conformance::$case(super::Arc::new(store)).await;
            })+
        }
    };
}
chaperone_store::for_each_case!(embedded_memory);

macro_rules! embedded_file {
    ($($case:ident,)+) => {
        mod embedded_file {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let folder = tempfile::tempdir().expect("a folder");
                let path = folder.path().join("chaperone.db");
                let store = super::EmbeddedStore::open(Some(&path)).await.expect("it opens");
                super::conformance::$case(super::Arc::new(store)).await;
            })+
        }
    };
}
chaperone_store::for_each_case!(embedded_file);

macro_rules! postgres {
    ($($case:ident,)+) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let Some(store) = super::fresh_postgres().await else { return };
                super::conformance::$case(store).await;
            })+
        }
    };
}
chaperone_store::for_each_case!(postgres);

async fn fresh_postgres() -> Option<Arc<dyn Store>> {
    let server = TestPostgres::shared().await.unwrap_or_else(|error| panic!("{error}"))?;
    let url = server.database().await.expect("a database");
    Some(Arc::new(PostgresStore::connect(&PostgresOptions::new(url)).await.expect("it connects")))
}
