//! Records what was decided: metrics, traces, logs, and whoever listens. One place, so that none of them is forgotten.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chaperone_policy::{
    Decision, DecisionId, Outcome, OutcomeReport, Presenter, Request, SessionId, Settlement, Timestamp,
};
use chaperone_store::StoreError;
use tokio::sync::broadcast;

use crate::alerts::{self, Alerts, Webhook};
use crate::causes::causes;
use crate::clock::{Clock, system_time};
use crate::no_decision::NoDecision;
use crate::pdp::{Answer, Protocol, ReportFailure};
use crate::replica::Snapshot;
use crate::shadow::Shadow;
use crate::telemetry::{ApprovalEvent, DecisionFields, DecisionSpans, Metrics, ParentContext, SpanResult};
use crate::trail::{NotRecorded, Receipt, TrailWriter};

/// How many decisions a slow listener may fall behind.
const EVENTS_BACKLOG: usize = 1024;

/// Records decisions. Clones share everything.
#[derive(Clone, Debug)]
pub struct Recorder {
    metrics: Arc<Metrics>,
    spans: DecisionSpans,
    alerts: Alerts,
    trail: TrailWriter,
    shadow: Option<Shadow>,
    clock: Clock,
    /// Made when somebody first listens: even to ask a channel whether anybody does takes a lock.
    events: Arc<OnceLock<broadcast::Sender<Arc<DecisionEvent>>>>,
}

/// Decisions as they are made.
pub type DecisionEvents = broadcast::Receiver<Arc<DecisionEvent>>;

/// A decision, for someone who watches.
#[derive(Clone, Debug)]
pub struct DecisionEvent {
    /// When.
    pub at: Timestamp,
    /// The outcome.
    pub outcome: Outcome,
    /// The reason's code.
    pub code: &'static str,
    /// Who acts; empty when that is not known.
    pub principal: String,
    /// The actions.
    pub action: String,
    /// What they act on.
    pub resource: String,
    /// The session.
    pub session: Option<chaperone_policy::SessionId>,
    /// The determining policies.
    pub policies: Vec<String>,
    /// How long it took.
    pub elapsed: Duration,
}

/// What a decision was about.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The door.
    pub protocol: Protocol,
    /// What was asked for; empty when that could not be read.
    pub requests: &'a [Request],
    /// The policies and entities of that moment.
    pub snapshot: &'a Arc<Snapshot>,
    /// Who presented the session.
    pub presenter: Presenter<'a>,
    /// The caller's span.
    pub parent: Option<&'a ParentContext>,
    /// When the check began.
    pub began_at: Timestamp,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it was made from state older than the staleness limit, within the grace.
    pub is_stale: bool,
}

/// A check that is answered without a decision.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Its id in records and spans.
    pub id: DecisionId,
    /// The door.
    pub protocol: Protocol,
    /// The caller's span.
    pub parent: Option<&'a ParentContext>,
    /// When the check began.
    pub began_at: Timestamp,
    /// How long it took.
    pub elapsed: Duration,
}

impl Recorder {
    /// Over the metrics and the traces. Without a trail, until it is given one.
    pub fn new(metrics: Arc<Metrics>, spans: DecisionSpans, clock: Clock) -> Self {
        let alerts = Alerts::new(Arc::clone(&metrics));
        Self { metrics, spans, alerts, trail: TrailWriter::off(), shadow: None, clock, events: Arc::default() }
    }

    /// With a trail.
    #[must_use]
    pub fn with_trail(self, trail: TrailWriter) -> Self {
        Self { trail, ..self }
    }

    /// With a shadow, which makes decisions again where a candidate is to be tried.
    #[must_use]
    pub fn with_shadow(self, shadow: Shadow) -> Self {
        Self { shadow: Some(shadow), ..self }
    }

    /// Counts an approval that a challenge asked for.
    pub fn approval_asked(&self) {
        self.metrics.approvals().became(ApprovalEvent::Asked);
    }

    /// With a webhook for alerts.
    #[must_use]
    pub fn with_webhook(self, webhook: Webhook) -> Self {
        Self { alerts: self.alerts.with_webhook(webhook), ..self }
    }

    /// Decisions from now on.
    pub fn events(&self) -> DecisionEvents {
        self.events.get_or_init(|| broadcast::Sender::new(EVENTS_BACKLOG)).subscribe()
    }

    /// Where records are written.
    pub fn trail(&self) -> &TrailWriter {
        &self.trail
    }

    /// Records a decision. Its answer must wait for what this returns.
    ///
    /// # Errors
    /// When the trail does not take it: then nothing was recorded anywhere.
    pub fn decided(&self, answer: &Answer, subject: &Subject<'_>) -> Result<Receipt, NotRecorded> {
        let receipt = self.trail.decided(answer, subject)?;
        let Decision { outcome, reason, policies, .. } = &answer.decision;
        self.metrics.decided(*outcome, *reason, subject.protocol.as_str());
        if subject.is_stale {
            self.metrics.decided_in_grace();
        }
        let raised = alerts::of(&answer.decision);
        let fields = DecisionFields {
            result: SpanResult::Decided(*outcome, *reason),
            decision_id: answer.id,
            protocol: subject.protocol.as_str(),
            elapsed: subject.elapsed,
            session: answer.session.as_deref(),
            delegation: answer.delegation.as_deref(),
            principal: answer.principal.as_ref(),
            requests: subject.requests,
            policies,
            alerts: &raised,
            bundle: Some(answer.bundle),
            is_stale: subject.is_stale,
        };
        self.spans.record(subject.parent, system_time(subject.began_at), &fields);
        log(answer, subject);
        self.alerts.raise(&raised, answer, subject.requests);
        if let Some(shadow) = &self.shadow {
            shadow.offer(answer, subject);
        }
        if let Some(events) = self.events.get().filter(|events| events.receiver_count() > 0) {
            // Nobody listening any more is no error.
            let _ = events.send(Arc::new(DecisionEvent::new(answer, subject)));
        }
        Ok(receipt)
    }

