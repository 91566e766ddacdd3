use std::collections::BTreeSet;
use std::time::Duration;

use chaperone_policy::{Binding, EntityRef, Scope, Task};
use uuid::Uuid;

use super::*;

fn id(number: u128) -> SessionId {
    SessionId::new(Uuid::from_u128(number))
}

fn handle(number: u8) -> HandleHash {
    HandleHash::from_bytes([number; 32])
}

fn session(number: u128, parent: Option<u128>) -> Arc<Session> {
    Arc::new(Session {
        id: id(number),
        tree: id(parent.unwrap_or(number)),
        parent: parent.map(id),
        depth: u32::from(parent.is_some()),
        principal: EntityRef::new("Agent", "a"),
        owner: "o".into(),
        task: Task::default(),
        labels: BTreeSet::new(),
        scope: Scope::Unrestricted,
        binding: Binding::default(),
        opened_at: Timestamp::from_micros(0),
        expires_at: Timestamp::from_micros(i64::MAX),
        idle_timeout: Some(Duration::from_secs(1)),
        last_used_at: Timestamp::from_micros(0),
        ended: None,
        version: 1,
    })
}

fn chain(sessions: &[Arc<Session>]) -> SessionChain {
    SessionChain::new(sessions.to_vec()).expect("a whole chain")
}

fn child_of_1() -> SessionChain {
    chain(&[session(2, Some(1)), session(1, None)])
}

#[test]
fn change_of_an_ancestor_drops_its_descendants() {
    let cache = SessionCache::new(10);
    cache.insert(handle(2), child_of_1(), cache.begin_load());
    cache.insert(handle(3), chain(&[session(3, None)]), cache.begin_load());
    cache.apply_change(id(1));
    assert!(cache.find(&handle(2)).is_none());
    assert!(cache.find(&handle(3)).is_some());
}

#[test]
fn what_was_loaded_before_a_change_is_not_kept_after_it() {
    let cache = SessionCache::new(10);
    let before = cache.begin_load();
    cache.apply_change(id(1));
    cache.insert(handle(2), child_of_1(), before);
    assert!(cache.find(&handle(2)).is_none());
    cache.insert(handle(2), child_of_1(), cache.begin_load());
    assert!(cache.find(&handle(2)).is_some());
    let before = cache.begin_load();
    cache.clear();
    cache.insert(handle(2), child_of_1(), before);
    assert!(cache.is_empty());
}

#[test]
fn full_cache_makes_room_and_loses_no_use() {
    let cache = SessionCache::new(2);
    for number in 1..=5_u8 {
        let cached = cache.insert(handle(number), chain(&[session(u128::from(number), None)]), cache.begin_load());
        cached.note_use(Timestamp::from_micros(i64::from(number)));
    }
    assert_eq!(cache.len(), 2);
    let mut uses = cache.take_uses();
    uses.sort_unstable();
    let expected: Vec<_> = (1..=5_u8).map(|n| (id(n.into()), Timestamp::from_micros(n.into()))).collect();
    assert_eq!(uses, expected);
    assert!(cache.take_uses().is_empty(), "each use is handed over once");
    cache.return_uses(uses);
    assert_eq!(cache.take_uses().len(), 2, "what is given back is bounded by the capacity");
}

#[test]
fn session_that_was_used_longest_ago_makes_room() {
    let cache = SessionCache::new(CANDIDATES);
    let insert = |number: u8| {
        let cached = cache.insert(handle(number), chain(&[session(number.into(), None)]), cache.begin_load());
        cached.note_use(Timestamp::from_micros(i64::from(number)));
    };
    (1..=8).for_each(insert);
    cache.find(&handle(1)).expect("it is there").note_use(Timestamp::from_micros(9));
    (10..=12).for_each(insert);
    let left: Vec<u8> = (1..=12).filter(|number| cache.find(&handle(*number)).is_some()).collect();
    assert_eq!(left, [1, 5, 6, 7, 8, 10, 11, 12]);
    assert_eq!(cache.len(), CANDIDATES);
}

/// Whatever is done to it in whatever order: the index and the shards have the same chains, and no more than fit.
#[test]
fn index_and_shards_agree() {
    let cache = SessionCache::new(20);
    // A walk through all residues, so that inserts, replacements, changes and removals meet in many orders.
    for step in 0..5_000_u32 {
        let number = u8::try_from(step * 37 % 101).expect("below 101");
        let parent = (number % 3 == 0).then_some(u128::from(number / 10));
        match step * 13 % 7 {
            0 => cache.apply_change(id(u128::from(number))),
            1 => cache.forget(&handle(number)),
            2 => drop(cache.fold_uses(&handle(number))),
            _ => {
                let sessions = match parent {
                    Some(parent) => vec![session(1_000 + u128::from(number), Some(parent)), session(parent, None)],
                    None => vec![session(u128::from(number), None)],
                };
                cache.insert(handle(number), chain(&sessions), cache.begin_load());
            }
        }
        let index = cache.index();
        let in_shards: usize = cache.shards.iter().map(|shard| shard.read().len()).sum();
        assert_eq!(index.chains.len(), in_shards);
        assert!(in_shards <= 20);
        for (place, cached) in index.chains.iter().enumerate() {
            assert_eq!(cached.place.load(Ordering::Relaxed), place);
            assert!(cache.find(&cached.handle).is_some_and(|found| Arc::ptr_eq(&found, cached)));
            for session in cached.sessions.iter() {
                assert!(index.holding[&session.id].contains(&cached.handle));
            }
        }
        let held: usize = index.holding.values().map(HashSet::len).sum();
        assert_eq!(held, index.chains.iter().map(|cached| cached.sessions.iter().count()).sum::<usize>());
    }
    cache.clear();
    assert!(cache.is_empty() && cache.index().holding.is_empty());
}

#[test]
fn use_of_a_child_keeps_its_parent_from_being_idle() {
    let cache = SessionCache::new(10);
    let now = Timestamp::from_micros(5_000_000);
    let cached = cache.insert(handle(2), child_of_1(), cache.begin_load());
    assert!(cached.looks_idle(now));
    cached.note_use(Timestamp::from_micros(4_500_000));
    let folded = cache.fold_uses(&handle(2)).expect("it is there");
    assert!(!folded.looks_idle(now));
    assert!(cache.find(&handle(2)).is_some_and(|found| !found.looks_idle(now)));
    let mut uses = cache.take_uses();
    uses.sort_unstable();
    assert_eq!(uses.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id(1), id(2)]);
}

#[test]
fn changes_are_remembered_within_bounds_and_still_keep_old_state_out() {
    let cache = SessionCache::new(10);
    let before = cache.begin_load();
    for number in 1..=4 * CHANGES_MAX as u128 {
        cache.apply_change(id(number));
    }
    assert!(cache.index().changes.by_session.len() <= CHANGES_MAX);
    cache.insert(handle(1), chain(&[session(1, None)]), before);
    assert!(cache.find(&handle(1)).is_none(), "its change is forgotten, but not that there were changes");
    cache.insert(handle(1), chain(&[session(1, None)]), cache.begin_load());
    assert!(cache.find(&handle(1)).is_some());
}
