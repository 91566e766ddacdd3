//! Answers over the few entities that a request can reach are those over all of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{Context, SlotId, Template, Value};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::parser::parse_policyset;

use super::*;
use crate::bundle::Bundle;
use crate::entities::EntityStore;
use crate::source::BundleSource;

const SCHEMA: &str = "
entity Team in [Team] = { lead?: Agent };
entity Agent in [Team] = { team?: Team, friends: Set<Agent>, name: String } tags Agent;
action all;
action read in [all] appliesTo { principal: [Agent], resource: [Agent], context: { request: { by: Agent } } };
";

/// a → b → c by team and lead, by friends, and by tags; `c` is in a team in a team.
const ENTITIES: &str = r#"[
  { "uid": { "type": "Agent", "id": "a" }, "attrs": { "team": { "__entity": { "type": "Team", "id": "b" } }, "name": "a",
    "friends": [{ "__entity": { "type": "Agent", "id": "b" } }] }, "parents": [], "tags": {} },
  { "uid": { "type": "Agent", "id": "b" }, "attrs": { "team": { "__entity": { "type": "Team", "id": "c" } }, "name": "b", "friends": [] },
    "parents": [], "tags": { "next": { "__entity": { "type": "Agent", "id": "c" } } } },
  { "uid": { "type": "Agent", "id": "c" }, "attrs": { "name": "c", "friends": [] }, "parents": [{ "type": "Team", "id": "b" }], "tags": {} },
  { "uid": { "type": "Agent", "id": "far" }, "attrs": { "name": "far", "friends": [] }, "parents": [], "tags": {} },
  { "uid": { "type": "Team", "id": "b" }, "attrs": { "lead": { "__entity": { "type": "Agent", "id": "b" } } },
    "parents": [{ "type": "Team", "id": "c" }] },
  { "uid": { "type": "Team", "id": "c" }, "attrs": { "lead": { "__entity": { "type": "Agent", "id": "c" } } }, "parents": [] }
]"#;

const POLICIES: &str = r#"
permit (principal, action, resource) when { principal.team.lead.team.lead.name == "c" };
permit (principal, action, resource) when { principal has team.lead.team.lead.name };
permit (principal, action, resource) when { principal.team.lead.getTag("next") in Team::"c" };
permit (principal, action in Action::"all", resource) when { context.request.by.hasTag("next") };
forbid (principal, action, resource) when { Agent::"a".team.lead.name == "b" };
forbid (principal, action, resource) when { Action::"read" in Action::"all" && Agent::"nobody" has name };
forbid (principal, action, resource) when { principal.team.lead.team.lead.team.lead.name == "d" };
forbid (principal, action, resource) when { resource.name.isEmpty };
"#;

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
    let mut source = BundleSource::default();
    source.files.insert("schema.cedarschema".into(), SCHEMA.into());
    source.files.insert("policies/main.cedar".into(), "@id(\"none\") permit (principal, action, resource);".into());
    source.files.insert("entities.json".into(), ENTITIES.into());
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
});

static STORE: LazyLock<EntityStore> = LazyLock::new(|| BUNDLE.entities([]).expect("valid"));

fn uid(literal: &str) -> EntityUID {
    literal.parse().expect("valid")
}

fn situation(principal: &str, resource: &str) -> Situation<'static> {
    let by = Value::record([("by", Value::from(Literal::EntityUID(Arc::new(uid("Agent::\"b\"")))))], None);
    let context = Context::Value(Arc::new(BTreeMap::from([("request".into(), by)])));
    Situation::new(BUNDLE.schema(), &STORE, uid(principal), uid("Action::\"read\""), uid(resource), context)
}

/// Everything that is stored, in Cedar's own form.
fn whole_store() -> Entities {
    let schema = BUNDLE.schema();
    let stored = STORE.records().filter(|record| !record.uid().kind().ends_with("Action"));
    let stored = stored.map(|record| Arc::new(super::convert::entity(record, schema.symbols()).expect("valid")));
    let actions = ["all", "read"].map(|id| schema.action_entity(&uid(&format!("Action::\"{id}\""))).expect("declared"));
    let closed = TCComputation::AssumeAlreadyComputed;
    let entities = Entities::new().add_entities(
        stored.chain(actions),
        None::<&NoEntitiesSchema>,
        closed,
        Extensions::all_available(),
    );
    entities.expect("one store")
}

fn policies() -> Vec<Policy> {
    let set = parse_policyset(POLICIES).expect("they parse");
    let mut policies: Vec<Policy> = set.into_policies().collect();
    policies.sort_by_key(|policy| policy.loc().map(cedar_policy_core::parser::Loc::start));
    policies
}

#[test]
fn slice_answers_as_the_whole_store_does() {
    let reference = Reference::new(&policies());
    for principal in ["a", "b", "c", "far", "unknown"].map(|id| format!("Agent::\"{id}\"")) {
        let situation = situation(&principal, "Agent::\"a\"");
        let of_slice = reference.evaluate_situation(&situation);
        assert_eq!(of_slice, reference.authorize(situation.request(), &whole_store()), "{principal}");
    }
}

#[test]
fn each_kind_of_failure_is_told() {
    let verdict = Reference::new(&policies()).evaluate_situation(&situation("Agent::\"a\"", "Agent::\"c\""));
    assert_eq!(verdict.permits, [0, 1, 2, 3]);
    assert_eq!(verdict.forbids, [4]);
    assert_eq!(verdict.failures, [(6, Failure::AttributeMissing), (7, Failure::WrongType)]);
    let of_unknown = Reference::new(&policies()).evaluate_situation(&situation("Agent::\"unknown\"", "Agent::\"c\""));
    assert_eq!(of_unknown.failures.first(), Some(&(0, Failure::EntityUnknown)));
}

#[test]
fn slice_leaves_out_what_no_condition_can_reach() {
    let situation = situation("Agent::\"a\"", "Agent::\"a\"");
    // The principal, which is the resource, the action, and who asks.
    assert_eq!(situation.entities(&[], 1).expect("a slice").len(), 3);
    assert_eq!(situation.entities(&[], 0).expect("a slice").len(), 0);
    // All but the one that nothing names, and with the action.
    assert_eq!(situation.entities(&[], 10).expect("a slice").len(), 6);
}

#[test]
fn links_of_templates_are_policies_of_their_own() {
    let text = "permit (principal == ?principal, action, resource in ?resource) when { resource has name };";
    let set = parse_policyset(text).expect("it parses");
    let template: Arc<Template> = Arc::new(set.templates().next().expect("one").clone());
    let link = |place: &str, principal: &str, resource: &str| {
        let values = HashMap::from([(SlotId::principal(), uid(principal)), (SlotId::resource(), uid(resource))]);
        Template::link(Arc::clone(&template), PolicyID::from_string(place), values).expect("both slots")
    };
    let links = [
        link("x", "Agent::\"a\"", "Team::\"c\""),
        link("y", "Agent::\"b\"", "Team::\"c\""),
        link("z", "Agent::\"a\"", "Team::\"d\""),
    ];
    let verdict = Reference::new(&links).evaluate_situation(&situation("Agent::\"a\"", "Agent::\"c\""));
    assert_eq!(verdict, Verdict { permits: vec![0], ..Verdict::default() });
}
