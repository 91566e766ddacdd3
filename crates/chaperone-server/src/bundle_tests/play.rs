//! One test under way: its session, its time, and what was decided so far.

use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use chaperone_policy::mapping::Mutations;
use chaperone_policy::{
    Bundle, Coverage, Decision, DecisionId, Effect, EntityRef, Memory, MemoryLimits, SessionChain, Timestamp,
};
use uuid::{Builder, Uuid};

use super::asked::Asked;
use super::expectation::{Came, Difference, compare};
use super::fields::{Fields, Read, duration, text};
use super::world::{self, PresenterGiven};
use super::yaml::Node;
use crate::config::OnTokenReuse;
use crate::effect_text::{effect_kind, effect_text};
use crate::evaluator::Evaluator;
use crate::pdp::Judge;
use crate::replica::Snapshot;

/// One test under way.
pub struct Play {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) judge: Judge,
    pub(super) coverage: Option<Rc<Coverage>>,
    pub(super) chain: Option<SessionChain>,
    pub(super) now: Timestamp,
    pub(super) made: Vec<Made>,
    presenter: PresenterGiven,
    /// How many ids were made: each is another.
    ids: u64,
}

/// A decision that was made.
pub struct Made {
    /// What its step is called.
    pub step: Option<String>,
    pub id: DecisionId,
    pub at: Timestamp,
    /// What was asked for.
    pub actions: Vec<EntityRef>,
    pub decision: Decision,
}

/// What came of a step.
#[derive(Debug, Default)]
pub struct Stepped {
    /// What is not as the test expects it.
    pub differences: Vec<Difference>,
    /// Why it came as it did.
    pub explanation: String,
}

/// What a step did.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub decision: Option<Decision>,
    pub report: Option<&'static str>,
    pub effects: Vec<Effect>,
    pub mutations: Option<Mutations>,
}

impl Play {
    /// The world as a test says that it is before its first step.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn begin(test: &Node, snapshot: Arc<Snapshot>, coverage: Option<Rc<Coverage>>) -> Read<Self> {
        let now = world::begins(test.get("at"))?;
        let chain = world::chain(test.get("session"), test.get("state"), &snapshot.bundle, now)?;
        let presenter = test.get("presenter").map(world::presenter).transpose()?.unwrap_or_default();
        // As a server has them that was told nothing else.
        let (limits, on_token_reuse) = (MemoryLimits::default(), OnTokenReuse::Deny);
        let judge = Judge { evaluator: Evaluator::Compiled, limits, on_token_reuse };
        Ok(Self { snapshot, judge, coverage, chain, now, made: Vec::new(), presenter, ids: 0 })
    }

    /// Makes a step. One that is a test by itself has what the test has, too.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn step(&mut self, node: &Node, is_whole_test: bool) -> Read<Stepped> {
        let mut fields = Fields::of(node)?;
        if is_whole_test {
            for name in ["at", "session", "state", "entities"] {
                fields.take(name);
            }
        }
        let name = fields.read("name", text)?.map(str::to_owned);
        self.now = self.now.plus(fields.read("after", duration)?.unwrap_or_default());
        let presenter = fields.read("presenter", world::presenter)?;
        let presenter = presenter.unwrap_or_else(|| self.presenter.clone());
        let done = match (fields.take("request"), fields.take("approve"), fields.take("report")) {
            (Some(request), None, None) => self.ask(request, name, &presenter)?,
            (None, Some(approve), None) => self.approve(approve)?,
            (None, None, Some(report)) => self.report(report)?,
            _ => return Err(node.fault("a step has one of `request`, `approve` and `report`")),
        };
        let expected = fields.take("expect");
        if expected.is_none() && done.decision.is_some() {
            return Err(node.fault("`expect` is missing: what is not expected is not tested"));
        }
        fields.finish()?;
        let came = Came {
            decision: done.decision.as_ref(),
            report: done.report,
            effects: &done.effects,
            mutations: done.mutations.as_ref(),
            chain: self.chain.as_ref(),
            bundle: &self.snapshot.bundle,
            at: self.now,
        };
        let differences = expected.map(|expected| compare(expected, &came)).transpose()?.unwrap_or_default();
        Ok(Stepped { differences, explanation: explained(&done) })
    }

    fn ask(&mut self, request: &Node, step: Option<String>, presenter: &PresenterGiven) -> Read<Done> {
        let handle = self.chain.as_ref().map(|_| super::deciding::HANDLE.reveal());
        let bundle = Arc::clone(&self.snapshot.bundle);
        let asked = Asked::of(request, &bundle, handle.as_deref())?;
        let (made, mutations) = self.decide(&bundle, &asked, presenter);
        if let Some(coverage) = &self.coverage {
            coverage.note_decision(&made.decision);
        }
        let decision = made.decision.clone();
        self.made.push(Made { step, ..made });
        let effects = decision.effects.clone();
        Ok(Done { decision: Some(decision), effects, mutations, report: None })
    }

    /// What makes of a chain another, with these of its memories changed.
    pub(super) fn change_memories(&mut self, change: impl FnOnce(&mut Vec<Arc<Memory>>)) {
        let Some(chain) = &self.chain else { return };
        let mut memories: Vec<_> = chain.memories().cloned().collect();
        change(&mut memories);
        self.chain = chain.with_memories(memories).or_else(|| self.chain.take());
    }

    /// An id that no other has, and that is the same at every run.
    pub(super) fn next_id(&mut self) -> Uuid {
        self.ids += 1;
        let mut random = [0; 10];
        random.iter_mut().skip(2).zip(self.ids.to_be_bytes()).for_each(|(byte, digit)| *byte = digit);
        let millis = u64::try_from(self.now.as_micros() / 1_000).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

/// With entities beside those that there are; where none are given, the same.
///
/// # Errors
/// With what the schema does not allow.
pub fn with_entities(node: Option<&Node>, snapshot: &Arc<Snapshot>) -> Read<Arc<Snapshot>> {
    let Some(node) = node else { return Ok(Arc::clone(snapshot)) };
    let bundle: &Arc<Bundle> = &snapshot.bundle;
    let given = world::entities(node, bundle)?;
    let mut changes = snapshot.entities.change();
    changes.put(bundle, &given);
    let entities = changes.finish().map_err(|errors| {
        let texts: Vec<_> = errors.iter().take(10).map(ToString::to_string).collect();
        node.fault(texts.join("; "))
    })?;
    let (digest, bundle, mark) = (Arc::clone(&snapshot.digest), Arc::clone(bundle), Arc::default());
    Ok(Arc::new(Snapshot { number: snapshot.number, digest, bundle, entities, mark }))
}

/// What came of a step and why, a line each.
fn explained(done: &Done) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Some(decision) = &done.decision {
        let (outcome, code) = (decision.outcome.as_str(), decision.reason.code());
        let _ = write!(text, "it came to {outcome} ({code}): {}", decision.sentence());
        for policy in &decision.policies {
            let reason = policy.reason.as_deref().map(|reason| format!(": {reason}"));
            let failure = policy.failure.map(|failure| format!(", which failed: {failure}"));
            let _ = write!(text, "\nby {}{}", policy.id, reason.or(failure).unwrap_or_default());
        }
    }
    if let Some(report) = done.report {
        let _ = write!(text, "the report: {report}");
    }
    for effect in &done.effects {
        let _ = write!(text, "\ndid {} {}", effect_kind(effect), effect_text(effect));
    }
    text
}
