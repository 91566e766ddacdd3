//! Sessions, bundles, entities and memories to store.

use std::collections::BTreeMap;
use std::time::Duration;

use chaperone_policy::{
    Attributes, Binding, BundleSource, Ended, EndingAct, Entity, EntityRef, HandleHash, Memory, MemoryKey, Scope,
    Session, SessionId, Task, Timestamp, Value,
};
use uuid::Uuid;

use crate::feed::{Changed, Cursor};
use crate::store::{Committed, NewBundle, Store, StoredMemory, Transition};

/// A second of the suite's own time.
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + second * 1_000_000)
}

/// Ids whose order is that of their numbers.
pub(super) fn id(number: u32) -> SessionId {
    SessionId::new(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + u128::from(number)))
}

pub(super) fn handle(number: u32) -> HandleHash {
    let mut bytes = [0x5a; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    HandleHash::from_bytes(bytes)
}

/// A root with nothing that can be left out, opened at `at(number)`.
pub(super) fn plain(number: u32) -> Session {
    let opened_at = at(i64::from(number));
    Session {
        id: id(number),
        tree: id(number),
        parent: None,
        depth: 0,
        principal: EntityRef::new("Agent", "worker"),
        owner: "ada@example.com".to_owned(),
        task: Task::default(),
        labels: std::collections::BTreeSet::new(),
        scope: Scope::Unrestricted,
        binding: Binding::default(),
        opened_at,
        expires_at: opened_at.plus(Duration::from_hours(1)),
        idle_timeout: None,
        last_used_at: opened_at,
        ended: None,
        version: 1,
    }
}

/// A root with everything, and text that is hard to quote.
pub(super) fn rich(number: u32) -> Session {
    Session {
        principal: EntityRef::new("Acme::Agent", "it's \"x\"\\ 🦀\n"),
        owner: "Übersee; DROP TABLE sessions --".to_owned(),
        task: Task { id: "T-1".to_owned(), purpose: "summarise $1 {today}".to_owned() },
        labels: ["pii", "a,b", ""].map(str::to_owned).into(),
        scope: Scope::parse("permit (principal, action, resource);").expect("it parses"),
        binding: Binding {
            spiffe_id: Some("spiffe://example.org/worker".to_owned()),
            certificate_sha256: Some(std::array::from_fn(|byte| u8::try_from(byte * 8).unwrap_or(0))),
            zones: ["office", "lab-2"].map(str::to_owned).into(),
        },
        idle_timeout: Some(Duration::from_micros(90_000_001)),
        version: 7,
        ..plain(number)
    }
}

/// A child, in its parent's tree.
pub(super) fn child(number: u32, parent: &Session) -> Session {
    Session { tree: parent.tree, parent: Some(parent.id), depth: parent.depth + 1, ..plain(number) }
}

pub(super) fn revoked(second: i64) -> Ended {
    Ended { by_act: EndingAct::Revoked, at: at(second), reason: "token reuse".to_owned(), by: "ops".to_owned() }
}

pub(super) async fn insert(store: &dyn Store, sessions: &[Session]) {
    for session in sessions {
        let [.., a, b, c, d] = *session.id.as_uuid().as_bytes();
        let hash = handle(u32::from_be_bytes([a, b, c, d]));
        store.insert_session(session, &hash).await.expect("the session is stored");
    }
}

pub(super) async fn load(store: &dyn Store, number: u32) -> Session {
    store.session(id(number)).await.expect("the store answers").expect("the session exists")
}

pub(super) fn bundle(policy: &str) -> NewBundle {
    let files = [("schema.cedarschema", "entity Agent;"), ("policies/all.cedar", policy)];
    NewBundle {
        source: BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() },
        policy_count: 1,
        message: format!("adds {policy}"),
        uploaded_by: "ada@example.com".to_owned(),
        uploaded_at: at(1),
    }
}

pub(super) fn entity(kind: &str, id: &str) -> Entity {
    Entity { uid: EntityRef::new(kind, id), attributes: BTreeMap::new(), tags: BTreeMap::new(), parents: Vec::new() }
}

pub(super) fn attributes(owner: &str) -> Attributes {
    [("owner".into(), Value::String(owner.into()))].into()
}

/// Everything after a cursor, in batches of `limit`, and where it ends.
pub(super) async fn follow(store: &dyn Store, cursor: Cursor, limit: u32) -> (Vec<Changed>, Cursor) {
    let (mut seen, mut cursor) = (Vec::new(), cursor);
    loop {
        let batch = store.changes(&cursor, limit).await.expect("the feed is read");
        assert!(batch.changed.len() <= usize::try_from(limit).expect("small"), "the limit holds");
        seen.extend(batch.changed);
        cursor = batch.cursor;
        if !batch.more {
            return (seen, cursor);
        }
    }
}

pub(super) fn session_key(number: u32) -> MemoryKey {
    MemoryKey::Session(id(number))
}

pub(super) fn tree_key(number: u32) -> MemoryKey {
    MemoryKey::Tree(id(number))
}

pub(super) fn principal_key(kind: &str, id: &str) -> MemoryKey {
    MemoryKey::Principal(EntityRef::new(kind, id))
}

/// A memory that differs from another by `text`.
pub(super) fn memory_of(text: &str) -> Memory {
    serde_json::from_value(serde_json::json!({ "labels": [text] })).expect("it is a memory")
}

pub(super) fn write(key: &MemoryKey, version: u64, text: &str) -> StoredMemory {
    StoredMemory { key: key.clone(), version, memory: memory_of(text) }
}

pub(super) fn transition(writes: &[StoredMemory]) -> Transition {
    Transition { writes: writes.to_vec(), reads: Vec::new() }
}

/// Commits one transition that meets no conflict.
pub(super) async fn commit(store: &dyn Store, writes: &[StoredMemory]) {
    let outcomes = store.commit_memories(&[transition(writes)], at(1)).await.expect("it answers");
    assert_eq!(outcomes, [Committed::Done]);
}

pub(super) async fn stored_memory(store: &dyn Store, key: &MemoryKey) -> StoredMemory {
    store.memories(std::slice::from_ref(key)).await.expect("it answers").swap_remove(0)
}
