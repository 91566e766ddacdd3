//! The trail in Postgres: what it finds, each record once, days that come and go.

#![expect(clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::Timestamp;
use chaperone_store::test_postgres::{TestPostgres, lock_is_awaited};
use chaperone_store::{
    PostgresOptions, PostgresStore, StoreError, TrailError, TrailMaintained, TrailRetention, TrailStore as _,
};
use chaperone_trail::{ChainExtent, ChainId, Event, Order, RecordFilter, RecordSource as _, Sealed, conformance};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

const DAY_US: i64 = 86_400_000_000;
/// 2026-11-22T12:00:00Z.
const NOON_US: i64 = 1_795_348_800_000_000;

async fn database() -> Option<String> {
    let server = TestPostgres::shared().await.unwrap_or_else(|error| panic!("{error}"))?;
    Some(server.database().await.expect("a database"))
}

/// With time enough, however busy the machine is.
async fn connect(url: &str) -> Arc<PostgresStore> {
    let options = PostgresOptions { timeout: Duration::from_secs(30), ..PostgresOptions::new(url) };
    Arc::new(PostgresStore::connect(&options).await.expect("it connects"))
}

fn chain(number: u128) -> ChainId {
    ChainId::new(Uuid::from_u128(number))
}

/// Noon, so many days later.
fn noon(days: i64) -> Timestamp {
    Timestamp::from_micros(NOON_US + days * DAY_US)
}

/// Records of the plainest kind, each at its time.
fn records(chain: ChainId, times: &[Timestamp]) -> Vec<Sealed> {
    let events: Vec<_> = times.iter().map(|at| (*at, Event::Stopped)).collect();
    conformance::sealed(chain, &events)
}

async fn count(url: &str, statement: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.expect("it connects");
    sqlx::query_scalar(statement).fetch_one(&mut connection).await.expect("it answers")
}

async fn seqs_of(store: &PostgresStore, chain: ChainId) -> Vec<u64> {
    let records = store.records(chain, 0, 10_000).await.expect("it answers");
    records.iter().map(|sealed| sealed.seq).collect()
}

/// With days that are there, and days that are not.
#[tokio::test]
async fn found_is_what_filtering_in_memory_finds() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    let retention = TrailRetention { days_ahead: 1, days_kept: None };
    store.maintain_trail(&retention, noon(1)).await.expect("it answers");
    let mut written = Vec::new();
    for (chain, events) in conformance::chains() {
        let sealed = conformance::sealed(chain, &events);
        for batch in sealed.chunks(40) {
            store.append_trail(chain, "r", batch).await.expect("it is stored");
        }
        written.extend(sealed);
    }
    conformance::agrees(&*store, &written).await;
    let misplaced = "SELECT COUNT(*) FROM trail_records_default";
    assert!(count(&url, misplaced).await > 0);
    // The same once every record is where it belongs.
    store.maintain_trail(&TrailRetention { days_ahead: 7, ..retention }, noon(0)).await.expect("it answers");
    assert_eq!(count(&url, misplaced).await, 0);
    conformance::agrees(&*store, &written).await;
}

#[tokio::test]
async fn position_is_that_of_the_next_record() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    let all = records(chain(1), &[noon(0); 5]);
    assert_eq!(store.trail_position(chain(1)).await.expect("it answers"), None);
    assert_eq!(store.append_trail(chain(1), "a", &[]).await.expect("it answers"), 1);
    assert_eq!(store.append_trail(chain(1), "a", &all[..2]).await.expect("it is stored"), 3);
    assert_eq!(store.append_trail(chain(1), "a", &all[..1]).await.expect("it is stored"), 3, "it comes again");
    assert_eq!(store.append_trail(chain(1), "a", &all[1..4]).await.expect("it is stored"), 5, "in part");
    assert_eq!(store.append_trail(chain(1), "a", &all[4..]).await.expect("it is stored"), 6);
    assert_eq!(store.trail_position(chain(1)).await.expect("it answers"), Some(6));
    assert_eq!(store.append_trail(chain(1), "a", &[]).await.expect("it answers"), 6);
    assert_eq!(store.records(chain(1), 1, 10).await.expect("it answers"), all);
}

