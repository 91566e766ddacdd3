//! Step-ups: what challenges, and what an approval lifts.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a fixture that cannot be built fails the test")]

mod common;

use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chaperone_policy::{
    ApprovalGrant, ApprovalId, AttributesDigest, Authority, Bundle, BundleSource, Change, Decision, DecisionId, Effect,
    EntityRef, EntityStore, Level, Memory, MemoryLimits, Occasion, Outcome, Presenter, Reason, Request, SessionChain,
    Timestamp, decide, decide_by_cedar, remember,
};
use common::*;
use proptest::prelude::*;

const POLICIES: &str = r#"
@id("may-read") permit (principal, action == Action::"read", resource);
@id("may-export") @count("exports") permit (principal, action == Action::"export", resource);
@id("no-export") @reason("{principal} may not export {resource} alone") @stepup("data-protection") @alert("asked:low")
forbid (principal, action == Action::"export", resource) when { context.request.format == "csv" };
@id("no-pii") @stepup("data-protection") forbid (principal, action == Action::"export", resource == Document::"pii");
@id("no-2") @stepup("second") forbid (principal, action == Action::"export", resource == Document::"2");
@id("no-unknown") forbid (principal, action == Action::"export", resource == Document::"unknown");
@id("no-delete") @stepup("second") forbid (principal, action == Action::"delete", resource);
@id("seen") @observe("deny") @label("asked") permit (principal, action == Action::"export", resource);
"#;

struct World {
    bundle: Bundle,
    entities: EntityStore,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let bundle = bundle(POLICIES);
    let entities = entities(&bundle);
    World { bundle, entities }
});

const NOW: Timestamp = Timestamp::from_micros(OPENED.as_micros() + 60_000_000);

fn ask(chain: &SessionChain, request: &Request, now: Timestamp) -> Decision {
    let World { bundle, entities } = &*WORLD;
    let decision = decide(bundle, entities, request, Authority::Session(chain), &Presenter::default(), now);
    let by_cedar = decide_by_cedar(bundle, entities, request, Authority::Session(chain), &Presenter::default(), now);
    assert_eq!(decision, by_cedar);
    decision
}

/// Decides, and returns the chain as it is afterwards.
fn act(chain: SessionChain, request: &Request, now: Timestamp) -> (Decision, SessionChain) {
    let decision = ask(&chain, request, now);
    let occasion = Occasion {
        decision: DecisionId::new(uuid::Uuid::nil()),
        results: None,
        now,
        limits: &MemoryLimits::default(),
        risk_decay_per_hour: 0,
    };
    let (decision, after) = remember(decision, &chain, &occasion);
    (decision, after.unwrap_or(chain))
}

fn approval(number: u128) -> ApprovalId {
    ApprovalId::new(uuid::Uuid::from_u128(number))
}

/// The chain with a grant in a memory: place 0 is the session's, then come its ancestors', the tree's and the principal's.
fn granted(chain: &SessionChain, place: usize, approval: ApprovalId, grant: ApprovalGrant) -> SessionChain {
    let mut memories: Vec<_> = chain.memories().cloned().collect();
    let mut memory = Memory::clone(&memories[place]);
    memory.apply(&Change::Grant(approval, Box::new(grant)), OPENED, &MemoryLimits::default(), 0).expect("has room");
    memories[place] = Arc::new(memory);
    chain.with_memories(memories).expect("as many")
}

/// What a person approves of a challenge, for its first step-up.
fn grant_for(decision: &Decision, until: Timestamp, uses: u32) -> ApprovalGrant {
    let wanted = &decision.step_ups[0];
    ApprovalGrant {
        step_up: wanted.name.clone(),
        action: wanted.action.clone(),
        resource: wanted.resource.clone(),
        digest: wanted.digest,
        until,
        uses: NonZeroU32::new(uses).expect("some"),
    }
}

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

#[test]
fn forbid_with_a_step_up_is_a_challenge_that_says_what_is_wanted() {
    let decision = ask(&chain([root()]), &export("pii", "csv"), NOW);
    assert_eq!((decision.outcome, decision.reason), (Outcome::Challenge, Reason::StepUpRequired));
    assert_eq!(decision.sentence(), "Agent::\"reporter\" may not export Document::\"pii\" alone");
    let ids: Vec<_> = decision.policies.iter().map(|policy| policy.id.as_str()).collect();
    assert_eq!(ids, ["no-export", "no-pii"]);
    let [wanted] = &*decision.step_ups else { panic!("one: {decision:?}") };
    assert_eq!((wanted.name.as_str(), &wanted.resource), ("data-protection", &EntityRef::new("Document", "pii")));
    assert_eq!(wanted.attributes.len(), 1);
    assert_eq!(wanted.policies.len(), 2);
    // What determines it fires, and what observes denials sees it.
    assert!(matches!(
        decision.effects.as_slice(),
        [Effect::Alert(_), Effect::Remember(Level::Session, Change::Label(_))]
    ));
}

