//! What a shadow tells, and that nothing else is told by it.

use std::collections::BTreeMap;
use std::time::Duration;

use chaperone_policy::{
    Attributes, Binding, BundleNumber, BundleSource, EntityRef, HandleHash, MemoryKey, MemoryLimits, Outcome, Scope,
    Session, SessionHandle, SessionId, Task, Timestamp, Value,
};
use chaperone_store::{Candidate, CandidateRole, EmbeddedStore, NewActivation, NewBundle, Share, Store};
use uuid::Uuid;

use super::*;
use crate::clock::Clock;
use crate::config::OnTokenReuse;
use crate::differences::Kind;
use crate::evaluator::Evaluator;
use crate::pdp::{Asked, Claim, Consistency, Pdp, Protocol, Question};
use crate::presenter::Evidence;
use crate::recorder::Recorder;
use crate::replica::{Follower, FollowerTimes, StalenessLimits};
use crate::telemetry::DecisionSpans;

const SCHEMA: &str = "
    entity Agent; entity Document;
    action read, export appliesTo { principal: [Agent], resource: [Document],
        context: { session: Chaperone::Session, tree: Chaperone::Tree, request: { rows?: Long } } };";
const ACTIVE: &str = "
    @id(\"all\") permit (principal, action, resource);
    @id(\"mark\") @observe @label(\"tree:pii\") permit (principal, action == Action::\"read\", resource);";
/// Counts exports, and allows two of them.
const COUNTING: &str = "
    @id(\"count\") @observe @count(\"exports/1h\") permit (principal, action == Action::\"export\", resource);
    @id(\"budget\") forbid (principal, action == Action::\"export\", resource)
    when { context.session.counts[\"exports/1h\"] >= 2 };";
const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

fn handle(place: u8) -> HandleHash {
    SessionHandle::from_random([place; 32]).hash()
}

fn id(place: u8) -> SessionId {
    SessionId::new(Uuid::from_u128(u128::from(place) << 24))
}

fn session(place: u8) -> Session {
    let scope = if place == 2 { Scope::parse("permit (principal, action, resource);") } else { Ok(Scope::default()) };
    Session {
        id: id(place),
        tree: id(place),
        parent: None,
        depth: 0,
        principal: EntityRef::new("Agent", "one"),
        owner: "ann".to_owned(),
        task: Task::default(),
        labels: std::collections::BTreeSet::new(),
        scope: scope.expect("a scope"),
        binding: Binding::default(),
        opened_at: START,
        expires_at: START.plus(Duration::from_hours(8)),
        idle_timeout: None,
        last_used_at: START,
        ended: None,
        version: 1,
    }
}

struct World {
    store: Arc<EmbeddedStore>,
    follower: Follower,
    pdp: Pdp,
    shadow: Shadow,
    worker: Worker,
    waiting: Receiver<Sample>,
    metrics: Arc<Metrics>,
}

fn judge() -> Judge {
    Judge { evaluator: Evaluator::Compiled, limits: MemoryLimits::default(), on_token_reuse: OnTokenReuse::Deny }
}

impl World {
    /// Three sessions, and a shadow with room for so many decisions.
    async fn new(samples_max: usize) -> Self {
        let clock = Clock::manual(START);
        let store = Arc::new(EmbeddedStore::open(None).await.expect("a store in memory"));
        for place in 0..3 {
            store.insert_session(&session(place), &handle(place)).await.expect("a session");
        }
        let day = Duration::from_hours(24);
        let limits = StalenessLimits { max: day, grace: Duration::ZERO };
        let replica = Arc::new(Replica::new(Arc::clone(&store) as Arc<dyn Store>, 10, limits));
        let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
        let times = FollowerTimes { poll_interval: day, touch_interval: day };
        let follower = Follower::new(Arc::clone(&replica), clock.clone(), Arc::clone(&metrics), times);
        let (shadow, worker, waiting) = Shadow::with_room(samples_max, &replica, judge(), &metrics);
        let recorder = Recorder::new(Arc::clone(&metrics), DecisionSpans::disabled(), clock.clone());
        let recorder = recorder.with_shadow(shadow.clone());
        let pdp = Pdp::new(clock, replica, recorder, judge(), 100, Duration::from_mins(1));
        let mut world = Self { store, follower, pdp, shadow, worker, waiting, metrics };
        let number = world.upload(SCHEMA, ACTIVE).await;
        world.store.activate_bundle(&NewActivation::new(number, "test", START)).await.expect("it is active");
        world.follow().await;
        world
    }

    async fn upload(&self, schema: &str, policies: &str) -> BundleNumber {
        let files = [("schema.cedarschema", schema), ("policies/main.cedar", policies)];
        let files: BTreeMap<_, _> = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let (message, uploaded_by) = (String::new(), "test".to_owned());
        let source = BundleSource { files };
        let new = NewBundle { source, policy_count: 1, message, uploaded_by, uploaded_at: START };
        self.store.insert_bundle(&new).await.expect("a bundle").0.number
    }

    /// Has these policies beside the active ones.
    async fn begin(&mut self, schema: &str, policies: &str, share: Share) {
        let candidate = Candidate {
            role: CandidateRole::Shadow,
            number: self.upload(schema, policies).await,
            beside: BundleNumber::new(1),
            share,
            label: None,
            message: String::new(),
            started_by: "test".to_owned(),
            started_at: START,
        };
        self.store.put_candidate(&candidate).await.expect("it is stored");
        self.follow().await;
    }

    async fn follow(&mut self) {
        while self.follower.turn().await {}
    }

    async fn check(&self, place: u8, action: &str) -> Outcome {
        let check = self.pdp.begin(Protocol::Grpc, None, None).expect("policies");
        let rows = Attributes::from([("rows".into(), Value::Long(5))]);
        let request = check.snapshot.bundle.request(action, EntityRef::new("Document", "1"), rows).expect("a request");
        let question = Question {
            claim: Claim::Session(handle(place)),
            evidence: Evidence::default(),
            asked: Asked::Actions(std::slice::from_ref(&request)),
            consistency: Consistency::Bounded,
        };
        check.decide(question).await.expect("a decision").decision.outcome
    }

    /// What came of it, when all that waits is compared.
    fn report(&mut self) -> ShadowReport {
        for sample in self.waiting.try_iter() {
            self.worker.take(&sample);
        }
        self.shadow.report().expect("there is a shadow")
    }

    fn counted(&self, series: &str) -> Option<f64> {
        let text = self.metrics.text().expect("it is written");
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}

#[tokio::test]
async fn counter_of_the_candidate_counts_and_nobody_else_sees_it() {
    let mut world = World::new(100).await;
    world.begin(SCHEMA, &format!("{ACTIVE}{COUNTING}"), Share::ALL).await;
    for _ in 0..3 {
        assert_eq!(world.check(0, "export").await, Outcome::Allow, "it is answered by the active bundle");
    }
    assert_eq!(world.check(1, "export").await, Outcome::Allow);
    let report = world.report();
    let found: Vec<_> = report.groups.iter().map(|(key, group)| (key.kind, &*key.policies, group.count)).collect();
    let [(Kind::NewlyDenied, policies, 1), (Kind::ChangedEffects, _, 3)] = &*found else { panic!("{found:?}") };
    assert_eq!(*policies, ["budget"]);
    assert_eq!((report.compared_count, report.groups.total(), report.dropped_count), (4, 4, 0));
    assert_eq!(world.counted(r#"chaperone_shadow_differences_total{kind="newly_denied"}"#), Some(1.0));
    assert_eq!(world.counted("chaperone_shadow_compared_total"), Some(4.0));
    let keys = [MemoryKey::Session(id(0)), MemoryKey::Tree(id(0))];
    let stored = world.store.memories(&keys).await.expect("memories");
    assert!(stored.iter().all(|stored| stored.version == 0), "nothing of it is stored: {stored:?}");
}

#[tokio::test]
async fn what_does_not_differ_follows_what_really_is() {
    let mut world = World::new(100).await;
    let egress = "@id(\"egress\") forbid (principal, action == Action::\"export\", resource)
        when { context.tree.labels.contains(\"pii\") };";
    world.begin(SCHEMA, &format!("{ACTIVE}{egress}"), Share::ALL).await;
    for action in ["export", "read", "export"] {
        assert_eq!(world.check(0, action).await, Outcome::Allow);
    }
    let report = world.report();
    let found: Vec<_> = report.groups.iter().map(|(key, group)| (key.kind, key.action.clone(), group.count)).collect();
    assert_eq!(found, [(Kind::NewlyDenied, Some(EntityRef::new("Action", "export")), 1)]);
    assert_eq!(report.compared_count, 3);
}

#[tokio::test]
async fn label_that_the_candidate_does_not_set_is_not_there_for_it() {
    let mut world = World::new(100).await;
    let unmarked = "@id(\"all\") permit (principal, action, resource);
        @id(\"egress\") forbid (principal, action == Action::\"export\", resource)
        when { context.tree.labels.contains(\"pii\") };";
    world.begin(SCHEMA, unmarked, Share::ALL).await;
    for action in ["read", "export"] {
        assert_eq!(world.check(0, action).await, Outcome::Allow);
    }
    let report = world.report();
    assert_eq!((report.groups.count(Kind::ChangedEffects), report.groups.total()), (1, 1), "{report:?}");
}

#[tokio::test]
async fn nobody_waits_for_a_shadow_that_is_behind() {
    let mut world = World::new(1).await;
    world.begin(SCHEMA, COUNTING, Share::ALL).await;
    for _ in 0..3 {
        assert_eq!(world.check(0, "export").await, Outcome::Allow);
    }
    assert_eq!(world.counted("chaperone_shadow_dropped_total"), Some(2.0));
    assert_eq!(world.report().compared_count, 1);
}

#[tokio::test]
async fn share_is_of_session_trees() {
    let mut world = World::new(100).await;
    // By the last bytes of their ids, session 0 is at the beginning of all, 1 and 2 behind a thousandth.
    world.begin(SCHEMA, ACTIVE, Share::of_millionths(1_000).expect("not more than all")).await;
    for place in [0, 1, 2, 0, 1, 2] {
        world.check(place, "export").await;
    }
    assert_eq!(world.report().compared_count, 2);
}

#[tokio::test]
async fn other_candidate_begins_anew_and_an_ended_one_costs_nothing() {
    let mut world = World::new(100).await;
    world.begin(SCHEMA, &format!("{ACTIVE}{COUNTING}"), Share::ALL).await;
    world.check(0, "export").await;
    assert_eq!(world.report().groups.total(), 1);
    world
        .begin(SCHEMA, &format!("{ACTIVE}{COUNTING}@id(\"x\") forbid (principal, action, resource);"), Share::ALL)
        .await;
    assert_eq!(world.report().compared_count, 0, "of another nothing is known yet");
    world.check(0, "export").await;
    assert_eq!(world.report().groups.count(Kind::NewlyDenied), 1);
    world.store.remove_candidate(CandidateRole::Shadow, START).await.expect("it is removed");
    world.follow().await;
    world.check(0, "export").await;
    assert!(world.waiting.try_recv().is_err() && world.shadow.report().is_none());
}

#[tokio::test]
async fn other_schema_is_no_hindrance_and_what_does_not_fit_is_told() {
    let mut world = World::new(100).await;
    let wider = SCHEMA.replace("rows?: Long", "rows?: Long, note?: String");
    let few = "@id(\"few\") permit (principal, action == Action::\"export\", resource)
        when { context.request has rows && context.request.rows < 5 };";
    world.begin(&wider, few, Share::ALL).await;
    // The second has a scope, which must be compiled for both schemas.
    for place in [0, 2, 2] {
        assert_eq!(world.check(place, "export").await, Outcome::Allow);
    }
    let report = world.report();
    assert_eq!((report.groups.count(Kind::NewlyDenied), report.compared_count), (3, 3), "{report:?}");
    let narrower = SCHEMA.replace("rows?: Long", "rows?: String");
    world.begin(&narrower, "@id(\"all\") permit (principal, action, resource);", Share::ALL).await;
    assert_eq!(world.check(0, "export").await, Outcome::Allow);
    let report = world.report();
    assert_eq!((report.compared_count, report.untold), (0, BTreeMap::from([("unfit", 1)])));
}
