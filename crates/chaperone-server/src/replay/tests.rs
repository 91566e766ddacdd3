//! Whatever was decided and recorded comes out the same from its records.

mod reported;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chaperone_policy::{
    ApprovalGrant, Attributes, Binding, Bundle, BundleNumber, BundleSource, Change, Ended, EndingAct, Entity,
    EntityRef, HandleHash, MemoryKey, MemoryLimits, Outcome, Scope, Session, SessionHandle, SessionId, Task, Timestamp,
    Value,
};
use chaperone_store::{EmbeddedStore, NewActivation, NewBundle, RevokeTarget, Store, StoredMemory, Transition};
use chaperone_trail::{Digest, Event, Record, RecordFilter, Sealed, TrailThread};
use proptest::prelude::*;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::*;
use crate::clock::Clock;
use crate::config::OnTokenReuse;
use crate::differences::{Example, Kind, Verdict};
use crate::evaluator::Evaluator;
use crate::pdp::{Answer, Asked, Claim, Consistency, Judge, Pdp, Protocol, Question};
use crate::presenter::Evidence;
use crate::recorder::Recorder;
use crate::replica::{Follower, FollowerTimes, Replica, StalenessLimits};
use crate::telemetry::{DecisionSpans, Metrics};
use crate::trail::testing::Hand;

const SCHEMA: &str = "
    entity Team in [Team] = { frozen?: Bool };
    entity Agent in [Team] = { suspended?: Bool, team?: Team, mail?: String };
    entity Folder in [Folder];
    entity Document in [Folder] = { owner?: Agent, level?: Long } tags String;
    action read, pay appliesTo { principal: [Agent, Chaperone::Workload], resource: [Document],
        context: { session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal,
            request: { rows?: Long, usd?: decimal, note?: String, mail?: String } } };
    action export appliesTo { principal: [Agent, Chaperone::Workload], resource: [Document],
        context: { session: Chaperone::Session, tree: Chaperone::Tree, request: { rows?: Long } } };";
