//! What evaluates policies: the same answers from each, and a count of those that were made twice.

use chaperone_e2e::admin;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::Chaperone;
use chaperone_e2e::direct::{self, Direct};
use chaperone_e2e::wait;

/// Checks whose decisions are told apart, with what they are.
const CHECKS: usize = 3;

/// A session's decisions: permitted, not permitted, and after its end.
async fn decide(options: &[&str]) -> (Chaperone, Vec<(String, Vec<String>)>) {
    let mut replica = Chaperone::start("embedded::memory:", options).await;
    let administer = replica.administer().await;
    administer.push(&Bundle::documents()).await;
    replica.ready().await;
    let (opened, revoked) =
        (administer.open(admin::agent("reader")).await, administer.open(admin::agent("reader")).await);
    administer.revoke(&revoked.session.id).await;
    let direct = Direct::to(&replica).await;
    let mut decisions = Vec::new();
    for (document, handle) in [("42", &opened.handle), ("no such document", &opened.handle), ("42", &revoked.handle)] {
        let decision = direct.check(direct::read(document, handle)).await.expect("a decision");
        decisions.push((decision.code, decision.policies.into_iter().map(|policy| policy.id).collect()));
    }
    (replica, decisions)
}

fn count(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_evaluator_gives_the_same_answers() {
    let (_compiled, expected) = decide(&["--evaluator", "compiled"]).await;
    assert_eq!(expected.len(), CHECKS);
    assert_eq!((expected[0].0.as_str(), expected[2].0.as_str()), ("permitted", "session_revoked"));
    let (mut cedar, decisions) = decide(&["--evaluator", "cedar"]).await;
    assert_eq!(decisions, expected);
    assert!(cedar.process().output().contains("every policy is evaluated for every check"));
}

#[tokio::test(flavor = "multi_thread")]
async fn verified_decisions_are_counted_and_none_differs() {
    let (replica, decisions) = decide(&["--evaluator", "verify", "--evaluator-verify-ratio", "1"]).await;
    assert_eq!(decisions[0].0, "permitted");
    wait::until("every decision was made again", async || {
        let metrics = replica.metrics().await;
        let verified = count(&metrics, "chaperone_evaluator_verified_total")?;
        assert_eq!(count(&metrics, "chaperone_evaluator_differences_total"), Some(0.0), "{metrics}");
        (verified >= f64::from(u32::try_from(CHECKS).expect("few"))).then_some(())
    })
    .await;
}
