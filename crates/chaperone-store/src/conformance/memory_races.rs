//! Memories that many change at once.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chaperone_policy::MemoryKey;
use tokio::task::JoinHandle;

use super::fixtures::{at, principal_key, session_key, stored_memory, transition, tree_key, write};
use crate::feed::{Changed, Cursor};
use crate::store::{Committed, Store, StoredMemory, Transition};

/// How many tasks race.
const TASKS: u32 = 16;

pub async fn one_of_concurrent_first_commits_wins(store: Arc<dyn Store>) {
    for round in 0..10 {
        // Each task has a session of its own, and all have one tree and one principal, in both orders.
        let shared = [tree_key(round), principal_key("Agent", &format!("{round}"))];
        let tasks = race(|task| {
            let (store, mut shared) = (Arc::clone(&store), shared.clone());
            let own = session_key(1_000 * (round + 1) + task);
            async move {
                shared.rotate_left(usize::from(task % 2 == 0));
                let keys = [own.clone(), shared[0].clone(), shared[1].clone()];
                let writes = keys.map(|key| write(&key, 0, &format!("{task}")));
                (own, one(&*store, transition(&writes)).await == Committed::Done)
            }
        });
        let mut won = Vec::new();
        for task in tasks {
            let (own, is_done) = task.await.expect("it ends");
            let version = stored_memory(&*store, &own).await.version;
            assert_eq!(version, u64::from(is_done), "nothing is stored of one that lost");
            won.extend(is_done.then_some(own));
        }
        assert_eq!(won.len(), 1, "{won:?}");
        let texts = store.memories(&[won[0].clone(), shared[0].clone(), shared[1].clone()]).await.expect("it answers");
        assert!(texts.iter().all(|stored| stored.version == 1 && stored.memory == texts[0].memory), "{texts:?}");
    }
}

pub async fn concurrent_increments_all_count(store: Arc<dyn Store>) {
    const INCREMENTS: u64 = 200;
    let key = tree_key(1);
    let tasks = race(|_| {
        let (store, key) = (Arc::clone(&store), key.clone());
        async move {
            let mut done = 0;
            let mut known = stored_memory(&*store, &key).await;
            while known.version < INCREMENTS {
                let next = write(&key, known.version, &format!("{}", known.version + 1));
                known = match one(&*store, transition(std::slice::from_ref(&next))).await {
                    Committed::Done => {
                        done += 1;
                        StoredMemory { version: known.version + 1, ..next }
                    }
                    Committed::Conflict(stored) => {
                        assert!(stored.len() == 1 && stored[0].version > known.version, "{stored:?} after {known:?}");
                        stored[0].clone()
                    }
                };
            }
            done
        }
    });
    let mut done = 0;
    for task in tasks {
        done += task.await.expect("it ends");
    }
    let stored = stored_memory(&*store, &key).await;
    assert_eq!(stored, write(&key, done, &format!("{done}")));
    assert!(done >= INCREMENTS);
}

pub async fn memories_change_together_or_not_at_all(store: Arc<dyn Store>) {
    const CHANGES: u64 = 60;
    let pair = [session_key(1), principal_key("Agent", "x")];
    let is_over = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (store, pair, is_over) = (Arc::clone(&store), pair.clone(), Arc::clone(&is_over));
        async move {
            while !is_over.load(Ordering::SeqCst) {
                let found = store.memories(&pair).await.expect("it answers");
                assert_eq!((found[0].version, &found[0].memory), (found[1].version, &found[1].memory));
            }
        }
    });
    let tasks = race(|task| {
        let (store, mut pair) = (Arc::clone(&store), pair.clone());
        async move {
            // In both orders, beside a transition of its own.
            pair.rotate_left(usize::from(task % 2 == 0));
            let own = session_key(100 + task);
            let mut own_version = 0;
            loop {
                let known = store.memories(&pair).await.expect("it answers");
                if known[0].version >= CHANGES {
                    return;
                }
                let text = format!("{task}: {}", known[0].version);
                let both = transition(&[0, 1].map(|place: usize| write(&pair[place], known[place].version, &text)));
                let beside = transition(&[write(&own, own_version, "a")]);
                let outcomes = store.commit_memories(&[both, beside], at(1)).await.expect("it answers");
                assert_eq!(outcomes[1], Committed::Done, "another's conflict harms no one");
                own_version += 1;
            }
        }
    });
    for task in tasks {
        task.await.expect("it ends");
    }
    is_over.store(true, Ordering::SeqCst);
    reader.await.expect("it ends");
}

pub async fn follower_of_concurrent_commits_misses_nothing(store: Arc<dyn Store>) {
    const EACH: u64 = 15;
    let keys: Vec<MemoryKey> = (0..40).map(|number| principal_key("Agent", &format!("{number}"))).collect();
    let writers: Vec<JoinHandle<_>> = race(|task| {
        let (store, keys) = (Arc::clone(&store), keys.clone());
        async move {
            let own = [session_key(task), tree_key(1_000 + task)];
            let mut done: Vec<(MemoryKey, u64)> = Vec::new();
            for version in 0..EACH {
                // Its own, and one of those that all write.
                let place = usize::try_from((u64::from(task) * 7 + version) % 40).expect("small");
                let shared = stored_memory(&*store, &keys[place]).await;
                let transitions = [
                    transition(&own.clone().map(|key| write(&key, version, "a"))),
                    transition(&[write(&shared.key, shared.version, "b")]),
                ];
                let outcomes = store.commit_memories(&transitions, at(1)).await.expect("it answers");
                assert_eq!(outcomes[0], Committed::Done);
                for (outcome, transition) in outcomes.iter().zip(transitions) {
                    if *outcome == Committed::Done {
                        done.extend(transition.writes.into_iter().map(|write| (write.key, write.version + 1)));
                    }
                }
            }
            done
        }
    });
    let (mut seen, mut cursor) = (BTreeMap::<MemoryKey, Vec<u64>>::new(), Cursor::default());
    loop {
        // Before reading: what was written until then must be in what is read now.
        let is_last = writers.iter().all(JoinHandle::is_finished);
        loop {
            let batch = store.changes(&cursor, 3).await.expect("the feed is read");
            for changed in batch.changed {
                let Changed::Memory(key, version) = changed else { panic!("{changed:?}") };
                seen.entry(key).or_default().push(version);
            }
            cursor = batch.cursor;
            if !batch.more {
                break;
            }
        }
        if is_last {
            break;
        }
    }
    let mut wanted = BTreeMap::<MemoryKey, Vec<u64>>::new();
    for writer in writers {
        for (key, version) in writer.await.expect("it ends") {
            wanted.entry(key).or_default().push(version);
        }
    }
    for versions in wanted.values_mut() {
        versions.sort_unstable();
    }
    assert_eq!(seen, wanted, "each once, and of each key in the order of its versions");
}

fn race<F>(task: impl Fn(u32) -> F) -> Vec<JoinHandle<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    (0..TASKS).map(|number| tokio::spawn(task(number))).collect()
}

/// Commits one transition.
async fn one(store: &dyn Store, transition: Transition) -> Committed {
    store.commit_memories(&[transition], at(1)).await.expect("it answers").swap_remove(0)
}
