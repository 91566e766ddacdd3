//! Reading a journal.

use proptest::prelude::*;
use tempfile::{TempDir, tempdir};

use super::{at, chain, clock, durable, identity, key, note, notes, options};
use crate::{
    EventKind, JournalSource, Order, Place, Record, RecordFilter, RecordSource as _, Sealed, Trail, TrailThread,
};

/// A journal of some segments, whose records have these times.
fn journal(times: &[i64]) -> (TempDir, Trail, TrailThread) {
    let directory = tempdir().unwrap();
    let (trail, thread) =
        Trail::start(options(directory.path(), 4 << 10), identity(), key(1), chain(7), clock()).unwrap();
    let mut last = None;
    for (n, time) in times.iter().enumerate() {
        last = Some(trail.append(at(*time), &note(n as u64)).unwrap());
    }
    if let Some(ticket) = last {
        durable(&trail, ticket).unwrap();
    }
    (directory, trail, thread)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A cursor goes on with what is written after it came to the end, through the end of a segment.
#[test]
fn cursor_goes_on_where_it_was() {
    let (_directory, trail, thread) = journal(&[]);
    let mut cursor = trail.segments().unwrap().unshipped(1);
    assert_eq!(cursor.read().unwrap().unwrap().seq, 1);
    for n in 0..60 {
        assert_eq!(cursor.read().unwrap(), None);
        let ticket = trail.append(at(0), &note(n)).unwrap();
        durable(&trail, ticket).unwrap();
        let record = cursor.read().unwrap().unwrap();
        assert_eq!((record.seq, notes(&[record])), (n + 2, vec![n]));
    }
    assert!(trail.segments().unwrap().remove_through(u64::MAX).unwrap() > 2);
    thread.stop().unwrap();
    assert_eq!(cursor.batch(9, 9000).unwrap().len(), 2);
}

/// Segments go when every record in them was shipped; the one that is written never does.
#[test]
fn segments_are_removed_when_all_of_them_was_shipped() {
    let (_directory, trail, thread) = journal(&[0; 60]);
    let segments = trail.segments().unwrap();
    assert_eq!(segments.remove_through(3).unwrap(), 0);
    assert_eq!(segments.extent().map(|extent| (extent.first, extent.last)), Some((1, 61)));
    let mut behind = segments.unshipped(1);
    assert_eq!(behind.read().unwrap().map(|record| record.seq), Some(1));
    assert!(segments.remove_through(30).unwrap() >= 1);
    let first = segments.extent().unwrap().first;
    assert!((2..=31).contains(&first));
    // Somebody who is behind gets what is there.
    let mut late = segments.unshipped(1);
    assert_eq!(late.read().unwrap().map(|record| record.seq), Some(first));
    assert!(segments.remove_through(u64::MAX).unwrap() > 0);
    let kept = segments.extent().unwrap();
    assert!(kept.first <= kept.last && kept.last == 61);
    thread.stop().unwrap();
}

/// The retention drops the oldest segments, and only those of which every record is old enough.
#[test]
fn retention_drops_segments_that_are_old_enough() {
    let times: Vec<i64> = (0..60).map(|n| 10_000_000 + n).collect();
    let (_directory, trail, thread) = journal(&times);
    let segments = trail.segments().unwrap();
    assert_eq!(segments.retain(at(10_000_000)).unwrap(), 0);
    let before = segments.extent().unwrap();
    assert!(segments.retain(at(10_000_040)).unwrap() > 0);
    let after = segments.extent().unwrap();
    assert!(after.first > before.first && after.last == before.last);
    let oldest = segments.unshipped(1).read().unwrap().unwrap();
    assert!(Record::parse(&oldest.bytes).unwrap().at <= at(10_000_040));
    thread.stop().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Pages of what is looked for are, one after the other, all that matches, in the order of times, each once.
    #[test]
    fn pages_have_all_that_matches_once(
        times in proptest::collection::vec(0..50_i64, 1..60),
        limit in 1..20_u32,
        from in proptest::option::of(0..50_i64),
        before in proptest::option::of(0..50_i64),
        newest in any::<bool>(),
    ) {
        let (_directory, trail, thread) = journal(&times);
        let source = JournalSource::new(trail.segments().unwrap().clone());
        let filter = RecordFilter {
            kinds: vec![EventKind::Act],
            from: from.map(at),
            before: before.map(at),
            ..RecordFilter::default()
        };
        let order = if newest { Order::Newest } else { Order::Oldest };
        let mut pages: Vec<Place> = Vec::new();
        loop {
            let page = run(source.find(&filter, order, pages.last().copied(), limit)).unwrap();
            prop_assert!(page.len() <= limit as usize);
            if page.is_empty() {
                break;
            }
            pages.extend(page.iter().map(crate::Found::place));
        }
        let all: Vec<Sealed> = run(source.records(chain(7), 1, u32::MAX)).unwrap();
        let mut expected: Vec<Place> = all
            .iter()
            .map(|sealed| Record::parse(&sealed.bytes).unwrap())
            .filter(|record| filter.matches(record))
            .map(|record| Place { at: record.at, chain: record.chain, seq: record.seq })
            .collect();
        expected.sort();
        if newest {
            expected.reverse();
        }
        prop_assert_eq!(pages, expected);
        prop_assert_eq!(run(source.chains()).unwrap()[0].last, all.len() as u64);
        prop_assert_eq!(run(source.records(chain(8), 1, 10)).unwrap(), []);
        thread.stop().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is passed over without reading it would not have matched.
    #[test]
    fn needles_are_in_every_record_that_matches(event in super::events::event(), pick in any::<[bool; 8]>()) {
        let mut body = Vec::new();
        crate::body::encode(&mut body, at(5), &event).unwrap();
        let mut chainer = crate::chain::Chainer::new(chain(7), crate::Head::default());
        let bytes = chainer.seal(&body).to_vec();
        let record = Record::parse(&bytes).unwrap();
        let decided = match &event {
            crate::Event::Decision(decided) => Some(decided),
            _ => None,
        };
        let filter = RecordFilter {
            session: event.session().filter(|_| pick[0]).map(|session| session.id),
            tree: event.session().filter(|_| pick[1]).map(|session| session.tree),
            principal: event.principal().filter(|_| pick[2]).cloned(),
            owner: event.session().filter(|_| pick[3]).map(|session| session.owner.to_string()),
            action: decided.and_then(|decided| decided.actions.first()).filter(|_| pick[4]).map(|asked| asked.action.clone().into_owned()),
            resource: decided.and_then(|decided| decided.actions.last()).filter(|_| pick[5]).map(|asked| asked.resource.clone().into_owned()),
            code: decided.filter(|_| pick[6]).map(|decided| decided.code.to_string()),
            decision: decided.filter(|_| pick[7]).map(|decided| decided.id),
            policy: decided.and_then(|decided| decided.policies.first()).map(|policy| policy.id.to_string()),
            ..RecordFilter::default()
        };
        prop_assert!(filter.matches(&record));
        prop_assert!(crate::journal::needles_are_in(&filter, &bytes));
    }
}
