//! How many records a second Postgres takes into the trail: by COPY, as the store does it, and by UNNEST, for comparison.
//!
//! Give it an empty database whose server is set up as in production (`fsync` on) and runs on this machine:
//! `cargo bench --package chaperone-store --bench trail -- postgres://chaperone@127.0.0.1/trail`

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement stops at the first failure, and prints figures of four digits"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chaperone_policy::Timestamp;
use chaperone_store::{PostgresOptions, PostgresStore, TrailRetention, TrailStore as _};
use chaperone_trail::{ChainId, Event, Record, Sealed, conformance};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

/// How many records go in one batch.
const BATCHES: [usize; 4] = [100, 500, 2_000, 5_000];
/// How many make each figure.
const RECORDS: u64 = 200_000;
/// How many replicas load at once.
const AT_ONCE: [u64; 2] = [2, 4];
/// 2026-11-22T00:00:00Z.
const BEGIN_US: i64 = 1_795_305_600_000_000;
/// A clock tick of /proc, in seconds.
const TICK: f64 = 0.01;
/// Where the parent is among [`fields`].
const PARENT: usize = 1;

#[tokio::main]
async fn main() {
    let Some(url) = std::env::args().skip(1).find(|argument| argument.starts_with("postgres")) else {
        println!("trail: skipped; give it the URL of an empty Postgres database");
        return;
    };
    let options =
        PostgresOptions { timeout: Duration::from_secs(20), notifications: false, ..PostgresOptions::new(&url) };
    PostgresStore::migrate(&options).await.expect("it migrates");
    let store = Arc::new(PostgresStore::connect(&options).await.expect("it connects"));
    let retention = TrailRetention { days_ahead: 2, days_kept: None };
    store.maintain_trail(&retention, Timestamp::from_micros(BEGIN_US)).await.expect("it answers");
    let mut direct = PgConnection::connect(&url).await.expect("it connects");

    parsing();
    println!(
        "{:>7} {:>6} {:>10} {:>10} {:>22} {:>22}",
        "by", "batch", "records/s", "ms/batch", "µs/record, this CPU", "µs/record, its CPU"
    );
    for (number, batch) in (1..).zip(BATCHES) {
        let all = records(2 * number, RECORDS);
        let began = Figures::now(&mut direct).await;
        for batch in all.chunks(batch) {
            store.append_trail(chain(2 * number), "bench", batch).await.expect("it is stored");
        }
        began.print(&mut direct, "copy", batch).await;
        let all = records(2 * number + 1, RECORDS);
        let began = Figures::now(&mut direct).await;
        for batch in all.chunks(batch) {
            insert(&mut direct, batch).await;
        }
        began.print(&mut direct, "unnest", batch).await;
    }
    for replicas in AT_ONCE {
        let share = RECORDS / replicas;
        let chains: Vec<u128> = (0..u128::from(replicas)).map(|chain| u128::from(10 * replicas) + chain).collect();
        let all = chains.iter().map(|&number| (number, records_from(10 * replicas * RECORDS, number, share)));
        let all: Vec<(u128, Vec<Sealed>)> = all.collect();
        let began = Figures::now(&mut direct).await;
        let mut shipping = JoinSet::new();
        for (number, all) in all {
            let store = Arc::clone(&store);
            shipping.spawn(async move {
                for batch in all.chunks(2_000) {
                    store.append_trail(chain(number), "bench", batch).await.expect("it is stored");
                }
            });
        }
        while let Some(shipped) = shipping.join_next().await {
            shipped.expect("it is shipped");
        }
        began.print(&mut direct, &format!("copy x{replicas}"), 2_000).await;
    }
    sizes(&mut direct).await;
}

fn chain(number: u128) -> ChainId {
    ChainId::new(Uuid::from_u128(number))
}

/// A chain of decisions, ten thousand a second, that begins where the chain before it ends.
fn records(number: u128, count: u64) -> Vec<Sealed> {
    let seed = u64::try_from(number).expect("small") * RECORDS;
    records_from(seed, number, count)
}

