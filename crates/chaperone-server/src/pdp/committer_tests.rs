use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use chaperone_policy::{
    Amount, Approval, ApprovalId, BundleNumber, BundleSource, Entity, EntityRef, Memory, MemoryKey, MemoryLimits,
    MemoryName, Outcome, Scope, SessionHandle, SessionId, Task,
};
use chaperone_store::{
    ApprovalFilter, BundleActivation, BundleInfo, Candidate, CandidateRole, Changes, Cursor, EmbeddedStore,
    NewActivation, NewBundle, OpenedApproval, ReplicaReport, SavedApproval, SessionFilter, Store, StoredBundle,
    StoredMemory, Transition, TreeLimits,
};
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::*;
use crate::config::OnTokenReuse;
use crate::evaluator::Evaluator;
use crate::pdp::{Asked, Claim, Consistency, Pdp, Protocol, Question};
use crate::presenter::Evidence;
use crate::replica::{Follower, FollowerTimes, Policies, StalenessLimits};
use crate::telemetry::{DecisionSpans, Metrics};

/// How many exports the tree may make.
const BUDGET: i64 = 3;

const SCHEMA: &str = "entity Agent; entity Document;\n\
    action read, export appliesTo { principal: [Agent], resource: [Document],\n\
    context: { session: Chaperone::Session, tree: Chaperone::Tree, request: {} } };\n";
const POLICIES: &str = "@id(\"all\") permit (principal, action, resource);\n\
    @id(\"count\") @observe @count(\"tree:exports\") permit (principal, action == Action::\"export\", resource);\n\
    @id(\"budget\") forbid (principal, action == Action::\"export\", resource)\n\
    when { context.tree.counts[\"exports\"] >= 3 };\n\
    @id(\"mark\") @observe @label(\"tree:pii\") permit (principal, action == Action::\"read\", resource == Document::\"pii\");\n\
    @id(\"pii\") forbid (principal, action == Action::\"export\", resource)\n\
    when { context.tree.labels.contains(\"pii\") };\n";

/// What goes wrong with a commit.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It is lost on its way.
    Before,
    /// It is stored, and nobody is told.
    After,
}

/// A store whose commits fail as they are told to.
#[derive(Debug)]
struct Faulty {
    store: EmbeddedStore,
    faults: Mutex<VecDeque<Option<Fault>>>,
}

type Stored<T> = Result<T, StoreError>;

#[async_trait]
impl Store for Faulty {
    async fn commit_memories(&self, transitions: &[Transition], at: Timestamp) -> Stored<Vec<Committed>> {
        let lost = || StoreError::Unavailable("the connection is lost".into());
        let fault = self.faults.lock().expect("nobody panics").pop_front().flatten();
        match fault {
            Some(Fault::Before) => Err(lost()),
            Some(Fault::After) => {
                self.store.commit_memories(transitions, at).await?;
                Err(lost())
            }
            None => self.store.commit_memories(transitions, at).await,
        }
    }

