//! Approvals.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::sync::Arc;

use chaperone_policy::{
    Approval, ApprovalId, ApprovalState, Closing, Decided, EntityRef, MemoryKey, SessionId, Timestamp, Verdict, Vote,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::fixtures::{at, follow, id, stored_memory, write};
use crate::error::StoreError;
use crate::feed::{Changed, Cursor};
use crate::store::{ApprovalFilter, OpenedApproval, SavedApproval, Store};

fn approval_id(number: u32) -> ApprovalId {
    ApprovalId::new(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + u128::from(number)))
}

/// What session 1 asks of a person for a document, at `at(number)`; it waits for 1,000 seconds.
fn asked(number: u32, document: &str) -> Approval {
    let of = |session: SessionId, at: Timestamp| {
        serde_json::json!({
            "id": approval_id(number), "session": session, "tree": session,
            "principal": { "type": "Agent", "id": "worker" }, "owner": "ada@example.com",
            "task": { "id": "T", "purpose": "it's \"x\" 🦀" }, "step_up": "mfa",
            "action": { "type": "Action", "id": "export" }, "resource": { "type": "Document", "id": document },
            "attributes": { "rows": { "long": 5 } }, "digest": "ab".repeat(32), "reason": "ask", "policies": ["no"],
            "bundle": 3, "decision": approval_id(99), "approvers": 1, "owner_may_approve": false,
            "max_duration_us": 900_000_000_u64, "requested_at": at, "expires_at": at.as_micros() + 1_000_000_000,
            "votes": [], "terms": null, "decided": null, "version": 1,
        })
    };
    serde_json::from_value(of(id(1), at(i64::from(number)))).expect("it is an approval")
}

async fn open(store: &dyn Store, approval: &Approval) -> OpenedApproval {
    store.open_approval(approval).await.expect("it answers")
}

/// With an answer to it, whatever came before.
fn answered(approval: &Approval, verdict: Verdict) -> Approval {
    let vote = Vote { by: "bob".into(), via: "token".into(), at: approval.requested_at, comment: String::new() };
    let decided = Some(Decided { verdict, vote, granted_until: None, withdrawn: None });
    Approval { decided, ..approval.clone() }
}

fn denied(approval: &Approval) -> Approval {
    let vote = Vote { by: "bob".into(), via: "token".into(), at: approval.requested_at, comment: String::new() };
    approval.close(Closing::Deny, vote).expect("it waits")
}

pub async fn approval_is_opened_once_for_a_challenge(store: Arc<dyn Store>) {
    let begin = store.feed_end().await.expect("it answers");
    let first = asked(1, "a");
    assert_eq!(open(&*store, &first).await, OpenedApproval::New);
    assert_eq!(store.approval(first.id).await.expect("it answers"), Some(first.clone()));
    assert_eq!(store.approval(approval_id(2)).await.expect("it answers"), None);
    assert_eq!(open(&*store, &asked(2, "a")).await, OpenedApproval::Waiting(Box::new(first.clone())));
    let others = [
        asked(3, "b"),
        Approval { step_up: "other".into(), ..asked(4, "a") },
        Approval { session: id(2), ..asked(5, "a") },
        Approval { action: EntityRef::action("read"), ..asked(6, "a") },
        Approval { digest: "cd".repeat(32).parse().expect("a digest"), ..asked(7, "a") },
    ];
    for other in &others {
        assert_eq!(open(&*store, other).await, OpenedApproval::New);
    }
    let (seen, _) = follow(&*store, begin, 100).await;
    let mut seen: Vec<_> = seen.iter().map(|changed| format!("{changed:?}")).collect();
    seen.sort();
    let wanted = [1, 3, 4, 5, 6, 7].map(|number| format!("{:?}", Changed::Approval(approval_id(number))));
    assert_eq!(seen, wanted);
}

pub async fn concurrent_challenges_open_one_approval(store: Arc<dyn Store>) {
    let mut tasks = JoinSet::new();
    for number in 1..=8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { open(&*store, &asked(number, "a")).await });
    }
    let opened = tasks.join_all().await;
    assert_eq!(opened.iter().filter(|opened| **opened == OpenedApproval::New).count(), 1);
    assert_eq!(store.approvals(&ApprovalFilter::default(), None, 100).await.expect("it answers").len(), 1);
}

