//! The laws of a decision, over generated policies, sessions and requests.

#![expect(clippy::expect_used, reason = "a fixture that cannot be built fails the test")]

mod common;

use std::sync::LazyLock;
use std::time::Duration;

use chaperone_policy::{
    Authority, Bundle, Decision, EndingAct, EntityStore, Outcome, Presenter, Reason, Request, Scope, Session,
    SessionChain, Timestamp, Value, decide,
};
use common::*;
use proptest::prelude::*;

/// Policies that apply to some of the requests; `fails` fails for every document that is not known.
const POLICIES: [(&str, &str); 6] = [
    ("permit-read", "permit (principal, action == Action::\"read\", resource);"),
    ("permit-open", "permit (principal in Team::\"research\", action, resource in Folder::\"open\");"),
    (
        "permit-csv",
        "permit (principal, action == Action::\"export\", resource) when { context.request.format == \"csv\" };",
    ),
    ("forbid-pii", "forbid (principal, action, resource == Document::\"pii\");"),
    (
        "forbid-labelled",
        "forbid (principal, action == Action::\"export\", resource) when { context.session.labels.contains(\"pii\") };",
    ),
    ("fails", "forbid (principal, action, resource is Document) when { resource.owner == \"nobody\" };"),
];
const FORBIDS: usize = 0b11_1000;
const FORBID_PII: usize = 0b00_1000;
const FAILS: usize = 0b10_0000;

struct World {
    bundle: Bundle,
    entities: EntityStore,
}

/// A bundle for every subset of the policies, by the bits of its number.
static WORLDS: LazyLock<Vec<World>> = LazyLock::new(|| {
    (0..1_u16 << POLICIES.len())
        .map(|bits| {
            // A bundle needs a policy; this one never applies.
            let mut text = "@id(\"none\") permit (principal == Agent::\"nobody\", action, resource);\n".to_owned();
            for (_, (id, policy)) in POLICIES.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0) {
                text.extend(["@id(\"", id, "\") ", policy, "\n"]);
            }
            let bundle = bundle(&text);
            let entities = entities(&bundle);
            World { bundle, entities }
        })
        .collect()
});

fn decide_at(world: &World, chain: &SessionChain, request: &Request, now: Timestamp) -> Decision {
    decide(&world.bundle, &world.entities, request, Authority::Session(chain), &Presenter::default(), now)
}

fn world() -> impl Strategy<Value = usize> {
    0..1_usize << POLICIES.len()
}