/// A chain of decisions that begins at the time of the one with this number.
fn records_from(begin: u64, number: u128, count: u64) -> Vec<Sealed> {
    let at = |number: u64| Timestamp::from_micros(BEGIN_US + i64::try_from(begin + number).expect("small") * 100);
    let seed = u64::try_from(number).expect("small") * RECORDS;
    let events: Vec<(Timestamp, Event<'_>)> =
        (0..count).map(|number| (at(number), conformance::decision(seed + number, at(number)))).collect();
    conformance::sealed(chain(number), &events)
}

/// What reading all of a record costs, beside which reading what is searched is to be seen.
fn parsing() {
    let all = records(1, 20_000);
    let bytes: usize = all.iter().map(|sealed| sealed.bytes.len()).sum();
    let began = Instant::now();
    let parsed = all.iter().filter(|sealed| Record::parse(&sealed.bytes).is_ok()).count();
    let each_us = 1e6 * began.elapsed().as_secs_f64() / parsed as f64;
    println!("a record has {} bytes; Record::parse takes {each_us:.2} µs", bytes / all.len());
}

/// One statement for a batch. It neither locks nor advances a chain, which would cost it more.
async fn insert(connection: &mut PgConnection, batch: &[Sealed]) {
    let records: Vec<Record> = batch.iter().map(|sealed| Record::parse(&sealed.bytes).expect("it is one")).collect();
    let decided: Vec<_> = records
        .iter()
        .map(|record| match &record.event {
            Event::Decision(decided) => decided,
            other => unreachable(other),
        })
        .collect();
    let session = |place: usize| decided.get(place).and_then(|decided| decided.session.as_ref());
    let places = || 0..batch.len();
    // An array of arrays must have one length each: as literals, which the database reads.
    let list = |texts: Vec<String>| {
        format!("{{{}}}", texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(","))
    };
    let at = records.iter().map(|record| record.at.as_micros() as f64 / 1e6).collect::<Vec<_>>();
    sqlx::query(
        "INSERT INTO trail_records (
            at, chain_id, seq, kind, session_id, tree_id, principal, owner, outcome, code, decision_id,
            actions, resources, policies, record
        )
        SELECT to_timestamp(at), chain_id, seq, 'decision', session_id, tree_id, principal, owner, outcome, code, decision_id,
            actions::text[], resources::text[], policies::text[], record
        FROM UNNEST($1::float8[], $2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::uuid[], $11::text[], $12::text[], $13::text[], $14::text[])
            AS new (at, chain_id, seq, session_id, tree_id, principal, owner, outcome, code, decision_id, actions, resources,
                policies, record)",
    )
    .bind(at)
    .bind(records.iter().map(|record| record.chain.as_uuid()).collect::<Vec<_>>())
    .bind(records.iter().map(|record| i64::try_from(record.seq).expect("small")).collect::<Vec<_>>())
    .bind(places().map(|place| session(place).map(|session| session.id.as_uuid())).collect::<Vec<_>>())
    .bind(places().map(|place| session(place).map(|session| session.tree.as_uuid())).collect::<Vec<_>>())
    .bind(decided.iter().map(|decided| decided.principal.as_ref().map(ToString::to_string)).collect::<Vec<_>>())
    .bind(places().map(|place| session(place).map(|session| session.owner.to_string())).collect::<Vec<_>>())
    .bind(decided.iter().map(|decided| decided.outcome.to_string()).collect::<Vec<_>>())
    .bind(decided.iter().map(|decided| decided.code.to_string()).collect::<Vec<_>>())
    .bind(decided.iter().map(|decided| decided.id.as_uuid()).collect::<Vec<_>>())
    .bind(decided.iter().map(|decided| list(decided.actions.iter().map(|asked| asked.action.to_string()).collect())).collect::<Vec<_>>())
    .bind(decided.iter().map(|decided| list(decided.actions.iter().map(|asked| asked.resource.to_string()).collect())).collect::<Vec<_>>())
    .bind(decided.iter().map(|decided| list(decided.policies.iter().map(|policy| policy.id.to_string()).collect())).collect::<Vec<_>>())
    .bind(batch.iter().map(|sealed| str::from_utf8(&sealed.bytes).expect("it is text")).collect::<Vec<_>>())
    .execute(connection)
    .await
    .expect("it is stored");
}

#[expect(clippy::panic, reason = "all of them are decisions")]
fn unreachable(other: &Event<'_>) -> ! {
    panic!("{other:?}")
}

/// What a record takes in the database.
async fn sizes(connection: &mut PgConnection) {
    let sizes: Vec<(String, i64)> = sqlx::query_as(
        "SELECT pg_class.relname::text, pg_relation_size(pg_class.oid)
        FROM pg_class
        WHERE pg_class.relname LIKE 'trail_records_20261122%' AND pg_class.relkind IN ('r', 'i')
        ORDER BY 2 DESC",
    )
    .fetch_all(&mut *connection)
    .await
    .expect("it answers");
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM trail_records").fetch_one(connection).await.expect("it answers");
    println!("{count} records; bytes for each:");
    for (name, bytes) in &sizes {
        println!("{:>7} {name}", bytes / count.max(1));
    }
    println!("{:>7} in all", sizes.iter().map(|(_, bytes)| bytes).sum::<i64>() / count.max(1));
}

/// The time, and what was used of the processor: by this process, and by the server's.
struct Figures {
    at: Instant,
    ours: f64,
    theirs: f64,
}

impl Figures {
    async fn now(connection: &mut PgConnection) -> Self {
        let backend: i32 =
            sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await.expect("it answers");
        let server = fields(format!("/proc/{backend}/stat").as_ref()).get(PARENT).cloned();
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = processes.map(|folder| fields(&folder.path().join("stat")));
        let theirs = processes.filter(|fields| server.is_some() && fields.get(PARENT) == server.as_ref());
        let theirs = theirs.map(|fields| used(&fields)).sum();
        Self { at: Instant::now(), ours: used(&fields("/proc/self/stat".as_ref())), theirs }
    }

    async fn print(&self, connection: &mut PgConnection, by: &str, batch: usize) {
        let now = Self::now(connection).await;
        let (seconds, count) = ((now.at - self.at).as_secs_f64(), RECORDS as f64);
        println!(
            "{by:>7} {batch:>6} {:>10.0} {:>10.2} {:>22.2} {:>22.2}",
            count / seconds,
            1e3 * seconds * batch as f64 / count,
            1e6 * (now.ours - self.ours) / count,
            1e6 * (now.theirs - self.theirs) / count,
        );
    }
}

/// The fields of a process's stat from the third on (proc(5)), of which the second is the parent.
fn fields(stat: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(stat).unwrap_or_default();
    let after_name = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split(' ').map(str::to_owned).collect()
}

/// Seconds of the processor that a process has used, as user and as system.
fn used(fields: &[String]) -> f64 {
    fields.iter().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() * TICK
}
