//! Random schemas with entities that fit them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::chance::Chance;
use super::memories::{self, Kept};
use super::values;
use crate::entities::Entity;
use crate::shape::{Fields, Type};
use crate::value::{Attributes, EntityRef, Value};

/// The ids of entities that may be there.
const IDS: [&str; 4] = ["0", "1", "2", "3 \"x\""];
/// An id that no entity has.
const UNKNOWN: &str = "9";
/// The ids of entities of an enumerated type.
const CHOICES: [&str; 3] = ["red", "green", "blue"];

/// A type of principal that every schema has, and that has no attributes.
const WORKLOAD: &str = "Chaperone::Workload";

/// A schema.
pub(super) struct World {
    /// `App::`, or nothing.
    pub(super) namespace: &'static str,
    /// The full names of its entity types.
    pub(super) kinds: Vec<String>,
    /// What it says of each.
    pub(super) types: BTreeMap<String, EntityType>,
    /// The actions that apply to something.
    pub(super) actions: Vec<Action>,
    /// The groups of actions.
    pub(super) groups: Vec<String>,
    /// The kinds of request that policies are for, and most requests are of.
    pub(super) kinds_of_request: Vec<RequestKind>,
    /// What is counted and remembered.
    pub(super) kept: Vec<Kept>,
}

/// A kind of request: policies are checked for each by itself.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct RequestKind {
    /// The place of the action.
    pub(super) action: usize,
    /// The type of the principal.
    pub(super) principal: String,
    /// The type of the resource.
    pub(super) resource: String,
}

/// An entity type.
#[derive(Default)]
pub(super) struct EntityType {
    /// Whether its entities are enumerated.
    pub(super) is_enum: bool,
    /// The types of groups that its entities may be in.
    pub(super) parents: Vec<String>,
    /// Its attributes.
    pub(super) attributes: Fields,
    /// The type of its tags.
    pub(super) tags: Option<Type>,
}

/// An action.
pub(super) struct Action {
    /// Its id.
    pub(super) id: String,
    /// The ids of the groups that it is in.
    pub(super) groups: Vec<String>,
    /// The principals that it applies to.
    pub(super) principals: Vec<String>,
    /// The resources that it applies to.
    pub(super) resources: Vec<String>,
    /// The fields of `context.request`.
    pub(super) request: Fields,
    /// Whether its context has `session`.
    pub(super) session: bool,
    /// Whether its context has `tree`.
    pub(super) tree: bool,
    /// Whether its context has `principal`.
    pub(super) principal: bool,
}

impl World {
    /// Any schema.
    pub(super) fn new(chance: &mut Chance) -> Self {
        let namespace = if chance.percent(30) { "App::" } else { "" };
        let kinds: Vec<String> = (0..chance.between(2, 4)).map(|number| format!("{namespace}T{number}")).collect();
        let mut types = BTreeMap::new();
        for (place, kind) in kinds.iter().enumerate() {
            let mut own = EntityType::default();
            if place > 1 && chance.percent(30) {
                own.is_enum = true;
            } else {
                own.parents = some(chance, &kinds, 45);
                own.attributes = values::fields(chance, &kinds, 5, 2);
                own.tags = chance.percent(40).then(|| values::ty(chance, &kinds, 1));
            }
            types.insert(kind.clone(), own);
        }
        let groups: Vec<String> = (0..chance.below(3)).map(|number| format!("g{number}")).collect();
        let mut actions = Vec::new();
        for number in 0..chance.between(1, 3) {
            let mut applies_to = || {
                let picked = some(chance, &kinds, 40);
                if picked.is_empty() { vec![chance.choose(&kinds).clone()] } else { picked }
            };
            let (mut principals, resources) = (applies_to(), applies_to());
            if chance.percent(10) {
                principals.push(WORKLOAD.to_owned());
            }
            actions.push(Action {
                id: format!("a{number}"),
                groups: some(chance, &groups, 50),
                principals,
                resources,
                request: memories::request(chance, &kinds),
                session: chance.percent(80),
                tree: chance.percent(60),
                principal: chance.percent(50),
            });
        }
        let kinds_of_request = (0..chance.between(1, 3)).map(|_| {
            let action = chance.below(actions.len());
            let Action { principals, resources, .. } = &actions[action];
            RequestKind {
                action,
                principal: chance.choose(principals).clone(),
                resource: chance.choose(resources).clone(),
            }
        });
        let kinds_of_request: Vec<_> = kinds_of_request.collect();
        let kept = memories::kept(chance, &actions, &kinds_of_request);
        Self { namespace, kinds, types, actions, groups, kinds_of_request, kept }
    }

    /// The identity of an action or of a group of actions.
    pub(super) fn action_ref(&self, id: &str) -> EntityRef {
        EntityRef::new(format!("{}Action", self.namespace), id)
    }

    /// Any identity of a type: of an entity that may be there, or of none.
    pub(super) fn entity(&self, chance: &mut Chance, kind: &str) -> EntityRef {
        let id = if self.types.get(kind).is_some_and(|own| own.is_enum) {
            *chance.choose(&CHOICES)
        } else if chance.percent(6) {
            UNKNOWN
        } else {
            *chance.choose(&IDS)
        };
        EntityRef::new(kind, id)
    }