    async fn check_schema(&self) -> Stored<()> {
        self.store.check_schema().await
    }
    async fn open_session(&self, session: &Session, handle: &HandleHash, limits: &TreeLimits) -> Stored<()> {
        self.store.open_session(session, handle, limits).await
    }
    async fn session(&self, id: SessionId) -> Stored<Option<Session>> {
        self.store.session(id).await
    }
    async fn session_chain(&self, handle: &HandleHash) -> Stored<Vec<Session>> {
        self.store.session_chain(handle).await
    }
    async fn save_session(&self, session: &Session) -> Stored<Session> {
        self.store.save_session(session).await
    }
    async fn revoke_sessions(&self, target: &RevokeTarget, ended: &Ended) -> Stored<u64> {
        self.store.revoke_sessions(target, ended).await
    }
    async fn touch_sessions(&self, uses: &[(SessionId, Timestamp)]) -> Stored<()> {
        self.store.touch_sessions(uses).await
    }
    async fn sessions(&self, filter: &SessionFilter, before: Option<SessionId>, limit: u32) -> Stored<Vec<Session>> {
        self.store.sessions(filter, before, limit).await
    }
    async fn insert_bundle(&self, bundle: &NewBundle) -> Stored<(BundleInfo, bool)> {
        self.store.insert_bundle(bundle).await
    }
    async fn activate_bundle(&self, activation: &NewActivation) -> Stored<BundleInfo> {
        self.store.activate_bundle(activation).await
    }
    async fn bundle_activations(&self, before: Option<u64>, limit: u32) -> Stored<Vec<BundleActivation>> {
        self.store.bundle_activations(before, limit).await
    }
    async fn put_candidate(&self, candidate: &Candidate) -> Stored<()> {
        self.store.put_candidate(candidate).await
    }
    async fn remove_candidate(&self, role: CandidateRole, at: Timestamp) -> Stored<bool> {
        self.store.remove_candidate(role, at).await
    }
    async fn candidates(&self) -> Stored<Vec<Candidate>> {
        self.store.candidates().await
    }
    async fn active_bundle(&self) -> Stored<Option<StoredBundle>> {
        self.store.active_bundle().await
    }
    async fn bundle(&self, number: BundleNumber) -> Stored<Option<StoredBundle>> {
        self.store.bundle(number).await
    }
    async fn bundles(&self, before: Option<BundleNumber>, limit: u32) -> Stored<Vec<BundleInfo>> {
        self.store.bundles(before, limit).await
    }
    async fn put_entities(&self, entities: &[Entity], at: Timestamp) -> Stored<()> {
        self.store.put_entities(entities, at).await
    }
    async fn delete_entities(&self, uids: &[EntityRef], at: Timestamp) -> Stored<u64> {
        self.store.delete_entities(uids, at).await
    }
    async fn entities(&self, kind: Option<&str>, after: Option<&EntityRef>, limit: u32) -> Stored<Vec<Entity>> {
        self.store.entities(kind, after, limit).await
    }
    async fn entities_named(&self, uids: &[EntityRef]) -> Stored<Vec<Entity>> {
        self.store.entities_named(uids).await
    }
    async fn memories(&self, keys: &[MemoryKey]) -> Stored<Vec<StoredMemory>> {
        self.store.memories(keys).await
    }
    async fn open_approval(&self, approval: &Approval) -> Stored<OpenedApproval> {
        self.store.open_approval(approval).await
    }
    async fn approval(&self, id: ApprovalId) -> Stored<Option<Approval>> {
        self.store.approval(id).await
    }
    async fn approvals(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: u32,
    ) -> Stored<Vec<Approval>> {
        self.store.approvals(filter, before, limit).await
    }
    async fn approvals_waiting(&self, at: Timestamp) -> Stored<u64> {
        self.store.approvals_waiting(at).await
    }
    async fn save_approval(
        &self,
        approval: &Approval,
        granted: Option<&StoredMemory>,
        at: Timestamp,
    ) -> Stored<SavedApproval> {
        self.store.save_approval(approval, granted, at).await
    }
    async fn feed_end(&self) -> Stored<Cursor> {
        self.store.feed_end().await
    }
    async fn changes(&self, cursor: &Cursor, limit: u32) -> Stored<Changes> {
        self.store.changes(cursor, limit).await
    }
    async fn changed(&self) {
        self.store.changed().await;
    }
    async fn report_replica(&self, report: &ReplicaReport) -> Stored<()> {
        self.store.report_replica(report).await
    }
    async fn replicas(&self, since: Timestamp) -> Stored<Vec<ReplicaReport>> {
        self.store.replicas(since).await
    }
    async fn forget_replicas(&self, replica: Option<&str>, before: Timestamp) -> Stored<()> {
        self.store.forget_replicas(replica, before).await
    }
    async fn prune_changes(&self, before: Timestamp) -> Stored<u64> {
        self.store.prune_changes(before).await
    }
    async fn ping(&self) -> Stored<()> {
        self.store.ping().await
    }
    async fn close(&self) {
        self.store.close().await;
    }
}

/// A replica whose follower moves only when it is told to.
struct Node {
    replica: Arc<Replica>,
    pdp: Pdp,
    follower: Follower,
}

