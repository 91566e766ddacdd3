//! What only Postgres can show of memories: others' open transactions, a server that dies in the middle.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chaperone_policy::{Memory, MemoryKey, SessionId, Timestamp};
use chaperone_store::test_postgres::{TestPostgres, lock_is_awaited};
use chaperone_store::{
    Changed, Committed, Cursor, PostgresOptions, PostgresStore, Store, StoreError, StoredMemory, Transition,
};
use sqlx::{Connection as _, PgConnection, PgTransaction};
use uuid::Uuid;

const AT: Timestamp = Timestamp::from_micros(1_000_000);

async fn database() -> Option<String> {
    let server = TestPostgres::shared().await.unwrap_or_else(|error| panic!("{error}"))?;
    Some(server.database().await.expect("a database"))
}

async fn connect(url: &str) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::connect(&PostgresOptions::new(url)).await.expect("it connects"))
}

fn session(number: u128) -> MemoryKey {
    MemoryKey::Session(SessionId::new(Uuid::from_u128(number)))
}

fn tree(number: u128) -> MemoryKey {
    MemoryKey::Tree(SessionId::new(Uuid::from_u128(number)))
}

fn memory_of(text: &str) -> Memory {
    serde_json::from_value(serde_json::json!({ "labels": [text] })).expect("it is a memory")
}

fn write(key: &MemoryKey, version: u64, text: &str) -> StoredMemory {
    StoredMemory { key: key.clone(), version, memory: memory_of(text) }
}

fn transition<const COUNT: usize>(writes: [StoredMemory; COUNT]) -> Transition {
    Transition { writes: writes.into(), reads: Vec::new() }
}

async fn versions(store: &PostgresStore, keys: &[MemoryKey]) -> Vec<u64> {
    let found = store.memories(keys).await.expect("it answers");
    found.iter().map(|memory| memory.version).collect()
}

/// Writes as another replica would, in a transaction that stays open.
async fn write_openly(open: &mut PgTransaction<'_>, key: &MemoryKey, version: i64) {
    sqlx::query(
        "INSERT INTO memories (memory_key, version, memory, updated_at)
        VALUES ($1, $2, '{\"labels\":[\"theirs\"]}', to_timestamp(1))
        ON CONFLICT (memory_key) DO UPDATE SET version = EXCLUDED.version, memory = EXCLUDED.memory",
    )
    .bind(key.to_string())
    .bind(version)
    .execute(&mut **open)
    .await
    .expect("it writes");
}

/// The statement began before the other committed, so that its snapshot is older than what it must compare with.
#[tokio::test(flavor = "multi_thread")]
async fn commit_that_waited_for_another_compares_with_what_that_stored() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    let keys = [session(1), tree(1), session(2)];
    let first = keys.clone().map(|key| write(&key, 0, "first"));
    assert_eq!(store.commit_memories(&[transition(first)], AT).await.expect("it answers"), [Committed::Done]);

    let mut connection = PgConnection::connect(&url).await.expect("it connects");
    let mut open = connection.begin().await.expect("it begins");
    write_openly(&mut open, &keys[1], 2).await;
    let transitions = [
        transition([write(&keys[0], 1, "ours"), write(&keys[1], 1, "ours")]),
        transition([write(&keys[2], 1, "ours")]),
    ];
    let ours = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit_memories(&transitions, AT).await }
    });
    lock_is_awaited(&url).await.expect("it answers");
    open.commit().await.expect("it commits");
    let outcomes = ours.await.expect("it ends").expect("it answers");
    assert_eq!(outcomes, [Committed::Conflict(vec![write(&keys[1], 2, "theirs")]), Committed::Done]);
    assert_eq!(versions(&store, &keys).await, [1, 2, 2]);

    // The same, but the other goes back.
    let mut open = connection.begin().await.expect("it begins");
    write_openly(&mut open, &keys[1], 3).await;
    let again = [transition([write(&keys[0], 1, "ours"), write(&keys[1], 2, "ours")])];
    let ours = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit_memories(&again, AT).await }
    });
    lock_is_awaited(&url).await.expect("it answers");
    open.rollback().await.expect("it rolls back");
    assert_eq!(ours.await.expect("it ends").expect("it answers"), [Committed::Done]);
    assert_eq!(versions(&store, &keys).await, [2, 3, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_commit_that_waited_for_another_finds_what_that_stored() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    for (number, commits) in [(1, true), (2, false)] {
        let keys = [session(number), tree(number)];
        let mut connection = PgConnection::connect(&url).await.expect("it connects");
        let mut open = connection.begin().await.expect("it begins");
        write_openly(&mut open, &keys[1], 1).await;
        let transitions = [transition(keys.clone().map(|key| write(&key, 0, "ours")))];
        let ours = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.commit_memories(&transitions, AT).await }
        });
        lock_is_awaited(&url).await.expect("it answers");
        let wanted = if commits {
            open.commit().await.expect("it commits");
            Committed::Conflict(vec![write(&keys[1], 1, "theirs")])
        } else {
            open.rollback().await.expect("it rolls back");
            Committed::Done
        };
        assert_eq!(ours.await.expect("it ends").expect("it answers"), [wanted]);
        assert_eq!(versions(&store, &keys).await, [u64::from(!commits), 1]);
    }
}

#[tokio::test]
async fn commit_that_the_feed_cannot_name_does_not_happen() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    let mut connection = PgConnection::connect(&url).await.expect("it connects");
    // That of session 1.
    sqlx::query("DELETE FROM feed_shards WHERE shard = 2").execute(&mut connection).await.expect("it runs");
    let transitions = [transition([write(&session(1), 0, "a")]), transition([write(&session(2), 0, "a")])];
    let refused = store.commit_memories(&transitions, AT).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(versions(&store, &[session(1), session(2)]).await, [0, 0]);
}

