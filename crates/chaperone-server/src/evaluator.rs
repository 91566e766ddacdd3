//! What evaluates policies: the compiled ones, Cedar's own authorizer, or the one and on a sample of the decisions the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use chaperone_policy::{
    Authority, Decision, DecisionId, EntityRef, Presenter, Request, SessionChain, Timestamp, Trace, decide_as_allowed,
    decide_by_cedar, decide_traced,
};

use crate::config::{DecisionsConfig, EvaluatorMode};
use crate::replica::Snapshot;
use crate::telemetry::Metrics;

/// How many decisions wait to be made again. One more is not made again.
const SAMPLES_MAX: usize = 256;

/// Evaluates policies.
#[derive(Debug)]
pub enum Evaluator {
    /// By the compiled policies.
    Compiled,
    /// By the compiled policies, of what was allowed when it was asked: to tell what it leaves behind, not to answer.
    CompiledAsAllowed,
    /// By Cedar's own authorizer.
    Cedar,
    /// By the compiled policies, some of it again by Cedar's authorizer.
    Verify(Verifier),
}

/// Has some decisions made again by Cedar's authorizer, off the way of their answers.
#[derive(Debug)]
pub struct Verifier {
    /// The part of the decisions that are made again.
    ratio: f64,
    samples: SyncSender<Sample>,
    metrics: Arc<Metrics>,
}

/// A decision with everything that it was made from.
#[derive(Debug)]
struct Sample {
    id: DecisionId,
    snapshot: Arc<Snapshot>,
    request: Request,
    /// The session, or who acts without one.
    authority: Result<SessionChain, EntityRef>,
    presenter: Presenter<'static>,
    now: Timestamp,
    decision: Decision,
}

impl Evaluator {
    /// As configured. What verifies has a thread of its own, which ends with what this returns.
    ///
    /// # Errors
    /// When the thread cannot be had.
    pub fn start(config: &DecisionsConfig, metrics: &Arc<Metrics>) -> std::io::Result<Self> {
        Ok(match config.evaluator {
            EvaluatorMode::Compiled => Self::Compiled,
            EvaluatorMode::Cedar => Self::Cedar,
            EvaluatorMode::Verify => {
                let (samples, received) = sync_channel(SAMPLES_MAX);
                let counts = Arc::clone(metrics);
                thread::Builder::new().name("verifier".into()).spawn(move || verify_all(&received, &counts))?;
                Self::Verify(Verifier { ratio: config.verify_ratio, samples, metrics: Arc::clone(metrics) })
            }
        })
    }

    /// Decides, as [`decide_traced`] does.
    #[expect(
        clippy::too_many_arguments,
        reason = "as many as the function that it stands for, and which decision it is"
    )]
    pub fn decide(
        &self,
        id: DecisionId,
        snapshot: &Arc<Snapshot>,
        request: &Request,
        authority: Authority<'_>,
        presenter: &Presenter,
        now: Timestamp,
        trace: &Trace,
    ) -> Decision {
        let Snapshot { bundle, entities, .. } = &**snapshot;
        if matches!(self, Self::CompiledAsAllowed) {
            return decide_as_allowed(bundle, entities, request, authority, presenter, now, trace);
        }
        if matches!(self, Self::Cedar) {
            // Only the compiled policies tell what they look at.
            decide_traced(bundle, entities, request, authority, presenter, now, trace);
            return decide_by_cedar(bundle, entities, request, authority, presenter, now);
        }
        let decision = decide_traced(bundle, entities, request, authority, presenter, now, trace);
        if let Self::Verify(verifier) = self
            && verifier.takes(id)
        {
            verifier.offer(Sample {
                id,
                snapshot: Arc::clone(snapshot),
                request: request.clone(),
                authority: match authority {
                    Authority::Session(chain) => Ok(chain.clone()),
                    Authority::Principal(principal) => Err(principal.clone()),
                },
                presenter: presenter.clone().into_owned(),
                now,
                decision: decision.clone(),
            });
        }
        decision
    }
}

impl Verifier {
    /// Whether a decision is made again: by the random part of its id, so that the sample follows no pattern of the traffic.
    fn takes(&self, id: DecisionId) -> bool {
        let [.., a, b, c, d] = *id.as_uuid().as_bytes();
        f64::from(u32::from_be_bytes([a, b, c, d])) < self.ratio * 2_f64.powi(32)
    }

    /// Hands it over, unless others wait already: the answer does not.
    fn offer(&self, sample: Sample) {
        if self.samples.try_send(sample).is_err() {
            self.metrics.verification_dropped();
        }
    }
}

/// Makes decisions again until there can be no more.
fn verify_all(samples: &Receiver<Sample>, metrics: &Metrics) {
    for sample in samples {
        metrics.verified(!sample.is_confirmed());
    }
}

impl Sample {
    /// Whether Cedar's authorizer makes the same decision. Another one is logged, without what the caller sent.
    fn is_confirmed(&self) -> bool {
        let Self { snapshot, request, presenter, now, decision, .. } = self;
        let authority = match &self.authority {
            Ok(chain) => Authority::Session(chain),
            Err(principal) => Authority::Principal(principal),
        };
        let by_cedar = || decide_by_cedar(&snapshot.bundle, &snapshot.entities, request, authority, presenter, *now);
        let again = catch_unwind(AssertUnwindSafe(by_cedar)).ok();
        if again.as_ref() == Some(decision) {
            return true;
        }
        tracing::error!(
            decision.id = %self.id,
            bundle.number = snapshot.number.get(),
            action = %request.action,
            decision.compiled = summary(decision),
            decision.cedar = again.as_ref().map_or_else(|| "a defect in the evaluator".to_owned(), summary),
            "the two evaluators decide differently; `--evaluator=cedar` falls back to Cedar's"
        );
        false
    }
}