pub async fn expired_or_answered_approval_makes_room_for_another(store: Arc<dyn Store>) {
    let first = asked(1, "a");
    open(&*store, &first).await;
    let late = asked(1_001, "a");
    assert_eq!(open(&*store, &late).await, OpenedApproval::New, "the first has expired");
    // What another took the place of is not answered any more.
    let answered = store.save_approval(&denied(&first), None, at(5)).await;
    assert!(matches!(answered, Err(StoreError::ApprovalConflict { .. })), "{answered:?}");
    store.save_approval(&denied(&late), None, at(1_001)).await.expect("it is stored");
    assert_eq!(open(&*store, &asked(1_002, "a")).await, OpenedApproval::New, "the second was denied");
}

pub async fn session_waits_for_a_limited_number_of_approvals(store: Arc<dyn Store>) {
    for number in 1..=100 {
        assert_eq!(open(&*store, &asked(number, &number.to_string())).await, OpenedApproval::New);
    }
    assert_eq!(open(&*store, &asked(101, "one more")).await, OpenedApproval::TooMany);
    assert!(matches!(open(&*store, &asked(102, "7")).await, OpenedApproval::Waiting(_)));
    assert_eq!(open(&*store, &Approval { session: id(2), ..asked(103, "x") }).await, OpenedApproval::New);
    assert_eq!(open(&*store, &asked(1_001, "later")).await, OpenedApproval::New, "the first has expired");
}

pub async fn approvals_are_listed_by_state_session_and_principal(store: Arc<dyn Store>) {
    let other = EntityRef::new("Agent", "other");
    let all = [
        asked(1, "a"),
        asked(2, "b"),
        Approval { session: id(2), principal: other.clone(), ..asked(3, "a") },
        asked(500, "c"),
    ];
    for approval in &all {
        open(&*store, approval).await;
    }
    store.save_approval(&denied(&all[1]), None, at(4)).await.expect("it is stored");
    let none = ApprovalFilter::default();
    let state = |state, second| ApprovalFilter { state: Some((state, at(second))), ..ApprovalFilter::default() };
    let cases: [(ApprovalFilter, &[u32]); 8] = [
        (none.clone(), &[500, 3, 2, 1]),
        (ApprovalFilter { session: Some(id(1)), ..none.clone() }, &[500, 2, 1]),
        (ApprovalFilter { principal: Some(other), ..none.clone() }, &[3]),
        (state(ApprovalState::Pending, 1_000), &[500, 3, 1]),
        (state(ApprovalState::Pending, 1_001), &[500, 3]),
        (state(ApprovalState::Expired, 1_001), &[1]),
        (state(ApprovalState::Denied, 1_001), &[2]),
        (state(ApprovalState::Approved, 1_001), &[]),
    ];
    for (filter, wanted) in cases {
        let found = store.approvals(&filter, None, 100).await.expect("it answers");
        let wanted: Vec<_> = wanted.iter().map(|number| approval_id(*number)).collect();
        assert_eq!(found.iter().map(|approval| approval.id).collect::<Vec<_>>(), wanted, "{filter:?}");
    }
    assert_eq!(store.approvals_waiting(at(1_000)).await.expect("it answers"), 3);
    assert_eq!(store.approvals_waiting(at(1_001)).await.expect("it answers"), 2);
    let page = store.approvals(&none, Some(approval_id(3)), 1).await.expect("it answers");
    assert_eq!(page.iter().map(|approval| approval.id).collect::<Vec<_>>(), [approval_id(2)]);
}

