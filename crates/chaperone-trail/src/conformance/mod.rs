//! The one suite that every [`RecordSource`] must pass: what it finds is what filtering in memory finds.
//!
//! A test writes the chains that [`chains`] makes to a source, by whatever way its records take, and calls [`agrees`] with the bytes
//! that were written. A source that is given bytes gets them from [`sealed`].

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a case fails by panicking")]

mod busy;
mod dice;
mod events;
mod filters;

use std::collections::BTreeMap;

use chaperone_policy::Timestamp;
use serde::Serialize;

pub use self::busy::decision;
use self::dice::Dice;
pub use self::events::chains;
use self::filters::{filter, place};
use crate::digest::Digest;
use crate::event::Event;
use crate::filter::RecordFilter;
use crate::record::{ChainId, Record, Sealed};
use crate::source::{ChainExtent, Found, Order, Place, RecordSource};

/// How many filters are asked for.
const FILTERS: usize = 100;
/// How many pages of one question are read at most.
const PAGES_MAX: usize = 12;

/// Records of one chain from its events, each with its time.
pub fn sealed(chain: ChainId, events: &[(Timestamp, Event<'_>)]) -> Vec<Sealed> {
    #[derive(Serialize)]
    struct Line<'a> {
        chain: ChainId,
        seq: u64,
        prev: Digest,
        at: Timestamp,
        #[serde(flatten)]
        event: &'a Event<'a>,
    }
    let mut prev = Digest::ZERO;
    let seal = |((at, event), seq): (&(Timestamp, Event<'_>), u64)| {
        let bytes = serde_json::to_vec(&Line { chain, seq, prev, at: *at, event }).expect("it is JSON");
        prev = Digest::of(&bytes);
        Sealed { chain, seq, bytes }
    };
    events.iter().zip(1..).map(seal).collect()
}

/// Checks that `source` has exactly the records `written`, of whole chains: by every question that can be asked of it.
///
/// # Panics
/// When it does not.
pub async fn agrees(source: &dyn RecordSource, written: &[Sealed]) {
    let all: Vec<Found> = written.iter().map(found).collect();
    assert!(all.len() > 100, "few records would show little");
    finding_is_filtering(source, &all).await;
    chains_are_told_with_their_extents(source, &all).await;
    records_of_a_chain_are_read_from_any_place(source, &all).await;
}

fn found(sealed: &Sealed) -> Found {
    Found { sealed: sealed.clone(), record: Record::parse(&sealed.bytes).expect("it is a record") }
}

async fn finding_is_filtering(source: &dyn RecordSource, all: &[Found]) {
    let mut dice = Dice::new(1);
    let mut hits = 0;
    for number in 0..FILTERS {
        let filter = if number == 0 { RecordFilter::default() } else { filter(&mut dice, all) };
        for order in [Order::Oldest, Order::Newest] {
            let wanted = filtered(all, &filter, order, None);
            hits += wanted.len();
            let limit = [1, 2, 7, 50, 5_000][dice.below(5)];
            pages_are_the_whole(source, &filter, order, limit, &wanted).await;
            // From a place where there may be no record.
            let after = place(&mut dice, all);
            let rest = source.find(&filter, order, Some(after), 5_000).await.expect("it answers");
            assert_eq!(rest, filtered(all, &filter, order, Some(after)), "{filter:?} {order:?} after {after:?}");
        }
    }
    assert!(hits > 10 * all.len(), "the filters find something");
    let none = source.find(&RecordFilter::default(), Order::Newest, None, 0).await.expect("it answers");
    assert_eq!(none, [], "no more than asked for");
}

async fn pages_are_the_whole(
    source: &dyn RecordSource,
    filter: &RecordFilter,
    order: Order,
    limit: u32,
    wanted: &[Found],
) {
    let size = usize::try_from(limit).expect("small");
    let mut after = None;
    // One more than there are: an empty one ends them.
    for number in 0..PAGES_MAX {
        let page = source.find(filter, order, after, limit).await.expect("it answers");
        let expected = wanted.get(number * size..).unwrap_or_default();
        let expected = &expected[..expected.len().min(size)];
        assert_eq!(page, expected, "{filter:?} {order:?}: page {number} of {limit}");
        let Some(last) = page.last() else { return };
        after = Some(last.place());
    }
}

/// What is to be found.
fn filtered(all: &[Found], filter: &RecordFilter, order: Order, after: Option<Place>) -> Vec<Found> {
    let is_after = |place: Place| {
        after.is_none_or(|after| match order {
            Order::Oldest => place > after,
            Order::Newest => place < after,
        })
    };
    let mut wanted: Vec<Found> =
        all.iter().filter(|found| filter.matches(&found.record) && is_after(found.place())).cloned().collect();
    wanted.sort_by_key(Found::place);
    if order == Order::Newest {
        wanted.reverse();
    }
    wanted
}

fn by_chain(all: &[Found]) -> BTreeMap<ChainId, Vec<&Found>> {
    let mut chains = BTreeMap::<ChainId, Vec<&Found>>::new();
    for found in all {
        chains.entry(found.sealed.chain).or_default().push(found);
    }
    chains
}

async fn chains_are_told_with_their_extents(source: &dyn RecordSource, all: &[Found]) {
    let wanted: Vec<ChainExtent> = by_chain(all)
        .into_iter()
        .map(|(chain, records)| {
            let last = &records[records.len() - 1].record;
            ChainExtent { chain, first: records[0].record.seq, last: last.seq, last_at: last.at }
        })
        .collect();
    assert_eq!(source.chains().await.expect("it answers"), wanted);
}

async fn records_of_a_chain_are_read_from_any_place(source: &dyn RecordSource, all: &[Found]) {
    for (chain, records) in by_chain(all) {
        let last = records[records.len() - 1].record.seq;
        for (from, limit) in [(0, 5_000), (1, 5_000), (1, 1), (2, 3), (last - 1, 5), (last, 1), (last + 1, 9), (1, 0)] {
            let size = usize::try_from(limit).expect("small");
            let wanted = records.iter().map(|found| &found.sealed).filter(|sealed| sealed.seq >= from).take(size);
            let found = source.records(chain, from, limit).await.expect("it answers");
            assert!(wanted.eq(&found), "chain {chain} from {from}, {limit} of them: {found:?}");
        }
    }
    let unknown = ChainId::new(uuid::Uuid::from_u128(u128::MAX));
    assert_eq!(source.records(unknown, 1, 10).await.expect("it answers"), []);
}
