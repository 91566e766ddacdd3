//! What only the embedded store can show: its file.

use chaperone_policy::{EntityRef, Timestamp};
use chaperone_store::{EmbeddedStore, SchemaError, Store, StoreError};
use sqlx::{Connection as _, SqliteConnection};

#[tokio::test]
async fn what_is_stored_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chaperone.db");
    let entity = chaperone_policy::Entity {
        uid: EntityRef::new("Team", "blue"),
        attributes: std::collections::BTreeMap::new(),
        tags: std::collections::BTreeMap::new(),
        parents: Vec::new(),
    };
    let store = EmbeddedStore::open(Some(&path)).await.expect("it opens");
    store.put_entities(std::slice::from_ref(&entity), Timestamp::from_micros(1)).await.expect("it is stored");
    store.close().await;
    let store = EmbeddedStore::open(Some(&path)).await.expect("it opens again");
    assert_eq!(store.entities(None, None, 10).await.expect("it answers"), [entity]);
}

#[tokio::test]
async fn second_store_on_the_same_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chaperone.db");
    let first = EmbeddedStore::open(Some(&path)).await.expect("it opens");
    let Err(StoreError::Unavailable(source)) = EmbeddedStore::open(Some(&path)).await else {
        panic!("it is not refused");
    };
    assert!(source.to_string().contains("open in another process"), "{source}");
    first.ping().await.expect("the first one still works");
}

#[tokio::test]
async fn file_from_the_future_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chaperone.db");
    EmbeddedStore::open(Some(&path)).await.expect("it opens").close().await;
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.expect("it connects");
    sqlx::query("INSERT INTO _sqlx_migrations VALUES (99990101000000, 'from_the_future', '', TRUE, x'00', 0)")
        .execute(&mut connection)
        .await
        .expect("it is written");
    connection.close().await.expect("it closes");
    let refused = EmbeddedStore::open(Some(&path)).await;
    assert!(matches!(refused, Err(StoreError::Schema(SchemaError::Ahead { .. }))), "{refused:?}");
}

#[tokio::test]
async fn path_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("missing").join("chaperone.db");
    let refused = EmbeddedStore::open(Some(&path)).await.expect_err("there is no such folder");
    let source = std::error::Error::source(&refused).expect("it says why").to_string();
    assert!(source.contains("missing/chaperone.db"), "{source}");
}