struct World {
    store: Arc<Faulty>,
    nodes: [Node; 2],
    handles: [HandleHash; 2],
    root: SessionId,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_micros(1_800_000_000_000_000));
        let embedded = EmbeddedStore::open(None).await.expect("a store in memory");
        let store = Arc::new(Faulty { store: embedded, faults: Mutex::default() });
        let files = BTreeMap::from([
            ("schema.cedarschema".to_owned(), SCHEMA.to_owned()),
            ("policies/main.cedar".to_owned(), POLICIES.to_owned()),
        ]);
        let bundle = NewBundle {
            source: BundleSource { files },
            policy_count: 5,
            message: String::new(),
            uploaded_by: "test".to_owned(),
            uploaded_at: clock.now(),
        };
        let (info, _) = store.insert_bundle(&bundle).await.expect("a bundle");
        store.activate_bundle(&NewActivation::new(info.number, "test", clock.now())).await.expect("active");
        let root = SessionId::new(Uuid::from_u128(1));
        let sessions = [session(root, None, &clock), session(SessionId::new(Uuid::from_u128(2)), Some(root), &clock)];
        let handles = [1, 2].map(|byte| SessionHandle::from_random([byte; 32]).hash());
        for (session, handle) in sessions.iter().zip(&handles) {
            store.insert_session(session, handle).await.expect("a session");
        }
        let nodes = [Node::new(&store, &clock).await, Node::new(&store, &clock).await];
        Self { store, nodes, handles, root }
    }

    /// The outcome of one check; `None` when there was no decision.
    async fn check(&self, node: usize, handle: usize, action: &str, document: &str) -> Option<Outcome> {
        let check = self.nodes[node].pdp.begin(Protocol::Grpc, None, None).expect("policies");
        let resource = EntityRef::new("Document", document);
        let request = check.snapshot.bundle.request(action, resource, BTreeMap::new()).expect("a request");
        let question = Question {
            claim: Claim::Session(self.handles[handle]),
            evidence: Evidence::default(),
            asked: Asked::Actions(std::slice::from_ref(&request)),
            consistency: Consistency::Bounded,
        };
        check.decide(question).await.ok().map(|answer| answer.decision.outcome)
    }

    async fn stored(&self) -> Memory {
        let mut stored = self.store.memories(&[MemoryKey::Tree(self.root)]).await.expect("memories");
        stored.pop().expect("one").memory
    }

    /// How many exports the store knows of.
    async fn exports(&self) -> i64 {
        let exports = MemoryName::parse("exports").expect("a name");
        let at = Timestamp::from_micros(1_800_000_000_000_000);
        self.stored().await.count(&exports, at).map_or(0, Amount::to_whole_up)
    }
}

impl Node {
    async fn new(store: &Arc<Faulty>, clock: &Clock) -> Self {
        let hour = Duration::from_hours(1);
        let limits = StalenessLimits { max: hour, grace: Duration::ZERO };
        let replica = Arc::new(Replica::new(Arc::clone(store) as Arc<dyn Store>, 10, limits));
        let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
        let times = FollowerTimes { poll_interval: hour, touch_interval: hour };
        let mut follower = Follower::new(Arc::clone(&replica), clock.clone(), Arc::clone(&metrics), times);
        while follower.turn().await {}
        assert!(matches!(&**replica.policies(), Policies::Active(_)));
        let recorder = Recorder::new(metrics, DecisionSpans::disabled(), clock.clone());
        let pdp = Pdp::new(
            clock.clone(),
            Arc::clone(&replica),
            recorder,
            Judge {
                evaluator: Evaluator::Compiled,
                limits: MemoryLimits::default(),
                on_token_reuse: OnTokenReuse::Deny,
            },
            1_000,
            Duration::from_mins(1),
        );
        Self { replica, pdp, follower }
    }
}

fn session(id: SessionId, parent: Option<SessionId>, clock: &Clock) -> Session {
    Session {
        id,
        tree: parent.unwrap_or(id),
        parent,
        depth: u32::from(parent.is_some()),
        principal: EntityRef::new("Agent", "one"),
        owner: "team".to_owned(),
        task: Task::default(),
        labels: std::collections::BTreeSet::new(),
        scope: Scope::Unrestricted,
        binding: chaperone_policy::Binding::default(),
        opened_at: clock.now(),
        expires_at: clock.now().plus(Duration::from_hours(1)),
        idle_timeout: None,
        last_used_at: clock.now(),
        ended: None,
        version: 1,
    }
}

