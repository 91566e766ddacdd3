//! What others do between two decisions: people approve, and enforcement points report.

use std::num::NonZeroU32;
use std::sync::Arc;

use chaperone_policy::{
    Approval, ApprovalId, ApprovalScope, AskedBy, Attributes, Change, DecisionId, Memory, MemoryKey, MemoryLimits,
    Outcome, OutcomeReport, Reported, ReportedMemories, Requester, StepUp, Terms, Timestamp, Type, Vote, settle,
};

use super::fields::{Fields, Read, duration, entries, number, text};
use super::play::{Done, Made, Play};
use super::values::value;
use super::yaml::{Fault, Node, Value};
use crate::pdp::ReportFailure;

/// What a step asked for that a person can approve.
struct Wanted {
    decision: DecisionId,
    at: Timestamp,
    step_up: StepUp,
}

impl Play {
    /// As many people approve what a step was challenged with as the bundle asks for.
    pub(super) fn approve(&mut self, node: &Node) -> Read<Done> {
        let (name, mut fields) = named(node, "step_up")?;
        let max_duration = self.snapshot.bundle.manifest().step_up(name).max_duration;
        let mut terms = (ApprovalScope::Session, NonZeroU32::MIN, max_duration);
        if let Some(fields) = &mut fields {
            terms.0 = fields.read("scope", approval_scope)?.unwrap_or(terms.0);
            terms.1 = fields.read("uses", uses_of)?.unwrap_or(terms.1);
            terms.2 = fields.read("for", duration)?.unwrap_or(terms.2);
        }
        fields.map_or(Ok(()), Fields::finish)?;
        let (scope, uses, lasts) = terms;
        // One for each part of the request that needs it.
        let wanted = self.challenged(name);
        if wanted.is_empty() {
            return Err(node.fault(format!("no step before this was challenged with `{name}`")));
        }
        for wanted in wanted {
            self.approve_one(node, &wanted, Terms::new(scope, uses, lasts))?;
        }
        Ok(Done::default())
    }

    /// What the last step asked for that was challenged so.
    fn challenged(&self, name: &str) -> Vec<Wanted> {
        let wanted = |made: &Made| -> Vec<Wanted> {
            let asked = made.decision.step_ups.iter().filter(|step_up| step_up.name == name);
            asked.map(|step_up| Wanted { decision: made.id, at: made.at, step_up: step_up.clone() }).collect()
        };
        self.made.iter().rev().map(wanted).find(|wanted| !wanted.is_empty()).unwrap_or_default()
    }

    fn approve_one(&mut self, node: &Node, wanted: &Wanted, terms: Terms) -> Read<()> {
        let id = ApprovalId::new(self.next_id());
        let chain = self.chain.as_ref().ok_or_else(|| node.fault("without a session nothing is approved"))?;
        let settings = self.snapshot.bundle.manifest().step_up(&wanted.step_up.name);
        let bundle = self.snapshot.number;
        let by = AskedBy { session: chain.session(), decision: wanted.decision, bundle, at: wanted.at };
        let mut approval = Approval::asked(id, &wanted.step_up, &settings, by);
        let ancestors: Vec<_> = chain.iter().skip(1).map(|ancestor| Requester::from(&**ancestor)).collect();
        for person in 1..=settings.approvers {
            let by = format!("approver {person}");
            let vote = Vote { by, via: String::new(), at: self.now, comment: String::new() };
            approval = approval.approve(vote, terms, &ancestors).map_err(|error| node.fault(error.to_string()))?;
        }
        let grant = approval.grant().ok_or_else(|| node.fault("it is not approved"))?;
        self.grant(node, id, grant)
    }

    fn grant(&mut self, node: &Node, id: ApprovalId, grant: (MemoryKey, chaperone_policy::ApprovalGrant)) -> Read<()> {
        let (key, grant) = grant;
        let (now, mut applied) = (self.now, Ok(()));
        self.change_memories(|memories| {
            let place = if matches!(key, MemoryKey::Session(_)) { 0 } else { memories.len().saturating_sub(2) };
            if let Some(memory) = memories.get_mut(place).map(Arc::make_mut) {
                applied = memory.apply(&Change::Grant(id, Box::new(grant)), now, &MemoryLimits::default(), 0);
            }
        });
        applied.map_err(|error| node.fault(error.to_string()))
    }