#[tokio::test]
async fn batch_that_is_none_is_refused_and_nothing_of_it_is_stored() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    let all = records(chain(1), &[noon(0); 6]);
    let refused = store.append_trail(chain(1), "a", &all[1..]).await;
    assert!(matches!(refused, Err(TrailError::Gap { next: 1, first: 2, .. })), "{refused:?}");
    assert_eq!(store.append_trail(chain(1), "a", &all[..2]).await.expect("it is stored"), 3);
    let refused = store.append_trail(chain(1), "a", &all[3..]).await;
    assert!(matches!(refused, Err(TrailError::Gap { next: 3, first: 4, .. })), "{refused:?}");

    // Another history of the same chain: its third record follows another second one.
    let other = records(chain(1), &[noon(1); 4]);
    for batch in [&other[..], &other[2..]] {
        let refused = store.append_trail(chain(1), "a", batch).await;
        assert!(matches!(refused, Err(TrailError::Forked { seq: 3, .. })), "{refused:?}");
    }
    // What is known already is passed over, whatever it is: a verifier compares, not the store.
    assert_eq!(store.append_trail(chain(1), "a", &other[..2]).await.expect("it answers"), 3);

    let (mut torn, mut moved, mut broken) = (all[2].clone(), all[2].clone(), all[2].clone());
    torn.bytes.pop();
    moved.bytes = all[3].bytes.clone();
    broken.bytes[0] = 0xff;
    for bad in [torn, moved, broken] {
        let refused = store.append_trail(chain(1), "a", &[bad]).await;
        assert!(matches!(refused, Err(TrailError::Damaged { seq: 3, .. })), "{refused:?}");
    }
    let reversed = [all[3].clone(), all[2].clone()];
    for (of, batch) in [(chain(1), &reversed[..]), (chain(1), &[all[2].clone(), all[4].clone()]), (chain(2), &all[..1])]
    {
        let refused = store.append_trail(of, "a", batch).await;
        assert!(matches!(refused, Err(TrailError::Disordered { .. })), "{refused:?}");
    }
    assert_eq!(store.records(chain(1), 1, 10).await.expect("it answers"), all[..2]);
    assert_eq!(store.append_trail(chain(1), "a", &all[2..]).await.expect("it is stored"), 7);
}

#[tokio::test]
async fn days_are_made_ahead_once() {
    let Some(url) = database().await else { return };
    let stores = [connect(&url).await, connect(&url).await, connect(&url).await];
    let retention = TrailRetention { days_ahead: 3, days_kept: Some(30) };
    let calls = stores.clone().map(|store| {
        tokio::spawn(async move {
            // One that finds the tables taken for too long says so, and is to be called again.
            loop {
                match store.maintain_trail(&retention, noon(0)).await {
                    Ok(maintained) => return maintained,
                    Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}"),
                }
            }
        })
    });
    let mut created = Vec::new();
    for call in calls {
        created.extend(call.await.expect("it ends").created);
    }
    created.sort();
    // A call that failed in the middle did not tell what it had made.
    created.dedup();
    assert!(created.iter().all(|day| ["2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25"].contains(&day.as_str())));
    let days = "SELECT COUNT(*) FROM pg_inherits WHERE inhparent = 'trail_records'::regclass";
    assert_eq!(count(&url, days).await, 5, "four days, and the rest");
    let again = stores[0].maintain_trail(&retention, noon(0)).await.expect("it answers");
    assert_eq!(again, TrailMaintained::default());
    let next = stores[0].maintain_trail(&retention, noon(1)).await.expect("it answers");
    assert_eq!(next, TrailMaintained { created: vec!["2026-11-26".to_owned()], ..TrailMaintained::default() });
}

