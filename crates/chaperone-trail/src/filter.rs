//! Which records somebody wants to see.

use chaperone_policy::{DecisionId, EntityRef, SessionId, Timestamp};

use crate::event::{Event, EventKind};
use crate::record::Record;

/// Which records; every field that is set must hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordFilter {
    /// Of these kinds; empty: of every kind.
    pub kinds: Vec<EventKind>,
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub before: Option<Timestamp>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// Of the tree with this root.
    pub tree: Option<SessionId>,
    /// Of this principal.
    pub principal: Option<EntityRef>,
    /// Of this owner.
    pub owner: Option<String>,
    /// Decisions on this action.
    pub action: Option<EntityRef>,
    /// Decisions on this resource.
    pub resource: Option<EntityRef>,
    /// Decisions with this outcome: `allow`, `deny` or `challenge`; `none` where there was no decision.
    pub outcome: Option<String>,
    /// With this stable code.
    pub code: Option<String>,
    /// Decisions that this policy determined.
    pub policy: Option<String>,
    /// This decision, and what follows from it.
    pub decision: Option<DecisionId>,
}

impl RecordFilter {
    /// Whether somebody wants to see this.
    pub fn matches(&self, record: &Record) -> bool {
        let event = &record.event;
        let session = event.session();
        let decided = match event {
            Event::Decision(decided) => Some(decided),
            _ => None,
        };
        let (outcome, code) = match event {
            Event::Decision(decided) => (Some(&*decided.outcome), Some(&*decided.code)),
            Event::NoDecision { code, .. } => (Some("none"), Some(&**code)),
            _ => (None, None),
        };
        let decision = match event {
            Event::Decision(decided) => Some(decided.id),
            Event::NoDecision { id, .. } => Some(*id),
            Event::Act(acted) => acted.decision,
            _ => None,
        };
        let actions = || decided.into_iter().flat_map(|decided| &decided.actions);
        (self.kinds.is_empty() || self.kinds.contains(&event.kind()))
            && self.from.is_none_or(|from| record.at >= from)
            && self.before.is_none_or(|before| record.at < before)
            && self.session.is_none_or(|id| session.is_some_and(|session| session.id == id))
            && self.tree.is_none_or(|id| session.is_some_and(|session| session.tree == id))
            && self.principal.as_ref().is_none_or(|principal| event.principal() == Some(principal))
            && self.owner.as_ref().is_none_or(|owner| session.is_some_and(|session| session.owner == *owner))
            && self.action.as_ref().is_none_or(|action| actions().any(|asked| *asked.action == *action))
            && self.resource.as_ref().is_none_or(|resource| actions().any(|asked| *asked.resource == *resource))
            && self.outcome.as_deref().is_none_or(|wanted| outcome == Some(wanted))
            && self.code.as_deref().is_none_or(|wanted| code == Some(wanted))
            && self.policy.as_ref().is_none_or(|policy| {
                decided.is_some_and(|decided| decided.policies.iter().any(|determining| determining.id == *policy))
            })
            && self.decision.is_none_or(|wanted| decision == Some(wanted))
    }
}