    /// The enforcement point reports what became of an action that was allowed.
    pub(super) fn report(&mut self, node: &Node) -> Read<Done> {
        let (outcome, mut fields) = named(node, "outcome")?;
        let outcome = Reported::parse(outcome).ok_or_else(|| node.fault("this is `executed` or `failed`"))?;
        let of = fields.as_mut().map(|fields| fields.read("of", text)).transpose()?.flatten();
        let facts = fields.as_mut().and_then(|fields| fields.take("facts"));
        fields.map_or(Ok(()), Fields::finish)?;
        let made = self.allowed(of).ok_or_else(|| node.fault("no such step before this was allowed"))?;
        let facts = facts.map(|facts| self.facts(facts, made)).transpose()?.unwrap_or_default();
        let report = OutcomeReport { decision: made.id, outcome, facts };
        let memories = self.reported().ok_or_else(|| node.fault("without a session nothing waits for a report"))?;
        let decay = self.snapshot.bundle.manifest().risk.decay_per_hour;
        match settle(&report, &memories, self.now, &MemoryLimits::default(), decay) {
            Ok(settlement) => {
                let done = Done {
                    report: Some(settlement.as_str()),
                    effects: settlement.effects().to_vec(),
                    ..Done::default()
                };
                if let chaperone_policy::Settlement::Settled(_, after) = settlement {
                    self.take_reported(*after);
                }
                Ok(done)
            }
            Err(error) => Ok(Done { report: Some(ReportFailure::Refused(error).code()), ..Done::default() }),
        }
    }

    /// The step of this name, or the last one, that was allowed.
    fn allowed(&self, of: Option<&str>) -> Option<&Made> {
        let mut allowed = self.made.iter().rev().filter(|made| made.decision.outcome == Outcome::Allow);
        allowed.find(|made| of.is_none() || made.step.as_deref() == of)
    }

    fn facts(&self, node: &Node, made: &Made) -> Read<Attributes> {
        let declared = |name: &str| {
            let mut facts = made.actions.iter().filter_map(|action| self.snapshot.bundle.mapping().results(action));
            facts.find_map(|facts| facts.get(name)).map(Type::from)
        };
        let fact = |(key, node): &(super::yaml::Key, Node)| {
            let message = || format!("the mapping names no fact `{}` of this action", key.text);
            let ty = declared(&key.text).ok_or_else(|| Fault { place: key.place, message: message() })?;
            Ok((key.text.as_str().into(), value(node, &ty)?))
        };
        entries(node)?.iter().map(fact).collect()
    }

    fn reported(&self) -> Option<ReportedMemories> {
        let memories: Vec<_> = self.chain.as_ref()?.memories().collect();
        let [session, .., tree, principal] = memories.as_slice() else { return None };
        let own = |memory: &Arc<Memory>| Memory::clone(memory);
        Some(ReportedMemories { session: own(session), tree: own(tree), principal: own(principal) })
    }

    fn take_reported(&mut self, after: ReportedMemories) {
        self.change_memories(|memories| {
            if let [session, .., tree, principal] = memories.as_mut_slice() {
                *session = Arc::new(after.session);
                *tree = Arc::new(after.tree);
                *principal = Arc::new(after.principal);
            }
        });
    }
}

/// A word, alone or under this name in a map with more.
fn named<'n>(node: &'n Node, name: &'static str) -> Read<(&'n str, Option<Fields<'n>>)> {
    if let Value::Scalar { .. } = node.value {
        return Ok((text(node)?, None));
    }
    let mut fields = Fields::of(node)?;
    let word = text(fields.require(name)?)?;
    Ok((word, Some(fields)))
}

fn approval_scope(node: &Node) -> Read<ApprovalScope> {
    match text(node)? {
        "session" => Ok(ApprovalScope::Session),
        "tree" => Ok(ApprovalScope::Tree),
        _ => Err(node.fault("this is `session` or `tree`")),
    }
}

fn uses_of(node: &Node) -> Read<NonZeroU32> {
    let uses = u32::try_from(number(node)?).ok().and_then(NonZeroU32::new);
    uses.ok_or_else(|| node.fault("this is a number from 1"))
}
