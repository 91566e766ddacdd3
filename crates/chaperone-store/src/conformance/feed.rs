//! The change feed.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chaperone_policy::{BundleNumber, EntityRef, Session};

use super::fixtures::{at, bundle, child, entity, follow, handle, id, insert, plain, revoked};
use crate::error::StoreError;
use crate::feed::{Changed, Cursor, SHARDS};
use crate::store::{NewActivation, RevokeTarget, Store};

pub async fn every_write_is_in_the_feed_and_no_use_is(store: Arc<dyn Store>) {
    let mut end = store.feed_end().await.expect("it answers");
    assert_eq!(end, Cursor::default());

    let mut news = async |wanted: &[Changed]| {
        let (seen, cursor) = follow(&*store, end, 10).await;
        assert_eq!(seen, wanted);
        assert_eq!(cursor, store.feed_end().await.expect("it answers"));
        end = cursor;
    };
    insert(&*store, &[plain(1)]).await;
    news(&[Changed::Session(id(1))]).await;
    store.save_session(&plain(1)).await.expect("it is saved");
    news(&[Changed::Session(id(1))]).await;
    store.revoke_sessions(&RevokeTarget::Session(id(1)), &revoked(2)).await.expect("it is revoked");
    news(&[Changed::Session(id(1))]).await;
    store.touch_sessions(&[(id(1), at(9))]).await.expect("it is touched");
    news(&[]).await;
    store.insert_bundle(&bundle("a")).await.expect("it is stored");
    news(&[]).await;
    store.activate_bundle(&NewActivation::new(BundleNumber::new(1), "ops", at(3))).await.expect("it is activated");
    news(&[Changed::ActiveBundle]).await;
    store.put_entities(&[entity("A", "b\"c")], at(4)).await.expect("it is stored");
    let uid = EntityRef::new("A", "b\"c");
    news(&[Changed::Entity(uid.clone())]).await;
    store.delete_entities(std::slice::from_ref(&uid), at(5)).await.expect("it is deleted");
    news(&[Changed::Entity(uid)]).await;
}

pub async fn refused_writes_are_not_in_the_feed(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1)]).await;
    let end = store.feed_end().await.expect("it answers");
    store.insert_session(&plain(1), &handle(1)).await.expect_err("it is there");
    store.insert_session(&child(3, &plain(2)), &handle(3)).await.expect_err("it has no parent");
    store.save_session(&Session { version: 9, ..plain(1) }).await.expect_err("its version is another");
    store.activate_bundle(&NewActivation::new(BundleNumber::new(1), "ops", at(3))).await.expect_err("there is none");
    let (seen, _) = follow(&*store, end, 10).await;
    assert!(seen.is_empty(), "{seen:?}");
}

pub async fn changes_keep_their_order(store: Arc<dyn Store>) {
    // One tree, so one shard.
    let root = plain(1);
    insert(&*store, std::slice::from_ref(&root)).await;
    for number in 2..=30 {
        insert(&*store, &[child(number, &root)]).await;
    }
    let (seen, _) = follow(&*store, Cursor::default(), 7).await;
    let wanted: Vec<Changed> = (1..=30).map(|number| Changed::Session(id(number))).collect();
    assert_eq!(seen, wanted);
}

pub async fn limited_batches_miss_nothing(store: Arc<dyn Store>) {
    let sessions: Vec<Session> = (1..=50).map(plain).collect();
    insert(&*store, &sessions).await;
    let wanted: BTreeSet<String> = (1..=50).map(|number| format!("{:?}", Changed::Session(id(number)))).collect();
    for limit in [1, 3, 16, 49, 50, 51] {
        let (seen, cursor) = follow(&*store, Cursor::default(), limit).await;
        assert_eq!(seen.len(), 50, "limit {limit}");
        assert_eq!(seen.iter().map(|changed| format!("{changed:?}")).collect::<BTreeSet<_>>(), wanted, "limit {limit}");
        assert_eq!(cursor, store.feed_end().await.expect("it answers"), "limit {limit}");
    }
    let first = store.changes(&Cursor::default(), 50).await.expect("it answers");
    assert!(!first.more, "a batch that holds all says so");
}

pub async fn pruned_changes_are_a_gap(store: Arc<dyn Store>) {
    let root = plain(1);
    insert(&*store, &[root.clone(), child(2, &root)]).await;
    let middle = store.feed_end().await.expect("it answers");
    insert(&*store, &[child(10, &root), child(11, &root)]).await;
    assert_eq!(store.prune_changes(at(0)).await.expect("it prunes"), 0);
    assert_eq!(store.prune_changes(at(10)).await.expect("it prunes"), 2);
    let gap = store.changes(&Cursor::default(), 10).await;
    assert!(matches!(gap, Err(StoreError::FeedGap)), "{gap:?}");
    let (seen, end) = follow(&*store, middle, 10).await;
    assert_eq!(seen, [Changed::Session(id(10)), Changed::Session(id(11))], "who was not behind reads on");
    assert_eq!(store.prune_changes(at(1_000)).await.expect("it prunes"), 2);
    assert!(matches!(store.changes(&middle, 10).await, Err(StoreError::FeedGap)));
    let (seen, _) = follow(&*store, end, 10).await;
    assert!(seen.is_empty(), "who has read all has no gap");
    assert_eq!(store.feed_end().await.expect("it answers"), end, "positions are never used again");
}

pub async fn cursor_from_another_history_is_a_gap(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1)]).await;
    let mut ahead = store.feed_end().await.expect("it answers");
    ahead.0[SHARDS - 1] += 1;
    assert!(matches!(store.changes(&ahead, 10).await, Err(StoreError::FeedGap)));
}

pub async fn follower_of_concurrent_writers_misses_nothing(store: Arc<dyn Store>) {
    const WRITERS: u32 = 8;
    const EACH: u32 = 25;
    let writing = Arc::new(AtomicUsize::new(WRITERS as usize));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, writing) = (Arc::clone(&store), Arc::clone(&writing));
            tokio::spawn(async move {
                for number in (writer * EACH + 1)..=(writer * EACH + EACH) {
                    insert(&*store, &[plain(number)]).await;
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    let (mut seen, mut cursor) = (Vec::new(), Cursor::default());
    loop {
        // Before reading: what was written until then must be in what is read now.
        let is_last = writing.load(Ordering::SeqCst) == 0;
        let (batch, next) = follow(&*store, cursor, 5).await;
        seen.extend(batch);
        cursor = next;
        if is_last {
            break;
        }
    }
    for writer in writers {
        writer.await.expect("it ends");
    }
    let names: BTreeSet<String> = seen.iter().map(|changed| format!("{changed:?}")).collect();
    let wanted = (1..=WRITERS * EACH).map(|number| format!("{:?}", Changed::Session(id(number)))).collect();
    assert_eq!(names, wanted);
}

pub async fn write_wakes_who_waits(store: Arc<dyn Store>) {
    // Twice: for one that waits already, and for one that comes just after the write.
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.changed().await }
    });
    insert(&*store, &[plain(1)]).await;
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it wakes").expect("it ends");
    insert(&*store, &[plain(2)]).await;
    tokio::time::timeout(Duration::from_secs(20), store.changed()).await.expect("it wakes");
}

pub async fn store_answers_a_ping(store: Arc<dyn Store>) {
    store.ping().await.expect("it answers");
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))), "a closed store does not answer");
}
