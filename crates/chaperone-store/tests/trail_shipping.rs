//! Whatever becomes of single calls, each record is stored once.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chaperone_policy::Timestamp;
use chaperone_store::test_postgres::TestPostgres;
use chaperone_store::{
    PostgresOptions, PostgresStore, Store as _, StoreError, TrailError, TrailRetention, TrailStore as _,
};
use chaperone_trail::{ChainId, Event, RecordSource as _, Sealed, conformance};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// 2026-11-22T23:59:59Z: a day ends among the records.
const BEGIN_US: i64 = 1_795_391_999_000_000;

fn chain_of(number: u128, count: i64) -> (ChainId, Vec<Sealed>) {
    let chain = ChainId::new(Uuid::from_u128(number));
    let at = |number: i64| Timestamp::from_micros(BEGIN_US + number * 50_000);
    let events: Vec<_> = (0..count).map(|number| (at(number), Event::Stopped)).collect();
    (chain, conformance::sealed(chain, &events))
}

/// What a shipper does with its chain.
#[derive(Clone, Debug)]
enum Step {
    /// Sends records from so many before the next that it knows to be missing; hears of it, or not.
    Send { back: usize, count: usize, is_heard: bool },
    /// Sends two batches at the same time, as one that was restarted while its last call was still under way.
    Overlap { backs: [usize; 2], counts: [usize; 2] },
    /// Gives up after so many turns of the runtime.
    GiveUp { count: usize, turns: usize },
    /// Sends records of which so many before are missing.
    Skip { missing: usize, count: usize },
    /// Is started anew, and asks where it was.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (back, count) = (0..30_usize, 1..40_usize);
    let step = prop_oneof![
        4 => (back.clone(), count.clone(), any::<bool>())
            .prop_map(|(back, count, is_heard)| Step::Send { back, count, is_heard }),
        3 => ([back.clone(), back], [count.clone(), count.clone()])
            .prop_map(|(backs, counts)| Step::Overlap { backs, counts }),
        3 => (count.clone(), 0..60_usize).prop_map(|(count, turns)| Step::GiveUp { count, turns }),
        1 => (1..5_usize, count).prop_map(|(missing, count)| Step::Skip { missing, count }),
        1 => Just(Step::Restart),
    ];
    vec(step, 1..12)
}

/// A shipper, and what it knows.
struct Shipper {
    store: PostgresStore,
    chain: ChainId,
    all: Vec<Sealed>,
    /// How many of them it knows to be stored.
    known: usize,
}

impl Shipper {
    /// Records from so many before the first that is not known to be stored.
    fn batch(&self, back: usize, count: usize) -> &[Sealed] {
        let from = self.known.saturating_sub(back);
        &self.all[from..self.all.len().min(from + count)]
    }

    async fn send(&self, batch: &[Sealed]) -> usize {
        let next = self.store.append_trail(self.chain, "a", batch).await.expect("it is stored");
        usize::try_from(next).expect("small") - 1
    }

    async fn stored(&self) -> usize {
        let next = self.store.trail_position(self.chain).await.expect("it answers").unwrap_or(1);
        usize::try_from(next).expect("small") - 1
    }