fn request() -> impl Strategy<Value = Request> {
    let document = || prop::sample::select(vec!["1", "2", "pii", "unknown"]);
    prop_oneof![
        document().prop_map(read),
        (document(), prop::sample::select(vec!["csv", "pdf"])).prop_map(|(document, format)| export(document, format)),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    let texts = [
        "",
        "permit (principal, action, resource);",
        "permit (principal, action == Action::\"read\", resource);",
        "permit (principal, action, resource in Folder::\"open\");",
        "permit (principal, action, resource); forbid (principal, action, resource == Document::\"1\");",
        "permit (principal, action, resource) when { resource.owner == \"ann\" };",
    ];
    let parsed: Vec<Scope> =
        texts.iter().map(|text| Scope::parse(text).expect("valid")).chain([Scope::Unrestricted]).collect();
    prop::sample::select(parsed)
}

/// A chain of up to four sessions, given from the root down, any of which may be narrowed or labelled.
fn sessions() -> impl Strategy<Value = Vec<Session>> {
    prop::collection::vec((scope(), any::<bool>()), 1..5).prop_map(|links| {
        let mut sessions: Vec<Session> = Vec::new();
        for (scope, labelled) in links {
            let session = sessions.last().map_or_else(root, child);
            let labels = if labelled { ["pii".to_owned()].into() } else { session.labels.clone() };
            sessions.push(Session { scope, labels, ..session });
        }
        sessions
    })
}

fn seconds() -> impl Strategy<Value = Timestamp> {
    (0_u64..7_200).prop_map(|seconds| OPENED.plus(Duration::from_secs(seconds)))
}

const NOW: Timestamp = OPENED;

proptest! {
    #[test]
    fn allow_has_a_permit_and_nothing_else_is_an_allow(world in world(), sessions in sessions(), request in request(), now in seconds()) {
        let decision = decide_at(&WORLDS[world], &chain(sessions), &request, now);
        prop_assert_eq!(decision.outcome == Outcome::Allow, decision.reason == Reason::Permitted);
        if decision.outcome == Outcome::Allow {
            prop_assert!(!decision.policies.is_empty());
            prop_assert!(decision.policies.iter().all(|policy| policy.id.starts_with("permit-")));
        }
    }

    #[test]
    fn without_permits_nothing_is_allowed(world in world(), sessions in sessions(), request in request()) {
        let forbids_only = world & FORBIDS;
        let decision = decide_at(&WORLDS[forbids_only], &chain(sessions), &request, NOW);
        prop_assert_eq!(decision.outcome, Outcome::Deny);
    }

    #[test]
    fn forbid_that_applies_wins(world in world(), sessions in sessions()) {
        let with_forbid = world | FORBID_PII;
        let decision = decide_at(&WORLDS[with_forbid], &chain(sessions), &read("pii"), NOW);
        prop_assert_eq!(decision.outcome, Outcome::Deny);
    }

    #[test]
    fn adding_a_forbid_never_allows_more(world in world(), sessions in sessions(), request in request(), forbid in 3_usize..6) {
        let chain = chain(sessions);
        let after = decide_at(&WORLDS[world | 1 << forbid], &chain, &request, NOW);
        if after.outcome == Outcome::Allow {
            prop_assert_eq!(decide_at(&WORLDS[world], &chain, &request, NOW).outcome, Outcome::Allow);
        }
    }

    #[test]
    fn policy_that_fails_denies(world in world(), sessions in sessions()) {
        let failing = world | FAILS;
        let decision = decide_at(&WORLDS[failing], &chain(sessions), &read("unknown"), NOW);
        prop_assert_eq!(decision.outcome, Outcome::Deny);
        prop_assert!(matches!(decision.reason, Reason::PolicyError | Reason::OutOfScope));
    }

    #[test]
    fn ended_session_or_ancestor_never_allows(
        world in world(), sessions in sessions(), which in any::<prop::sample::Index>(),
        revoked in any::<bool>(), request in request(), now in seconds(),
    ) {
        let mut sessions = sessions;
        let which = which.index(sessions.len());
        let act = if revoked { EndingAct::Revoked } else { EndingAct::Completed };
        sessions[which] = ended(sessions[which].clone(), act, "");
        let decision = decide_at(&WORLDS[world], &chain(sessions), &request, now);
        prop_assert_eq!(decision.outcome, Outcome::Deny);
    }

    #[test]
    fn delegation_never_widens(world in world(), sessions in sessions(), scope in scope(), request in request()) {
        let parent = sessions.last().expect("at least one").clone();
        let narrowed = Session { scope, ..child(&parent) };
        let of_child = decide_at(&WORLDS[world], &chain(sessions.iter().cloned().chain([narrowed])), &request, NOW);
        if of_child.outcome == Outcome::Allow {
            prop_assert_eq!(decide_at(&WORLDS[world], &chain(sessions), &request, NOW).outcome, Outcome::Allow);
        }
    }

    #[test]
    fn scope_never_widens(world in world(), scope in scope(), request in request()) {
        let narrowed = Session { scope, ..root() };
        if decide_at(&WORLDS[world], &chain([narrowed]), &request, NOW).outcome == Outcome::Allow {
            prop_assert_eq!(decide_at(&WORLDS[world], &chain([root()]), &request, NOW).outcome, Outcome::Allow);
        }
    }

    #[test]
    fn equal_arguments_give_equal_decisions(world in world(), sessions in sessions(), request in request(), now in seconds()) {
        let first = decide_at(&WORLDS[world], &chain(sessions.clone()), &request, now);
        let again = decide_at(&WORLDS[world], &chain(sessions), &request, now);
        prop_assert_eq!(first, again);
    }

    #[test]
    fn time_past_the_end_never_allows(world in world(), sessions in sessions(), request in request(), later in 0_u64..100_000) {
        let now = OPENED.plus(LIFETIME).plus(Duration::from_secs(later));
        let decision = decide_at(&WORLDS[world], &chain(sessions), &request, now);
        prop_assert_eq!(decision.reason, Reason::SessionExpired);
    }

    #[test]
    fn time_only_takes_away(world in world(), sessions in sessions(), request in request(), earlier in seconds(), later in seconds()) {
        let (earlier, later) = (earlier.min(later), earlier.max(later));
        let chain = chain(sessions);
        if decide_at(&WORLDS[world], &chain, &request, later).outcome == Outcome::Allow {
            prop_assert_eq!(decide_at(&WORLDS[world], &chain, &request, earlier).outcome, Outcome::Allow);
        }
    }

    /// However often it was asked before: what is recalled of a search is what would be found now, by these policies and in these groups.
    #[test]
    fn groups_count_as_they_are_now(moves in prop::collection::vec((0..2_usize, any::<bool>(), any::<bool>(), 1..5_u8), 1..20)) {
        static BUNDLES: LazyLock<[Bundle; 2]> = LazyLock::new(|| {
            ["in Team::\"research\"", ""].map(|team| {
                bundle(&format!("@id(\"open\") permit (principal {team}, action, resource in Folder::\"open\");"))
            })
        });
        let mut stores = BUNDLES.each_ref().map(entities);
        for (number, is_member, is_open, times) in moves {
            let (bundle, store) = (&BUNDLES[number], &mut stores[number]);
            let (team, folder) = ([("Team", "research")], [("Folder", "open")]);
            let owner = ("owner", Value::String("ann".into()));
            let mut changes = store.change();
            changes.put(bundle, &[
                entity("Agent", "reporter", &[], if is_member { &team } else { &[] }),
                entity("Document", "1", &[owner], if is_open { &folder } else { &[] }),
            ]);
            *store = changes.finish().expect("valid entities");
            let wanted = if is_open && (is_member || number == 1) { Outcome::Allow } else { Outcome::Deny };
            for _ in 0..times {
                let (chain, presenter) = (chain([root()]), Presenter::default());
                let decision = decide(bundle, store, &read("1"), Authority::Session(&chain), &presenter, NOW);
                prop_assert_eq!(decision.outcome, wanted);
            }
        }
    }
}
