use std::collections::BTreeMap;

use chaperone_policy::{BundleSource, Entity, Timestamp, Value};
use chaperone_store::{EmbeddedStore, NewActivation, NewBundle, Store};
use tokio::sync::broadcast::error::TryRecvError;

use super::*;
use crate::replica::StalenessLimits;

const SCHEMA: &str = "entity Team in [Team] = { size?: Long };\n\
    action read appliesTo { principal: [Team], resource: [Team], context: { request: {} } };\n";
const POLICY: &str = "@id(\"all\") permit (principal, action, resource);";

struct World {
    store: Arc<dyn Store>,
    replica: Arc<Replica>,
    clock: Clock,
    metrics: Arc<Metrics>,
    follower: Follower,
}

impl World {
    async fn new() -> Self {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(None).await.expect("a store in memory"));
        let limits = StalenessLimits { max: Duration::from_secs(1), grace: Duration::ZERO };
        let replica = Arc::new(Replica::new(Arc::clone(&store), 10, limits));
        let clock = Clock::manual(Timestamp::from_micros(1_800_000_000_000_000));
        let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
        let times = FollowerTimes { poll_interval: Duration::from_secs(1), touch_interval: Duration::from_secs(1) };
        let follower = Follower::new(Arc::clone(&replica), clock.clone(), Arc::clone(&metrics), times);
        Self { store, replica, clock, metrics, follower }
    }

    /// With a bundle that is active, and these entities.
    async fn with_bundle(entities: &[Entity]) -> Self {
        let mut world = Self::new().await;
        let files = [("schema.cedarschema", SCHEMA), ("policies/main.cedar", POLICY)];
        let bundle = NewBundle {
            source: BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() },
            policy_count: 1,
            message: String::new(),
            uploaded_by: "ann".into(),
            uploaded_at: world.clock.now(),
        };
        let (info, _) = world.store.insert_bundle(&bundle).await.expect("it is stored");
        world
            .store
            .activate_bundle(&NewActivation::new(info.number, "ann", world.clock.now()))
            .await
            .expect("it is active");
        world.put(entities).await;
        world.catch_up().await;
        world
    }

    async fn put(&self, entities: &[Entity]) {
        self.store.put_entities(entities, self.clock.now()).await.expect("they are stored");
    }

    async fn catch_up(&mut self) {
        while self.follower.turn().await {}
    }

    /// Whether a team is in another one; `None` when nothing can be decided.
    fn is_in(&self, team: usize, group: usize) -> Option<bool> {
        match &**self.replica.policies() {
            Policies::Active(snapshot) => Some(snapshot.entities.is_in(&uid(team), &uid(group))),
            Policies::Unusable(_) | Policies::None => None,
        }
    }

    /// How often a bundle was loaded, and how many entities were changed by themselves.
    fn counts(&self) -> (u64, u64) {
        let text = self.metrics.text().expect("they can be written");
        let count = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        (count("chaperone_bundle_reloads_total"), count("chaperone_entity_changes_total"))
    }
}

fn uid(team: usize) -> EntityRef {
    EntityRef::new("Team", team.to_string())
}

fn team(number: usize, parents: &[usize]) -> Entity {
    let parents = parents.iter().copied().map(uid).collect();
    Entity { uid: uid(number), attributes: BTreeMap::new(), tags: BTreeMap::new(), parents }
}

fn refused(number: usize) -> Entity {
    Entity { attributes: BTreeMap::from([("size".into(), Value::Bool(true))]), ..team(number, &[]) }
}

#[tokio::test]
async fn those_who_watch_are_told_of_a_gap() {
    let mut world = World::new().await;
    world.catch_up().await;
    let mut changes = world.replica.watch_sessions();
    assert_eq!(changes.try_recv(), Err(TryRecvError::Empty));
    world.put(&[team(1, &[])]).await;
    world.store.prune_changes(world.clock.now().plus(Duration::from_secs(1))).await.expect("it is pruned");
    world.catch_up().await;
    assert_eq!(changes.try_recv(), Ok(None));
}

#[tokio::test]
async fn changed_entities_are_taken_over_by_themselves() {
    let all: Vec<_> = (0..2_500).map(|number| team(number, &[number / 10 + 10_000])).collect();
    let mut world = World::with_bundle(&all).await;
    assert_eq!((world.is_in(2_499, 10_249), world.counts()), (Some(true), (1, 0)));
    world.put(&[team(2_499, &[1]), team(10_000, &[20_000])]).await;
    world.store.delete_entities(&[uid(5)], world.clock.now()).await.expect("it is deleted");
    world.catch_up().await;
    assert_eq!((world.is_in(2_499, 10_249), world.is_in(2_499, 1)), (Some(false), Some(true)));
    assert_eq!(
        (world.is_in(1, 20_000), world.is_in(2_499, 20_000)),
        (Some(true), Some(true)),
        "what is below moves too"
    );
    assert_eq!(world.is_in(5, 10_000), Some(false));
    assert_eq!(world.counts(), (1, 3));
}

#[tokio::test]
async fn refused_entity_makes_the_bundle_unusable_until_it_is_repaired() {
    let mut world = World::with_bundle(&[team(1, &[2])]).await;
    for repair_by_delete in [false, true] {
        world.put(&[refused(3)]).await;
        world.catch_up().await;
        assert_eq!(world.is_in(1, 2), None);
        // Another change does not help.
        world.put(&[team(4, &[])]).await;
        world.catch_up().await;
        assert_eq!(world.is_in(1, 2), None);
        if repair_by_delete {
            world.store.delete_entities(&[uid(3)], world.clock.now()).await.expect("it is deleted");
        } else {
            world.put(&[team(3, &[1])]).await;
        }
        world.catch_up().await;
        assert_eq!((world.is_in(1, 2), world.is_in(3, 2)), (Some(true), Some(!repair_by_delete)));
    }
}

#[tokio::test]
async fn circle_of_parents_makes_the_bundle_unusable_until_it_is_broken() {
    let mut world = World::with_bundle(&[team(1, &[2])]).await;
    world.put(&[team(2, &[1])]).await;
    world.catch_up().await;
    assert_eq!(world.is_in(1, 2), None);
    world.put(&[team(1, &[])]).await;
    world.catch_up().await;
    assert_eq!((world.is_in(1, 2), world.is_in(2, 1)), (Some(false), Some(true)));
}

/// The feed names 1 in one page and 2 in the next, while only both together are no circle.
#[tokio::test]
async fn changes_that_belong_together_may_be_read_apart() {
    let mut world = World::with_bundle(&[team(1, &[2]), team(2, &[])]).await;
    let work = Work { entities: BTreeSet::from([uid(2)]), ..Work::default() };
    world.put(&[team(1, &[]), team(2, &[1])]).await;
    world.follower.load_policies(work).await.expect("the store answers");
    assert_eq!((world.is_in(1, 2), world.is_in(2, 1)), (Some(false), Some(true)));
    assert_eq!(world.counts(), (1, 0));
    world.catch_up().await;
    assert_eq!((world.is_in(1, 2), world.is_in(2, 1)), (Some(false), Some(true)));
}
