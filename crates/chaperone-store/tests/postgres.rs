//! What only Postgres can show: several replicas, transactions that commit out of order, schemas, restarts, cut networks.

#![expect(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{Binding, Ended, EndingAct, EntityRef, HandleHash, Scope, Session, SessionId, Task, Timestamp};
use chaperone_store::test_postgres::{TestPostgres, lock_is_awaited};
use chaperone_store::{
    Changed, Cursor, PostgresOptions, PostgresStore, RevokeTarget, SchemaError, SessionFilter, Store, StoreError,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

/// Whether an error is the one that was to come.
type Expected = fn(&SchemaError) -> bool;

async fn shared() -> Option<&'static TestPostgres> {
    TestPostgres::shared().await.unwrap_or_else(|error| panic!("{error}"))
}

async fn connect(url: &str) -> PostgresStore {
    PostgresStore::connect(&PostgresOptions::new(url)).await.expect("it connects")
}

fn session(number: u128) -> Session {
    let id = SessionId::new(Uuid::from_u128(number));
    Session {
        id,
        tree: id,
        parent: None,
        depth: 0,
        principal: EntityRef::new("Agent", "worker"),
        owner: "ada".to_owned(),
        task: Task::default(),
        labels: std::collections::BTreeSet::new(),
        scope: Scope::Unrestricted,
        binding: Binding::default(),
        opened_at: Timestamp::from_micros(1_000_000),
        expires_at: Timestamp::from_micros(9_000_000),
        idle_timeout: None,
        last_used_at: Timestamp::from_micros(1_000_000),
        ended: None,
        version: 1,
    }
}

fn handle(number: u8) -> HandleHash {
    HandleHash::from_bytes([number; 32])
}

fn revoked() -> Ended {
    Ended {
        by_act: EndingAct::Revoked,
        at: Timestamp::from_micros(5_000_000),
        reason: String::new(),
        by: "ops".to_owned(),
    }
}

#[tokio::test]
async fn database_without_a_schema_is_refused_until_it_is_migrated() {
    let Some(server) = shared().await else { return };
    let options = PostgresOptions::new(server.empty_database().await.expect("a database"));
    let refused = PostgresStore::connect(&options).await;
    assert!(matches!(refused, Err(StoreError::Schema(SchemaError::Missing))), "{refused:?}");
    let applied = PostgresStore::migrate(&options).await.expect("it migrates");
    assert!(applied.iter().any(|name| name.ends_with("_create_sessions")), "{applied:?}");
    PostgresStore::connect(&options).await.expect("it connects");
    assert!(PostgresStore::migrate(&options).await.expect("it migrates").is_empty(), "the second time does nothing");
}

#[tokio::test]
async fn every_other_schema_is_refused() {
    let Some(server) = shared().await else { return };
    let cases: [(&str, Expected); 4] = [
        ("INSERT INTO _sqlx_migrations VALUES (99990101000000, 'from_the_future', now(), TRUE, '\\x00', 0)", |error| {
            matches!(error, SchemaError::Ahead { found: 99_990_101_000_000, .. })
        }),
        ("DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)", |error| {
            matches!(error, SchemaError::Behind { .. })
        }),
        ("UPDATE _sqlx_migrations SET checksum = '\\x00'", |error| matches!(error, SchemaError::Changed { .. })),
        ("UPDATE _sqlx_migrations SET success = FALSE", |error| matches!(error, SchemaError::Changed { .. })),
    ];
    for (statement, is_expected) in cases {
        let url = server.database().await.expect("a database");
        execute(&url, statement).await;
        let refused = PostgresStore::connect(&PostgresOptions::new(&url)).await;
        assert!(matches!(&refused, Err(StoreError::Schema(error)) if is_expected(error)), "{statement}: {refused:?}");
        if !statement.starts_with("DELETE") {
            let refused = PostgresStore::migrate(&PostgresOptions::new(&url)).await;
            assert!(
                matches!(&refused, Err(StoreError::Schema(error)) if is_expected(error)),
                "{statement}: {refused:?}"
            );
        }
    }
}

