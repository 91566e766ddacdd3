//! The index and the evaluation beside it must find what Cedar's own authorizer finds over the whole set.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::bundle::Bundle;
use crate::compiled::{Question, Subject, Trace, Uid};
use crate::diagnostics::File;
use crate::entities::Entity;
use crate::policy_text;
use crate::source::BundleSource;
use crate::timestamp::Timestamp;
use crate::value::{Attributes, EntityRef, Value as PlainValue};

const SCHEMA: &str = "
    entity Team in [Team];
    entity Agent in [Team] = { level?: Long };
    entity Robot in [Team];
    entity Folder in [Folder];
    entity Document in [Folder] = { level?: Long };
    action all; action reads in [all]; action writes in [all];
    action read in [reads] appliesTo {
        principal: [Agent, Robot], resource: [Document, Folder], context: { request: { number: Long } }
    };
    action write in [writes] appliesTo {
        principal: [Agent, Robot], resource: [Document, Folder], context: { request: { number: Long } }
    };
    action sync in [reads, writes] appliesTo {
        principal: [Agent, Robot], resource: [Document, Folder], context: { request: { number: Long } }
    };
";

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
    let mut source = BundleSource::default();
    source.files.insert("schema.cedarschema".into(), SCHEMA.into());
    source.files.insert("policies/a.cedar".into(), "@id(\"a\") permit (principal, action, resource);".into());
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
});

const ACTIONS: [&str; 6] = ["read", "write", "sync", "reads", "writes", "all"];
const PRINCIPALS: [&str; 6] =
    ["Agent::\"0\"", "Agent::\"1\"", "Robot::\"0\"", "Team::\"0\"", "Team::\"1\"", "Team::\"2\""];
const RESOURCES: [&str; 6] =
    ["Document::\"0\"", "Document::\"1\"", "Folder::\"0\"", "Folder::\"1\"", "Folder::\"2\"", "Document::\"9\""];
const CONDITIONS: [&str; 9] = [
    "",
    "when { true }",
    "unless { true }",
    // Fails when the entity or the attribute is not there.
    "when { principal.level > 1 }",
    "unless { resource.level > 1 }",
    "when { principal has level && principal.level == 1 }",
    "when { context.request.number + 9223372036854775807 > 0 }",
    "when { context.missing }",
    "when { context.request.number }",
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

/// An identity as policies write it.
fn uid(literal: &str) -> Uid {
    let (kind, id) = literal.split_once("::").expect("a type and an id");
    Uid::new(EntityRef::new(kind, id.trim_matches('"')))
}

/// Policies for so many other resources, two for each, that the index has to search for what few policies name.
static CROWD: LazyLock<String> = LazyLock::new(|| {
    let one = |number| format!("permit (principal, action, resource == Document::\"crowd-{}\");\n", number / 2);
    (0..140).map(one).collect()
});

proptest! {
    #[test]
    fn finds_what_cedar_finds_over_the_whole_set(
        texts in prop::collection::vec(policy(), 0..40),
        has_crowd in prop::bool::weighted(0.2),
        stored in entities(),
        principal in prop::sample::select(PRINCIPALS[..3].to_vec()),
        action in prop::sample::select(ACTIONS[..3].to_vec()),
        resource in prop::sample::select(RESOURCES.to_vec()),
        number in 0_i64..2,
    ) {
        let crowd = if has_crowd { CROWD.as_str() } else { "" };
        let text = texts.concat() + crowd;
        let core = policy_text::parse(File { path: "test", text: &text }).expect("they parse");
        let parsed = core.iter().enumerate().map(|(place, core)| {
            ParsedPolicy { id: format!("p{place:03}").into(), reason: None, annotations: Annotations::default(), core: core.clone() }
        });
        let set = PolicySet::new(parsed.collect(), BUNDLE.schema()).expect("all is supported");

        let store = BUNDLE.entities(&stored).expect("valid entities");
        let (principal, resource) = (uid(principal), uid(resource));
        let attributes = Attributes::from([("number".into(), PlainValue::Long(number))]);
        let request = BUNDLE.request(action, resource.name().clone(), attributes).expect("valid");
            let question = Question {
                risk_decay_per_hour: 0,
            principal: Subject::new(&principal, &store),
            action: BUNDLE.schema().action(request.shape().expect("declared")).expect("declared"),
            resource: Subject::new(&resource, &store),
            request: &request,
            chain: None,
            now: Timestamp::from_micros(0),
            entities: &store,
            trace: &Trace::default(),
        };
        let ours = set.evaluate(&question);
        let theirs = set.evaluate_by_cedar(BUNDLE.schema(), &question);
        let ids = |policies: &[&Policy]| policies.iter().map(|policy| policy.id.clone()).collect::<Vec<_>>();
        let failed = |evaluation: &Evaluation<'_>| {
            evaluation.failures.iter().map(|(policy, failure)| (policy.id.clone(), *failure)).collect::<Vec<_>>()
        };
        prop_assert_eq!(failed(&ours), failed(&theirs));
        prop_assert_eq!(ids(&ours.permits), ids(&theirs.permits));
        prop_assert_eq!(ids(&ours.forbids), ids(&theirs.forbids));
    }
}
