//! Two replicas, their store, and what is under way between them.

use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{BundleSource, EntityRef, SessionHandle, Timestamp};
use chaperone_store::{NewActivation, NewBundle, RevokeTarget, Store as _};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tokio::task::JoinHandle;

use super::laws::{BUDGET, Begun, FROZEN, Known, Laws, RISK};
use super::link::{Backend, Reading};
use super::node::{LIFETIME, Node, check, follow};
use super::{Ask, Notice, REPLICAS, Step};
use crate::admin::AdminError;
use crate::admin::sessions::{NewScope, NewSession, SessionView};
use crate::admin::signals::{Signal, SignalRevoke, SignalTarget, Signalled};
use crate::clock::Clock;
use crate::no_decision::NoDecision;
use crate::pdp::{Answer, Consistency};
use crate::replica::Follower;

const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
/// How often everything that is ready goes on before it is looked whether anything is still moving.
const TURNS: usize = 64;
/// How many sessions a case has at most.
const SESSIONS_MAX: usize = 6;

const SCHEMA: &str = "entity Agent; entity Document;\n\
    action read, export appliesTo { principal: [Agent], resource: [Document],\n\
    context: { session: Chaperone::Session, tree: Chaperone::Tree, request: {} } };\n";
const POLICIES: &str = "@id(\"all\") permit (principal, action, resource);\n\
    @id(\"count\") @observe @count(\"tree:exports\") permit (principal, action == Action::\"export\", resource);\n\
    @id(\"budget\") forbid (principal, action == Action::\"export\", resource)\n\
    when { context.tree.counts[\"exports\"] >= 3 };\n\
    @id(\"mark\") @observe @label(\"tree:pii\") permit (principal, action == Action::\"read\", resource == Document::\"pii\");\n\
    @id(\"pii\") forbid (principal, action == Action::\"export\", resource)\n\
    when { context.tree.labels.contains(\"pii\") };\n\
    @id(\"frozen\") forbid (principal, action, resource)\n\
    when { context.session.labels.contains(\"frozen\") || context.tree.labels.contains(\"frozen\") };\n\
    @id(\"trap\") @revoke(\"tree\") forbid (principal, action, resource == Document::\"trap\");\n";
const READ_ONLY: &str = "@id(\"read\") permit (principal, action == Action::\"read\", resource);";

/// Something that was begun, and may take several steps.
enum Call {
    Open { parent: Option<usize>, is_narrow: bool, task: JoinHandle<Result<(SessionView, SessionHandle), AdminError>> },
    Check { begun: Begun, task: JoinHandle<Result<Box<Answer>, NoDecision>> },
    Signal { session: usize, notice: Notice, event: u8, task: JoinHandle<Result<Signalled, AdminError>> },
    End { session: usize, task: JoinHandle<Result<(), AdminError>> },
    Follow { replica: usize, generation: usize, task: JoinHandle<Follower> },
}

/// Two replicas over one store.
pub(super) struct World {
    backend: Arc<Backend>,
    clock: Clock,
    nodes: Vec<Node>,
    /// How often each was started.
    generations: [usize; REPLICAS],
    calls: Vec<Call>,
    laws: Laws,
}

