//! The index and the evaluation beside it must find what Cedar's own authorizer finds over the whole set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{Context, EntityUIDEntry, PolicyID, PolicySet as CorePolicySet, Request, Value};
use cedar_policy_core::authorizer::{AuthorizationError, Authorizer, Decision};
use cedar_policy_core::extensions::Extensions;
use proptest::prelude::*;

use super::*;
use crate::diagnostics::File;
use crate::entities::{Entity, EntityError, EntityStore};
use crate::policy_text;
use crate::schema::CompiledSchema;
use crate::value::{Attributes, EntityRef, Value as PlainValue};

static SCHEMA: LazyLock<CompiledSchema> = LazyLock::new(|| {
    let text = "
        entity Team in [Team];
        entity Agent in [Team] = { level?: Long };
        entity Robot in [Team];
        entity Folder in [Folder];
        entity Document in [Folder] = { level?: Long };
        action all; action reads in [all]; action writes in [all];
        action read in [reads] appliesTo { principal: [Agent, Robot], resource: [Document, Folder], context: { request: {} } };
        action write in [writes] appliesTo { principal: [Agent, Robot], resource: [Document, Folder], context: { request: {} } };
        action sync in [reads, writes] appliesTo { principal: [Agent, Robot], resource: [Document, Folder], context: { request: {} } };
    ";
    CompiledSchema::compile(text).expect("valid")
});

const ACTIONS: [&str; 6] = ["read", "write", "sync", "reads", "writes", "all"];
const PRINCIPALS: [&str; 6] =
    ["Agent::\"0\"", "Agent::\"1\"", "Robot::\"0\"", "Team::\"0\"", "Team::\"1\"", "Team::\"2\""];
const RESOURCES: [&str; 6] =
    ["Document::\"0\"", "Document::\"1\"", "Folder::\"0\"", "Folder::\"1\"", "Folder::\"2\"", "Document::\"9\""];
const CONDITIONS: [&str; 8] = [
    "",
    "when { true }",
    "unless { true }",
    // Fails when the entity or the attribute is not there.
    "when { principal.level > 1 }",
    "unless { resource.level > 1 }",
    "when { principal has level && principal.level == 1 }",
    "when { context.number + 9223372036854775807 > 0 }",
    "when { context.missing }",
];