    /// Every type whose entities can be ancestors of those of `kind`, itself included.
    pub(super) fn ancestors(&self, kind: &str) -> Vec<String> {
        let mut found = vec![kind.to_owned()];
        let mut next = 0;
        while let Some(kind) = found.get(next).cloned() {
            next += 1;
            for parent in self.types.get(&kind).iter().flat_map(|own| &own.parents) {
                if !found.contains(parent) {
                    found.push(parent.clone());
                }
            }
        }
        found
    }

    /// Its text.
    pub(super) fn schema(&self) -> String {
        let mut text = String::new();
        for (kind, own) in &self.types {
            let name = kind.strip_prefix(self.namespace).unwrap_or(kind);
            if own.is_enum {
                let choices: Vec<String> = CHOICES.iter().map(|choice| values::quoted(choice)).collect();
                let _ = writeln!(text, "entity {name} enum [{}];", choices.join(", "));
                continue;
            }
            let _ = write!(text, "entity {name}");
            if !own.parents.is_empty() {
                let _ = write!(text, " in [{}]", own.parents.join(", "));
            }
            let _ = write!(text, " = {}", fields_text(&own.attributes));
            if let Some(tags) = &own.tags {
                let _ = write!(text, " tags {}", type_text(tags));
            }
            text.push_str(";\n");
        }
        for group in &self.groups {
            let _ = writeln!(text, "action {group};");
        }
        for action in &self.actions {
            let _ = write!(text, "action {}", action.id);
            if !action.groups.is_empty() {
                let _ = write!(text, " in [{}]", action.groups.join(", "));
            }
            let session = if action.session { "session: Chaperone::Session, " } else { "" };
            let tree = if action.tree { "tree: Chaperone::Tree, " } else { "" };
            let principal = if action.principal { "principal: Chaperone::Principal, " } else { "" };
            let _ = writeln!(
                text,
                " appliesTo {{ principal: [{}], resource: [{}], context: {{ {session}{tree}{principal}request: {} }} }};",
                action.principals.join(", "),
                action.resources.join(", "),
                fields_text(&action.request)
            );
        }
        if self.namespace.is_empty() { text } else { format!("namespace App {{\n{text}}}\n") }
    }

    /// Entities: for `entities.json`, and others that are stored beside them. Few are missing.
    pub(super) fn entities(&self, chance: &mut Chance) -> (Json, Vec<Entity>) {
        let all: Vec<EntityRef> = self
            .kinds
            .iter()
            .filter(|kind| !self.types[*kind].is_enum)
            .flat_map(|kind| IDS.map(|id| EntityRef::new(kind.as_str(), id)))
            .collect();
        let (mut base, mut stored) = (Vec::new(), Vec::new());
        for (place, uid) in all.iter().enumerate() {
            if chance.percent(10) {
                continue;
            }
            let own = &self.types[uid.kind.as_str()];
            // Upwards only, so that there is no cycle.
            let above = all.get(place + 1..).unwrap_or_default();
            let allowed = above.iter().filter(|above| own.parents.iter().any(|parent| *parent == above.kind));
            let parents: Vec<EntityRef> = allowed.filter(|_| chance.percent(25)).cloned().collect();
            let attributes = values::record(chance, self, &own.attributes);
            let mut tags = Attributes::new();
            for key in ["a", "b", "user:x"] {
                if let Some(ty) = own.tags.as_ref().filter(|_| chance.percent(60)) {
                    tags.insert(key.into(), values::value(chance, self, ty));
                }
            }
            // Stored entities stand before those of the bundle.
            let is_stored = chance.percent(30);
            if is_stored {
                let (attributes, tags, parents) = (attributes.clone(), tags.clone(), parents.clone());
                stored.push(Entity { uid: uid.clone(), attributes, tags, parents });
            }
            if !is_stored || chance.percent(20) {
                let mut entity = json!({
                    "uid": values::uid_json(uid),
                    "attrs": values::record_json(&attributes),
                    "parents": parents.iter().map(values::uid_json).collect::<Vec<_>>(),
                });
                if own.tags.is_some() {
                    entity["tags"] = values::record_json(&tags);
                }
                base.push(entity);
            }
        }
        (Json::Array(base), stored)
    }

    /// A value for a literal, most often of an entity that is there.
    pub(super) fn literal(&self, chance: &mut Chance, ty: &Type) -> String {
        loop {
            let value: Value = values::value(chance, self, ty);
            if let Some(text) = values::literal(&value) {
                return text;
            }
        }
    }
}

/// Each of some with a likelihood, in percent.
fn some(chance: &mut Chance, of: &[String], percent: usize) -> Vec<String> {
    of.iter().filter(|_| chance.percent(percent)).cloned().collect()
}

fn fields_text(fields: &Fields) -> String {
    let field = |(name, field): (&smol_str::SmolStr, &crate::shape::Field)| {
        let optional = if field.required { "" } else { "?" };
        format!("{}{optional}: {}", values::quoted(name), type_text(&field.ty))
    };
    format!("{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
}

fn type_text(ty: &Type) -> String {
    match ty {
        Type::Entity(kind) => kind.to_string(),
        Type::Set(element) => format!("Set<{}>", type_text(element)),
        Type::Record(fields) => fields_text(fields),
        other => format!("__cedar::{}", other.name()),
    }
}