    /// Records that decisions may leave, so long after their checks began.
    pub fn released(&self, decisions: usize, elapsed: Duration) {
        for _ in 0..decisions {
            self.metrics.took(elapsed);
        }
    }

    /// Records a decision whose caller stopped waiting while what it leaves behind was stored: what it did has happened, and its alerts
    /// are raised all the same.
    pub fn unheard(&self, answer: &Answer, subject: &Subject<'_>) {
        if let Err(error) = self.trail.decided(answer, subject) {
            self.trail.lost(error, answer.id);
        }
        self.alerts.raise(&alerts::of(&answer.decision), answer, subject.requests);
    }

    /// Records that nothing could be decided. That is not waited for: whatever becomes of the record, the action does not go ahead.
    pub fn no_decision(
        &self,
        failure: NoDecision,
        protocol: Protocol,
        parent: Option<&ParentContext>,
        began_at: Timestamp,
        elapsed: Duration,
    ) {
        let refused = Refused { id: self.clock.decision_id(), protocol, parent, began_at, elapsed };
        self.refused(failure, &refused);
    }

    /// As [`Recorder::no_decision`], of a check that has an id: of a decision, where that was made but must not be answered.
    pub fn refused(&self, failure: NoDecision, refused: &Refused<'_>) {
        let Refused { id, protocol, parent, began_at, elapsed } = *refused;
        self.trail.no_decision(failure, refused, self.clock.now());
        self.metrics.not_decided(failure.code(), protocol.as_str(), elapsed);
        if failure == NoDecision::Overloaded {
            self.metrics.shed("data");
        }
        let fields = DecisionFields {
            result: SpanResult::NotDecided(failure.code()),
            decision_id: id,
            protocol: protocol.as_str(),
            elapsed,
            session: None,
            delegation: None,
            principal: None,
            requests: &[],
            policies: &[],
            alerts: &[],
            bundle: None,
            is_stale: false,
        };
        self.spans.record(parent, system_time(began_at), &fields);
        // Counted and traced, but logged only for those who ask: in an outage every check would be a line.
        tracing::debug!(decision.id = %id, decision.reason = failure.code(), protocol = protocol.as_str(), "no decision");
    }

    /// Records that what decisions leave behind could not be stored.
    pub fn commit_failed(&self, error: &StoreError) {
        self.metrics.store_error("commit_memories");
        tracing::warn!(error = causes(error), "what decisions leave behind could not be stored");
    }

    /// Records a commit of what `checks` decisions leave behind, some of whose transitions found a memory changed.
    pub fn committed(&self, checks: usize, conflicts: usize, elapsed: Duration) {
        self.metrics.committed(checks, conflicts, elapsed);
    }

    /// Records what came of a report of an outcome. A fact may say anything, and is not logged.
    pub fn reported(&self, session: SessionId, report: &OutcomeReport, result: &Result<Settlement, ReportFailure>) {
        let status = match result {
            Ok(settlement) => settlement.as_str(),
            Err(failure) => failure.code(),
        };
        self.metrics.reported(report.outcome, status);
        if matches!(result, Err(ReportFailure::Unable(NoDecision::Overloaded))) {
            self.metrics.shed("data");
        }
        tracing::info!(
            decision.id = %report.decision,
            session.id = %session,
            report.outcome = report.outcome.as_str(),
            report.status = status,
            "an outcome was reported"
        );
    }

    /// Records that the store failed a report.
    pub fn report_failed(&self, error: &StoreError) {
        self.metrics.store_error("report");
        tracing::warn!(error = causes(error), "the store failed a report of an outcome");
    }

    /// Records that the store failed a check.
    pub fn store_failed(&self, error: &StoreError) {
        self.metrics.store_error("session_chain");
        tracing::warn!(error = causes(error), "the store failed a check");
    }
}

fn log(answer: &Answer, subject: &Subject<'_>) {
    macro_rules! log {
        ($level:ident) => {
            tracing::$level!(
                decision.id = %answer.id,
                decision.outcome = answer.decision.outcome.as_str(),
                decision.reason = answer.decision.reason.code(),
                session.id = answer.session.as_ref().map(|session| tracing::field::display(session.id)),
                principal = answer.principal.as_ref().map(tracing::field::display),
                action = subject.requests.first().map(|request| tracing::field::display(&request.action)),
                resource = subject.requests.first().map(|request| tracing::field::display(&request.resource)),
                bundle.number = answer.bundle.get(),
                elapsed_us = u64::try_from(subject.elapsed.as_micros()).unwrap_or(u64::MAX),
                protocol = subject.protocol.as_str(),
                "decided"
            )
        };
    }
    match answer.decision.outcome {
        Outcome::Allow => log!(debug),
        Outcome::Deny | Outcome::Challenge => log!(info),
    }
}

impl DecisionEvent {
    fn new(answer: &Answer, subject: &Subject<'_>) -> Self {
        let join = |texts: Vec<String>| texts.join(", ");
        Self {
            at: answer.at,
            outcome: answer.decision.outcome,
            code: answer.decision.reason.code(),
            principal: answer.principal.as_ref().map(ToString::to_string).unwrap_or_default(),
            action: join(subject.requests.iter().map(|request| request.action.to_string()).collect()),
            resource: join(subject.requests.iter().map(|request| request.resource.to_string()).collect()),
            session: answer.session.as_ref().map(|session| session.id),
            policies: answer.decision.policies.iter().map(|policy| policy.id.to_string()).collect(),
            elapsed: subject.elapsed,
        }
    }
}
