//! How the database goes about looking: which days it reads, and by which index.

use chaperone_policy::Timestamp;
use chaperone_trail::{ChainId, Event, Order, Place, RecordFilter, conformance};
use sqlx::{Connection as _, PgConnection, QueryBuilder};
use uuid::Uuid;

use super::{SELECT, restrict};
use crate::test_postgres::TestPostgres;
use crate::trail::{TrailRetention, TrailStore as _};
use crate::{PostgresOptions, PostgresStore};

const DAY_US: i64 = 86_400_000_000;
/// 2026-11-22T00:00:00Z.
const BEGIN_US: i64 = 1_795_305_600_000_000;
const DAYS: i64 = 3;
const PER_DAY: u64 = 3_000;

/// A moment of the first day, so many days later.
fn at(days: i64, micros: i64) -> Timestamp {
    Timestamp::from_micros(BEGIN_US + days * DAY_US + micros)
}

/// A database with a few busy days.
async fn filled() -> Option<PgConnection> {
    let server = TestPostgres::shared().await.unwrap_or_else(|error| panic!("{error}"))?;
    let url = server.database().await.expect("a database");
    let store = PostgresStore::connect(&PostgresOptions::new(&url)).await.expect("it connects");
    let retention = TrailRetention { days_ahead: 4, days_kept: None };
    store.maintain_trail(&retention, at(0, 0)).await.expect("it answers");
    let chain = ChainId::new(Uuid::from_u128(1));
    let step = DAY_US / i64::try_from(PER_DAY).expect("small");
    let events: Vec<(Timestamp, Event<'_>)> = (0..PER_DAY * DAYS.unsigned_abs())
        .map(|number| {
            let at = at(0, i64::try_from(number).expect("small") * step);
            (at, conformance::decision(number, at))
        })
        .collect();
    for batch in conformance::sealed(chain, &events).chunks(3_000) {
        store.append_trail(chain, "r", batch).await.expect("it is stored");
    }
    let mut connection = PgConnection::connect(&url).await.expect("it connects");
    sqlx::query("ANALYZE trail_records").execute(&mut connection).await.expect("it runs");
    Some(connection)
}

async fn plan(connection: &mut PgConnection, filter: &RecordFilter, order: Order, after: Option<Place>) -> String {
    let mut query = QueryBuilder::new(format!("EXPLAIN (COSTS OFF) {SELECT}"));
    restrict(&mut query, filter, order, after, 100);
    let lines: Vec<String> = query.build_query_scalar().fetch_all(connection).await.expect("it explains");
    lines.join("\n")
}

/// Whether a day that has records is read from its beginning to its end. Those ahead have none.
fn reads_a_day_whole(plan: &str) -> bool {
    ["20261122", "20261123", "20261124"].iter().any(|day| plan.contains(&format!("Seq Scan on trail_records_{day}")))
}

/// The days that a plan names.
async fn days_read(connection: &mut PgConnection, filter: &RecordFilter, order: Order, after: Option<Place>) -> String {
    let plan = plan(connection, filter, order, after).await;
    let days = ["20261121", "20261122", "20261123", "20261124", "20261125", "20261126", "default"];
    let read: Vec<_> = days.into_iter().filter(|day| plan.contains(&format!("trail_records_{day}"))).collect();
    read.join(" ")
}

#[tokio::test]
async fn only_the_days_asked_for_are_read() {
    let Some(mut connection) = filled().await else { return };
    let between = |from, before| RecordFilter { from: Some(from), before: Some(before), ..RecordFilter::default() };
    let place = |at| Some(Place { at, chain: ChainId::new(Uuid::from_u128(1)), seq: 9 });
    assert_eq!(days_read(&mut connection, &between(at(1, 0), at(1, 5)), Order::Newest, None).await, "20261123");
    assert_eq!(days_read(&mut connection, &between(at(1, 0), at(2, 0)), Order::Oldest, None).await, "20261123");
    assert_eq!(
        days_read(&mut connection, &between(at(0, 7), at(1, 1)), Order::Oldest, None).await,
        "20261122 20261123"
    );
    // A page goes on from where the one before ended, and never returns to the days before that.
    assert_eq!(
        days_read(&mut connection, &between(at(0, 0), at(3, 0)), Order::Newest, place(at(0, 9))).await,
        "20261122"
    );
    assert_eq!(
        days_read(&mut connection, &between(at(0, 0), at(3, 0)), Order::Oldest, place(at(2, 9))).await,
        "20261124"
    );
}

#[tokio::test]
async fn what_is_searched_is_found_by_its_index() {
    let Some(mut connection) = filled().await else { return };
    let Event::Decision(one) = conformance::decision(17, at(0, 0)) else { panic!("it is a decision") };
    let session = one.session.as_ref().expect("it has one");
    let all = RecordFilter::default();
    let filters = [
        ("at", all.clone()),
        ("session_id_at", RecordFilter { session: Some(session.id), ..all.clone() }),
        ("tree_id_at", RecordFilter { tree: Some(session.tree), ..all.clone() }),
        ("principal_at", RecordFilter { principal: one.principal.as_deref().cloned(), ..all.clone() }),
        ("outcome_at", RecordFilter { outcome: Some("deny".to_owned()), ..all.clone() }),
        ("decision_id_at", RecordFilter { decision: Some(one.id), ..all.clone() }),
    ];
    let times = [(None, None), (Some(at(0, 5)), None), (Some(at(0, 5)), Some(at(2, 5)))];
    for (index, filter) in filters {
        for (from, before) in times {
            for order in [Order::Newest, Order::Oldest] {
                for after in [None, Some(Place { at: at(1, 0), chain: ChainId::new(Uuid::nil()), seq: 9 })] {
                    let filter = RecordFilter { from, before, ..filter.clone() };
                    let plan = plan(&mut connection, &filter, order, after).await;
                    let day = format!("trail_records_20261123_{index}_idx");
                    let goes = plan.contains(&day) && !reads_a_day_whole(&plan);
                    assert!(goes, "{filter:?} {order:?} {after:?}\n{plan}");
                }
            }
        }
    }
}

/// However many there are: the first hundred are read, and not all of them sorted.
#[tokio::test]
async fn page_of_what_is_frequent_reads_little_more_than_itself() {
    let Some(mut connection) = filled().await else { return };
    let frequent = [
        RecordFilter::default(),
        RecordFilter { outcome: Some("allow".to_owned()), ..RecordFilter::default() },
        RecordFilter { policy: Some("workers-read-invoices".to_owned()), ..RecordFilter::default() },
        RecordFilter { owner: Some("ada@acme.example".to_owned()), from: Some(at(0, 5)), ..RecordFilter::default() },
    ];
    for filter in frequent {
        for order in [Order::Newest, Order::Oldest] {
            let plan = plan(&mut connection, &filter, order, None).await;
            let nodes: Vec<&str> = plan.lines().map(|line| line.trim_start_matches([' ', '-', '>'])).collect();
            assert!(nodes.contains(&"Incremental Sort"), "{filter:?} {order:?}\n{plan}");
            assert!(!nodes.contains(&"Sort") && !reads_a_day_whole(&plan), "{filter:?} {order:?}\n{plan}");
        }
    }
}

#[tokio::test]
async fn chain_is_read_by_its_key() {
    let Some(mut connection) = filled().await else { return };
    let explain = format!("EXPLAIN (COSTS OFF) {}", super::SELECT_CHAIN);
    let lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
        .bind(Uuid::from_u128(1))
        .bind(4_000_i64)
        .bind(100_i64)
        .fetch_all(&mut connection)
        .await
        .expect("it explains");
    let plan = lines.join("\n");
    assert!(plan.contains("Index Scan using trail_records_20261123_pkey"), "{plan}");
    assert!(!reads_a_day_whole(&plan), "{plan}");
}
