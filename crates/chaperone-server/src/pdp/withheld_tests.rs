use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{
    BundleSource, EntityRef, MemoryLimits, Outcome, Request, Scope, Session, SessionHandle, SessionId, Task,
};
use chaperone_store::{EmbeddedStore, NewActivation, NewBundle, Store};
use chaperone_trail::{Event, TrailThread};
use futures_util::FutureExt as _;
use uuid::Uuid;

use super::*;
use crate::clock::Clock;
use crate::config::OnTokenReuse;
use crate::evaluator::Evaluator;
use crate::pdp::{Asked, Claim, Consistency, Judge, Question};
use crate::presenter::Evidence;
use crate::recorder::Recorder;
use crate::replica::{Follower, FollowerTimes, Replica, StalenessLimits};
use crate::telemetry::{DecisionSpans, Metrics};
use crate::trail::testing::{Disk, Hand};

const SCHEMA: &str = "entity Agent; entity Document;\n\
    action read, export appliesTo { principal: [Agent], resource: [Document],\n\
    context: { session: Chaperone::Session, tree: Chaperone::Tree, request: { rows?: Long } } };\n";
const POLICIES: &str = "@id(\"all\") permit (principal, action, resource);\n\
    @id(\"count\") @observe @count(\"exports\") permit (principal, action == Action::\"export\", resource);\n\
    @id(\"large\") @reason(\"too many rows\") forbid (principal, action, resource)\n\
    when { context.request has rows && context.request.rows > 100 };\n";
const HANDLE: [u8; 32] = [7; 32];

struct World {
    pdp: Pdp,
    hand: Hand,
    metrics: Arc<Metrics>,
    _thread: TrailThread,
}

impl World {
    async fn new(queue_len_max: usize) -> Self {
        let hour = Duration::from_hours(1);
        // Deadlines are waited for by timers, for which a clock that stands still is none.
        let clock = Clock::system();
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(None).await.expect("a store in memory"));
        let files = [("schema.cedarschema", SCHEMA), ("policies/main.cedar", POLICIES)];
        let files = BTreeMap::from(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
        let bundle = NewBundle {
            source: BundleSource { files },
            policy_count: 3,
            message: String::new(),
            uploaded_by: "test".to_owned(),
            uploaded_at: clock.now(),
        };
        let (info, _) = store.insert_bundle(&bundle).await.expect("a bundle");
        store.activate_bundle(&NewActivation::new(info.number, "test", clock.now())).await.expect("active");
        let handle = SessionHandle::from_random(HANDLE).hash();
        store.insert_session(&session(&clock), &handle).await.expect("a session");
        let limits = StalenessLimits { max: hour, grace: Duration::ZERO };
        let replica = Arc::new(Replica::new(store, 10, limits));
        let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
        let times = FollowerTimes { poll_interval: hour, touch_interval: hour };
        let mut follower = Follower::new(Arc::clone(&replica), clock.clone(), Arc::clone(&metrics), times);
        while follower.turn().await {}
        let hand = Hand::default();
        let (trail, thread) = hand.trail(&metrics, queue_len_max);
        // That it has begun is a record too.
        hand.offered(1).await;
        let recorder = Recorder::new(Arc::clone(&metrics), DecisionSpans::disabled(), clock.clone()).with_trail(trail);
        let judge = Judge {
            evaluator: Evaluator::Compiled,
            limits: MemoryLimits::default(),
            on_token_reuse: OnTokenReuse::Deny,
        };
        let pdp = Pdp::new(clock, replica, recorder, judge, 100, Duration::from_mins(1));
        Self { pdp, hand, metrics, _thread: thread }
    }

    async fn check(
        &self,
        action: &str,
        rows: Option<i64>,
        timeout: Option<Duration>,
    ) -> Result<Box<Answer>, NoDecision> {
        let check = self.pdp.begin(Protocol::Grpc, timeout, None).expect("policies");
        let request = request(&check, action, rows);
        let question = Question {
            claim: Claim::Session(SessionHandle::from_random(HANDLE).hash()),
            evidence: Evidence::default(),
            asked: Asked::Actions(std::slice::from_ref(&request)),
            consistency: Consistency::Bounded,
        };
        check.decide(question).await
    }

