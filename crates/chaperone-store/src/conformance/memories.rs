//! Reading and committing memories.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::collections::BTreeSet;
use std::sync::Arc;

use chaperone_policy::{EntityRef, Memory, MemoryKey};

use super::fixtures::{
    at, commit, follow, memory_of, principal_key, session_key, stored_memory, transition, tree_key, write,
};
use crate::error::StoreError;
use crate::feed::{Changed, Cursor};
use crate::store::{Committed, Store, StoredMemory, Transition};

pub async fn memory_of_an_unknown_key_is_empty(store: Arc<dyn Store>) {
    commit(&*store, &[write(&session_key(2), 0, "a")]).await;
    let keys = [tree_key(1), session_key(2), principal_key("Agent", "x"), session_key(1), tree_key(2)];
    let found = store.memories(&keys).await.expect("it answers");
    let nothing = |key: &MemoryKey| StoredMemory { key: key.clone(), version: 0, memory: Memory::default() };
    let mut wanted: Vec<_> = keys.iter().map(nothing).collect();
    wanted[1] = write(&session_key(2), 1, "a");
    assert_eq!(found, wanted, "in the order that was asked for");
    assert_eq!(store.memories(&[]).await.expect("it answers"), []);
}

pub async fn committed_memory_survives_with_its_version(store: Arc<dyn Store>) {
    let (session, tree) = (session_key(1), tree_key(1));
    for version in 0..5 {
        let text = format!("it's \"{version}\"\\ 🦀\n{}", "x".repeat(10_000));
        commit(&*store, &[write(&session, version, &text), write(&tree, version, "b")]).await;
        let wanted = [write(&session, version + 1, &text), write(&tree, version + 1, "b")];
        assert_eq!(store.memories(&[session.clone(), tree.clone()]).await.expect("it answers"), wanted);
    }
}

pub async fn transitions_of_one_call_are_independent(store: Arc<dyn Store>) {
    commit(&*store, &[write(&session_key(2), 0, "old"), write(&session_key(6), 0, "old")]).await;
    let transitions = [
        transition(&[write(&session_key(1), 0, "new"), write(&tree_key(1), 0, "new")]),
        // One of its memories is stored already.
        transition(&[
            write(&session_key(3), 0, "new"),
            write(&session_key(2), 0, "new"),
            write(&tree_key(2), 0, "new"),
        ]),
        // One of its memories is not stored.
        transition(&[write(&session_key(4), 0, "new"), write(&tree_key(4), 7, "new")]),
        transition(&[write(&session_key(6), 1, "new"), write(&tree_key(6), 0, "new")]),
    ];
    let outcomes = store.commit_memories(&transitions, at(1)).await.expect("it answers");
    let nothing = StoredMemory { key: tree_key(4), version: 0, memory: Memory::default() };
    let wanted = [
        Committed::Done,
        Committed::Conflict(vec![write(&session_key(2), 1, "old")]),
        Committed::Conflict(vec![nothing.clone()]),
        Committed::Done,
    ];
    assert_eq!(outcomes, wanted);
    let keys = [1, 2, 3, 4, 6].map(session_key).into_iter().chain([1, 2, 4, 6].map(tree_key));
    let found = store.memories(&keys.collect::<Vec<_>>()).await.expect("it answers");
    let versions: Vec<u64> = found.iter().map(|memory| memory.version).collect();
    assert_eq!(versions, [1, 1, 0, 0, 2, 1, 0, 0, 1], "all of two transitions, nothing of two");
    assert_eq!(found[2].memory, Memory::default());

    // What a refused transition left behind, if anything, stands in no later one's way.
    commit(&*store, &[write(&session_key(3), 0, "later"), write(&tree_key(2), 0, "later"), nothing]).await;
    let found = store.memories(&[session_key(3), tree_key(2)]).await.expect("it answers");
    assert_eq!(found, [write(&session_key(3), 1, "later"), write(&tree_key(2), 1, "later")]);
}