/// What happens to the two replicas, in any order.
#[derive(Clone, Debug)]
enum Event {
    /// Checks at once, each at a replica with a session.
    Exports(Vec<(usize, usize)>),
    /// The next commits do this.
    Faults(Vec<Option<Fault>>),
    /// A replica reads the feed.
    Follow(usize),
    /// A replica forgets what it knew, as after a restart.
    Forget(usize),
    /// Personal data is read.
    ReadPii(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let fault = prop::option::weighted(0.6, prop_oneof![Just(Fault::Before), Just(Fault::After)]);
    let event = prop_oneof![
        6 => prop::collection::vec((0..2_usize, 0..2_usize), 1..6).prop_map(Event::Exports),
        2 => prop::collection::vec(fault, 1..4).prop_map(Event::Faults),
        2 => (0..2_usize).prop_map(Event::Follow),
        1 => (0..2_usize).prop_map(Event::Forget),
        1 => (0..2_usize).prop_map(Event::ReadPii),
    ];
    prop::collection::vec(event, 1..20)
}

/// The laws, over whatever happens: no more is allowed than the budget; what was allowed is stored; what is marked stays marked, and
/// once a replica that read the mark has answered, nothing that it forbids is allowed there; and when nothing fails any more, what is
/// left of the budget can be spent.
async fn obeys(events: Vec<Event>) -> Result<(), TestCaseError> {
    let mut world = World::new().await;
    let (mut allowed, mut is_marked) = (0, false);
    for event in events {
        match event {
            Event::Exports(checks) => {
                let before = world.stored().await.has_label("pii");
                let checks = checks.iter().map(|(node, handle)| world.check(*node, *handle, "export", "one"));
                let outcomes = join_all(checks).await;
                let count = outcomes.iter().filter(|outcome| **outcome == Some(Outcome::Allow)).count();
                // An allow commits on the newest state, whatever its replica had read of the feed.
                prop_assert!(count == 0 || !before, "what is marked was exported");
                allowed += i64::try_from(count).expect("few");
            }
            Event::Faults(faults) => *world.store.faults.lock().expect("nobody panics") = faults.into(),
            Event::Follow(node) => while world.nodes[node].follower.turn().await {},
            Event::Forget(node) => world.nodes[node].replica.sessions().clear(),
            Event::ReadPii(node) => {
                is_marked |= world.check(node, 0, "read", "pii").await == Some(Outcome::Allow);
            }
        }
        let exports = world.exports().await;
        prop_assert!(allowed <= BUDGET && exports <= BUDGET, "{allowed} allowed, {exports} stored");
        prop_assert!(allowed <= exports, "{allowed} allowed, {exports} stored");
        prop_assert!(!is_marked || world.stored().await.has_label("pii"));
    }
    world.store.faults.lock().expect("nobody panics").clear();
    let left = if world.stored().await.has_label("pii") { 0 } else { BUDGET - world.exports().await };
    let last = join_all((0..8).map(|number| world.check(number % 2, number / 4, "export", "one"))).await;
    let last = last.iter().filter(|outcome| **outcome == Some(Outcome::Allow)).count();
    prop_assert_eq!(i64::try_from(last).expect("few"), left);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn budgets_and_labels_hold_whatever_happens(events in events()) {
        Runtime::new().expect("a runtime").block_on(obeys(events))?;
    }
}

#[tokio::test]
async fn label_that_is_there_is_not_written_again() {
    let world = World::new().await;
    for _ in 0..3 {
        assert_eq!(world.check(0, 0, "read", "pii").await, Some(Outcome::Allow));
    }
    let stored = world.store.memories(&[MemoryKey::Tree(world.root)]).await.expect("memories");
    assert_eq!(stored[0].version, 1);
    assert_eq!(world.check(0, 0, "read", "other").await, Some(Outcome::Allow));
    let session = world.store.memories(&[MemoryKey::Session(world.root)]).await.expect("memories");
    assert_eq!(session[0].version, 0, "a check without effects writes nothing");
}

/// Who decided on what was known before must look again, also where the feed was faster than the store.
#[tokio::test]
async fn what_the_feed_brought_is_news_to_whoever_decided_without_it() {
    let mut world = World::new().await;
    assert_eq!(world.check(1, 0, "read", "other").await, Some(Outcome::Allow));
    let cached = world.nodes[1].replica.chain(&world.handles[0]).await.expect("it answers").expect("a session");
    let known = cached.memory_versions();
    assert_eq!(world.check(0, 0, "export", "one").await, Some(Outcome::Allow));
    while world.nodes[1].follower.turn().await {}
    let by_now = cached.memory_versions();
    assert_ne!(by_now, known, "the feed has brought it");
    let replica = &world.nodes[1].replica;
    assert!(replica.refresh_memories(&cached, &known).await.expect("it answers"));
    assert!(!replica.refresh_memories(&cached, &by_now).await.expect("it answers"));
}
