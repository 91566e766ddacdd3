//! Revoking sessions.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::sync::Arc;

use chaperone_policy::{Ended, EndingAct, EntityRef, Session, Task};

use super::fixtures::{child, follow, id, insert, load, plain, revoked};
use crate::error::StoreError;
use crate::feed::Changed;
use crate::revocation::BATCH;
use crate::store::{RevokeTarget, SessionFilter, Store};

async fn revoke(store: &dyn Store, target: RevokeTarget) -> u64 {
    store.revoke_sessions(&target, &revoked(50)).await.expect("it is revoked")
}

pub async fn revoking_a_session_ends_it_alone(store: Arc<dyn Store>) {
    let sessions = [plain(1), child(2, &plain(1)), child(3, &child(2, &plain(1)))];
    insert(&*store, &sessions).await;
    assert_eq!(revoke(&*store, RevokeTarget::Session(id(2))).await, 1);
    assert_eq!(load(&*store, 2).await, Session { ended: Some(revoked(50)), version: 2, ..sessions[1].clone() });
    assert_eq!([load(&*store, 1).await, load(&*store, 3).await], [sessions[0].clone(), sessions[2].clone()]);
}

pub async fn revoking_an_ended_session_counts_none(store: Arc<dyn Store>) {
    let completed = Ended { by_act: EndingAct::Completed, ..revoked(3) };
    insert(&*store, &[plain(1), Session { ended: Some(completed.clone()), ..plain(2) }]).await;
    assert_eq!(revoke(&*store, RevokeTarget::Session(id(1))).await, 1);
    assert_eq!(revoke(&*store, RevokeTarget::Session(id(1))).await, 0);
    assert_eq!(revoke(&*store, RevokeTarget::Session(id(2))).await, 0);
    assert_eq!(load(&*store, 2).await.ended, Some(completed));
    assert_eq!(load(&*store, 1).await.version, 2);
}

pub async fn revoking_a_tree_ends_all_of_it(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1), child(2, &plain(1)), child(3, &child(2, &plain(1))), plain(4)]).await;
    assert_eq!(revoke(&*store, RevokeTarget::Tree(id(1))).await, 3);
    for number in 1..=3 {
        assert_eq!(load(&*store, number).await.ended, Some(revoked(50)));
    }
    assert_eq!(load(&*store, 4).await, plain(4));
}

pub async fn revoking_a_principal_owner_or_task_ends_theirs(store: Arc<dyn Store>) {
    let agent = EntityRef::new("Agent", "mallory");
    let task = Task { id: "T".to_owned(), purpose: String::new() };
    insert(
        &*store,
        &[
            Session { principal: agent.clone(), ..plain(1) },
            Session { principal: agent.clone(), ..plain(2) },
            Session { principal: EntityRef::new("User", "mallory"), ..plain(3) },
            Session { owner: "mallory".to_owned(), ..plain(4) },
            Session { owner: "mallory".to_owned(), task: task.clone(), ..plain(5) },
            Session { task, ..plain(6) },
            plain(7),
        ],
    )
    .await;
    assert_eq!(revoke(&*store, RevokeTarget::Principal(agent)).await, 2);
    assert_eq!(revoke(&*store, RevokeTarget::Task("T".to_owned())).await, 2);
    assert_eq!(revoke(&*store, RevokeTarget::Owner("mallory".to_owned())).await, 1);
    assert_eq!(revoke(&*store, RevokeTarget::Owner("nobody".to_owned())).await, 0);
    for (number, is_ended) in [(1, true), (2, true), (3, false), (4, true), (5, true), (6, true), (7, false)] {
        assert_eq!(load(&*store, number).await.ended.is_some(), is_ended, "session {number}");
    }
}

pub async fn revoking_an_unknown_session_or_tree_is_not_found(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1), child(2, &plain(1))]).await;
    // A child's id is no tree's.
    for target in [RevokeTarget::Session(id(9)), RevokeTarget::Tree(id(9)), RevokeTarget::Tree(id(2))] {
        let refused = store.revoke_sessions(&target, &revoked(50)).await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    assert_eq!(load(&*store, 2).await.ended, None);
}

pub async fn revoking_makes_older_copies_conflict(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1)]).await;
    revoke(&*store, RevokeTarget::Session(id(1))).await;
    let refused = store.save_session(&plain(1)).await;
    assert!(matches!(refused, Err(StoreError::SessionConflict { .. })), "{refused:?}");
    assert_eq!(load(&*store, 1).await.ended, Some(revoked(50)));
}

pub async fn revoking_more_than_a_batch_ends_all(store: Arc<dyn Store>) {
    let count = u32::try_from(BATCH).expect("small") + 3;
    let sessions: Vec<Session> = (1..=count).map(plain).collect();
    insert(&*store, &sessions).await;
    let start = store.feed_end().await.expect("it answers");
    assert_eq!(revoke(&*store, RevokeTarget::Owner("ada@example.com".to_owned())).await, u64::from(count));
    let (mut seen, _) = follow(&*store, start, 1_000).await;
    let key = |changed: &Changed| format!("{changed:?}");
    seen.sort_by_key(key);
    let mut wanted: Vec<Changed> = (1..=count).map(|number| Changed::Session(id(number))).collect();
    wanted.sort_by_key(key);
    assert_eq!(seen, wanted, "each is in the feed once");
    let left =
        SessionFilter { life: Some((chaperone_policy::Life::Active, revoked(50).at)), ..SessionFilter::default() };
    assert!(store.sessions(&left, None, 10).await.expect("it answers").is_empty());
}

pub async fn concurrent_revocations_count_each_session_once(store: Arc<dyn Store>) {
    let sessions: Vec<Session> = (1..=60).map(plain).collect();
    insert(&*store, &sessions).await;
    let revocations: Vec<_> = (0..4)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { revoke(&*store, RevokeTarget::Owner("ada@example.com".to_owned())).await })
        })
        .collect();
    let mut count = 0;
    for revocation in revocations {
        count += revocation.await.expect("it ends");
    }
    assert_eq!(count, 60);
}