async fn execute(url: &str, statement: &'static str) {
    let mut connection = PgConnection::connect(url).await.expect("it connects");
    sqlx::raw_sql(statement).execute(&mut connection).await.expect("it runs");
    connection.close().await.expect("it closes");
}

#[tokio::test(flavor = "multi_thread")]
async fn change_of_another_replica_wakes_who_waits() {
    let Some(server) = shared().await else { return };
    let url = server.database().await.expect("a database");
    let (here, there) = (connect(&url).await, connect(&url).await);
    here.insert_session(&session(1), &handle(1)).await.expect("it is stored");
    // The listener's own first hint, given when it starts to listen.
    wait(&there).await;
    here.revoke_sessions(&RevokeTarget::Session(session(1).id), &revoked()).await.expect("it is revoked");
    wait(&there).await;
    assert!(there.session(session(1).id).await.expect("it answers").expect("it is there").ended.is_some());
}

async fn wait(store: &PostgresStore) {
    tokio::time::timeout(Duration::from_secs(20), store.changed()).await.expect("it wakes");
}

/// An open transaction that has taken a position: its change is not to be seen yet, and must not be passed by later ones.
#[tokio::test(flavor = "multi_thread")]
async fn change_that_commits_late_is_not_skipped() {
    let Some(server) = shared().await else { return };
    let url = server.database().await.expect("a database");
    let store = Arc::new(connect(&url).await);
    // Two trees of one shard, and one of another.
    let shard_of = |number: u128| number % 256 % 15;
    let (late, behind, beside) = (session(1), session(16), session(2));
    assert!(shard_of(1) == shard_of(16) && shard_of(1) != shard_of(2));

    let mut connection = PgConnection::connect(&url).await.expect("it connects");
    let mut open = connection.begin().await.expect("it begins");
    let shard = i16::try_from(shard_of(1) + 1).expect("small");
    let position: i64 =
        sqlx::query_scalar("UPDATE feed_shards SET position = position + 1 WHERE shard = $1 RETURNING position")
            .bind(shard)
            .fetch_one(&mut *open)
            .await
            .expect("it takes a position");

    // In the other shard a later writer commits first, and is seen.
    store.insert_session(&beside, &handle(2)).await.expect("it is stored");
    let first = store.changes(&Cursor::default(), 10).await.expect("it answers");
    assert_eq!(first.changed, [Changed::Session(beside.id)]);

    // In the same shard a later writer waits for the open transaction.
    let waiting = tokio::spawn({
        let (store, behind) = (Arc::clone(&store), behind.clone());
        async move { store.insert_session(&behind, &handle(16)).await }
    });
    lock_is_awaited(&url).await.expect("it answers");
    let none = store.changes(&first.cursor, 10).await.expect("it answers");
    assert_eq!((none.changed, none.cursor), (vec![], first.cursor), "the cursor stands before what is still to come");

    sqlx::query(
        "INSERT INTO changes (shard, position, kind, key, changed_at) VALUES ($1, $2, 'session', $3, to_timestamp(1))",
    )
    .bind(shard)
    .bind(position)
    .bind(late.id.to_string())
    .execute(&mut *open)
    .await
    .expect("it writes");
    open.commit().await.expect("it commits");
    waiting.await.expect("it ends").expect("it is stored");
    let rest = store.changes(&none.cursor, 10).await.expect("it answers");
    assert_eq!(rest.changed, [Changed::Session(late.id), Changed::Session(behind.id)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_opened_while_others_are_revoked_is_stored_or_revoked_whole() {
    let Some(server) = shared().await else { return };
    let url = server.database().await.expect("a database");
    let (here, there) = (Arc::new(connect(&url).await), connect(&url).await);
    let opening = tokio::spawn({
        let here = Arc::clone(&here);
        async move {
            for number in 1..=60 {
                here.insert_session(&session(number), &handle(u8::try_from(number).expect("small")))
                    .await
                    .expect("stored");
            }
        }
    });
    let mut count = 0;
    while !opening.is_finished() {
        count +=
            there.revoke_sessions(&RevokeTarget::Owner("ada".to_owned()), &revoked()).await.expect("it is revoked");
    }
    opening.await.expect("it ends");
    count += there.revoke_sessions(&RevokeTarget::Owner("ada".to_owned()), &revoked()).await.expect("it is revoked");
    assert_eq!(count, 60);
    let all = here.sessions(&SessionFilter::default(), None, 100).await.expect("it answers");
    assert!(all.iter().all(|session| session.ended.is_some() && session.version == 2));
    let mut times_seen: BTreeMap<String, u32> = BTreeMap::new();
    for changed in here.changes(&Cursor::default(), 1_000).await.expect("it answers").changed {
        *times_seen.entry(format!("{changed:?}")).or_default() += 1;
    }
    assert!(times_seen.len() == 60 && times_seen.values().all(|times| *times == 2), "opened and revoked, each");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_works_again_after_the_database_was_stopped_and_started() {
    if TestPostgres::is_skipped() {
        return;
    }
    let server = TestPostgres::launch().unwrap_or_else(|error| panic!("{error}"));
    let url = server.database().await.expect("a database");
    let store = connect(&url).await;
    store.insert_session(&session(1), &handle(1)).await.expect("it is stored");
    wait(&store).await;

    server.stop().expect("it stops");
    let refused = store.session(session(1).id).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let refused = store.insert_session(&session(2), &handle(2)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let refused = PostgresStore::connect(&PostgresOptions::new(&url)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");

    server.start().expect("it starts");
    assert_eq!(store.session(session(1).id).await.expect("it answers"), Some(session(1)));
    store.insert_session(&session(2), &handle(2)).await.expect("it is stored");

    // Restarted between two calls, so that every pooled connection is dead when it is used next.
    server.stop().expect("it stops");
    server.start().expect("it starts");
    store.insert_session(&session(3), &handle(3)).await.expect("it is stored");
    let seen = store.changes(&Cursor::default(), 10).await.expect("it answers").changed;
    assert_eq!(seen.len(), 3);
}

/// A listener of the feed survives a restart as well.
#[tokio::test(flavor = "multi_thread")]
async fn hints_come_again_after_the_listening_connection_was_cut() {
    let Some(server) = shared().await else { return };
    let url = server.database().await.expect("a database");
    let (here, there) = (connect(&url).await, connect(&url).await);
    here.insert_session(&session(1), &handle(1)).await.expect("it is stored");
    wait(&there).await;
    execute(
        &url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE '%LISTEN%' AND pid <> pg_backend_pid()",
    )
    .await;
    // The hint that some hints may be lost.
    wait(&there).await;
    here.revoke_sessions(&RevokeTarget::Session(session(1).id), &revoked()).await.expect("it is revoked");
    wait(&there).await;
}

/// A network that swallows everything answers nothing, not even that it is broken.
#[tokio::test(flavor = "multi_thread")]
async fn cut_network_is_unavailable_within_the_time_limit() {
    let Some(server) = shared().await else { return };
    let url = server.database().await.expect("a database");
    let target = server.port();
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxied = url.replace(&target.to_string(), &proxy.local_addr().expect("an address").port().to_string());
    let (cut, is_cut) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        while let Ok((client, _)) = proxy.accept().await {
            tokio::spawn(carry(client, target, is_cut.clone()));
        }
    });

    let options =
        PostgresOptions { timeout: Duration::from_millis(400), connections_max: 2, ..PostgresOptions::new(proxied) };
    let store = PostgresStore::connect(&options).await.expect("it connects");
    store.insert_session(&session(1), &handle(1)).await.expect("it is stored");

    cut.send_replace(true);
    for _ in 0..4 {
        let started = tokio::time::Instant::now();
        let refused = store.session(session(1).id).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }

    cut.send_replace(false);
    // Connections that were cut are dead for good; the pool finds its way to new ones.
    let answer = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Ok(answer) = store.session(session(1).id).await {
                return answer;
            }
        }
    });
    assert_eq!(answer.await.expect("it answers again"), Some(session(1)));
}

/// Carries bytes until the network is cut; then holds the connection open and carries nothing.
async fn carry(mut client: TcpStream, port: u16, mut is_cut: tokio::sync::watch::Receiver<bool>) {
    if *is_cut.borrow() {
        return std::future::pending().await;
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.expect("the server is there");
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = is_cut.wait_for(|cut| *cut) => {}
    }
    // Whichever it was: a connection that ends here is not told to the client.
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn dropped_call_leaves_nothing_half_done() {
    let Some(server) = shared().await else { return };
    let url = server.database().await.expect("a database");
    let store = connect(&url).await;
    let mut connection = PgConnection::connect(&url).await.expect("it connects");
    let mut open = connection.begin().await.expect("it begins");
    sqlx::query("SELECT shard FROM feed_shards FOR UPDATE").execute(&mut *open).await.expect("it locks");
    {
        let (session, handle) = (session(1), handle(1));
        let insert = store.insert_session(&session, &handle);
        tokio::select! {
            result = insert => panic!("the shard is locked, yet: {result:?}"),
            awaited = lock_is_awaited(&url) => awaited.expect("it answers"),
        }
    }
    open.rollback().await.expect("it rolls back");
    store.insert_session(&session(1), &handle(1)).await.expect("it is stored");
    assert_eq!(store.changes(&Cursor::default(), 10).await.expect("it answers").changed.len(), 1);
}

#[tokio::test]
async fn broken_row_is_an_error_that_names_it() {
    let Some(server) = shared().await else { return };
    let url = server.database().await.expect("a database");
    let store = connect(&url).await;
    let child = Session { id: SessionId::new(Uuid::from_u128(2)), parent: Some(session(1).id), depth: 1, ..session(1) };
    store.insert_session(&session(1), &handle(1)).await.expect("it is stored");
    store.insert_session(&child, &handle(2)).await.expect("it is stored");
    // An ancestor that is gone is one whose revocation cannot be seen.
    execute(&url, "DELETE FROM sessions WHERE parent_id IS NULL").await;
    let refused = store.session_chain(&handle(2)).await;
    assert!(matches!(&refused, Err(StoreError::Corrupt { table: "sessions", .. })), "{refused:?}");
    execute(&url, "UPDATE sessions SET labels = 'pii'").await;
    let refused = store.session(child.id).await;
    assert!(matches!(&refused, Err(StoreError::Corrupt { key, .. }) if *key == child.id.to_string()), "{refused:?}");
}

#[tokio::test]
async fn debug_output_hides_the_password() {
    let Some(server) = shared().await else { return };
    let url = server.database().await.expect("a database").replace("chaperone@", "chaperone:hunter2@");
    let store = connect(&url).await;
    assert!(!format!("{store:?}").contains("hunter2"));
    let refused = PostgresStore::connect(&PostgresOptions::new("postgres://a:hunter2@127.0.0.1:notaport/db")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    assert!(!format!("{refused:?}").contains("hunter2"));
}

#[tokio::test]
async fn store_works_behind_a_pooler() {
    let Some(server) = shared().await else { return };
    let url = server.database().await.expect("a database");
    let options = PostgresOptions { pooler: true, ..PostgresOptions::new(&url) };
    let store = PostgresStore::connect(&options).await.expect("it connects");
    store.insert_session(&session(1), &handle(1)).await.expect("it is stored");
    assert_eq!(store.session(session(1).id).await.expect("it answers"), Some(session(1)));
    let mut connection = PgConnection::connect(&url).await.expect("it connects");
    let listens = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let count: i64 =
        sqlx::query_scalar(AssertSqlSafe(listens.to_owned())).fetch_one(&mut connection).await.expect("it answers");
    assert_eq!(count, 0);
}
