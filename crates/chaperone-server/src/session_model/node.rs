//! One replica of the model, and what is done to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{EntityRef, HandleHash, MemoryLimits};
use chaperone_store::{Store, TreeLimits};

use super::Ask;
use super::link::{Backend, Link, Reading};
use crate::admin::sessions::{SessionLimits, Sessions};
use crate::admin::signals::Signals;
use crate::clock::Clock;
use crate::config::OnTokenReuse;
use crate::evaluator::Evaluator;
use crate::no_decision::NoDecision;
use crate::pdp::{Answer, Asked, Claim, Consistency, Judge, Pdp, Protocol, Question};
use crate::presenter::Evidence;
use crate::recorder::Recorder;
use crate::replica::{Follower, FollowerTimes, Replica, StalenessLimits};
use crate::telemetry::{DecisionSpans, Metrics};
use crate::trail::TrailWriter;

/// How old the state of a replica may be.
pub(super) const MAX_STALENESS: Duration = Duration::from_secs(1);
/// How long a session lasts when nothing is said.
pub(super) const LIFETIME: Duration = Duration::from_hours(1);
/// No timer of a replica goes off while a case runs: what is to happen is a step.
const NEVER: Duration = Duration::from_hours(1_000);

/// A replica whose follower moves only when it is told to.
pub(super) struct Node {
    pub(super) link: Arc<Link>,
    pub(super) pdp: Arc<Pdp>,
    pub(super) sessions: Sessions,
    pub(super) signals: Signals,
    /// `None` while a turn of it is under way.
    pub(super) follower: Option<Follower>,
}

impl Node {
    /// A replica that has loaded everything.
    pub(super) async fn new(backend: &Arc<Backend>, clock: &Clock) -> Self {
        let link = Arc::new(Link::new(backend, clock));
        let limits = StalenessLimits { max: MAX_STALENESS, grace: Duration::ZERO };
        // Fewer sessions than there are, so that some have to make room.
        let replica = Arc::new(Replica::new(Arc::clone(&link) as Arc<dyn Store>, 3, limits));
        let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
        let times = FollowerTimes { poll_interval: NEVER, touch_interval: NEVER };
        let follower = Follower::new(Arc::clone(&replica), clock.clone(), Arc::clone(&metrics), times);
        let recorder = Recorder::new(Arc::clone(&metrics), DecisionSpans::disabled(), clock.clone());
        let judge = Judge {
            evaluator: Evaluator::Compiled,
            limits: MemoryLimits::default(),
            on_token_reuse: OnTokenReuse::Deny,
        };
        let pdp = Arc::new(Pdp::new(clock.clone(), Arc::clone(&replica), recorder, judge, 1_000, NEVER));
        let limits = SessionLimits {
            default_lifetime: LIFETIME,
            max_lifetime: LIFETIME,
            require_binding: false,
            tree: TreeLimits::NONE,
        };
        let sessions = Sessions::new(replica, clock.clone(), TrailWriter::off(), limits);
        let signals = Signals::new(sessions.clone(), MemoryLimits::default(), Arc::clone(&metrics));
        let mut node = Self { link, pdp, sessions, signals, follower: Some(follower) };
        node.catch_up().await;
        node
    }

    /// Reads the feed to its end, unless a turn of the follower is under way.
    pub(super) async fn catch_up(&mut self) {
        if let Some(follower) = self.follower.take() {
            self.follower = Some(follow(follower, Arc::clone(&self.link), usize::MAX, Reading::default()).await);
        }
    }
}

/// Reads so many pages of the feed, or to its end.
pub(super) async fn follow(mut follower: Follower, link: Arc<Link>, pages: usize, reading: Reading) -> Follower {
    for page in 0..pages {
        link.begin_turn(if page == 0 { reading } else { Reading { fate: super::Fate::Answered, ..reading } });
        let more = follower.turn().await;
        link.end_turn(more);
        if !more {
            break;
        }
    }
    follower
}

/// Asks for one thing.
pub(super) async fn check(
    pdp: Arc<Pdp>,
    handle: HandleHash,
    ask: Ask,
    consistency: Consistency,
) -> Result<Box<Answer>, NoDecision> {
    let check = pdp.begin(Protocol::Grpc, None, None)?;
    let (action, document) = match ask {
        Ask::Read => ("read", "one"),
        Ask::Export => ("export", "one"),
        Ask::ReadPii => ("read", "pii"),
        Ask::Trap => ("read", "trap"),
    };
    let resource = EntityRef::new("Document", document);
    let request = check.snapshot.bundle.request(action, resource, BTreeMap::new()).expect("a request");
    let question = Question {
        claim: Claim::Session(handle),
        evidence: Evidence::default(),
        asked: Asked::Actions(std::slice::from_ref(&request)),
        consistency,
    };
    check.decide(question).await
}