    async fn take(&mut self, step: &Step) {
        let before = self.stored().await;
        match *step {
            Step::Send { back, count, is_heard } => {
                let batch = self.batch(back, count);
                let end = self.known.saturating_sub(back) + batch.len();
                let stored = self.send(batch).await;
                assert_eq!(stored, end.max(before), "all of the batch is stored, and no more");
                if is_heard {
                    self.known = stored;
                }
            }
            Step::Overlap { backs, counts } => {
                let [one, two] = [0, 1].map(|which| self.send(self.batch(backs[which], counts[which])));
                let (one, two) = tokio::join!(one, two);
                self.known = one.max(two);
            }
            Step::GiveUp { count, turns } => {
                let turns = async {
                    for _ in 0..turns {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    stored = self.send(self.batch(0, count)) => self.known = stored,
                    () = turns => {}
                }
            }
            Step::Skip { missing, count } => {
                // A call that was given up may still be under way, and be stored after all.
                let stored = self.stored().await;
                let from = self.all.len().min(stored + missing + 60);
                let batch = &self.all[from..self.all.len().min(from + count)];
                let Some(first) = batch.first() else { return };
                let refused = self.store.append_trail(self.chain, "a", batch).await;
                assert!(matches!(refused, Err(TrailError::Gap { first: at, .. }) if at == first.seq), "{refused:?}");
            }
            Step::Restart => self.known = before,
        }
        assert!(self.stored().await >= before.max(self.known), "what was told to be stored stays so");
    }
}

#[test]
fn each_record_is_stored_once_whatever_becomes_of_single_calls() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("it starts");
    let Some(server) = runtime.block_on(TestPostgres::shared()).unwrap_or_else(|error| panic!("{error}")) else {
        return;
    };
    let url = runtime.block_on(server.database()).expect("a database");
    let number = AtomicU64::new(0);
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&(steps(), any::<bool>()), |(steps, has_days)| {
        let number = number.fetch_add(1, Ordering::SeqCst).into();
        runtime.block_on(async {
            // Time enough: nothing is to be given up but where the steps say so.
            let options = PostgresOptions { timeout: Duration::from_secs(30), ..PostgresOptions::new(&url) };
            let store = PostgresStore::connect(&options).await.expect("it connects");
            if has_days {
                let retention = TrailRetention { days_ahead: 1, days_kept: None };
                store.maintain_trail(&retention, Timestamp::from_micros(BEGIN_US)).await.expect("it answers");
            }
            let (chain, all) = chain_of(number, 200);
            let mut shipper = Shipper { store, chain, all, known: 0 };
            for step in &steps {
                shipper.take(step).await;
            }
            let rest = &shipper.all[shipper.known..];
            if !rest.is_empty() {
                assert_eq!(shipper.send(rest).await, shipper.all.len());
            }
            assert_eq!(shipper.store.records(chain, 1, 1_000).await.expect("it answers"), shipper.all);
            shipper.store.close().await;
        });
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// What one shipper has done whose server dies again and again.
async fn ship(
    store: Arc<PostgresStore>,
    number: u128,
    sent: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
) -> (ChainId, Vec<Sealed>) {
    let (chain, all) = chain_of(number, 9_000);
    let mut known = 0;
    while known < all.len() && !is_over.load(Ordering::SeqCst) {
        match store.append_trail(chain, "a", &all[known..all.len().min(known + 7)]).await {
            Ok(next) => {
                known = usize::try_from(next).expect("small") - 1;
                sent.fetch_add(1, Ordering::SeqCst);
            }
            // Cut off at the commit: it may have happened. Before that, the store tries again by itself.
            Err(error) => assert!(matches!(error, TrailError::Store(StoreError::Unavailable(_))), "{error:?}"),
        }
    }
    let stored = store.records(chain, 1, 10_000).await.expect("it answers");
    assert!(stored.len() >= known && stored[..] == all[..stored.len()], "all that was told to be stored, in order");
    (chain, stored)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_dies_leaves_no_gap_and_no_copy() {
    if TestPostgres::is_skipped() {
        return;
    }
    let server = TestPostgres::launch().unwrap_or_else(|error| panic!("{error}"));
    let url = server.database().await.expect("a database");
    let store = Arc::new(PostgresStore::connect(&PostgresOptions::new(&url)).await.expect("it connects"));
    let (sent, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let shippers: Vec<_> = (1..=4)
        .map(|number| tokio::spawn(ship(Arc::clone(&store), number, Arc::clone(&sent), Arc::clone(&is_over))))
        .collect();
    for _ in 0..3 {
        let enough = sent.load(Ordering::SeqCst) + 30;
        while sent.load(Ordering::SeqCst) < enough {
            tokio::task::yield_now().await;
        }
        server.stop().expect("it stops");
        server.start().expect("it starts");
    }
    is_over.store(true, Ordering::SeqCst);
    let mut count = 0;
    for shipper in shippers {
        let (chain, stored) = shipper.await.expect("it ends");
        let next = store.trail_position(chain).await.expect("it answers");
        assert_eq!(next, Some(u64::try_from(stored.len()).expect("small") + 1));
        count += i64::try_from(stored.len()).expect("small");
    }
    let mut connection = PgConnection::connect(&url).await.expect("it connects");
    let rows: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM trail_records").fetch_one(&mut connection).await.expect("it answers");
    assert_eq!(rows, count, "no row beside the records");
}