#[test]
fn every_step_up_is_wanted_at_once() {
    let decision = ask(&chain([root()]), &export("2", "csv"), NOW);
    let names: Vec<_> = decision.step_ups.iter().map(|wanted| wanted.name.as_str()).collect();
    assert_eq!(names, ["data-protection", "second"]);
    // With one of them the other is still wanted, and nothing is used up.
    let until = later(60);
    let half = granted(&chain([root()]), 0, approval(1), grant_for(&decision, until, 1));
    let (decision, after) = act(half, &export("2", "csv"), NOW);
    assert_eq!(decision.outcome, Outcome::Challenge);
    assert_eq!(decision.step_ups[0].name, "second");
    let ids: Vec<_> = decision.policies.iter().map(|policy| policy.id.as_str()).collect();
    assert_eq!(ids, ["no-2"]);
    let whole = granted(&after, 0, approval(2), grant_for(&decision, until, 1));
    let (decision, after) = act(whole, &export("2", "csv"), NOW);
    assert_eq!(decision.outcome, Outcome::Allow);
    assert_eq!(after.memories().flat_map(|memory| memory.grants()).count(), 0);
}

#[test]
fn without_permit_session_or_step_up_on_every_forbid_it_is_a_denial() {
    let chain = chain([root()]);
    let delete = WORLD.bundle.request("delete", EntityRef::new("Document", "1"), [].into()).expect("valid");
    for request in [delete, export("unknown", "csv"), export("unknown", "pdf")] {
        let decision = ask(&chain, &request, NOW);
        assert_eq!((decision.outcome, decision.reason), (Outcome::Deny, Reason::Forbidden));
        assert!(decision.step_ups.is_empty());
    }
    let World { bundle, entities } = &*WORLD;
    let alone = agent();
    let alone = Authority::Principal(&alone);
    let decision = decide(bundle, entities, &export("1", "csv"), alone, &Presenter::default(), NOW);
    assert_eq!(decision.outcome, Outcome::Deny);
}

#[test]
fn approved_action_goes_ahead_once() {
    let request = export("pii", "csv");
    let asked = ask(&chain([root()]), &request, NOW);
    let chain = granted(&chain([root()]), 0, approval(1), grant_for(&asked, later(60), 1));
    let (decision, chain) = act(chain, &request, NOW);
    assert_eq!((decision.outcome, decision.reason), (Outcome::Allow, Reason::Permitted));
    assert_eq!(decision.policies[0].id, "may-export");
    assert_eq!(decision.effects[0], Effect::Remember(Level::Session, Change::UseGrant(approval(1))));
    let (decision, chain) = act(chain, &request, NOW);
    assert_eq!(decision.outcome, Outcome::Challenge);
    // The same approval never grants twice while it stands, and its use counts what the permit counts.
    assert_eq!(chain.memories().flat_map(|memory| memory.counts(NOW)).count(), 1);
}

#[test]
fn grant_that_is_over_first_is_used_first_and_the_session_s_before_the_tree_s() {
    let request = export("pii", "csv");
    let asked = ask(&chain([root()]), &request, NOW);
    let tree = 1;
    let chain = granted(&chain([root()]), 0, approval(1), grant_for(&asked, later(60), 1));
    let chain = granted(&chain, tree, approval(2), grant_for(&asked, later(30), 1));
    let chain = granted(&chain, tree, approval(0), grant_for(&asked, later(60), 1));
    let mut used = Vec::new();
    let mut now = chain;
    for _ in 0..4 {
        let (decision, after) = act(now, &request, NOW);
        now = after;
        used.extend(decision.effects.iter().filter_map(|effect| match effect {
            Effect::Remember(_, Change::UseGrant(approval)) => Some(*approval),
            _ => None,
        }));
    }
    assert_eq!(used, [approval(2), approval(1), approval(0)]);
}

#[test]
fn grant_of_the_tree_counts_for_a_child_and_that_of_its_parent_does_not() {
    let request = export("pii", "csv");
    let family = chain([root(), child(&root())]);
    let asked = ask(&family, &request, NOW);
    for (place, outcome) in [(0, Outcome::Allow), (1, Outcome::Challenge), (2, Outcome::Allow), (3, Outcome::Challenge)]
    {
        let chain = granted(&family, place, approval(1), grant_for(&asked, later(60), 1));
        assert_eq!(ask(&chain, &request, NOW).outcome, outcome, "{place}");
    }
}

#[test]
fn memory_holds_as_many_grants_as_it_may_and_forgets_those_that_are_over() {
    let limits = MemoryLimits { grants: 1, ..MemoryLimits::default() };
    let asked = ask(&chain([root()]), &export("pii", "csv"), NOW);
    let mut memory = Memory::default();
    let mut grant = |number, until, now| {
        let grant = grant_for(&asked, until, 1);
        memory.apply(&Change::Grant(approval(number), Box::new(grant)), now, &limits, 0)
    };
    assert_eq!(grant(1, later(10), NOW), Ok(()));
    assert_eq!(grant(1, later(99), NOW), Ok(()), "it is there already");
    assert!(grant(2, later(10), later(14)).is_err(), "another replica's clock may be behind");
    assert_eq!(grant(2, later(90), later(16)), Ok(()));
    assert_eq!(memory.grants().map(|(id, grant)| (id, grant.until)).collect::<Vec<_>>(), [(approval(2), later(90))]);
    let json = serde_json::to_string(&memory).expect("serialises");
    assert_eq!(serde_json::from_str::<Memory>(&json).expect("reads"), memory);
    assert!(json.len() < 320, "{json}");
}

