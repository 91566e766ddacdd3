//! A decision as its record has it.

use std::borrow::{Borrow, Cow};

use chaperone_policy::{Change, Effect, Presenter, Session};
use chaperone_trail::{
    AppliedEffect, DecisionText, Delegation, Digest, Policy, Presented, SessionFacts, SessionText, StepUpAsked, Trace,
};

use super::redaction::{self, RedactionKey};
use super::states::ReadStates;
use crate::effect_text::{effect_kind, effect_text};
use crate::pdp::{Answer, Challenged};
use crate::recorder::Subject;
use crate::telemetry::ParentContext;

/// Writes what is recorded of a decision, from where it stands.
pub(super) fn write(
    text: &mut DecisionText<'_>,
    answer: &Answer,
    subject: &Subject<'_>,
    states: &ReadStates,
    key: &RedactionKey,
) {
    let decision = &answer.decision;
    let (outcome, code) = (decision.outcome.as_str(), decision.reason.code());
    text.decision(answer.id, subject.protocol.as_str(), outcome, code, decision.sentence());
    who(text, answer);
    text.presenter(&presented(&subject.presenter));
    let mut redacted = Vec::new();
    for request in subject.requests {
        redaction::asked(text, request, &subject.snapshot.bundle, key, &mut redacted);
    }
    for policy in &decision.policies {
        let failure = policy.failure.map(|failure| failure.as_str().into());
        text.policy(&Policy { id: policy.id.as_str().into(), failure });
    }
    for effect in &decision.effects {
        text.effect(&redaction::effect(effect, &redacted));
    }
    for Challenged { step_up, approval, .. } in &answer.challenge {
        text.step_up(&StepUpAsked { name: step_up.as_str().into(), approval: *approval });
    }
    text.bundle(answer.bundle);
    states.write(text);
    let elapsed_us = u64::try_from(subject.elapsed.as_micros()).unwrap_or(u64::MAX);
    text.end(subject.is_stale, subject.began_at, elapsed_us, subject.parent.map(trace).as_ref());
}

/// Writes for whom it was decided: for a session that is known, what was written for its first decision.
fn who(text: &mut DecisionText<'_>, Answer { session, principal, ancestors, read, .. }: &Answer) {
    if let (Some(session), Some(principal), Some(chain)) = (session, principal, &read.chain)
        && *principal == session.principal
        && let Some(known) =
            chain.session_text(session.id, || SessionText::new(&facts(session, ancestors), principal).ok())
    {
        return text.session_text(known);
    }
    if let Some(session) = session {
        text.session(&facts(session, ancestors));
    }
    if let Some(principal) = principal {
        text.principal(principal);
    }
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
