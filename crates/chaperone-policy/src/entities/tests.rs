use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::bundle::Bundle;
use crate::compiled::UidSet;
use crate::hierarchy::ANCESTORS_MAX;
use crate::source::BundleSource;
use crate::value::Value;

const SCHEMA: &str = "entity Folder in [Folder] = { suspended?: Bool } tags String;\n\
    entity Document in [Folder] = { level?: Long, meta?: { by: Folder, names: Set<String> } };\n\
    action read appliesTo { principal: [Folder], resource: [Document], context: { request: {} } };\n";

/// The bundle's own folders: 0 is in 1, which is in 2, and 3 is suspended.
const OWN: &str = r#"[
    { "uid": { "type": "Folder", "id": "0" }, "attrs": {}, "parents": [{ "type": "Folder", "id": "1" }] },
    { "uid": { "type": "Folder", "id": "1" }, "attrs": {}, "parents": [{ "type": "Folder", "id": "2" }] },
    { "uid": { "type": "Folder", "id": "3" }, "attrs": { "suspended": true }, "parents": [], "tags": { "a": "x" } }]"#;

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| bundle(OWN));

fn bundle(entities: &str) -> Bundle {
    let mut source = BundleSource::default();
    let policy = "@id(\"all\") permit (principal, action, resource);";
    for (path, text) in [("schema.cedarschema", SCHEMA), ("policies/main.cedar", policy), ("entities.json", entities)] {
        source.files.insert(path.to_owned(), text.to_owned());
    }
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn folder(id: usize) -> EntityRef {
    EntityRef::new("Folder", id.to_string())
}

fn entity(uid: EntityRef, parents: impl IntoIterator<Item = usize>) -> Entity {
    let parents = parents.into_iter().map(folder).collect();
    Entity { uid, attributes: Attributes::new(), tags: Attributes::new(), parents }
}

fn find(store: &EntityStore, uid: EntityRef) -> &EntityRecord {
    store.find(&Uid::new(uid)).expect("it is there")
}

fn names(uids: &UidSet) -> BTreeSet<&str> {
    uids.iter().map(|uid| uid.name().id.as_str()).collect()
}

fn with(store: &EntityStore, put: &[Entity], removed: &[EntityRef]) -> Result<EntityStore, Vec<EntityError>> {
    let mut changes = store.change();
    changes.remove(&BUNDLE, removed);
    changes.put(&BUNDLE, put);
    changes.finish()
}

#[test]
fn ancestors_of_ancestors_are_found_along_every_way() {
    // 14 → 13 → {11, 12} → 10, and 12 → 19, which is not known.
    let all = [
        entity(folder(14), [13]),
        entity(folder(13), [11, 12]),
        entity(folder(12), [10, 19]),
        entity(folder(11), [10]),
        entity(folder(10), []),
    ];
    let store = BUNDLE.entities(&all).expect("no cycle");
    assert_eq!(names(find(&store, folder(14)).ancestors()), ["10", "11", "12", "13", "19"].into());
    assert_eq!(names(find(&store, folder(14)).parents()), ["13"].into());
    assert_eq!(names(find(&store, folder(11)).ancestors()), ["10"].into());
    let top = find(&store, folder(10));
    assert!(top.ancestors().len() == 0 && !top.is_in(top.uid()));
}

#[test]
fn cycles_are_refused_and_named() {
    let all = [entity(folder(10), []), entity(folder(11), [12]), entity(folder(12), [11]), entity(folder(13), [13])];
    let errors = BUNDLE.entities(&all).expect_err("cycles");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].uid, folder(11));
}

#[test]
fn long_chains_are_refused_without_recursion() {
    let chain: Vec<_> = (10..20_010).map(|number| entity(folder(number), [number + 1])).collect();
    let errors = BUNDLE.entities(&chain).expect_err("too long");
    assert!(errors[0].message.contains("more than 1000 groups"), "{errors:?}");
}

#[test]
fn growing_over_the_limit_is_refused_as_when_built_at_once() {
    let chain: Vec<_> = (10..10 + ANCESTORS_MAX).map(|number| entity(folder(number), [number + 1])).collect();
    let store = BUNDLE.entities(&chain).expect("as long as it may be");
    let top = entity(folder(10 + ANCESTORS_MAX), [9]);
    let all: Vec<_> = chain.iter().cloned().chain([top.clone()]).collect();
    let errors = with(&store, &[top], &[]).expect_err("too long");
    assert_eq!(errors[0].uid, folder(10));
    assert_eq!(Err(errors), BUNDLE.entities(&all).map(drop));
}

#[test]
fn those_with_the_same_single_parent_share_their_ancestors() {
    let all = [entity(EntityRef::new("Document", "a"), [0]), entity(EntityRef::new("Document", "b"), [0])];
    let store = BUNDLE.entities(&all).expect("valid");
    let [a, b] = ["a", "b"].map(|id| find(&store, EntityRef::new("Document", id)));
    assert!(Arc::ptr_eq(a.ancestors(), b.ancestors()));
    assert_eq!(names(a.ancestors()), ["0", "1", "2"].into());
}

