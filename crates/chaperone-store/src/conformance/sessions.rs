//! Opening, finding, saving and using sessions.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::sync::Arc;

use chaperone_policy::{Session, SessionChain, Timestamp};

use super::fixtures::{at, child, handle, id, insert, load, plain, revoked, rich};
use crate::error::StoreError;
use crate::store::Store;

pub async fn inserted_session_is_found_by_id_and_handle(store: Arc<dyn Store>) {
    let mut session = rich(1);
    session.ended = Some(revoked(9));
    insert(&*store, std::slice::from_ref(&session)).await;
    assert_eq!(load(&*store, 1).await, session);
    assert_eq!(store.session_chain(&handle(1)).await.expect("it answers"), [session]);
}

pub async fn plainest_session_survives(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1)]).await;
    assert_eq!(load(&*store, 1).await, plain(1));
}

pub async fn farthest_expiry_survives(store: Arc<dyn Store>) {
    let session = Session { expires_at: Timestamp::from_micros(i64::MAX), ..plain(1) };
    insert(&*store, std::slice::from_ref(&session)).await;
    assert_eq!(load(&*store, 1).await, session);
}

pub async fn unknown_session_is_none(store: Arc<dyn Store>) {
    assert_eq!(store.session(id(1)).await.expect("it answers"), None);
    assert!(store.session_chain(&handle(1)).await.expect("it answers").is_empty());
}

pub async fn chain_runs_from_the_session_to_its_root(store: Arc<dyn Store>) {
    let mut sessions = vec![plain(1)];
    for number in 2..=17 {
        let next = child(number, sessions.last().expect("there is a root"));
        sessions.push(next);
    }
    insert(&*store, &sessions).await;
    insert(&*store, &[child(90, &sessions[3]), plain(91)]).await;
    for (number, depth) in (1..=17).zip(1..) {
        let chain = store.session_chain(&handle(number)).await.expect("it answers");
        let wanted: Vec<Session> = sessions.iter().take(depth).rev().cloned().collect();
        assert_eq!(chain, wanted);
        assert!(SessionChain::new(chain.into_iter().map(Arc::new).collect()).is_some());
    }
}

pub async fn child_of_an_unknown_parent_is_refused(store: Arc<dyn Store>) {
    let refused = store.insert_session(&child(2, &plain(1)), &handle(2)).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    assert_eq!(store.session(id(2)).await.expect("it answers"), None);
}

pub async fn child_in_another_tree_than_its_parent_is_refused(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1), plain(2)]).await;
    let stray = Session { tree: id(2), ..child(3, &plain(1)) };
    let refused = store.insert_session(&stray, &handle(3)).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
}

pub async fn id_or_handle_is_never_given_twice(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1)]).await;
    let other = Session { owner: "eve".to_owned(), ..plain(1) };
    for (session, hash) in [(&other, handle(1)), (&other, handle(2)), (&plain(2), handle(1))] {
        let refused = store.insert_session(session, &hash).await;
        assert!(matches!(&refused, Err(StoreError::SessionConflict { id }) if *id == session.id), "{refused:?}");
    }
    assert_eq!(load(&*store, 1).await, plain(1));
}

pub async fn saved_session_has_the_next_version(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1)]).await;
    let changed = Session {
        principal: plain(1).principal,
        ended: Some(revoked(5)),
        ..Session { id: id(1), tree: id(1), version: 1, opened_at: at(1), last_used_at: at(1), ..rich(1) }
    };
    let saved = store.save_session(&changed).await.expect("it is saved");
    assert_eq!(saved, Session { version: 2, ..changed });
    assert_eq!(load(&*store, 1).await, saved);
    let again = store.save_session(&Session { ended: None, ..saved.clone() }).await.expect("it is saved");
    assert_eq!(again, Session { version: 3, ended: None, ..saved });
}

pub async fn save_keeps_the_stored_last_use(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1)]).await;
    store.touch_sessions(&[(id(1), at(50))]).await.expect("it is touched");
    let saved = store.save_session(&Session { expires_at: at(9_999), ..plain(1) }).await.expect("it is saved");
    assert_eq!((saved.expires_at, saved.last_used_at), (at(9_999), at(50)));
}

pub async fn save_of_an_old_version_conflicts(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1)]).await;
    store.save_session(&plain(1)).await.expect("it is saved");
    let refused = store.save_session(&Session { expires_at: at(9_999), ..plain(1) }).await;
    assert!(matches!(&refused, Err(StoreError::SessionConflict { id: at_id }) if *at_id == id(1)), "{refused:?}");
    assert_eq!(load(&*store, 1).await, Session { version: 2, ..plain(1) });
}

pub async fn save_of_an_unknown_session_is_not_found(store: Arc<dyn Store>) {
    let refused = store.save_session(&plain(1)).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
}

pub async fn one_of_concurrent_saves_wins(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1)]).await;
    let saves: Vec<_> = (0..8)
        .map(|n| {
            let (store, session) = (Arc::clone(&store), Session { expires_at: at(1_000 + n), ..plain(1) });
            tokio::spawn(async move { store.save_session(&session).await })
        })
        .collect();
    let mut won = Vec::new();
    for save in saves {
        match save.await.expect("it ends") {
            Ok(session) => won.push(session),
            Err(StoreError::SessionConflict { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(won, [load(&*store, 1).await]);
}

pub async fn use_moves_forward_never_back(store: Arc<dyn Store>) {
    insert(&*store, &[plain(1), plain(2), plain(3)]).await;
    let uses = [(id(1), at(20)), (id(2), at(10)), (id(1), at(30)), (id(1), at(25)), (id(99), at(40))];
    store.touch_sessions(&uses).await.expect("it is touched");
    store.touch_sessions(&[(id(1), at(29)), (id(2), at(11))]).await.expect("it is touched");
    store.touch_sessions(&[]).await.expect("nothing is touched");
    let found = [load(&*store, 1).await, load(&*store, 2).await, load(&*store, 3).await];
    assert_eq!(found.each_ref().map(|session| session.last_used_at), [at(30), at(11), at(3)]);
    assert_eq!(found.map(|session| session.version), [1, 1, 1]);
}

pub async fn concurrent_inserts_are_all_stored(store: Arc<dyn Store>) {
    let inserts: Vec<_> = (1..=40)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.insert_session(&plain(number), &handle(number)).await })
        })
        .collect();
    for insert in inserts {
        insert.await.expect("it ends").expect("it is stored");
    }
    for number in 1..=40 {
        assert_eq!(load(&*store, number).await, plain(number));
    }
}