/// Outcome, reason, and the determining policies with how they failed.
fn summary(decision: &Decision) -> String {
    let policies = decision.policies.iter().map(|policy| match policy.failure {
        Some(failure) => format!("{} ({failure})", policy.id),
        None => policy.id.to_string(),
    });
    let policies = policies.collect::<Vec<_>>().join(", ");
    format!("{} {} [{policies}]", decision.outcome.as_str(), decision.reason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chaperone_policy::{Attributes, Bundle, BundleNumber, BundleSource, Outcome, Reason};

    use super::*;

    const SCHEMA: &str = "
        entity Document;
        action read appliesTo { principal: [Chaperone::Workload], resource: [Document], context: { request: {} } };";
    const POLICY: &str = "@id(\"all\") permit (principal, action, resource) when { resource == Document::\"1\" };";
    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn snapshot() -> Arc<Snapshot> {
        let files = [("schema.cedarschema", SCHEMA), ("policies/main.cedar", POLICY)];
        let files: BTreeMap<_, _> = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let bundle = Bundle::compile(&BundleSource { files }).expect("valid");
        let entities = bundle.own_entities().clone();
        let (number, mark) = (BundleNumber::new(1), Arc::default());
        Arc::new(Snapshot { number, digest: "".into(), bundle: Arc::new(bundle), entities, mark })
    }

    fn id(random: u32) -> DecisionId {
        format!("0190a000-0000-7000-8000-0000{random:08x}").parse().expect("a UUID")
    }

    fn request(snapshot: &Snapshot, document: &str) -> Request {
        snapshot.bundle.request("read", EntityRef::new("Document", document), Attributes::new()).expect("allowed")
    }

    fn decide_by(evaluator: &Evaluator, document: &str) -> Decision {
        let (snapshot, peer) = (snapshot(), EntityRef::new("Chaperone::Workload", "spiffe://x/y"));
        let request = request(&snapshot, document);
        let presenter = Presenter::default();
        evaluator.decide(id(7), &snapshot, &request, Authority::Principal(&peer), &presenter, NOW, &Trace::default())
    }

    fn verifier(ratio: f64, samples: usize) -> (Verifier, Receiver<Sample>, Arc<Metrics>) {
        let (samples, received) = sync_channel(samples);
        let metrics = Arc::new(Metrics::new("r").expect("they can be made"));
        (Verifier { ratio, samples, metrics: Arc::clone(&metrics) }, received, metrics)
    }

    fn count(metrics: &Metrics, name: &str) -> Option<f64> {
        let text = metrics.text().expect("it is written");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    #[test]
    fn every_evaluator_decides_the_same() {
        let (verifier, _received, _) = verifier(1.0, 8);
        let evaluators = [Evaluator::Compiled, Evaluator::Cedar, Evaluator::Verify(verifier)];
        for (document, outcome) in [("1", Outcome::Allow), ("2", Outcome::Deny)] {
            let decisions: Vec<Decision> = evaluators.iter().map(|evaluator| decide_by(evaluator, document)).collect();
            assert!(decisions.iter().all(|decision| decision.outcome == outcome), "{decisions:?}");
            assert!(decisions.windows(2).all(|pair| pair[0] == pair[1]), "{decisions:?}");
        }
    }

    #[test]
    fn sampled_decisions_are_made_again_and_a_difference_is_counted() {
        let (verifier, received, metrics) = verifier(1.0, 8);
        let evaluator = Evaluator::Verify(verifier);
        decide_by(&evaluator, "1");
        decide_by(&evaluator, "2");
        let Evaluator::Verify(verifier) = evaluator else { panic!("made above") };
        let mut wrong = received.recv().expect("the first");
        wrong.decision = Decision::deny(Reason::NoPermit);
        verifier.offer(wrong);
        drop(verifier);
        verify_all(&received, &metrics);
        assert_eq!(count(&metrics, "chaperone_evaluator_verified_total"), Some(2.0));
        assert_eq!(count(&metrics, "chaperone_evaluator_differences_total"), Some(1.0));
    }

    #[test]
    fn nobody_waits_for_a_verifier_that_is_behind() {
        let (verifier, _received, metrics) = verifier(1.0, 1);
        let evaluator = Evaluator::Verify(verifier);
        for _ in 0..3 {
            assert_eq!(decide_by(&evaluator, "1").outcome, Outcome::Allow);
        }
        assert_eq!(count(&metrics, "chaperone_evaluator_samples_dropped_total"), Some(2.0));
    }

    #[test]
    fn sample_is_as_large_as_asked_for() {
        let (mut verifier, ..) = verifier(0.25, 1);
        assert!(verifier.takes(id(0)) && verifier.takes(id(0x3fff_ffff)));
        assert!(!verifier.takes(id(0x4000_0000)) && !verifier.takes(id(u32::MAX)));
        verifier.ratio = 0.0;
        assert!(!verifier.takes(id(0)));
        verifier.ratio = 1.0;
        assert!(verifier.takes(id(u32::MAX)));
    }

    #[test]
    fn summary_names_policies_without_what_they_say() {
        let decision = decide_by(&Evaluator::Compiled, "1");
        assert_eq!(summary(&decision), "allow permitted [all]");
    }
}
