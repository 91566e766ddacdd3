//! Candidates.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::sync::Arc;

use chaperone_policy::BundleNumber;

use super::fixtures::{at, bundle, follow};
use crate::candidate::{Candidate, CandidateRole, Share};
use crate::error::StoreError;
use crate::feed::Changed;
use crate::store::{NewActivation, Store};

const NONE: BundleNumber = BundleNumber::new(0);
const ONE: BundleNumber = BundleNumber::new(1);
const TWO: BundleNumber = BundleNumber::new(2);

fn shadow() -> Candidate {
    Candidate {
        role: CandidateRole::Shadow,
        number: TWO,
        beside: ONE,
        share: Share::ALL,
        label: None,
        message: String::new(),
        started_by: "ann".to_owned(),
        started_at: at(5),
    }
}

fn canary() -> Candidate {
    Candidate {
        role: CandidateRole::Canary,
        share: Share::of_millionths(1).expect("not more than all"),
        label: Some("it's \"early\" \u{1f980}".to_owned()),
        message: "careful".to_owned(),
        started_by: "ben".to_owned(),
        started_at: at(6),
        ..shadow()
    }
}

/// Two bundles, of which the first is active.
async fn prepare(store: &dyn Store) {
    for policy in ["a", "b"] {
        store.insert_bundle(&bundle(policy)).await.expect("it is stored");
    }
    activate(store, ONE).await;
}

async fn activate(store: &dyn Store, number: BundleNumber) {
    store.activate_bundle(&NewActivation::new(number, "ops", at(4))).await.expect("it is activated");
}

async fn put(store: &dyn Store, candidate: &Candidate) {
    store.put_candidate(candidate).await.expect("it is stored");
}

async fn candidates(store: &dyn Store) -> Vec<Candidate> {
    store.candidates().await.expect("it answers")
}

pub async fn candidate_survives_and_another_takes_its_place(store: Arc<dyn Store>) {
    prepare(&*store).await;
    assert_eq!(candidates(&*store).await, []);
    put(&*store, &shadow()).await;
    put(&*store, &canary()).await;
    assert_eq!(candidates(&*store).await, [canary(), shadow()]);
    let other = Candidate { share: Share::NONE, number: ONE, started_at: at(9), ..shadow() };
    put(&*store, &other).await;
    assert_eq!(candidates(&*store).await, [canary(), other.clone()]);
    // What becomes active leaves them as they are.
    activate(&*store, TWO).await;
    assert_eq!(candidates(&*store).await, [canary(), other]);
}

pub async fn removed_candidate_is_gone_and_others_stay(store: Arc<dyn Store>) {
    prepare(&*store).await;
    put(&*store, &shadow()).await;
    put(&*store, &canary()).await;
    let removed = async |role| store.remove_candidate(role, at(9)).await.expect("it answers");
    assert!(removed(CandidateRole::Shadow).await);
    assert_eq!(candidates(&*store).await, [canary()]);
    assert!(!removed(CandidateRole::Shadow).await, "there is none any more");
    assert!(removed(CandidateRole::Canary).await);
    assert_eq!(candidates(&*store).await, []);
}

pub async fn candidate_must_exist_and_be_beside_the_active_bundle(store: Arc<dyn Store>) {
    prepare(&*store).await;
    put(&*store, &shadow()).await;
    let unknown = store.put_candidate(&Candidate { number: BundleNumber::new(9), ..shadow() }).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
    for beside in [NONE, TWO] {
        let overtaken = store.put_candidate(&Candidate { beside, ..shadow() }).await;
        assert!(matches!(overtaken, Err(StoreError::BundleConflict { active }) if active == ONE), "{overtaken:?}");
    }
    assert_eq!(candidates(&*store).await, [shadow()]);
}

pub async fn candidates_are_in_the_feed(store: Arc<dyn Store>) {
    prepare(&*store).await;
    let mut end = store.feed_end().await.expect("it answers");
    let mut news = async || {
        let (seen, cursor) = follow(&*store, end, 10).await;
        end = cursor;
        seen
    };
    put(&*store, &shadow()).await;
    assert_eq!(news().await, [Changed::Candidates]);
    store.put_candidate(&Candidate { beside: TWO, ..shadow() }).await.expect_err("another is active");
    assert_eq!(news().await, []);
    store.remove_candidate(CandidateRole::Shadow, at(9)).await.expect("it is removed");
    assert_eq!(news().await, [Changed::Candidates]);
}
