//! Records what was decided: metrics, traces, logs, and whoever listens. One place, so that none of them is forgotten.

use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{Outcome, Request, Timestamp};
use chaperone_store::StoreError;
use tokio::sync::broadcast;

use crate::clock::system_time;
use crate::no_decision::NoDecision;
use crate::pdp::{Answer, Protocol};
use crate::telemetry::{DecisionFields, DecisionSpans, Metrics, ParentContext};

/// How many decisions a slow listener may fall behind.
const EVENTS_BACKLOG: usize = 1024;

/// Records decisions. Clones share everything.
#[derive(Clone, Debug)]
pub struct Recorder {
    metrics: Arc<Metrics>,
    spans: Arc<DecisionSpans>,
    events: broadcast::Sender<Arc<DecisionEvent>>,
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
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The door.
    pub protocol: Protocol,
    /// What was asked for; empty when that could not be read.
    pub requests: &'a [Request],
    /// When the check began.
    pub began_at: Timestamp,
    /// How long it took.
    pub elapsed: Duration,
}

impl Recorder {
    /// Over the metrics and the traces.
    pub fn new(metrics: Arc<Metrics>, spans: Arc<DecisionSpans>) -> Self {
        Self { metrics, spans, events: broadcast::Sender::new(EVENTS_BACKLOG) }
    }

    /// Decisions from now on.
    pub fn events(&self) -> DecisionEvents {
        self.events.subscribe()
    }
}