pub async fn conflict_names_what_is_stored(store: Arc<dyn Store>) {
    let [one, two, three] = [1, 2, 3].map(session_key);
    commit(&*store, &[write(&one, 0, "a"), write(&two, 0, "a"), write(&three, 0, "a")]).await;
    commit(&*store, &[write(&one, 1, "b"), write(&three, 1, "b")]).await;
    let stale = transition(&[write(&one, 1, "c"), write(&two, 1, "c"), write(&three, 3, "c")]);
    let outcomes = store.commit_memories(&[stale], at(1)).await.expect("it answers");
    assert_eq!(outcomes, [Committed::Conflict(vec![write(&one, 2, "b"), write(&three, 2, "b")])]);
    let merged = transition(&[write(&one, 2, "c"), write(&two, 1, "c"), write(&three, 2, "c")]);
    assert_eq!(store.commit_memories(&[merged], at(1)).await.expect("it answers"), [Committed::Done]);
}

pub async fn conflict_with_a_memory_that_is_gone_names_nothing(store: Arc<dyn Store>) {
    let gone = transition(&[write(&session_key(1), u64::MAX, "a"), write(&tree_key(1), 1, "a")]);
    let outcomes = store.commit_memories(&[gone], at(1)).await.expect("it answers");
    let nothing = [session_key(1), tree_key(1)].map(|key| StoredMemory { key, version: 0, memory: Memory::default() });
    assert_eq!(outcomes, [Committed::Conflict(nothing.to_vec())]);
}

pub async fn overlapping_transitions_are_refused(store: Arc<dyn Store>) {
    let (one, two) = (write(&session_key(1), 0, "a"), write(&tree_key(1), 0, "a"));
    let calls = [
        vec![transition(&[one.clone(), two.clone()]), transition(std::slice::from_ref(&two))],
        vec![transition(&[one.clone(), write(&session_key(1), 1, "b")])],
    ];
    for call in calls {
        let refused = store.commit_memories(&call, at(1)).await;
        assert!(matches!(refused, Err(StoreError::Overlap { .. })), "{refused:?}");
    }
    let found = store.memories(&[one.key, two.key]).await.expect("it answers");
    assert!(found.iter().all(|memory| memory.version == 0), "{found:?}");
}

