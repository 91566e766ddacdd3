//! What replicas say of themselves.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::sync::Arc;

use chaperone_policy::BundleNumber;

use super::fixtures::at;
use crate::store::{ReplicaReport, Store};

fn report(replica: &str, bundle: Option<u64>, second: i64) -> ReplicaReport {
    ReplicaReport {
        replica: replica.to_owned(),
        version: "0.1.0".to_owned(),
        bundle: bundle.map(BundleNumber::new),
        is_unusable: false,
        seen_at: at(second),
    }
}

async fn say(store: &dyn Store, report: &ReplicaReport) {
    store.report_replica(report).await.expect("it is stored");
}

pub async fn replica_says_what_it_serves_and_the_last_word_counts(store: Arc<dyn Store>) {
    assert_eq!(store.replicas(at(0)).await.expect("it answers"), []);
    say(&*store, &report("pdp-b", None, 1)).await;
    let unusable = ReplicaReport { is_unusable: true, ..report("it's \"a\" 🦀", Some(2), 1) };
    say(&*store, &unusable).await;
    say(&*store, &report("pdp-b", Some(2), 3)).await;
    let found = store.replicas(at(0)).await.expect("it answers");
    assert_eq!(found, [unusable, report("pdp-b", Some(2), 3)], "by name");
}

pub async fn replica_that_is_silent_is_not_listed(store: Arc<dyn Store>) {
    for (name, second) in [("a", 1), ("b", 2), ("c", 3)] {
        say(&*store, &report(name, Some(1), second)).await;
    }
    let names = |found: Vec<ReplicaReport>| found.into_iter().map(|report| report.replica).collect::<Vec<_>>();
    assert_eq!(names(store.replicas(at(2)).await.expect("it answers")), ["b", "c"]);
    assert_eq!(names(store.replicas(at(4)).await.expect("it answers")), [""; 0]);
}

pub async fn replica_that_leaves_is_forgotten_and_so_are_the_silent(store: Arc<dyn Store>) {
    for (name, second) in [("a", 1), ("b", 5), ("c", 5)] {
        say(&*store, &report(name, Some(1), second)).await;
    }
    store.forget_replicas(Some("b"), at(2)).await.expect("it is forgotten");
    assert_eq!(store.replicas(at(0)).await.expect("it answers"), [report("c", Some(1), 5)]);
    store.forget_replicas(None, at(5)).await.expect("nobody is silent");
    assert_eq!(store.replicas(at(0)).await.expect("it answers").len(), 1);
}
