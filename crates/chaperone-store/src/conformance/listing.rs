//! Lists of sessions.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{Ended, EndingAct, EntityRef, Life, Session, SessionId, Task};

use super::fixtures::{at, child, id, insert, plain, revoked};
use crate::store::{SessionFilter, Store};

async fn listed(store: &dyn Store, filter: &SessionFilter) -> Vec<SessionId> {
    let sessions = store.sessions(filter, None, 100).await.expect("it answers");
    sessions.into_iter().map(|session| session.id).collect()
}

pub async fn sessions_are_paged_newest_first(store: Arc<dyn Store>) {
    // Stored in another order than they were opened in.
    for number in [3, 1, 7, 5, 2, 6, 4] {
        insert(&*store, &[plain(number)]).await;
    }
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = store.sessions(&SessionFilter::default(), before, 3).await.expect("it answers");
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        pages.push(page.into_iter().map(|session| session.id).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![id(7), id(6), id(5)], vec![id(4), id(3), id(2)], vec![id(1)]]);
    assert!(store.sessions(&SessionFilter::default(), None, 0).await.expect("it answers").is_empty());
}

pub async fn every_filter_restricts_the_list(store: Arc<dyn Store>) {
    let task = |id: &str| Task { id: id.to_owned(), purpose: String::new() };
    let other = EntityRef::new("Agent", "other");
    insert(
        &*store,
        &[
            plain(1),
            Session { principal: other.clone(), ..plain(2) },
            Session { principal: EntityRef::new("User", "worker"), ..plain(3) },
            Session { owner: "bob".to_owned(), ..plain(4) },
            Session { owner: "bob".to_owned(), task: task("T"), ..plain(5) },
            Session { task: task("T"), ..child(6, &plain(1)) },
        ],
    )
    .await;
    let all = SessionFilter::default();
    assert_eq!(listed(&*store, &SessionFilter { principal: Some(other), ..all.clone() }).await, [id(2)]);
    let bob = SessionFilter { owner: Some("bob".to_owned()), ..all.clone() };
    assert_eq!(listed(&*store, &bob).await, [id(5), id(4)]);
    let of_task = SessionFilter { task_id: Some("T".to_owned()), ..all.clone() };
    assert_eq!(listed(&*store, &of_task).await, [id(6), id(5)]);
    assert_eq!(listed(&*store, &SessionFilter { tree: Some(id(1)), ..all.clone() }).await, [id(6), id(1)]);
    assert_eq!(listed(&*store, &SessionFilter { task_id: of_task.task_id, ..bob }).await, [id(5)]);
    assert!(listed(&*store, &SessionFilter { owner: Some("bo".to_owned()), ..all }).await.is_empty());
}

pub async fn life_filter_agrees_with_the_session(store: Arc<dyn Store>) {
    let completed = Ended { by_act: EndingAct::Completed, ..revoked(3) };
    let idle = |number, limit| Session { idle_timeout: Some(limit), expires_at: at(200), ..plain(number) };
    let sessions = [
        Session { ended: Some(completed), ..plain(1) },
        Session { ended: Some(revoked(3)), expires_at: at(10), ..plain(2) },
        Session { expires_at: at(100), ..plain(3) },
        idle(4, Duration::from_secs(46)),
        idle(5, Duration::from_micros(45_000_001)),
        idle(6, Duration::from_micros(43_999_999)),
        idle(7, Duration::MAX),
        plain(8),
        Session { idle_timeout: Some(Duration::from_secs(1)), expires_at: at(20), ..plain(9) },
    ];
    insert(&*store, &sessions).await;
    // Each boundary and the moments beside it; and before everything began, where a clock has stepped back.
    for micros in
        [-10_000_000, 50_000_000, 50_000_001, 50_000_002, 99_999_999, 100_000_000, 200_000_000, 10_000_000_000]
    {
        let now = chaperone_policy::Timestamp::from_micros(at(0).as_micros() + micros);
        for life in [Life::Active, Life::Expired, Life::Idle, Life::Completed, Life::Revoked] {
            let mut wanted: Vec<SessionId> =
                sessions.iter().filter(|session| session.life(now) == life).map(|session| session.id).collect();
            wanted.reverse();
            let filter = SessionFilter { life: Some((life, now)), ..SessionFilter::default() };
            assert_eq!(listed(&*store, &filter).await, wanted, "{life:?} at {now}");
        }
    }
}