pub async fn principals_with_odd_names_have_memories_of_their_own(store: Arc<dyn Store>) {
    let names = [
        ("Agent", ""),
        ("Agent", "a"),
        ("Agent", "A"),
        ("Agent", "a "),
        ("Agent", "a:b"),
        ("Agent", "a::\"b\""),
        ("Agent", "a\\b"),
        ("Agent", "a\\\\b"),
        ("Agent", "it's \"x\"\\ 🦀\n\r\t; --"),
        ("Agent", "\u{0}"),
        ("Agent", "\\u0000"),
        ("Agent", "\u{202e}é\u{301}%_$1{}[],"),
        ("Acme::Agent", "a"),
        ("Acme", "Agent::a"),
    ];
    let keys = names.map(|(kind, id)| principal_key(kind, id));
    let writes: Vec<_> = keys.iter().zip(0..).map(|(key, place)| write(key, 0, &format!("{place}"))).collect();
    commit(&*store, &writes).await;
    let wanted: Vec<_> = writes.into_iter().map(|write| StoredMemory { version: 1, ..write }).collect();
    assert_eq!(store.memories(&keys).await.expect("it answers"), wanted);
    let (seen, _) = follow(&*store, Cursor::default(), 1_000).await;
    let uids: BTreeSet<EntityRef> = seen
        .into_iter()
        .map(|changed| match changed {
            Changed::Memory(MemoryKey::Principal(uid), 1) => uid,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(uids, names.map(|(kind, id)| EntityRef::new(kind, id)).into());
}

pub async fn thousand_transitions_are_committed_at_once(store: Arc<dyn Store>) {
    for version in 0..2 {
        let transitions: Vec<Transition> = (1..=1_000)
            .map(|number| {
                // Every tenth conflicts.
                let read = if number % 10 == 0 { 9 } else { version };
                transition(&[write(&session_key(number), read, "a"), write(&tree_key(number), version, "b")])
            })
            .collect();
        let outcomes = store.commit_memories(&transitions, at(1)).await.expect("it answers");
        assert_eq!(outcomes.len(), 1_000);
        for (outcome, number) in outcomes.iter().zip(1_u32..) {
            assert_eq!(*outcome == Committed::Done, number % 10 != 0, "{number}: {outcome:?}");
        }
        let keys: Vec<_> = (1..=1_000).map(session_key).collect();
        for (memory, number) in store.memories(&keys).await.expect("it answers").iter().zip(1_u32..) {
            assert_eq!(memory.version, if number % 10 == 0 { 0 } else { version + 1 });
        }
    }
    let (seen, _) = follow_all(&*store, 1_000).await;
    assert_eq!(seen.len(), 2 * 900 * 2);
}

pub async fn transition_without_writes_is_done(store: Arc<dyn Store>) {
    assert_eq!(store.commit_memories(&[], at(1)).await.expect("it answers"), []);
    let transitions = [Transition::default(), transition(&[write(&session_key(1), 0, "a")]), Transition::default()];
    let outcomes = store.commit_memories(&transitions, at(1)).await.expect("it answers");
    assert_eq!(outcomes, [Committed::Done, Committed::Done, Committed::Done]);
    assert_eq!(stored_memory(&*store, &session_key(1)).await.memory, memory_of("a"));
}

pub async fn feed_names_each_committed_memory(store: Arc<dyn Store>) {
    let mut end = store.feed_end().await.expect("it answers");
    let keys = [session_key(1), tree_key(1), principal_key("Agent", "x")];
    for version in 0..3 {
        let writes: Vec<_> = keys.iter().map(|key| write(key, version, "a")).collect();
        let refused = transition(&[write(&session_key(2), 5, "a"), write(&tree_key(2), 0, "a")]);
        store.commit_memories(&[transition(&writes), refused], at(1)).await.expect("it answers");
        let (seen, cursor) = follow(&*store, end, 100).await;
        let seen: BTreeSet<String> = seen.iter().map(|changed| format!("{changed:?}")).collect();
        let wanted = keys.iter().map(|key| format!("{:?}", Changed::Memory(key.clone(), version + 1))).collect();
        assert_eq!(seen, wanted);
        assert_eq!(cursor, store.feed_end().await.expect("it answers"));
        end = cursor;
    }
    let refused = transition(&[write(&session_key(1), 0, "a")]);
    store.commit_memories(&[refused], at(1)).await.expect("it answers");
    assert_eq!(store.feed_end().await.expect("it answers"), end, "what conflicts is no news");
}

pub async fn more_memories_than_the_limit_are_read_on_from_the_cursor(store: Arc<dyn Store>) {
    let transitions: Vec<_> = (1..=2_000).map(|number| transition(&[write(&session_key(number), 0, "a")])).collect();
    store.commit_memories(&transitions, at(1)).await.expect("it answers");
    for limit in [1, 50, 1_999, 2_000] {
        let (seen, cursor) = follow_all(&*store, limit).await;
        let keys: BTreeSet<String> = seen.iter().map(|changed| format!("{changed:?}")).collect();
        assert_eq!((seen.len(), keys.len()), (2_000, 2_000), "limit {limit}");
        assert_eq!(cursor, store.feed_end().await.expect("it answers"), "limit {limit}");
    }
}

/// The whole feed, in batches that exceed their limit by less than a row.
async fn follow_all(store: &dyn Store, limit: u32) -> (Vec<Changed>, Cursor) {
    let (mut seen, mut cursor) = (Vec::new(), Cursor::default());
    loop {
        let batch = store.changes(&cursor, limit).await.expect("the feed is read");
        assert!(batch.changed.len() < usize::try_from(limit).expect("small") + 100, "the limit holds");
        seen.extend(batch.changed);
        cursor = batch.cursor;
        if !batch.more {
            return (seen, cursor);
        }
    }
}