#[test]
fn settings_are_read_and_those_that_nobody_asks_for_are_refused() {
    let compile = |manifest: &str| {
        let mut source = BundleSource::default();
        source.files.insert("schema.cedarschema".into(), SCHEMA.into());
        source.files.insert("policies/main.cedar".into(), POLICIES.into());
        source.files.insert("bundle.toml".into(), manifest.into());
        Bundle::compile(&source).map_err(|problems| problems[0].code)
    };
    let bundle =
        compile("[step_up.second]\napprovers = 2\nmax_duration = \"1h30m\"\nacr_values = [\"mfa\"]\n").expect("valid");
    let settings = bundle.manifest().step_up("second");
    assert_eq!(
        (settings.approvers, settings.max_duration, settings.owner_may_approve),
        (2, Duration::from_mins(90), false)
    );
    let usual = bundle.manifest().step_up("data-protection");
    assert_eq!((usual.approvers, usual.max_duration), (1, Duration::from_mins(15)));
    assert_eq!(compile("[step_up.secnod]\napprovers = 2\n").err(), Some("step_up_unused"));
    for bad in [
        "approvers = 0",
        "approvers = 9",
        "max_duration = \"0s\"",
        "max_duration = \"-5m\"",
        "acr_values = [\"a b\"]",
        "who = 1",
    ] {
        assert_eq!(compile(&format!("[step_up.second]\n{bad}\n")).err(), Some("manifest_syntax"), "{bad}");
    }
}

fn requests() -> impl Strategy<Value = Request> {
    let documents = prop::sample::select(vec!["1", "2", "pii"]);
    (documents, prop::sample::select(vec!["csv", "csv", "pdf"])).prop_map(|(document, format)| export(document, format))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A grant is for one name, action, resource and set of attributes, and for a time: anything else leaves the challenge as it is.
    #[test]
    fn grant_for_something_else_never_lifts(request in requests(), other in 0..5_usize, place in 0..2_usize) {
        let none = chain([root()]);
        let asked = ask(&none, &request, NOW);
        prop_assume!(asked.outcome == Outcome::Challenge);
        let mut chain = none;
        for (number, wanted) in (0..).zip(&asked.step_ups) {
            let mut grant = grant_for(&asked, later(60), 3);
            grant.step_up = wanted.name.clone();
            match other {
                0 => grant.step_up = "other".into(),
                1 => grant.action = EntityRef::action("read"),
                2 => grant.resource = EntityRef::new("Document", "other"),
                3 => grant.digest = "00".repeat(32).parse::<AttributesDigest>().expect("a digest"),
                _ => grant.until = NOW,
            }
            chain = granted(&chain, place, approval(number), grant);
        }
        prop_assert_eq!(ask(&chain, &request, NOW), asked);
    }

    /// Exactly as many as were approved go ahead, however they are asked for, and none when the time is over.
    #[test]
    fn uses_are_never_exceeded(uses in 1..4_u32, seconds in proptest::collection::vec(0..80_u64, 0..10)) {
        let request = export("pii", "csv");
        let asked = ask(&chain([root()]), &request, NOW);
        let mut now = granted(&chain([root()]), 0, approval(1), grant_for(&asked, later(60), uses));
        let mut allowed = 0;
        for second in &seconds {
            let (decision, after) = act(now, &request, later(*second));
            prop_assert!(decision.outcome != Outcome::Deny);
            if decision.outcome == Outcome::Allow {
                prop_assert!(*second < 60);
                allowed += 1;
            }
            now = after;
        }
        let in_time = seconds.iter().filter(|second| **second < 60).count();
        prop_assert_eq!(allowed, in_time.min(uses as usize));
    }

    /// Another session has nothing of what was approved for this one.
    #[test]
    fn grant_of_another_session_never_lifts(request in requests()) {
        let asked = ask(&chain([root()]), &request, NOW);
        prop_assume!(asked.outcome == Outcome::Challenge);
        // What stands in the memory of an ancestor or of the principal is no session's own.
        let family = chain([root(), child(&root())]);
        let mut chain = family.clone();
        for (number, wanted) in (0..).zip(&asked.step_ups) {
            let grant = ApprovalGrant { step_up: wanted.name.clone(), ..grant_for(&asked, later(60), 3) };
            chain = granted(&chain, 1, approval(number), grant.clone());
            chain = granted(&chain, 3, approval(100 + number), grant);
        }
        prop_assert_eq!(ask(&chain, &request, NOW), ask(&family, &request, NOW));
    }
}