#[tokio::test]
async fn record_that_came_before_its_day_is_moved_there() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    // Days that are ahead, that passed before the first was made, that no calendar has, and that are far away.
    let far = Timestamp::from_micros(i64::MAX / 2);
    let all = records(chain(1), &[noon(0), noon(1), noon(-9), far, noon(1), noon(400), noon(0)]);
    store.append_trail(chain(1), "a", &all).await.expect("it is stored");
    let retention = TrailRetention { days_ahead: 1, days_kept: None };
    let maintained = store.maintain_trail(&retention, noon(0)).await.expect("it answers");
    let created = ["2026-11-22", "2026-11-23", "2026-11-13"].map(str::to_owned).to_vec();
    assert_eq!(maintained, TrailMaintained { created, moved: 5, ..TrailMaintained::default() });
    assert_eq!(count(&url, "SELECT COUNT(*) FROM trail_records_default").await, 2);
    assert_eq!(store.records(chain(1), 1, 10).await.expect("it answers"), all);
    let found = store.find(&RecordFilter::default(), Order::Oldest, None, 10).await.expect("it answers");
    assert_eq!(found.iter().map(|found| found.record.seq).collect::<Vec<_>>(), [3, 1, 7, 2, 5, 6, 4]);
}

/// As it happens when a replica writes its first records and another makes the first days: the row is on its way to where it does not belong
/// any more.
#[tokio::test(flavor = "multi_thread")]
async fn batch_that_meets_the_making_of_its_day_is_stored() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    let all = records(chain(1), &[noon(0), noon(0)]);
    let mut other = PgConnection::connect(&url).await.expect("it connects");
    let mut making = other.begin().await.expect("it begins");
    for statement in [
        "LOCK TABLE trail_records_default IN ACCESS EXCLUSIVE MODE",
        "CREATE TABLE trail_records_20261122 (LIKE trail_records INCLUDING ALL EXCLUDING INDEXES)",
        "ALTER TABLE trail_records ATTACH PARTITION trail_records_20261122
        FOR VALUES FROM ('2026-11-22 00:00:00+00') TO ('2026-11-23 00:00:00+00')",
    ] {
        sqlx::query(statement).execute(&mut *making).await.expect("it runs");
    }
    let batch = all.clone();
    let append = tokio::spawn(async move { store.append_trail(chain(1), "a", &batch).await });
    lock_is_awaited(&url).await.expect("it answers");
    making.commit().await.expect("it commits");
    assert_eq!(append.await.expect("it ends").expect("it is stored"), 3);
    assert_eq!(count(&url, "SELECT COUNT(*) FROM trail_records_20261122").await, 2);
}

#[tokio::test]
async fn days_past_their_retention_are_dropped_and_chains_begin_later() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    let retention = TrailRetention { days_ahead: 1, days_kept: Some(2) };
    for day in 0..3 {
        store.maintain_trail(&retention, noon(day)).await.expect("it answers");
    }
    // The fourth is of an earlier day than the third.
    let one = records(chain(1), &[noon(0), noon(0), noon(1), noon(0), noon(1), noon(2)]);
    let two = records(chain(2), &[noon(0), noon(0)]);
    let three = records(chain(3), &[noon(2)]);
    for (number, batch) in [(1, &one), (2, &two), (3, &three)] {
        store.append_trail(chain(number), "a", batch).await.expect("it is stored");
    }
    let maintained = store.maintain_trail(&retention, noon(2)).await.expect("it answers");
    assert_eq!(maintained, TrailMaintained::default(), "today and two days before it are kept");

    let maintained = store.maintain_trail(&retention, noon(3)).await.expect("it answers");
    let (created, dropped) = (vec!["2026-11-26".to_owned()], vec!["2026-11-22".to_owned()]);
    assert_eq!(maintained, TrailMaintained { created, dropped, ..TrailMaintained::default() });
    assert_eq!(seqs_of(&store, chain(1)).await, [5, 6], "from there on nothing is missing");
    let extent = |number, first, last| ChainExtent { chain: chain(number), first, last, last_at: noon(2) };
    assert_eq!(store.chains().await.expect("it answers"), [extent(1, 5, 6), extent(3, 1, 1)]);
    // All of a chain may be gone: it still goes on from where it was.
    assert_eq!(store.trail_position(chain(2)).await.expect("it answers"), Some(3));

    // What is of a dropped day and comes now is removed as well.
    let prev: Vec<_> = [noon(0), noon(0), noon(0), noon(3)].into_iter().map(|at| (at, Event::Stopped)).collect();
    let rest = conformance::sealed(chain(2), &prev);
    assert_eq!(store.append_trail(chain(2), "a", &rest).await.expect("it is stored"), 5);
    let maintained = store.maintain_trail(&retention, noon(3)).await.expect("it answers");
    assert_eq!(maintained, TrailMaintained { removed: 1, ..TrailMaintained::default() });
    assert_eq!(seqs_of(&store, chain(2)).await, [4]);
    assert_eq!(store.maintain_trail(&retention, noon(3)).await.expect("it answers"), TrailMaintained::default());
}