fn constraint(
    variable: &'static str,
    entities: [&'static str; 6],
    kinds: [&'static str; 2],
) -> impl Strategy<Value = String> {
    let entity = move || prop::sample::select(entities.to_vec());
    let kind = move || prop::sample::select(kinds.to_vec());
    prop_oneof![
        Just(variable.to_owned()),
        entity().prop_map(move |entity| format!("{variable} == {entity}")),
        entity().prop_map(move |entity| format!("{variable} in {entity}")),
        kind().prop_map(move |kind| format!("{variable} is {kind}")),
        (kind(), entity()).prop_map(move |(kind, entity)| format!("{variable} is {kind} in {entity}")),
    ]
}

fn action_constraint() -> impl Strategy<Value = String> {
    let action = || prop::sample::select(ACTIONS.to_vec());
    let list = |actions: Vec<&str>| actions.iter().map(|id| format!("Action::\"{id}\"")).collect::<Vec<_>>().join(", ");
    prop_oneof![
        Just("action".to_owned()),
        action().prop_map(|action| format!("action == Action::\"{action}\"")),
        action().prop_map(|action| format!("action in Action::\"{action}\"")),
        prop::collection::vec(action(), 0..4).prop_map(move |actions| format!("action in [{}]", list(actions))),
    ]
}

fn policy() -> impl Strategy<Value = String> {
    (
        prop::sample::select(vec!["permit", "forbid"]),
        constraint("principal", PRINCIPALS, ["Agent", "Robot"]),
        action_constraint(),
        constraint("resource", RESOURCES, ["Document", "Folder"]),
        prop::sample::select(CONDITIONS.to_vec()),
    )
        .prop_map(|(effect, principal, action, resource, condition)| {
            format!("{effect} ({principal}, {action}, {resource}) {condition};\n")
        })
}

/// An entity's type and id, and the groups that it may be in.
type Relation = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Some of the entities, each in some groups of a higher number or of the kind above, so that there is no cycle.
fn entities() -> impl Strategy<Value = Vec<Entity>> {
    let all: Vec<Relation> = vec![
        ("Agent", "0", &[("Team", "0"), ("Team", "1")]),
        ("Agent", "1", &[("Team", "1"), ("Team", "2")]),
        ("Robot", "0", &[("Team", "2")]),
        ("Team", "0", &[("Team", "1"), ("Team", "2")]),
        ("Team", "1", &[("Team", "2")]),
        ("Document", "0", &[("Folder", "0"), ("Folder", "2")]),
        ("Document", "1", &[("Folder", "1")]),
        ("Folder", "0", &[("Folder", "1")]),
        ("Folder", "1", &[("Folder", "2")]),
    ];
    let one = |(kind, id, groups): Relation| {
        let groups = prop::sample::subsequence(groups.to_vec(), 0..=groups.len());
        (any::<bool>(), groups, prop::option::of(0_i64..3)).prop_map(move |(exists, groups, level)| {
            let has_level = matches!(kind, "Agent" | "Document");
            exists.then(|| Entity {
                uid: EntityRef::new(kind, id),
                attributes: level
                    .filter(|_| has_level)
                    .map(|level| Attributes::from([("level".into(), PlainValue::Long(level))]))
                    .unwrap_or_default(),
                tags: Attributes::new(),
                parents: groups.into_iter().map(|(kind, id)| EntityRef::new(kind, id)).collect(),
            })
        })
    };
    all.into_iter().map(one).collect::<Vec<_>>().prop_map(|entities| entities.into_iter().flatten().collect())
}

fn store_of(stored: &[Entity]) -> Result<EntityStore, Vec<EntityError>> {
    let mut changes = EntityStore::of_schema(&SCHEMA).change();
    changes.put_by(&SCHEMA, stored);
    changes.finish()
}

fn uid(literal: &str) -> cedar_policy_core::ast::EntityUID {
    literal.parse().expect("valid")
}

proptest! {
    #[test]
    fn finds_what_cedar_finds_over_the_whole_set(
        texts in prop::collection::vec(policy(), 0..40),
        stored in entities(),
        principal in prop::sample::select(PRINCIPALS[..3].to_vec()),
        action in prop::sample::select(ACTIONS[..3].to_vec()),
        resource in prop::sample::select(RESOURCES.to_vec()),
        number in 0_i64..2,
    ) {
        let text = texts.concat();
        let core = policy_text::parse(File { path: "test", text: &text }).expect("they parse");
        let store = store_of(&stored).expect("valid entities");
        let action = SCHEMA.action(&EntityRef::action(action)).expect("declared");
        let context = Context::Value(Arc::new(BTreeMap::from([("number".into(), Value::from(number))])));

        let id = |place: usize| format!("p{place:03}");
        let parsed = core.iter().enumerate().map(|(place, core)| {
            ParsedPolicy { id: id(place).into(), reason: None, core: core.clone() }
        });
        let set = PolicySet::new(parsed.collect());
        let situation = Situation::new(&store, uid(principal), action, uid(resource), context.clone());
        let ours = set.evaluate(&situation);
        let ids = |policies: &[&Policy]| policies.iter().map(|policy| policy.id.to_string()).collect::<Vec<_>>();

        let mut whole = CorePolicySet::new();
        for (place, policy) in core.iter().enumerate() {
            whole.add(policy.new_id(PolicyID::from_string(id(place)))).expect("distinct ids");
        }
        let known = |uid| EntityUIDEntry::known(uid, None);
        let request = Request::new_unchecked(
            known(uid(principal)), known(action.uid.clone()), known(uid(resource)), Some(context),
        );
        let theirs = Authorizer::new().is_authorized(request, &whole, store.as_core());
        let errors: BTreeSet<String> = theirs.diagnostics.errors.iter().map(|error| match error {
            AuthorizationError::PolicyEvaluationError { id, .. } => id.to_string(),
        }).collect();
        let reasons: BTreeSet<String> = theirs.diagnostics.reason.iter().map(ToString::to_string).collect();

        let failed: Vec<&Policy> = ours.failures.iter().map(|(policy, _)| *policy).collect();
        prop_assert_eq!(ids(&failed), errors.iter().cloned().collect::<Vec<_>>());
        let determining = if ours.forbids.is_empty() { ids(&ours.permits) } else { ids(&ours.forbids) };
        prop_assert_eq!(determining, reasons.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(ours.allows(), theirs.decision == Decision::Allow && errors.is_empty());
    }

    #[test]
    fn closure_of_the_hierarchy_is_cedar_s(stored in entities()) {
        let store = store_of(&stored).expect("valid entities");
        let expected = cedar_policy_core::entities::Entities::from_entities(
            stored.iter().map(|entity| crate::entities::to_core(entity).expect("valid")),
            Some(&cedar_policy_core::validator::CoreSchema::new(SCHEMA.validator().schema())),
            cedar_policy_core::entities::TCComputation::ComputeNow,
            Extensions::all_available(),
        );
        prop_assert!(store.as_core().deep_eq(&expected.expect("valid entities")));
    }
}
