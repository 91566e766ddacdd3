use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{EntityRef, MemoryName, SIGNALS_MAX, Timestamp};
use chaperone_store::{EmbeddedStore, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::admin::sessions::{NewSession, SessionLimits, SessionState};
use crate::clock::Clock;
use crate::replica::{Follower, FollowerTimes, Replica, StalenessLimits};
use crate::telemetry::Metrics;
use crate::trail::TrailWriter;

struct World {
    store: Arc<dyn Store>,
    sessions: Sessions,
    signals: Signals,
    clock: Clock,
    root: Session,
    child: Session,
}

impl World {
    /// A session with a child, on a replica that follows its store.
    async fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(None).await.expect("a store in memory"));
        let limits = StalenessLimits { max: Duration::from_secs(1), grace: Duration::ZERO };
        let replica = Arc::new(Replica::new(Arc::clone(&store), 10, limits));
        let clock = Clock::manual(Timestamp::from_micros(1_800_000_000_000_000));
        let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
        let times = FollowerTimes { poll_interval: Duration::from_millis(1), touch_interval: Duration::from_secs(1) };
        let follower = Follower::new(Arc::clone(&replica), clock.clone(), Arc::clone(&metrics), times);
        tokio::spawn(follower.run(CancellationToken::new()));
        let limits = SessionLimits {
            default_lifetime: Duration::from_hours(1),
            max_lifetime: Duration::from_hours(100),
            require_binding: false,
            tree: chaperone_store::TreeLimits::default(),
        };
        let sessions = Sessions::new(replica, clock.clone(), TrailWriter::off(), limits);
        let open = async |new: NewSession| sessions.open(new, "").await.expect("it opens").0.session;
        let root = open(NewSession {
            principal: Some(EntityRef::new("Agent", "a")),
            owner: Some("ann".to_owned()),
            lifetime: Some(Duration::from_hours(100)),
            ..NewSession::default()
        })
        .await;
        let child = open(NewSession { parent: Some(root.id), ..NewSession::default() }).await;
        let signals = Signals::new(sessions.clone(), MemoryLimits { labels: 2, ..MemoryLimits::default() }, metrics);
        Self { store, sessions, signals, clock, root, child }
    }

    async fn signal(&self, signal: &Signal) -> Result<Signalled, AdminError> {
        self.signals.signal(signal, "token:1").await
    }
}

fn about(target: SignalTarget, event_id: &str) -> Signal {
    Signal {
        target,
        event_id: event_id.to_owned(),
        source: "edr".to_owned(),
        reason: "the test says so".to_owned(),
        risk: 20,
        labels: Vec::new(),
        tree_labels: Vec::new(),
        revoke: None,
    }
}