    async fn check_each(&self, actions: &[&str]) -> Result<Vec<Answer>, NoDecision> {
        let check = self.pdp.begin(Protocol::Grpc, None, None).expect("policies");
        let requests: Vec<_> = actions.iter().map(|action| request(&check, action, None)).collect();
        let claim = Claim::Session(SessionHandle::from_random(HANDLE).hash());
        check.decide_each(claim, Evidence::default(), Consistency::Bounded, &requests).await
    }

    fn no_decisions(&self) -> Vec<(chaperone_policy::DecisionId, String)> {
        let events = self.hand.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::NoDecision { id, code, .. } => Some((id, code.into_owned())),
                _ => None,
            })
            .collect()
    }
}

fn request(check: &Check<'_>, action: &str, rows: Option<i64>) -> Request {
    let attributes = rows.map(|rows| ("rows".into(), chaperone_policy::Value::Long(rows)));
    let resource = EntityRef::new("Document", "42");
    check.snapshot.bundle.request(action, resource, attributes.into_iter().collect()).expect("a request")
}

fn session(clock: &Clock) -> Session {
    let id = SessionId::new(Uuid::from_u128(1));
    Session {
        id,
        tree: id,
        parent: None,
        depth: 0,
        principal: EntityRef::new("Agent", "one"),
        owner: "team".to_owned(),
        task: Task { id: "task".to_owned(), purpose: String::new() },
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

#[tokio::test]
async fn no_answer_leaves_before_its_record_is_safe() {
    let world = World::new(100).await;
    for (action, rows, outcome) in
        [("read", None, Outcome::Allow), ("export", None, Outcome::Allow), ("read", Some(1_000), Outcome::Deny)]
    {
        world.hand.disk(Disk::Hangs);
        let batches = world.hand.batches();
        let mut checking = Box::pin(world.check(action, rows, None));
        tokio::select! {
            _ = &mut checking => panic!("`{action}` was answered while the disk was still writing"),
            () = world.hand.offered(batches + 1) => {}
        }
        assert!(checking.as_mut().now_or_never().is_none(), "`{action}`: its record is offered, but not written");
        world.hand.disk(Disk::Works);
        let answer = checking.await.expect("a decision");
        assert_eq!(answer.decision.outcome, outcome);
        let Some(Event::Decision(decided)) = world.hand.events().pop() else { panic!("there is no record") };
        assert_eq!((decided.id, &*decided.outcome, decided.actions.len()), (answer.id, outcome.as_str(), 1));
    }
}

#[tokio::test]
async fn record_tells_what_was_decided_and_why() {
    let world = World::new(100).await;
    world.check("export", Some(50), None).await.expect("a decision");
    world.check("read", Some(1_000), None).await.expect("a decision");
    let events = world.hand.events();
    let decisions: Vec<_> = events.iter().filter(|event| matches!(event, Event::Decision(_))).collect();
    let [Event::Decision(allowed), Event::Decision(denied)] = decisions[..] else { panic!("{events:?}") };
    // Each names the state of its session that stands before it, and what it counted is another.
    for decided in [allowed, denied] {
        let place = events.iter().position(|event| *event == Event::Decision(decided.clone())).expect("it is there");
        let named = &decided.states[0];
        let is_named = |event: &Event<'_>| matches!(event, Event::State(state) if Some(state.digest) == named.digest);
        assert!(named.of.starts_with("chain:") && events[..place].iter().any(is_named), "{events:?}");
    }
    assert_ne!(allowed.states, denied.states);
    let session = allowed.session.as_ref().expect("a session");
    assert_eq!((&*session.owner, &*session.task), ("team", "task"));
    assert_eq!(allowed.principal.as_deref(), Some(&EntityRef::new("Agent", "one")));
    assert_eq!(*allowed.actions[0].resource, EntityRef::new("Document", "42"));
    assert_eq!((&*allowed.protocol, &*allowed.code, &*allowed.policies[0].id), ("grpc", "permitted", "all"));
    assert_eq!((&*allowed.effects[0].effect, &*allowed.effects[0].text), ("count", "exports += 1"));
    assert_eq!((&*denied.code, &*denied.reason, &*denied.policies[0].id), ("forbidden", "too many rows", "large"));
    assert_eq!(denied.actions[0].attributes, [("rows".into(), chaperone_policy::Value::Long(1_000))]);
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_allowed_and_goes_on_when_it_can() {
    let world = World::new(100).await;
    world.hand.disk(Disk::Fails);
    assert_eq!(world.check("read", None, None).await.err(), Some(NoDecision::TrailUnavailable));
    assert_eq!(world.check("read", None, None).await.err(), Some(NoDecision::TrailUnavailable), "nothing is begun");
    let text = world.metrics.text().expect("it is written");
    let series = "chaperone_no_decisions_total{code=\"trail_unavailable\",protocol=\"grpc\"} 2";
    assert!(text.contains(series), "{text}");
    world.hand.disk(Disk::Works);
    while world.check("read", None, None).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn deadline_bounds_the_wait_for_a_record() {
    let world = World::new(100).await;
    world.hand.disk(Disk::Hangs);
    let failure = world.check("read", None, Some(Duration::from_millis(50))).await.err();
    assert_eq!(failure, Some(NoDecision::Deadline));
    world.hand.disk(Disk::Works);
    world.check("read", None, None).await.expect("a decision");
    // What was decided in vain is on record, and that nobody was told of it.
    let decided: Vec<_> = world.hand.events().into_iter().filter(|event| matches!(event, Event::Decision(_))).collect();
    let Event::Decision(first) = &decided[0] else { panic!("{decided:?}") };
    assert_eq!(world.no_decisions(), [(first.id, "deadline".to_owned())]);
    assert_eq!(decided.len(), 2);
}

#[tokio::test]
async fn full_queue_is_waited_for_and_then_denies() {
    let world = World::new(1).await;
    world.hand.disk(Disk::Hangs);
    let batches = world.hand.batches();
    let mut first = Box::pin(world.check("read", None, None));
    tokio::select! {
        _ = &mut first => panic!("the disk hangs"),
        () = world.hand.offered(batches + 1) => {}
    }
    let mut second = Box::pin(world.check("read", None, None));
    assert!(second.as_mut().now_or_never().is_none(), "its record takes the only room");
    let third = world.check("read", None, Some(Duration::from_millis(50))).await;
    assert_eq!(third.err(), Some(NoDecision::TrailUnavailable));
    let fourth = world.check("export", None, None);
    world.hand.disk(Disk::Works);
    let (first, second, fourth) = tokio::join!(first, second, fourth);
    assert!([first, second, fourth].iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.is_allowed())));
}

#[tokio::test]
async fn batch_waits_once_for_all_its_records() {
    let world = World::new(100).await;
    world.hand.disk(Disk::Hangs);
    let batches = world.hand.batches();
    let mut checking = Box::pin(world.check_each(&["read", "export", "read", "export"]));
    tokio::select! {
        _ = &mut checking => panic!("it was answered while the disk was still writing"),
        () = world.hand.offered(batches + 1) => {}
    }
    world.hand.disk(Disk::Works);
    let answers = checking.await.expect("decisions");
    let recorded = world.hand.events().into_iter().filter_map(|event| match event {
        Event::Decision(decided) => Some(decided.id),
        _ => None,
    });
    let mut recorded: Vec<_> = recorded.collect();
    let mut answered: Vec<_> = answers.iter().map(|answer| answer.id).collect();
    recorded.sort_unstable();
    answered.sort_unstable();
    assert_eq!(recorded, answered);
}