/// Whoever reads for long keeps a day from being dropped, and nobody else from being served.
#[tokio::test(flavor = "multi_thread")]
async fn long_read_delays_the_drop_and_not_the_others() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    let retention = TrailRetention { days_ahead: 1, days_kept: Some(2) };
    store.maintain_trail(&retention, noon(0)).await.expect("it answers");
    let mut connection = PgConnection::connect(&url).await.expect("it connects");
    let mut reading = connection.begin().await.expect("it begins");
    sqlx::query("SELECT COUNT(*) FROM trail_records").execute(&mut *reading).await.expect("it reads");
    let refused = store.maintain_trail(&retention, noon(9)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let all = records(chain(1), &[noon(0), noon(1)]);
    store.append_trail(chain(1), "a", &all).await.expect("it is stored meanwhile");
    reading.rollback().await.expect("it ends");
    let maintained = store.maintain_trail(&retention, noon(9)).await.expect("it answers");
    assert_eq!(maintained.dropped, ["2026-11-22", "2026-11-23"]);
    assert_eq!(store.chains().await.expect("it answers"), []);
}

#[tokio::test]
async fn damaged_record_is_an_error_that_names_it() {
    let Some(url) = database().await else { return };
    let store = connect(&url).await;
    store.append_trail(chain(1), "a", &records(chain(1), &[noon(0); 3])).await.expect("it is stored");
    let mut connection = PgConnection::connect(&url).await.expect("it connects");
    sqlx::query("UPDATE trail_records SET record = '{}' WHERE seq = 2")
        .execute(&mut connection)
        .await
        .expect("it runs");
    let refused = store.find(&RecordFilter::default(), Order::Oldest, None, 10).await;
    let error = refused.expect_err("it is damaged");
    assert_eq!(error.to_string(), format!("record 2 of chain `{}` is damaged", chain(1)));
    // As it is kept: it is for the verifier to judge.
    assert_eq!(store.records(chain(1), 2, 1).await.expect("it answers")[0].bytes, b"{}");
}

#[tokio::test]
async fn trail_works_behind_a_pooler() {
    let Some(url) = database().await else { return };
    let options = PostgresOptions { pooler: true, ..PostgresOptions::new(&url) };
    let store = PostgresStore::connect(&options).await.expect("it connects");
    let retention = TrailRetention { days_ahead: 1, days_kept: Some(1) };
    store.maintain_trail(&retention, noon(0)).await.expect("it answers");
    let all = records(chain(1), &[noon(0); 3]);
    assert_eq!(store.append_trail(chain(1), "a", &all).await.expect("it is stored"), 4);
    let filter = RecordFilter { from: Some(noon(0)), ..RecordFilter::default() };
    assert_eq!(store.find(&filter, Order::Newest, None, 10).await.expect("it answers").len(), 3);
    assert_eq!(store.maintain_trail(&retention, noon(5)).await.expect("it answers").dropped.len(), 2);
}