pub async fn saved_approval_and_its_grant_are_stored_together(store: Arc<dyn Store>) {
    let first = asked(1, "a");
    open(&*store, &first).await;
    let key = MemoryKey::Session(id(1));
    let begin = store.feed_end().await.expect("it answers");
    // Of a version that is not there: nothing is stored.
    let outcome = store.save_approval(&denied(&first), Some(&write(&key, 4, "x")), at(2)).await.expect("it answers");
    let SavedApproval::MemoryConflict(stored) = outcome else { panic!("{outcome:?}") };
    assert_eq!((stored.key.clone(), stored.version), (key.clone(), 0));
    assert_eq!(store.approval(first.id).await.expect("it answers"), Some(first.clone()));
    // An approval that has changed: the memory is not stored either.
    let old = Approval { version: 9, ..denied(&first) };
    let outcome = store.save_approval(&old, Some(&write(&key, 0, "x")), at(2)).await;
    assert!(matches!(outcome, Err(StoreError::ApprovalConflict { .. })), "{outcome:?}");
    assert_eq!(stored_memory(&*store, &key).await.version, 0);
    assert_eq!(news(&*store, begin).await, Vec::<String>::new());

    let outcome = store.save_approval(&denied(&first), Some(&write(&key, 0, "x")), at(2)).await.expect("it answers");
    let saved = Approval { version: 2, ..denied(&first) };
    assert_eq!(outcome, SavedApproval::Done(Box::new(saved.clone())));
    assert_eq!(store.approval(first.id).await.expect("it answers"), Some(saved));
    assert_eq!(stored_memory(&*store, &key).await, write(&key, 1, "x"));
    let mut wanted = [format!("{:?}", Changed::Approval(first.id)), format!("{:?}", Changed::Memory(key, 1))];
    wanted.sort();
    assert_eq!(news(&*store, begin).await, wanted);
}

pub async fn approved_approval_can_only_be_cancelled_and_its_grant_goes_with_it(store: Arc<dyn Store>) {
    let first = asked(1, "a");
    open(&*store, &first).await;
    let key = MemoryKey::Session(id(1));
    let approved = store.save_approval(&answered(&first, Verdict::Approved), Some(&write(&key, 0, "x")), at(2)).await;
    let Ok(SavedApproval::Done(approved)) = approved else { panic!("{approved:?}") };
    for verdict in [Verdict::Approved, Verdict::Denied] {
        let outcome = store.save_approval(&answered(&approved, verdict), None, at(3)).await;
        assert!(matches!(outcome, Err(StoreError::ApprovalConflict { .. })), "{outcome:?}");
    }
    let cancelled = answered(&approved, Verdict::Cancelled);
    // A use that was faster: nothing is stored.
    let outcome = store.save_approval(&cancelled, Some(&write(&key, 0, "y")), at(3)).await.expect("it answers");
    assert!(matches!(outcome, SavedApproval::MemoryConflict(_)), "{outcome:?}");
    assert_eq!(store.approval(first.id).await.expect("it answers"), Some(*approved));
    let outcome = store.save_approval(&cancelled, Some(&write(&key, 1, "y")), at(3)).await.expect("it answers");
    assert!(matches!(outcome, SavedApproval::Done(_)), "{outcome:?}");
    assert_eq!(stored_memory(&*store, &key).await, write(&key, 2, "y"));
    let again = store.save_approval(&Approval { version: 3, ..cancelled }, None, at(4)).await;
    assert!(matches!(again, Err(StoreError::ApprovalConflict { .. })), "{again:?}");
}

async fn news(store: &dyn Store, begin: Cursor) -> Vec<String> {
    let (seen, _) = follow(store, begin, 100).await;
    let mut seen: Vec<_> = seen.iter().map(|changed| format!("{changed:?}")).collect();
    seen.sort();
    seen
}

pub async fn one_of_concurrent_answers_wins(store: Arc<dyn Store>) {
    let first = asked(1, "a");
    open(&*store, &first).await;
    let key = MemoryKey::Session(id(1));
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (store, first, key) = (Arc::clone(&store), first.clone(), key.clone());
        tasks.spawn(async move { store.save_approval(&denied(&first), Some(&write(&key, 0, "x")), at(2)).await });
    }
    let done = tasks.join_all().await.into_iter().filter(|answer| matches!(answer, Ok(SavedApproval::Done(_)))).count();
    assert_eq!(done, 1);
    assert_eq!(stored_memory(&*store, &key).await.version, 1);
}