fn field(outcome: Result<Signalled, AdminError>) -> String {
    match outcome {
        Err(AdminError::Invalid { field, .. }) => field,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn event_counts_once_until_it_is_forgotten() {
    let world = World::new().await;
    let signal = about(SignalTarget::Session(world.root.id), "edr-1");
    for (duplicate, risk) in [(false, 20), (true, 20)] {
        let signalled = world.signal(&signal).await.expect("it is taken");
        assert_eq!((signalled.duplicate, signalled.memory.risk), (duplicate, risk));
        assert_eq!(signalled.memory.session.version, 1, "a duplicate stores nothing");
    }
    let other = world.signal(&about(SignalTarget::Session(world.root.id), "edr-2")).await.expect("it is taken");
    assert_eq!((other.duplicate, other.memory.risk, other.memory.session.version), (false, 40, 2));
    // Another target does not know the event. It has what its ancestors have, where that is more.
    let child = world.signal(&about(SignalTarget::Session(world.child.id), "edr-1")).await.expect("it is taken");
    assert_eq!((child.duplicate, child.memory.risk), (false, 40));
    assert_eq!(child.memory.session.memory.risk(0, world.clock.now()), 20);
    world.clock.advance(Duration::from_hours(25));
    assert!(!world.signal(&signal).await.expect("it is taken").duplicate);
}

#[tokio::test]
async fn signal_of_a_tree_counts_for_all_of_it() {
    let world = World::new().await;
    let signal = Signal { tree_labels: vec!["pii".to_owned()], ..about(SignalTarget::Tree(world.root.id), "dlp-1") };
    let signalled = world.signal(&signal).await.expect("it is taken");
    assert!(signalled.memory.tree.memory.has_label("pii"));
    assert!(world.signal(&signal).await.expect("it is taken").duplicate);
    let child = world.sessions.memory(&world.child).await.expect("it is read");
    assert_eq!((child.risk, child.session.version), (20, 0));
    assert!(child.tree.memory.has_label("pii"));
}

#[tokio::test]
async fn concurrent_signals_all_count_and_equal_ones_once() {
    let world = Arc::new(World::new().await);
    let mut signals = JoinSet::new();
    for number in 0..24 {
        let world = Arc::clone(&world);
        signals.spawn(async move {
            let event_id = format!("edr-{}", number % 8);
            let signal = Signal { risk: 5, ..about(SignalTarget::Session(world.root.id), &event_id) };
            world.signal(&signal).await.expect("it is taken").duplicate
        });
    }
    let duplicates = signals.join_all().await;
    assert_eq!(duplicates.iter().filter(|duplicate| !**duplicate).count(), 8);
    let memory = world.sessions.memory(&world.root).await.expect("it is read");
    assert_eq!((memory.risk, memory.session.version), (40, 8));
}

#[tokio::test]
async fn signal_keeps_what_decisions_counted() {
    let world = World::new().await;
    let name = MemoryName::parse("exports").expect("a name");
    let mut memory = Memory::default();
    let count = Change::Count(name.clone(), 3.into());
    memory.apply(&count, world.clock.now(), &MemoryLimits::default(), 0).expect("it fits");
    let write = StoredMemory { key: MemoryKey::Session(world.root.id), version: 0, memory };
    let transition = Transition { writes: vec![write], reads: Vec::new() };
    world.store.commit_memories(&[transition], world.clock.now()).await.expect("it is stored");
    let signal = Signal { labels: vec!["odd".to_owned()], ..about(SignalTarget::Session(world.root.id), "1") };
    let after = world.signal(&signal).await.expect("it is taken").memory.session;
    assert_eq!(after.memory.count(&name, world.clock.now()), Some(3.into()));
    assert!(after.version == 2 && after.memory.has_label("odd"));
}

#[tokio::test]
async fn revocation_comes_first_and_stands_when_the_rest_does_not_fit() {
    let world = World::new().await;
    let target = SignalTarget::Session(world.child.id);
    let signal = Signal {
        labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
        revoke: Some(SignalRevoke::Session),
        ..about(target, "1")
    };
    assert!(matches!(world.signal(&signal).await, Err(AdminError::Full(_))));
    let view = world.sessions.get(world.child.id).await.expect("it is there");
    assert_eq!(view.state, SessionState::Own(chaperone_policy::Life::Revoked));
    assert_eq!(
        view.session.ended.map(|ended| (ended.by, ended.reason)),
        Some(("token:1 for edr".into(), signal.reason.clone()))
    );
    let memory = world.sessions.memory(&world.child).await.expect("it is read");
    assert_eq!((memory.risk, memory.session.version), (0, 0), "all of it or nothing");
    let tree = Signal { labels: Vec::new(), revoke: Some(SignalRevoke::Tree), ..signal };
    let signalled = world.signal(&tree).await.expect("it is taken");
    assert_eq!(signalled.memory.session.version, 1);
    let root = world.sessions.get(world.root.id).await.expect("it is there");
    assert_eq!(root.state, SessionState::Own(chaperone_policy::Life::Revoked));
}

#[tokio::test]
async fn full_target_refuses_further_events_and_still_knows_the_old_ones() {
    let world = World::new().await;
    let mut memory = Memory::default();
    for number in 0..SIGNALS_MAX {
        memory.note_signal(&number.to_string(), world.clock.now()).expect("it fits");
    }
    let write = StoredMemory { key: MemoryKey::Session(world.root.id), version: 0, memory };
    let transition = Transition { writes: vec![write], reads: Vec::new() };
    world.store.commit_memories(&[transition], world.clock.now()).await.expect("it is stored");
    let target = SignalTarget::Session(world.root.id);
    assert!(matches!(world.signal(&about(target, "one more")).await, Err(AdminError::Full(_))));
    assert!(world.signal(&about(target, "7")).await.expect("it is known").duplicate);
    assert_eq!(world.sessions.memory(&world.root).await.expect("it is read").risk, 0);
}

#[tokio::test]
async fn what_is_not_as_it_must_be_is_refused_with_its_field() {
    let world = World::new().await;
    let good = about(SignalTarget::Session(world.root.id), "1");
    let tree = about(SignalTarget::Tree(world.root.id), "1");
    for (signal, wanted) in [
        (Signal { event_id: String::new(), ..good.clone() }, "event_id"),
        (Signal { event_id: "e".repeat(SIGNAL_ID_BYTES_MAX + 1), ..good.clone() }, "event_id"),
        (Signal { event_id: "a\0".to_owned(), ..good.clone() }, "event_id"),
        (Signal { source: "s".repeat(257), ..good.clone() }, "source"),
        (Signal { reason: "r".repeat(257), ..good.clone() }, "reason"),
        (Signal { risk: 101, ..good.clone() }, "risk"),
        (Signal { risk: -101, ..good.clone() }, "risk"),
        (Signal { risk: 0, ..good.clone() }, "risk"),
        (Signal { labels: vec!["a b".to_owned()], ..good.clone() }, "labels"),
        (Signal { labels: vec![String::new()], ..good.clone() }, "labels"),
        (Signal { labels: vec!["a".to_owned(); 33], ..good.clone() }, "labels"),
        (Signal { tree_labels: vec!["a:b".to_owned()], ..good.clone() }, "tree_labels"),
        (Signal { labels: vec!["a".to_owned()], ..tree.clone() }, "labels"),
        (Signal { revoke: Some(SignalRevoke::Session), ..tree.clone() }, "revoke"),
        (Signal { target: SignalTarget::Tree(world.child.id), ..tree }, "tree_id"),
    ] {
        assert_eq!(field(world.signal(&signal).await), wanted);
    }
    let nobody = SessionId::new(uuid::Uuid::from_u128(1));
    let unknown = world.signal(&about(SignalTarget::Session(nobody), "1")).await;
    assert!(matches!(unknown, Err(AdminError::NotFound(_))));
    assert_eq!(world.sessions.memory(&world.root).await.expect("it is read").session.version, 0);
}
