//! How broad trees of sessions may be.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::sync::Arc;

use chaperone_policy::Session;

use super::fixtures::{at, child, handle, id, insert, plain, revoked};
use crate::error::{StoreError, TreeLimit};
use crate::store::{Store, TreeLimits};

/// Opens a child; the limit that was in its way, if one was.
async fn open(store: &dyn Store, session: &Session, number: u32, limits: TreeLimits) -> Option<TreeLimit> {
    loop {
        match store.open_session(session, &handle(number), &limits).await {
            // A busy machine's store may answer too late for what it did all the same.
            Ok(()) | Err(StoreError::SessionConflict { .. }) => return None,
            Err(StoreError::TreeFull { limit }) => return Some(limit),
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn end(store: &dyn Store, session: &Session) {
    let stored = store.session(session.id).await.expect("it answers").expect("it is there");
    store.save_session(&Session { ended: Some(revoked(60)), ..stored }).await.expect("it is ended");
}

pub async fn live_children_of_a_session_are_limited(store: Arc<dyn Store>) {
    let limits = TreeLimits { children_max: 3, ..TreeLimits::NONE };
    let full = |parent: u32| Some(TreeLimit::Children { parent: id(parent), max: 3 });
    let root = plain(1);
    insert(&*store, std::slice::from_ref(&root)).await;
    let children = [2, 3, 4].map(|number| child(number, &root));
    for (session, number) in children.iter().zip(2..) {
        assert_eq!(open(&*store, session, number, limits).await, None);
    }
    assert_eq!(open(&*store, &child(5, &root), 5, limits).await, full(1));
    assert_eq!(store.session(id(5)).await.expect("it answers"), None);
    // A grandchild is no child.
    assert_eq!(open(&*store, &child(6, &children[0]), 6, limits).await, None);
    // One that an act has ended makes room.
    end(&*store, &children[1]).await;
    assert_eq!(open(&*store, &child(7, &root), 7, limits).await, None);
    assert_eq!(open(&*store, &child(8, &root), 8, limits).await, full(1));
    // And so does time: the first children have expired when this is opened.
    let late = children[2].expires_at;
    let later = Session { opened_at: late, last_used_at: late, ..child(9, &root) };
    assert_eq!(open(&*store, &later, 9, limits).await, None);
}

pub async fn live_sessions_of_a_tree_are_limited(store: Arc<dyn Store>) {
    let limits = TreeLimits { sessions_max: 4, ..TreeLimits::NONE };
    let root = plain(1);
    let full = Some(TreeLimit::Sessions { tree: root.id, max: 4 });
    insert(&*store, &[root.clone(), plain(90)]).await;
    let (middle, leaf) = (child(2, &root), child(4, &child(3, &child(2, &root))));
    for (session, number) in [(&middle, 2), (&child(3, &middle), 3), (&leaf, 4)] {
        assert_eq!(open(&*store, session, number, limits).await, None);
    }
    assert_eq!(open(&*store, &child(5, &leaf), 5, limits).await, full);
    assert_eq!(open(&*store, &child(6, &root), 6, limits).await, full);
    // Another tree has its own room, and a root is never refused.
    assert_eq!(open(&*store, &child(91, &plain(90)), 91, limits).await, None);
    assert_eq!(open(&*store, &plain(92), 92, TreeLimits { children_max: 0, sessions_max: 1 }).await, None);
    // What is below an ended session has ended with it.
    end(&*store, &middle).await;
    for number in 7..10 {
        assert_eq!(open(&*store, &child(number, &root), number, limits).await, None);
    }
    assert_eq!(open(&*store, &child(10, &root), 10, limits).await, full);
}

pub async fn concurrent_openings_never_pass_a_limit(store: Arc<dyn Store>) {
    let root = Session { expires_at: at(90_000), ..plain(1) };
    let other = Session { expires_at: at(90_000), ..child(2, &root) };
    insert(&*store, &[root.clone(), other.clone()]).await;
    // Eight may be opened in the tree beside those two, and five below each.
    let limits = TreeLimits { children_max: 5, sessions_max: 10 };
    let opened = (3..23).map(|number| {
        let (store, parent) = (Arc::clone(&store), if number % 2 == 0 { root.clone() } else { other.clone() });
        tokio::spawn(async move { open(&*store, &child(number, &parent), number, limits).await })
    });
    let opened: Vec<_> = opened.collect();
    for outcome in opened {
        outcome.await.expect("it ends");
    }
    let (mut of_root, mut in_tree) = (0, 1);
    for number in 2..23 {
        let stored = store.session(id(number)).await.expect("it answers");
        in_tree += u32::from(stored.is_some());
        of_root += u32::from(stored.is_some_and(|session| session.parent == Some(root.id)));
    }
    // As many as there is room for, and no more.
    assert_eq!(in_tree, 10);
    assert!(of_root <= 5, "{of_root} children");
}