/// The row is there before it is written, but not yet on disk; a crash between the two takes it away. A rule that lets no row in does the
/// same here, at every attempt.
#[tokio::test]
async fn memory_whose_row_was_lost_is_a_conflict_and_not_done() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    let (first, second) = (session(1), session(2));
    let stored = store.commit_memories(&[transition([write(&second, 0, "there")])], AT).await;
    assert_eq!(stored.expect("it answers"), [Committed::Done]);
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    let rule = "CREATE RULE lose_rows AS ON INSERT TO memories DO INSTEAD NOTHING";
    sqlx::query(rule).execute(&mut connection).await.expect("it is there");
    let transitions = [transition([write(&first, 0, "lost")]), transition([write(&second, 1, "stored")])];
    let outcomes = store.commit_memories(&transitions, AT).await.expect("it answers");
    let nothing = StoredMemory { key: first.clone(), version: 0, memory: Memory::default() };
    assert_eq!(outcomes, [Committed::Conflict(vec![nothing]), Committed::Done]);
    assert_eq!(versions(&store, &[first.clone(), second]).await, [0, 2]);
    sqlx::query("DROP RULE lose_rows ON memories").execute(&mut connection).await.expect("it is gone");
    // A connection that has prepared the statement under the rule keeps what the rule made of it: nothing, which no table's change undoes.
    let store = connect(&url).await;
    let outcomes = store.commit_memories(&[transition([write(&first, 0, "again")])], AT).await;
    assert_eq!(outcomes.expect("it answers"), [Committed::Done]);
}

#[tokio::test]
async fn memories_are_committed_behind_a_pooler() {
    let Some(url) = database().await else { return };
    let options = PostgresOptions { pooler: true, ..PostgresOptions::new(&url) };
    let store = PostgresStore::connect(&options).await.expect("it connects");
    for version in 0..3 {
        let transitions = [
            transition([write(&session(1), version, "a"), write(&tree(1), version, "a")]),
            transition([write(&session(2), 9, "a"), write(&tree(2), 0, "a")]),
        ];
        let outcomes = store.commit_memories(&transitions, AT).await.expect("it answers");
        assert!(matches!(&outcomes[..], [Committed::Done, Committed::Conflict(_)]), "{outcomes:?}");
    }
    assert_eq!(versions(&store, &[session(1), tree(1), session(2), tree(2)]).await, [3, 3, 0, 0]);
}

/// What one writer has done, whose session and tree always change together.
struct Writer {
    keys: [MemoryKey; 2],
    /// The last version that was answered as stored.
    answered: u64,
    /// How many commits were answered by an error.
    unknown: u64,
}

impl Writer {
    /// Commits for as long as it is told to.
    async fn run(mut self, store: Arc<PostgresStore>, done: Arc<AtomicU64>, is_over: Arc<AtomicBool>) -> Self {
        while !is_over.load(Ordering::SeqCst) {
            let Ok(known) = store.memories(&self.keys).await else { continue };
            let version = known[0].version;
            assert_eq!((version, &known[0].memory), (known[1].version, &known[1].memory), "both or none");
            assert!(version >= self.answered, "what was answered as stored is there");
            let next = self.keys.clone().map(|key| write(&key, version, &format!("{}", version + 1)));
            match store.commit_memories(&[transition(next)], AT).await {
                Ok(outcomes) => {
                    assert_eq!(outcomes, [Committed::Done], "no other writes these");
                    self.answered = version + 1;
                    done.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) => {
                    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                    self.unknown += 1;
                }
            }
        }
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_dies_leaves_no_half_of_a_transition() {
    const WRITERS: u128 = 6;
    if TestPostgres::is_skipped() {
        return;
    }
    let server = TestPostgres::launch().unwrap_or_else(|error| panic!("{error}"));
    let store = connect(&server.database().await.expect("a database")).await;
    let (done, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let writers: Vec<_> = (1..=WRITERS)
        .map(|number| {
            let writer = Writer { keys: [session(number), tree(100 + number)], answered: 0, unknown: 0 };
            tokio::spawn(writer.run(Arc::clone(&store), Arc::clone(&done), Arc::clone(&is_over)))
        })
        .collect();
    for _ in 0..3 {
        // Not before each has had a turn, on average.
        let enough = done.load(Ordering::SeqCst) + 30;
        while done.load(Ordering::SeqCst) < enough {
            tokio::task::yield_now().await;
        }
        server.stop().expect("it stops");
        server.start().expect("it starts");
    }
    is_over.store(true, Ordering::SeqCst);
    let (mut wanted, mut unknown) = (BTreeMap::new(), 0);
    for writer in writers {
        let writer = writer.await.expect("it ends");
        let found = store.memories(&writer.keys).await.expect("it answers");
        assert!(found[0].version == found[1].version && found[0].version >= writer.answered, "{found:?}");
        wanted.extend(found.into_iter().map(|memory| (memory.key, (1..=memory.version).collect::<Vec<u64>>())));
        unknown += writer.unknown;
    }
    assert!(unknown > 0, "commits were cut off");
    let mut seen = BTreeMap::<MemoryKey, Vec<u64>>::new();
    let mut cursor = Cursor::default();
    loop {
        let page = store.changes(&cursor, 1_000).await.expect("it answers");
        for changed in page.changed {
            let Changed::Memory(key, version) = changed else { panic!("{changed:?}") };
            seen.entry(key).or_default().push(version);
        }
        cursor = page.cursor;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, wanted, "the feed names what is stored, and nothing else");
}
