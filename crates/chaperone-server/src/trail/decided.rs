//! A decision as its record has it.

use std::borrow::{Borrow, Cow};

use chaperone_policy::{Change, Effect, Presenter, Session};
use chaperone_trail::{
    AppliedEffect, Decided, Delegation, Digest, Event, Policy, Presented, SessionFacts, StateRef, StepUpAsked, Trace,
};

use super::redaction::{self, RedactionKey};
use crate::effect_text::{effect_kind, effect_text};
use crate::pdp::Answer;
use crate::recorder::Subject;
use crate::telemetry::ParentContext;

/// What is recorded of a decision. It borrows nearly everything: most of it is written to the journal's buffer and nowhere else.
pub(super) fn decided<'a>(
    answer: &'a Answer,
    subject: &'a Subject<'_>,
    states: Vec<StateRef<'a>>,
    key: &RedactionKey,
) -> Event<'a> {
    let decision = &answer.decision;
    let mut redacted = Vec::new();
    let requests = subject.requests.iter();
    let actions =
        requests.map(|request| redaction::asked(request, &subject.snapshot.bundle, key, &mut redacted)).collect();
    Event::Decision(Box::new(Decided {
        id: answer.id,
        protocol: subject.protocol.as_str().into(),
        outcome: decision.outcome.as_str().into(),
        code: decision.reason.code().into(),
        reason: decision.sentence().into(),
        session: answer.session.as_deref().map(|session| facts(session, &answer.ancestors)),
        principal: answer.principal.as_ref().map(Cow::Borrowed),
        presenter: presented(&subject.presenter),
        actions,
        policies: decision
            .policies
            .iter()
            .map(|policy| Policy {
                id: policy.id.as_str().into(),
                failure: policy.failure.map(|failure| failure.as_str().into()),
            })
            .collect(),
        effects: decision.effects.iter().map(|effect| redaction::effect(effect, &redacted)).collect(),
        step_ups: answer
            .challenge
            .iter()
            .map(|challenged| StepUpAsked { name: challenged.step_up.as_str().into(), approval: challenged.approval })
            .collect(),
        bundle: answer.bundle,
        states,
        stale: subject.is_stale,
        began_at: subject.began_at,
        elapsed_us: u64::try_from(subject.elapsed.as_micros()).unwrap_or(u64::MAX),
        trace: subject.parent.map(trace),
    }))
}

/// A session, with those that it was delegated from: its parent first, the root last.
pub(super) fn facts<'a>(session: &'a Session, ancestors: &'a [impl Borrow<Session>]) -> SessionFacts<'a> {
    let ancestors = ancestors.iter().map(Borrow::borrow);
    SessionFacts {
        id: session.id,
        tree: session.tree,
        owner: session.owner.as_str().into(),
        task: session.task.id.as_str().into(),
        ancestors: ancestors
            .map(|session: &Session| Delegation { id: session.id, principal: Cow::Borrowed(&session.principal) })
            .collect(),
    }
}

/// What a decision, a signal or a person changed.
pub fn applied(effect: &Effect) -> AppliedEffect<'static> {
    let name = match effect {
        // What is given back is told as what was counted.
        Effect::Remember(_, Change::Release(..)) => "count",
        effect => effect_kind(effect),
    };
    AppliedEffect { effect: name.into(), text: effect_text(effect).into() }
}

/// The caller's span, which the check's own is a child of.
pub(super) fn trace(parent: &ParentContext) -> Trace<'static> {
    Trace { trace_id: parent.trace_id().to_string().into(), span_id: parent.span_id().to_string().into() }
}

fn presented<'a>(presenter: &'a Presenter<'_>) -> Presented<'a> {
    Presented {
        spiffe_id: presenter.spiffe_id.as_deref().map(Cow::Borrowed),
        certificate_sha256: presenter.certificate_sha256.map(Digest::from_bytes),
        address: presenter.address,
    }
}
