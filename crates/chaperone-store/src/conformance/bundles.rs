//! Uploading and activating bundles.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::sync::Arc;

use chaperone_policy::BundleNumber;

use super::fixtures::{at, bundle, follow};
use crate::error::StoreError;
use crate::feed::{Changed, Cursor};
use crate::store::{BundleInfo, NewActivation, Store};

const ONE: BundleNumber = BundleNumber::new(1);
const TWO: BundleNumber = BundleNumber::new(2);
const NONE: BundleNumber = BundleNumber::new(0);

async fn upload(store: &dyn Store, policies: &[&str]) {
    for policy in policies {
        store.insert_bundle(&bundle(policy)).await.expect("it is stored");
    }
}

async fn activate(
    store: &dyn Store,
    number: BundleNumber,
    expected: Option<BundleNumber>,
) -> Result<BundleInfo, StoreError> {
    store.activate_bundle(&NewActivation { expected, ..NewActivation::new(number, "ops", at(5)) }).await
}

pub async fn bundles_are_numbered_in_order(store: Arc<dyn Store>) {
    for (number, policy) in (1..).zip(["a", "b", "c"]) {
        let new = bundle(policy);
        let (info, created) = store.insert_bundle(&new).await.expect("it is stored");
        let wanted = BundleInfo {
            number: BundleNumber::new(number),
            digest: new.source.digest(),
            message: new.message,
            uploaded_by: new.uploaded_by,
            uploaded_at: new.uploaded_at,
            policy_count: 1,
            active: false,
        };
        assert_eq!((info, created), (wanted, true));
    }
    assert_eq!(store.active_bundle().await.expect("it answers"), None, "an upload activates nothing");
}

pub async fn bundle_survives_with_its_files(store: Arc<dyn Store>) {
    let mut new = bundle("a");
    let text = "permit (principal, action, resource); // \"\u{0}\\ 🦀\r\n";
    new.source.files.insert("policies/odd.cedar".to_owned(), text.to_owned());
    new.source.files.insert("policies/large.cedar".to_owned(), "x".repeat(3 << 20));
    let (info, _) = store.insert_bundle(&new).await.expect("it is stored");
    let stored = store.bundle(ONE).await.expect("it answers").expect("it is there");
    assert_eq!((stored.info, stored.source), (info, new.source));
    assert_eq!(store.bundle(TWO).await.expect("it answers"), None);
    assert_eq!(store.bundle(BundleNumber::new(u64::MAX)).await.expect("it answers"), None);
}

pub async fn same_bundle_is_stored_once(store: Arc<dyn Store>) {
    upload(&*store, &["a", "b"]).await;
    let mut again = bundle("a");
    "another note".clone_into(&mut again.message);
    let (info, created) = store.insert_bundle(&again).await.expect("it is found");
    assert_eq!((info.number, info.message.as_str(), created), (ONE, "adds a", false));
    activate(&*store, ONE, None).await.expect("it is activated");
    assert!(store.insert_bundle(&again).await.expect("it is found").0.active);
    assert_eq!(store.bundles(None, 10).await.expect("it answers").len(), 2);
}

pub async fn concurrent_uploads_leave_no_gap(store: Arc<dyn Store>) {
    // Each of four bundles is uploaded three times.
    let uploads: Vec<_> = (0..12)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.insert_bundle(&bundle(&format!("p{}", n % 4))).await })
        })
        .collect();
    let mut created = 0;
    for upload in uploads {
        created += u32::from(upload.await.expect("it ends").expect("it is stored").1);
    }
    let numbers: Vec<u64> =
        store.bundles(None, 100).await.expect("it answers").iter().map(|info| info.number.get()).collect();
    assert_eq!((created, numbers), (4, vec![4, 3, 2, 1]));
}

pub async fn activation_expects_what_is_active(store: Arc<dyn Store>) {
    upload(&*store, &["a", "b"]).await;
    let refused = activate(&*store, ONE, Some(TWO)).await;
    assert!(matches!(refused, Err(StoreError::BundleConflict { active }) if active == NONE), "{refused:?}");
    let info = activate(&*store, ONE, Some(NONE)).await.expect("none is active");
    assert!(info.active && info.number == ONE);
    let refused = activate(&*store, TWO, Some(NONE)).await;
    assert!(matches!(refused, Err(StoreError::BundleConflict { active }) if active == ONE), "{refused:?}");
    activate(&*store, TWO, Some(ONE)).await.expect("one is active");
    let active = store.active_bundle().await.expect("it answers").expect("one is active");
    assert_eq!((active.info.number, active.info.active, active.source), (TWO, true, bundle("b").source));
    activate(&*store, ONE, None).await.expect("whatever is active");
    let states: Vec<_> =
        store.bundles(None, 10).await.expect("it answers").iter().map(|info| (info.number, info.active)).collect();
    assert_eq!(states, [(TWO, false), (ONE, true)]);
    assert!(store.bundle(ONE).await.expect("it answers").expect("it is there").info.active);
}

pub async fn activation_of_an_unknown_bundle_is_not_found(store: Arc<dyn Store>) {
    upload(&*store, &["a"]).await;
    for number in [NONE, TWO, BundleNumber::new(u64::MAX)] {
        let refused = activate(&*store, number, None).await;
        assert!(matches!(refused, Err(StoreError::NotFound { .. })), "{refused:?}");
    }
    assert_eq!(store.active_bundle().await.expect("it answers"), None);
}

pub async fn one_of_concurrent_activations_wins(store: Arc<dyn Store>) {
    upload(&*store, &["a", "b", "c", "d"]).await;
    let activations: Vec<_> = (1..=4)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { activate(&*store, BundleNumber::new(number), Some(NONE)).await })
        })
        .collect();
    let mut won = Vec::new();
    for activation in activations {
        won.extend(activation.await.expect("it ends").ok());
    }
    let active = store.active_bundle().await.expect("it answers").expect("one is active");
    assert_eq!(won, [active.info]);
    let (seen, _) = follow(&*store, Cursor::default(), 10).await;
    assert_eq!(seen, [Changed::ActiveBundle]);
}

pub async fn bundles_are_paged_newest_first(store: Arc<dyn Store>) {
    upload(&*store, &["a", "b", "c"]).await;
    let first = store.bundles(None, 2).await.expect("it answers");
    let second = store.bundles(first.last().map(|info| info.number), 2).await.expect("it answers");
    let numbers: Vec<Vec<u64>> =
        [first, second].iter().map(|page| page.iter().map(|info| info.number.get()).collect()).collect();
    assert_eq!(numbers, [vec![3, 2], vec![1]]);
}