impl World {
    /// Gives the store what every case needs.
    pub(super) fn prepare(backend: &Backend) {
        let files = [("schema.cedarschema", SCHEMA), ("policies/main.cedar", POLICIES)];
        let bundle = NewBundle {
            source: BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() },
            policy_count: 7,
            message: String::new(),
            uploaded_by: "test".to_owned(),
            uploaded_at: START,
        };
        let (info, _) = backend.ask(|store| store.insert_bundle(&bundle)).expect("a bundle");
        let activation = NewActivation::new(info.number, "test", START);
        backend.ask(|store| store.activate_bundle(&activation)).expect("it is active");
    }

    /// Two replicas that nothing has happened to yet.
    pub(super) async fn new(backend: &Arc<Backend>) -> Self {
        let clock = Clock::manual(START);
        // Well after the replicas began to measure time.
        clock.advance(Duration::from_hours(1));
        let mut nodes = Vec::new();
        for _ in 0..REPLICAS {
            nodes.push(Node::new(backend, &clock).await);
        }
        let (calls, laws) = (Vec::new(), Laws::default());
        Self { backend: Arc::clone(backend), clock, nodes, generations: [0; REPLICAS], calls, laws }
    }

    /// Takes the steps, with sessions of their own, and looks at the laws after each. In the end nothing fails any more, and everything
    /// must be as the store says. After an error this world is of no more use.
    pub(super) async fn obeys(&mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        self.laws = Laws::new(format!("case {}", self.backend.step()));
        for parent in [None, Some(0)] {
            self.take(&Step::Open { replica: 0, parent, is_narrow: false, is_short: false }).await?;
        }
        for step in steps {
            self.take(step).await?;
        }
        self.settle().await
    }

    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        self.backend.next_step();
        match step {
            Step::Open { replica, parent, is_narrow, is_short } => {
                self.open(*replica, *parent, *is_narrow, *is_short);
            }
            Step::Check { replica, session, ask, is_strict } => {
                if let Some(session) = self.session(*session) {
                    self.check(*replica, session, *ask, *is_strict);
                }
            }
            Step::Signal { replica, session, notice, event } => {
                if let Some(session) = self.session(*session) {
                    self.signal(*replica, session, *notice, *event);
                }
            }
            Step::Revoke { replica, session, is_tree } => {
                if let Some(session) = self.session(*session) {
                    self.revoke(*replica, session, *is_tree);
                }
            }
            Step::Complete { replica, session } => {
                if let Some(session) = self.session(*session) {
                    let (sessions, id) = (self.nodes[*replica].sessions.clone(), self.laws.sessions[session].id);
                    let task = tokio::spawn(async move { sessions.complete(id, "", "test").await.map(drop) });
                    self.calls.push(Call::End { session, task });
                }
            }
            Step::Advance(millis) => self.clock.advance(Duration::from_millis(*millis)),
            Step::Follow { replica, pages, reading } => self.follow(*replica, *pages, *reading),
            Step::Destine { replica, fates } => self.nodes[*replica].link.destine(fates.iter().copied()),
            Step::Cut { replica } => self.nodes[*replica].link.cut(true),
            Step::Heal { replica } => self.nodes[*replica].link.heal(),
            Step::Release => self.nodes.iter().for_each(|node| node.link.release()),
            Step::Abandon => self.abandon(),
            Step::Gap { replica } => {
                let node = &mut self.nodes[*replica];
                if node.follower.is_some() {
                    node.link.heal();
                    node.link.lose_changes();
                    node.catch_up().await;
                }
            }
            Step::Restart { replica } => {
                // What the old one has under way ends as if the store had never been slow; what it answers is looked at as well.
                self.nodes[*replica].link.heal();
                self.nodes[*replica].link.release();
                self.nodes[*replica] = Node::new(&self.backend, &self.clock).await;
                self.generations[*replica] += 1;
                self.laws.loaded_anew(*replica);
            }
        }
        self.look().await
    }

    /// One of those that there are.
    fn session(&self, number: usize) -> Option<usize> {
        number.checked_rem(self.laws.sessions.len())
    }

    fn open(&mut self, replica: usize, parent: Option<usize>, is_narrow: bool, is_short: bool) {
        if self.laws.sessions.len() >= SESSIONS_MAX {
            return;
        }
        let parent = parent.and_then(|number| self.session(number));
        let new = NewSession {
            principal: Some(EntityRef::new("Agent", "one")),
            owner: Some(self.laws.owner.clone()),
            parent: parent.map(|number| self.laws.sessions[number].id),
            scope: if is_narrow { NewScope::Cedar(READ_ONLY.to_owned()) } else { NewScope::Unrestricted },
            lifetime: Some(if is_short { Duration::from_secs(3) } else { LIFETIME }),
            ..NewSession::default()
        };
        let sessions = self.nodes[replica].sessions.clone();
        let task = tokio::spawn(async move { sessions.open(new, "model").await });
        self.calls.push(Call::Open { parent, is_narrow, task });
    }

    fn check(&mut self, replica: usize, session: usize, ask: Ask, is_strict: bool) {
        let node = &self.nodes[replica];
        let start = (replica, self.generations[replica]);
        let begun = self.laws.begin(start, session, (ask, is_strict), self.clock.now(), node.link.heard());
        let consistency = if is_strict { Consistency::Strict } else { Consistency::Bounded };
        let task = tokio::spawn(check(Arc::clone(&node.pdp), self.laws.sessions[session].handle, ask, consistency));
        self.calls.push(Call::Check { begun, task });
    }

    fn signal(&mut self, replica: usize, session: usize, notice: Notice, event: u8) {
        let frozen = |is_so: bool| if is_so { vec![FROZEN.to_owned()] } else { Vec::new() };
        let signal = Signal {
            target: SignalTarget::Session(self.laws.sessions[session].id),
            event_id: format!("{notice:?}-{event}"),
            source: String::new(),
            reason: String::new(),
            risk: if notice == Notice::Risk { i32::try_from(RISK).expect("small") } else { 0 },
            labels: frozen(notice == Notice::Frozen),
            tree_labels: frozen(notice == Notice::TreeFrozen),
            revoke: (notice == Notice::Revoked).then_some(SignalRevoke::Session),
        };
        self.laws.sent(session, notice, event);
        let signals = self.nodes[replica].signals.clone();
        let task = tokio::spawn(async move { signals.signal(&signal, "test").await });
        self.calls.push(Call::Signal { session, notice, event, task });
    }

    fn revoke(&mut self, replica: usize, session: usize, is_tree: bool) {
        let Known { id, root, .. } = self.laws.sessions[session];
        let (session, target) = if is_tree {
            (root, RevokeTarget::Tree(self.laws.sessions[root].id))
        } else {
            (session, RevokeTarget::Session(id))
        };
        let sessions = self.nodes[replica].sessions.clone();
        let task = tokio::spawn(async move { sessions.revoke(&target, "", "test").await.map(drop) });
        self.calls.push(Call::End { session, task });
    }

    fn follow(&mut self, replica: usize, pages: usize, reading: Reading) {
        let node = &mut self.nodes[replica];
        if let Some(follower) = node.follower.take() {
            let task = tokio::spawn(follow(follower, Arc::clone(&node.link), pages, reading));
            let generation = self.generations[replica];
            self.calls.push(Call::Follow { replica, generation, task });
        }
    }

    /// Whoever waits for an answer goes away. Followers stay.
    fn abandon(&mut self) {
        self.calls.retain(|call| {
            match call {
                Call::Open { task, .. } => task.abort(),
                Call::Check { task, .. } => task.abort(),
                Call::Signal { task, .. } => task.abort(),
                Call::End { task, .. } => task.abort(),
                Call::Follow { .. } => return true,
            }
            false
        });
    }

    /// Lets everything go on that can, then looks at the laws.
    async fn look(&mut self) -> Result<(), TestCaseError> {
        let moved = |world: &Self| {
            let finished = world.calls.iter().filter(|call| call.is_finished()).count();
            (world.backend.done(), finished)
        };
        loop {
            let before = moved(self);
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
            if moved(self) == before {
                break;
            }
        }
        let (finished, pending) = std::mem::take(&mut self.calls).into_iter().partition(Call::is_finished);
        self.calls = pending;
        self.look_at(finished).await
    }

    async fn look_at(&mut self, finished: Vec<Call>) -> Result<(), TestCaseError> {
        let now = self.clock.now();
        let mut rest = Vec::new();
        for call in finished {
            match call {
                Call::Follow { replica, generation, task } => {
                    let follower = task.await.expect("it does not panic");
                    // A replica that was started anew has another one.
                    if generation == self.generations[replica] {
                        self.nodes[replica].follower = Some(follower);
                    }
                }
                Call::Open { parent, is_narrow, task } => {
                    if let Ok((view, handle)) = task.await.expect("it does not panic") {
                        let root = parent.map_or(self.laws.sessions.len(), |parent| self.laws.sessions[parent].root);
                        let (id, expires_at) = (view.session.id, view.session.expires_at);
                        let handle = handle.hash();
                        self.laws.sessions.push(Known { id, handle, parent, root, is_narrow, expires_at });
                    }
                }
                other => rest.push(other),
            }
        }
        self.learn()?;
        for call in rest {
            match call {
                Call::Check { begun, task } => {
                    let answer = task.await.expect("it does not panic");
                    let decision = answer.as_ref().map(|answer| &answer.decision).map_err(|failure| *failure);
                    self.laws.answered(&begun, decision, self.generations[begun.replica])?;
                }
                Call::Signal { session, notice, event, task } => {
                    if task.await.expect("it does not panic").is_ok() {
                        self.laws.taken(session, notice, event)?;
                    }
                }
                Call::End { session, task } => {
                    if task.await.expect("it does not panic").is_ok() {
                        self.laws.ended(session)?;
                    }
                }
                Call::Open { .. } | Call::Follow { .. } => {}
            }
        }
        self.laws.amounts(now)
    }

    fn learn(&mut self) -> Result<(), TestCaseError> {
        let mut applied = self.nodes.iter().map(|node| node.link.applied());
        let applied = std::array::from_fn(|_| applied.next().flatten());
        self.laws.learn(&self.backend, self.clock.now(), (self.backend.done(), applied))
    }

    /// Nothing fails any more: then each replica answers what the store says, and what is left of every budget can be spent.
    async fn settle(&mut self) -> Result<(), TestCaseError> {
        loop {
            // Also where nobody waits any more: what those began who gave up may be held back, and others behind it.
            self.nodes.iter().for_each(|node| {
                node.link.heal();
                node.link.release();
            });
            self.look().await?;
            // What is released may be held back once more.
            if self.calls.iter().all(|call| matches!(call, Call::End { .. } | Call::Signal { .. })) {
                break;
            }
        }
        for replica in 0..REPLICAS {
            self.nodes[replica].link.heal();
            self.nodes[replica].catch_up().await;
        }
        self.backend.next_step();
        self.look().await?;
        for session in 0..self.laws.sessions.len() {
            for replica in 0..REPLICAS {
                let is_allowed = self.now(replica, session, Ask::Read).await?;
                let objection = self.laws.objection(session, Ask::Read, self.clock.now());
                prop_assert_eq!(is_allowed, objection.is_none(), "session {} on {}: {:?}", session, replica, objection);
            }
            let may_export = self.laws.objection(session, Ask::Export, self.clock.now()).is_none();
            let left = BUDGET - self.laws.exports(self.laws.sessions[session].root, self.clock.now());
            for attempt in 0..=left {
                let replica = usize::try_from(attempt).expect("few") % REPLICAS;
                let is_allowed = self.now(replica, session, Ask::Export).await?;
                prop_assert_eq!(is_allowed, may_export && attempt < left, "{} left of {}", left - attempt, session);
            }
        }
        self.abandon();
        Ok(())
    }

    /// Whether this is allowed now.
    async fn now(&mut self, replica: usize, session: usize, ask: Ask) -> Result<bool, TestCaseError> {
        self.check(replica, session, ask, false);
        let Some(Call::Check { begun, task }) = self.calls.pop() else { return Err(TestCaseError::fail("no check")) };
        let answer = task.await.expect("it does not panic");
        let decision = answer.map(|answer| answer.decision);
        let decision = decision.map_err(|failure| TestCaseError::fail(format!("{failure} for {begun:?}")))?;
        let is_allowed = decision.outcome == chaperone_policy::Outcome::Allow;
        self.learn()?;
        self.laws.answered(&begun, Ok(&decision), self.generations[replica])?;
        self.laws.amounts(self.clock.now())?;
        Ok(is_allowed)
    }
}

impl Call {
    fn is_finished(&self) -> bool {
        match self {
            Self::Open { task, .. } => task.is_finished(),
            Self::Check { task, .. } => task.is_finished(),
            Self::Signal { task, .. } => task.is_finished(),
            Self::End { task, .. } => task.is_finished(),
            Self::Follow { task, .. } => task.is_finished(),
        }
    }
}