#[test]
fn changed_store_leaves_the_one_it_came_from_as_it_was() {
    let store = BUNDLE.own_entities();
    let changed = with(store, &[entity(folder(1), [])], &[]).expect("valid");
    assert_eq!(names(find(&changed, folder(0)).ancestors()), ["1"].into());
    assert_eq!(names(find(store, folder(0)).ancestors()), ["1", "2"].into());
}

#[test]
fn removing_a_stored_entity_uncovers_the_bundle_s_own() {
    let stored = with(BUNDLE.own_entities(), &[entity(folder(3), [0]), entity(folder(4), [])], &[]).expect("valid");
    assert!(!find(&stored, folder(3)).is_suspended());
    let left = with(&stored, &[], &[folder(3), folder(4), folder(99)]).expect("valid");
    let own = find(&left, folder(3));
    assert!(own.is_suspended() && own.ancestors().len() == 0);
    assert_eq!(own.tag("a"), Some(&crate::compiled::Datum::String("x".into())));
    assert!(left.find(&Uid::new(folder(4))).is_none());
    let own = BUNDLE.own_entities();
    assert_eq!((&left.records, &left.groups), (&own.records, &own.groups));
}

#[test]
fn actions_stay_the_schema_s() {
    let action = EntityRef::new("Action", "read");
    assert!(with(BUNDLE.own_entities(), &[entity(action.clone(), [])], &[]).is_err());
    let left = with(BUNDLE.own_entities(), &[], std::slice::from_ref(&action)).expect("valid");
    assert_eq!(find(&left, action.clone()).uid().name(), &action);
}

#[test]
fn tags_have_the_type_that_the_schema_declares() {
    let tagged =
        |uid: EntityRef, value: Value| Entity { tags: Attributes::from([("zone".into(), value)]), ..entity(uid, []) };
    let store = BUNDLE.entities(&[tagged(folder(9), Value::String("eu".into()))]).expect("valid");
    assert_eq!(find(&store, folder(9)).tag("zone"), Some(&crate::compiled::Datum::String("eu".into())));
    assert_eq!(find(&store, folder(9)).tag("zones"), None);
    assert!(BUNDLE.entities(&[tagged(folder(9), Value::Long(1))]).is_err(), "tags of folders are strings");
    let document = EntityRef::new("Document", "d");
    assert!(BUNDLE.entities(&[tagged(document, Value::String("eu".into()))]).is_err(), "documents have no tags");
}

/// What one step does to an identity: puts an entity there, or removes it.
fn change() -> impl Strategy<Value = (EntityRef, Option<Entity>)> {
    let kind = prop_oneof![Just("Folder"), Just("Document")];
    let uid = (kind, 0_usize..7).prop_map(|(kind, id)| EntityRef::new(kind, id.to_string()));
    let parents = prop::collection::vec(0_usize..7, 0..3);
    let level = prop::option::of(prop_oneof![9 => Just(Value::Long(1)), 1 => Just(Value::Bool(true))]);
    (uid, prop::option::weighted(0.7, (parents, level, prop::option::of("[ab]")))).prop_map(|(uid, content)| {
        let entity = content.map(|(parents, level, tag)| Entity {
            attributes: level
                .filter(|_| uid.kind == "Document")
                .map(|level| Attributes::from([("level".into(), level)]))
                .unwrap_or_default(),
            tags: tag
                .filter(|_| uid.kind == "Folder")
                .map(|tag| Attributes::from([("t".into(), Value::String(tag.into()))]))
                .unwrap_or_default(),
            ..entity(uid.clone(), parents)
        });
        (uid, entity)
    })
}

proptest! {
    /// What was changed step by step is what is built at once from the same entities: content, ancestors, groups and errors.
    #[test]
    fn changes_lead_where_building_everything_does(
        steps in prop::collection::vec(prop::collection::vec(change(), 1..4), 0..16),
    ) {
        let mut stored: BTreeMap<EntityRef, Entity> = BTreeMap::new();
        let mut store = BUNDLE.own_entities().clone();
        for step in steps {
            let step: BTreeMap<EntityRef, Option<Entity>> = step.into_iter().collect();
            let mut next = stored.clone();
            for (uid, entity) in &step {
                match entity {
                    Some(entity) => drop(next.insert(uid.clone(), entity.clone())),
                    None => drop(next.remove(uid)),
                }
            }
            let put: Vec<Entity> = step.values().flatten().cloned().collect();
            let removed: Vec<EntityRef> =
                step.iter().filter(|(_, entity)| entity.is_none()).map(|(uid, _)| uid.clone()).collect();
            match (with(&store, &put, &removed), BUNDLE.entities(next.values())) {
                (Ok(changed), Ok(built)) => {
                    prop_assert_eq!(&changed.records, &built.records);
                    prop_assert_eq!(&changed.groups, &built.groups);
                    (store, stored) = (changed, next);
                }
                (changed, built) => prop_assert_eq!(changed.map(drop), built.map(drop)),
            }
        }
    }
}
