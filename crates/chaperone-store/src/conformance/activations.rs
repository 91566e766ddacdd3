//! The history of what was active.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::sync::Arc;

use chaperone_policy::BundleNumber;

use super::fixtures::{at, bundle};
use crate::error::StoreError;
use crate::store::{BundleActivation, NewActivation, Store};

const ONE: BundleNumber = BundleNumber::new(1);
const TWO: BundleNumber = BundleNumber::new(2);

async fn upload(store: &dyn Store, policies: &[&str]) {
    for policy in policies {
        store.insert_bundle(&bundle(policy)).await.expect("it is stored");
    }
}

async fn activate(store: &dyn Store, number: BundleNumber) {
    store.activate_bundle(&NewActivation::new(number, "ops", at(5))).await.expect("it is activated");
}

async fn history(store: &dyn Store) -> Vec<BundleActivation> {
    store.bundle_activations(None, 100).await.expect("it answers")
}

pub async fn every_activation_is_kept(store: Arc<dyn Store>) {
    upload(&*store, &["a", "b"]).await;
    assert_eq!(history(&*store).await, [], "an upload activates nothing");
    let message = "back: \"b\" let \u{1f980} through\r\n";
    let activations = [
        NewActivation::new(ONE, "ann", at(5)),
        NewActivation { message: "release".to_owned(), expected: Some(ONE), ..NewActivation::new(TWO, "ben", at(6)) },
        // The same again is an act all the same.
        NewActivation::new(TWO, "ben", at(7)),
        NewActivation { is_rollback: true, message: message.to_owned(), ..NewActivation::new(ONE, "cat", at(6)) },
    ];
    let mut wanted = Vec::new();
    for (activation, previous) in activations.into_iter().zip([None, Some(ONE), Some(TWO), Some(TWO)]) {
        store.activate_bundle(&activation).await.expect("it is activated");
        let kept = history(&*store).await;
        let newest = kept.first().expect("it is kept");
        let NewActivation { number, is_rollback, message, activated_by, activated_at, .. } = activation;
        let position = newest.position;
        let written = BundleActivation { position, number, previous, is_rollback, message, activated_by, activated_at };
        wanted.insert(0, written);
        assert_eq!(kept, wanted, "and those before it stay as they were");
    }
    assert!(wanted.windows(2).all(|pair| pair[0].position > pair[1].position), "{wanted:?}");
}

pub async fn refused_activation_is_not_kept(store: Arc<dyn Store>) {
    upload(&*store, &["a", "b"]).await;
    activate(&*store, ONE).await;
    let before = history(&*store).await;
    let unexpected = NewActivation { expected: Some(TWO), ..NewActivation::new(TWO, "ops", at(6)) };
    let refused = store.activate_bundle(&unexpected).await;
    assert!(matches!(refused, Err(StoreError::BundleConflict { active }) if active == ONE), "{refused:?}");
    let unknown = NewActivation { is_rollback: true, ..NewActivation::new(BundleNumber::new(9), "ops", at(6)) };
    let refused = store.activate_bundle(&unknown).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    assert_eq!(history(&*store).await, before);
}

pub async fn activations_are_paged_newest_first(store: Arc<dyn Store>) {
    upload(&*store, &["a", "b"]).await;
    for number in [ONE, TWO, ONE, TWO, ONE] {
        activate(&*store, number).await;
    }
    let whole = history(&*store).await;
    assert_eq!(whole.len(), 5);
    let (mut paged, mut before) = (Vec::new(), None);
    loop {
        let page = store.bundle_activations(before, 2).await.expect("it answers");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2, "{page:?}");
        before = Some(last.position);
        paged.extend(page);
    }
    assert_eq!(paged, whole);
    assert_eq!(store.bundle_activations(Some(0), 2).await.expect("it answers"), []);
    assert_eq!(store.bundle_activations(Some(u64::MAX), 100).await.expect("it answers"), whole);
}

pub async fn concurrent_activations_follow_each_other(store: Arc<dyn Store>) {
    upload(&*store, &["a", "b", "c", "d"]).await;
    let activations: Vec<_> = (0..12)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { activate(&*store, BundleNumber::new(n % 4 + 1)).await })
        })
        .collect();
    for activation in activations {
        activation.await.expect("it ends");
    }
    let kept = history(&*store).await;
    assert_eq!(kept.len(), 12);
    for pair in kept.windows(2) {
        assert_eq!(pair[0].previous, Some(pair[1].number), "each tells of the one before it: {kept:?}");
    }
    assert_eq!(kept[11].previous, None);
    let active = store.active_bundle().await.expect("it answers").expect("one is active");
    assert_eq!(active.info.number, kept[0].number);
}
