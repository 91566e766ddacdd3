//! What only the embedded store can show: its file.

use chaperone_policy::{Binding, EntityRef, HandleHash, Scope, Session, SessionId, Task, Timestamp};
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
async fn sessions_in_bulk_are_stored_all_or_none() {
    let store = EmbeddedStore::open(None).await.expect("it opens");
    let many =
        |numbers: std::ops::Range<u8>| -> Vec<_> { numbers.map(|number| (root(number), hash(number))).collect() };
    let before = store.feed_end().await.expect("it answers");
    store.insert_sessions(&many(0..5)).await.expect("they are stored");
    for (session, hash) in many(0..5) {
        assert_eq!(store.session_chain(&hash).await.expect("it answers"), [session]);
    }
    assert_eq!(store.changes(&before, 100).await.expect("the feed is read").changed.len(), 5);

    let refused = store.insert_sessions(&[(root(8), hash(8)), (root(4), hash(4))]).await;
    assert!(matches!(refused, Err(StoreError::SessionConflict { id }) if id == root(4).id), "{refused:?}");
    assert_eq!(store.session(root(8).id).await.expect("it answers"), None);
}

fn hash(number: u8) -> HandleHash {
    HandleHash::from_bytes([number; 32])
}

fn root(number: u8) -> Session {
    let id = SessionId::new(uuid::Uuid::from_bytes([number; 16]));
    Session {
        id,
        tree: id,
        parent: None,
        depth: 0,
        principal: EntityRef::new("Agent", "worker"),
        owner: "ada@example.com".to_owned(),
        task: Task::default(),
        labels: std::collections::BTreeSet::new(),
        scope: Scope::Unrestricted,
        binding: Binding::default(),
        opened_at: Timestamp::from_micros(1),
        expires_at: Timestamp::from_micros(2),
        idle_timeout: None,
        last_used_at: Timestamp::from_micros(1),
        ended: None,
        version: 1,
    }
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