const POLICIES: &str = "
    @id(\"all\") permit (principal is Agent, action, resource);
    @id(\"peers\") permit (principal is Chaperone::Workload, action == Action::\"read\", resource in Folder::\"open\");
    @id(\"mark\") @observe @label(\"tree:pii\") @remember(\"documents/1h = resource\")
    permit (principal is Agent, action == Action::\"read\", resource in Folder::\"pii\");
    @id(\"count\") @observe @count(\"exports/1h, tree:rows += context.request.rows\") @risk(\"+10\")
    permit (principal is Agent, action == Action::\"export\", resource) when { context.request has rows };
    @id(\"budget\") @reason(\"too many\") forbid (principal, action == Action::\"export\", resource)
    when { context.session.counts[\"exports/1h\"] >= 3 || context.tree.counts[\"rows\"] > 500 };
    @id(\"egress\") @stepup(\"dpo\") forbid (principal, action == Action::\"export\", resource)
    when { context.tree.labels.contains(\"pii\") };
    @id(\"again\") forbid (principal, action == Action::\"export\", resource)
    when { context.session.sets[\"documents/1h\"].contains(resource) && context.session.risk >= 30 };
    @id(\"spend\") @observe @count(\"principal:usd/24h += context.request.usd on executed\")
    permit (principal is Agent, action == Action::\"pay\", resource) when { context.request has usd };
    @id(\"spent\") forbid (principal, action == Action::\"pay\", resource)
    when { context.principal.counts[\"usd/24h\"].greaterThan(decimal(\"20.00\")) };
    @id(\"frozen\") forbid (principal is Agent, action, resource) when { principal has team && principal.team has frozen && principal.team.frozen };
    @id(\"owned\") @revoke(\"session\") forbid (principal, action == Action::\"pay\", resource)
    when { resource has owner && resource.owner has suspended && resource.owner.suspended };
    @id(\"tagged\") forbid (principal, action, resource) when { resource.hasTag(\"hold\") && resource.getTag(\"hold\") == \"yes\" };
    @id(\"mails\") @observe @remember(\"mails = context.request.mail\")
    permit (principal is Agent, action == Action::\"read\", resource) when { context.request has mail };";
const ENTITIES: &str = r#"[
    { "uid": { "type": "Document", "id": "0" }, "attrs": {}, "parents": [{ "type": "Folder", "id": "pii" }], "tags": {} },
    { "uid": { "type": "Document", "id": "1" }, "attrs": {}, "parents": [{ "type": "Folder", "id": "open" }], "tags": {} },
    { "uid": { "type": "Team", "id": "blue" }, "attrs": { "frozen": false }, "parents": [] }]"#;
const MAPPING: &str = "[principal]\npeer = true\n[trail]\nhashed = [\"mail\"]\ndropped = [\"note\"]\n[results.export]\nlines = \"Long\"\n";
const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const PEER: &str = "spiffe://example.org/peer";

fn source(policies: &str) -> BundleSource {
    let files = [
        ("schema.cedarschema", SCHEMA),
        ("policies/main.cedar", policies),
        ("entities.json", ENTITIES),
        ("mapping.toml", MAPPING),
    ];
    BundleSource { files: BTreeMap::from(files.map(|(path, text)| (path.to_owned(), text.to_owned()))) }
}

/// The two bundles of the property, which take long to compile.
static BOTH: LazyLock<[Rules; 2]> = LazyLock::new(|| [rules(1, POLICIES), rules(2, &other_policies())]);

fn rules(number: u64, policies: &str) -> Rules {
    let source = source(policies);
    let bundle = Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    Rules::new(BundleNumber::new(number), &source.digest(), bundle)
}

/// Sessions 0 and 1 are a root and its child; 2 has a scope; 3 is bound to a presenter; 4 goes idle soon.
const SESSIONS: usize = 5;

fn session(place: usize) -> Session {
    let id = |place: usize| SessionId::new(Uuid::from_u128(place as u128 + 1));
    let parent = (place == 1).then(|| id(0));
    let scope = match place {
        2 => {
            Scope::parse("permit (principal, action == Action::\"read\", resource) when { context.request has rows };")
        }
        _ => Ok(Scope::Unrestricted),
    };
    let spiffe_id = (place == 3).then(|| "spiffe://example.org/agent".to_owned());
    Session {
        id: id(place),
        tree: parent.unwrap_or(id(place)),
        parent,
        depth: u32::from(parent.is_some()),
        principal: EntityRef::new("Agent", if place == 1 { "child" } else { "one" }),
        owner: "ann".to_owned(),
        task: Task { id: "T-1".to_owned(), purpose: "to test".to_owned() },
        labels: BTreeSet::from(["opened".to_owned()]),
        scope: scope.expect("a scope"),
        binding: Binding { spiffe_id, ..Binding::default() },
        opened_at: START,
        expires_at: START.plus(Duration::from_hours(8)),
        idle_timeout: (place == 4).then_some(Duration::from_mins(5)),
        last_used_at: START,
        ended: None,
        version: 1,
    }
}

fn handle(place: usize) -> HandleHash {
    SessionHandle::from_random([u8::try_from(place).expect("few"); 32]).hash()
}

struct World {
    clock: Clock,
    store: Arc<EmbeddedStore>,
    follower: Follower,
    pdp: Pdp,
    hand: Hand,
    thread: TrailThread,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual(START);
        let store = Arc::new(EmbeddedStore::open(None).await.expect("a store in memory"));
        for place in 0..SESSIONS {
            store.insert_session(&session(place), &handle(place)).await.expect("a session");
        }
        let hour = Duration::from_hours(24);
        let limits = StalenessLimits { max: hour, grace: Duration::ZERO };
        let replica = Arc::new(Replica::new(Arc::clone(&store) as Arc<dyn Store>, 10, limits));
        let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
        let times = FollowerTimes { poll_interval: hour, touch_interval: hour };
        let follower = Follower::new(Arc::clone(&replica), clock.clone(), Arc::clone(&metrics), times);
        let hand = Hand::default();
        let (trail, thread) = hand.trail(&metrics, 10_000);
        let recorder = Recorder::new(metrics, DecisionSpans::disabled(), clock.clone()).with_trail(trail);
        let judge = Judge {
            evaluator: Evaluator::Compiled,
            limits: MemoryLimits::default(),
            on_token_reuse: OnTokenReuse::Deny,
        };
        let pdp = Pdp::new(clock.clone(), replica, recorder, judge, 100, Duration::from_mins(1));
        let mut world = Self { clock, store, follower, pdp, hand, thread };
        world.activate(POLICIES).await;
        world
    }

    async fn activate(&mut self, policies: &str) {
        let new = NewBundle {
            source: source(policies),
            policy_count: 1,
            message: String::new(),
            uploaded_by: "test".to_owned(),
            uploaded_at: self.clock.now(),
        };
        let (info, _) = self.store.insert_bundle(&new).await.expect("a bundle");
        self.store.activate_bundle(&NewActivation::new(info.number, "test", self.clock.now())).await.expect("active");
        self.follow().await;
    }

    async fn follow(&mut self) {
        while self.follower.turn().await {}
    }

    async fn check(&self, who: Option<usize>, asked: &[(&str, usize, Attributes)]) -> Option<Box<Answer>> {
        let check = self.pdp.begin(Protocol::Grpc, None, None).expect("policies");
        let requests: Vec<_> = asked
            .iter()
            .map(|(action, document, attributes)| {
                let resource = EntityRef::new("Document", document.to_string());
                check.snapshot.bundle.request(action, resource, attributes.clone()).expect("a request")
            })
            .collect();
        let question = Question {
            claim: who.map_or(Claim::Absent, |place| Claim::Session(handle(place))),
            evidence: Evidence { spiffe_id: Some(PEER), ..Evidence::default() },
            asked: Asked::Actions(&requests),
            consistency: Consistency::Bounded,
        };
        check.decide(question).await.ok()
    }

    /// What a challenge asks for, given once.
    async fn grant(&mut self, answer: &Answer) {
        let (Some(session), Some(wanted)) = (&answer.session, answer.decision.step_ups.first()) else { return };
        let key = MemoryKey::Session(session.id);
        let StoredMemory { version, mut memory, .. } =
            self.store.memories(std::slice::from_ref(&key)).await.expect("memories").pop().expect("one");
        let grant = ApprovalGrant {
            step_up: wanted.name.clone(),
            action: wanted.action.clone(),
            resource: wanted.resource.clone(),
            digest: wanted.digest,
            until: self.clock.now().plus(Duration::from_hours(1)),
            uses: NonZeroU32::MIN,
        };
        let change = Change::Grant(answer.challenge[0].approval, Box::new(grant));
        memory.apply(&change, self.clock.now(), &MemoryLimits::default(), 0).expect("room");
        let transition = Transition { writes: vec![StoredMemory { key, version, memory }], reads: Vec::new() };
        self.store.commit_memories(&[transition], self.clock.now()).await.expect("stored");
        self.follow().await;
    }

    /// The records, when no more will come.
    fn finish(self) -> Vec<Sealed> {
        self.thread.stop().expect("it ends in order");
        self.hand.records()
    }
}

fn run(records: &[Sealed], rules: &[Rules], candidate: Option<Rules>) -> Tally {
    let mut run = Run::start(RecordFilter::default(), (None, 0..=u64::MAX), candidate, None, 1 << 30).expect("threads");
    for rules in rules {
        run.add_rules(rules.clone());
    }
    for record in records {
        run.add(&record.bytes);
    }
    run.finish()
}

/// What happens, in any order.
#[derive(Clone, Debug)]
enum Step {
    Check(Option<usize>, Vec<(&'static str, usize, Attributes)>),
    Approve,
    Wait(u64),
    Put(Entity),
    Delete(EntityRef),
    Revoke(usize),
    Activate(bool),
}

fn asked() -> impl Strategy<Value = (&'static str, usize, Attributes)> {
    let optional = |name: &'static str, values: Vec<Value>| {
        prop::option::of(prop::sample::select(values)).prop_map(move |value| value.map(|value| (name.into(), value)))
    };
    let attributes = (
        optional("rows", vec![Value::Long(5), Value::Long(400)]),
        optional("usd", vec![Value::Decimal("7.5".into()), Value::Decimal("19.0".into())]),
        optional("mail", vec![Value::String("a@example.org".into())]),
        optional("note", vec![Value::String("to whom it may concern".into())]),
    );
    let attributes = attributes.prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect());
    let asked = (prop::sample::select(vec!["read", "export", "pay"]), 0..3_usize, attributes);
    asked.prop_map(|(action, document, mut attributes): (_, _, Attributes)| {
        attributes.retain(|name, _| action != "export" || name == "rows");
        (action, document, attributes)
    })
}

fn step() -> impl Strategy<Value = Step> {
    let who = prop_oneof![9 => (0..SESSIONS).prop_map(Some), 1 => Just(None), 1 => Just(Some(99))];
    let flag = |name: &'static str, is_set: bool| Attributes::from([(name.into(), Value::Bool(is_set))]);
    let entity = (0..5_usize, any::<bool>()).prop_map(move |(which, is_set)| {
        let (uid, attributes, tags, parents) = match which {
            0 => (EntityRef::new("Team", "blue"), flag("frozen", is_set), Attributes::new(), vec![]),
            1 => {
                let team = Value::Entity(EntityRef::new("Team", "blue"));
                let attributes = Attributes::from([("team".into(), team), ("mail".into(), Value::String("x".into()))]);
                (EntityRef::new("Agent", "one"), attributes, Attributes::new(), vec![])
            }
            2 => (EntityRef::new("Agent", "child"), flag("suspended", is_set), Attributes::new(), vec![]),
            3 => {
                let owner = Value::Entity(EntityRef::new("Agent", "child"));
                let folder = EntityRef::new("Folder", if is_set { "pii" } else { "open" });
                (EntityRef::new("Document", "2"), [("owner".into(), owner)].into(), Attributes::new(), vec![folder])
            }
            _ => {
                let tags = [("hold".into(), Value::String(if is_set { "yes" } else { "no" }.into()))].into();
                (EntityRef::new("Document", "1"), Attributes::new(), tags, vec![])
            }
        };
        Entity { uid, attributes, tags, parents }
    });
    prop_oneof![
        12 => (who, prop::collection::vec(asked(), 1..3)).prop_map(|(who, asked)| Step::Check(who, asked)),
        2 => Just(Step::Approve),
        1 => prop::sample::select(vec![1, 100, 400, 3_700, 90_000]).prop_map(Step::Wait),
        2 => entity.prop_map(Step::Put),
        1 => prop::sample::select(vec![("Document", "1"), ("Agent", "child")])
            .prop_map(|(kind, id)| Step::Delete(EntityRef::new(kind, id))),
        1 => (0..SESSIONS).prop_map(Step::Revoke),
        1 => any::<bool>().prop_map(Step::Activate),
    ]
}

/// The other policies that are active now and then.
fn other_policies() -> String {
    POLICIES.replace(">= 3", ">= 1")
}

async fn is_replayed(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::new().await;
    let (mut challenged, mut decided) = (None, 0);
    for step in steps {
        match step {
            Step::Check(who, asked) => {
                let Some(answer) = world.check(who, &asked).await else { continue };
                decided += 1;
                if answer.decision.outcome == Outcome::Challenge {
                    challenged = Some(answer);
                }
            }
            Step::Approve => {
                if let Some(answer) = challenged.take() {
                    world.grant(&answer).await;
                }
            }
            Step::Wait(seconds) => world.clock.advance(Duration::from_secs(seconds)),
            Step::Put(entity) => {
                world.store.put_entities(&[entity], world.clock.now()).await.expect("stored");
                world.follow().await;
            }
            Step::Delete(uid) => {
                world.store.delete_entities(&[uid], world.clock.now()).await.expect("deleted");
                world.follow().await;
            }
            Step::Revoke(place) => {
                let (at, by_act) = (world.clock.now(), EndingAct::Revoked);
                let ended = Ended { by_act, at, reason: "seen elsewhere".to_owned(), by: "ann".to_owned() };
                let target = RevokeTarget::Session(session(place).id);
                world.store.revoke_sessions(&target, &ended).await.expect("revoked");
                world.follow().await;
            }
            Step::Activate(is_other) => {
                let policies = if is_other { other_policies() } else { POLICIES.to_owned() };
                world.activate(&policies).await;
            }
        }
    }
    let records = world.finish();
    let text = records.iter().map(|record| String::from_utf8_lossy(&record.bytes)).collect::<Vec<_>>().join("\n");
    for secret in ["a@example.org", "whom it may concern"] {
        prop_assert!(!text.contains(secret), "{}", text);
    }
    let tally = run(&records, &*BOTH, None);
    prop_assert_eq!(tally.decision_count, decided);
    prop_assert!(tally.different.is_empty() && tally.obstacles.is_empty(), "{:#?}\n{}", tally, text);
    prop_assert_eq!(tally.same_count, decided);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn replay_is_identical_whatever_happens(steps in prop::collection::vec(step(), 1..40)) {
        Runtime::new().expect("a runtime").block_on(is_replayed(steps))?;
    }
}

fn rows(rows: i64) -> Attributes {
    Attributes::from([("rows".into(), Value::Long(rows))])
}

/// Three exports that are allowed, and one that is not.
async fn exports() -> Vec<Sealed> {
    let world = World::new().await;
    for expected in [Outcome::Allow, Outcome::Allow, Outcome::Allow, Outcome::Deny] {
        let answer = world.check(Some(0), &[("export", 1, rows(5))]).await.expect("a decision");
        assert_eq!(answer.decision.outcome, expected);
    }
    world.finish()
}

#[tokio::test]
async fn candidate_shows_what_it_would_decide_otherwise() {
    let records = exports().await;
    let tally = run(&records, &[rules(1, POLICIES)], Some(rules(2, &other_policies())));
    let found: Vec<_> = tally.different.iter().map(|different| different.difference.clone()).collect();
    let verdict = |outcome: &str, code: &str, policy: &str| Verdict {
        outcome: outcome.to_owned(),
        code: code.to_owned(),
        policies: vec![(policy.to_owned(), None)],
        effects: Vec::new(),
    };
    let effects = ["count: exports/1h += 1", "count: tree:rows += 5", "risk: +10"].map(str::to_owned).to_vec();
    let expected = Difference::Decision {
        recorded: Verdict { effects, ..verdict("allow", "permitted", "all") },
        replayed: verdict("deny", "forbidden", "budget"),
    };
    assert_eq!(found, [expected.clone(), expected]);
    assert_eq!((tally.same_count, tally.obstacle_count()), (2, 0));
    let groups: Vec<_> = tally.groups.iter().collect();
    let [(key, group)] = &*groups else { panic!("one group: {groups:?}") };
    assert_eq!((key.kind, &*key.policies), (Kind::NewlyDenied, &["budget".to_owned()][..]));
    assert_eq!(key.action, Some(EntityRef::new("Action", "export")));
    let ids: BTreeSet<_> = tally.different.iter().map(|different| different.id.as_uuid()).collect();
    assert_eq!(group.examples.iter().map(|example| example.id.as_uuid()).collect::<BTreeSet<_>>(), ids);
    assert_eq!(group.count, 2);
}

#[tokio::test]
async fn counter_of_a_candidate_counts_from_the_first_record_on() {
    let counting = POLICIES.replace("exports/1h", "sent/2h");
    let records = exports().await;
    let told = |filter: RecordFilter| {
        let candidate = Some(rules(2, &counting.replace(">= 3", ">= 2")));
        let mut run = Run::start(filter, (None, 0..=u64::MAX), candidate, None, 1 << 30).expect("threads");
        run.add_rules(rules(1, POLICIES));
        for record in &records {
            run.add(&record.bytes);
        }
        let tally = run.finish();
        let kinds = [Kind::NewlyDenied, Kind::ChangedEffects].map(|kind| tally.groups.count(kind));
        (tally.decision_count, kinds, tally.same_count)
    };
    // Two are counted elsewhere, the third is one too many, as is the fourth, which was denied already.
    assert_eq!(told(RecordFilter::default()), (4, [1, 2], 1));
    let decisions = records.iter().filter_map(|sealed| match Record::parse(&sealed.bytes).expect("a record").event {
        Event::Decision(decided) => Some(decided.id),
        _ => None,
    });
    let of_third = RecordFilter { decision: decisions.clone().nth(2), ..RecordFilter::default() };
    assert_eq!(told(of_third), (1, [1, 0], 0), "those before it count, though nobody asks for them");
}

#[tokio::test]
async fn candidate_shows_what_it_would_do_beside() {
    let records = exports().await;
    let marking = POLICIES.replace("@risk(\"+10\")", "@risk(\"+10\") @label(\"exported\")");
    let tally = run(&records, &[rules(1, POLICIES)], Some(rules(2, &marking)));
    assert_eq!((tally.different_count, tally.groups.count(Kind::ChangedEffects), tally.same_count), (3, 3, 1));
    let (_, group) = tally.groups.iter().next().expect("a group");
    let Example { active, candidate, .. } = &group.examples[0];
    assert!(!active.effects.contains(&"label: exported".to_owned()), "{active}");
    assert!(candidate.effects.contains(&"label: exported".to_owned()), "{candidate}");
    // By the very same bundle nothing is done otherwise, also where effects are compared.
    assert_eq!(run(&records, &[rules(1, POLICIES)], Some(rules(2, POLICIES))).same_count, 4);
}

/// The records with a part of the state of something changed; its digest as well, where `with_digest` says so.
fn tampered(records: &[Sealed], of: &str, from: &str, to: &str, with_digest: bool) -> Vec<Sealed> {
    let mut is_changed = false;
    let change = |sealed: &Sealed| {
        let record = Record::parse(&sealed.bytes).expect("a record");
        let Event::State(state) = record.event else { return sealed.clone() };
        if !state.of.starts_with(of) || !state.value.contains(from) {
            return sealed.clone();
        }
        is_changed = true;
        let value = state.value.replace(from, to);
        let text = String::from_utf8(sealed.bytes.clone()).expect("a text");
        let quoted = |text: &str| serde_json::to_string(text).expect("a text");
        let mut text = text.replace(&quoted(&state.value), &quoted(&value));
        if with_digest {
            text = text.replace(&state.digest.to_string(), &Digest::of(value.as_bytes()).to_string());
        }
        Sealed { bytes: text.into_bytes(), ..sealed.clone() }
    };
    let records = records.iter().map(change).collect();
    assert!(is_changed, "there is such a state");
    records
}

#[tokio::test]
async fn changed_state_is_a_difference_and_a_missing_one_is_told() {
    let records = exports().await;
    let own = [rules(1, POLICIES)];
    let changed = run(&tampered(&records, "memory:session", "exports/1h", "exporte/1h", false), &own, None);
    assert_eq!((changed.different_count, changed.same_count), (3, 1), "{changed:#?}");
    assert!(matches!(&changed.different[0].difference, Difference::State { of } if of.starts_with("memory:session:")));
    let replaced = run(&tampered(&records, "memory:session", "exports/1h", "exporte/1h", true), &own, None);
    assert_eq!((replaced.different_count, replaced.obstacle_count()), (0, 3), "{replaced:#?}");
    assert_eq!(replaced.obstacles.keys().copied().collect::<Vec<_>>(), ["state_missing"]);
    let other = run(&records, &[], None);
    assert_eq!(other.obstacles.keys().copied().collect::<Vec<_>>(), ["bundle_missing"]);
}

#[test]
fn record_that_is_not_read_is_counted_whatever_it_says_it_is() {
    let mut run = Run::start(RecordFilter::default(), (None, 0..=u64::MAX), None, None, 1 << 30).expect("threads");
    for record in [r#"{"kind":"state"}"#, r#"{"kind":"decision"}"#, "nothing"] {
        run.add(record.as_bytes());
    }
    assert_eq!(run.finish().unreadable_count, 3);
}

#[tokio::test]
async fn decision_that_hangs_on_what_is_not_on_record_is_no_difference() {
    let world = World::new().await;
    let with = |name: &str| Attributes::from([(name.into(), Value::String("x".into()))]);
    for name in ["note", "mail"] {
        assert!(world.check(Some(0), &[("read", 1, with(name))]).await.is_some_and(|answer| answer.is_allowed()));
    }
    let records = world.finish();
    let reads = |condition: &str| {
        format!("{POLICIES} @id(\"new\") forbid (principal, action, resource) when {{ {condition} }};")
    };
    let obstacles = |condition: &str| {
        let tally = run(&records, &[rules(1, POLICIES)], Some(rules(2, &reads(condition))));
        assert_eq!(tally.different_count, 0, "{tally:#?}");
        tally.obstacles.into_iter().map(|(code, (count, ..))| (code, count)).collect::<Vec<_>>()
    };
    assert_eq!(obstacles("context.request has rows && context.request.rows > 7"), []);
    assert_eq!(obstacles("context.request has note && context.request has rows"), []);
    assert_eq!(obstacles("context.request has note && context.request.note == \"y\""), [("attribute_redacted", 1)]);
    assert_eq!(obstacles("context.request has mail && context.request.mail == \"y\""), [("attribute_redacted", 1)]);
    assert_eq!(obstacles("resource in Folder::\"closed\""), []);
    assert_eq!(obstacles("Team::\"red\" has frozen && Team::\"red\".frozen"), [("entity_unread", 2)]);
}

#[tokio::test]
async fn state_that_stays_is_written_once_and_again_on_another_day() {
    let world = World::new().await;
    for _ in 0..10 {
        world.check(Some(1), &[("read", 1, Attributes::new())]).await.expect("a decision");
    }
    let states = |records: &[Sealed]| {
        let events = records.iter().map(|sealed| Record::parse(&sealed.bytes).expect("a record").event);
        let states = events.filter_map(|event| match event {
            Event::State(state) => Some(state.of.split(':').next().unwrap_or_default().to_owned()),
            _ => None,
        });
        states.collect::<Vec<_>>()
    };
    let once = ["bundle", "session", "session", "chain"];
    assert_eq!(states(&world.hand.records()), once);
    world.clock.advance(Duration::from_hours(20));
    world.check(Some(1), &[("read", 1, Attributes::new())]).await.expect("a decision");
    let day = 24 * 60 * 60 * 1_000_000;
    assert_ne!(START.as_micros() / day, world.clock.now().as_micros() / day);
    let records = world.finish();
    assert_eq!(states(&records), [once, once].concat());
}
