//! What a condition can read: paths of attributes from the principal, the resource and the context.

use super::memories;
use super::values::quoted;
use super::world::{Action, World};
use crate::effects::Level;
use crate::shape::{Field, Fields, Type};

/// How far a path goes.
const STEPS_MAX: usize = 3;
/// How many paths are kept.
const PATHS_MAX: usize = 120;
/// The words that are no names of attributes without quotes.
const RESERVED: [&str; 9] = ["true", "false", "if", "then", "else", "in", "is", "like", "has"];

/// Paths that can be read, with the types of what is there.
#[derive(Clone)]
pub(super) struct Paths(Vec<(String, Type)>);

/// An attribute that need not be there.
#[derive(Clone)]
pub(super) struct Path {
    /// The condition that it is there.
    pub(super) guard: String,
    /// It.
    pub(super) text: String,
    /// Its type.
    pub(super) ty: Type,
}

impl Paths {
    /// Of a request of one kind.
    pub(super) fn new(world: &World, action: &Action, principal: &str, resource: &str) -> Self {
        let mut paths = Self(Vec::new());
        paths.add(world, "principal", &Type::Entity(principal.into()));
        paths.add(world, "resource", &Type::Entity(resource.into()));
        paths.add(world, "context.request", &Type::Record(action.request.clone()));
        for (level, fields) in [(Level::Session, session()), (Level::Tree, tree()), (Level::Principal, labels())] {
            if action.declares(level) {
                let fields = fields.into_iter().chain(memories::fields(&world.kept, level)).collect();
                paths.add(world, &format!("context.{level}"), &Type::Record(fields));
            }
        }
        paths
    }

    /// Those of what is counted and remembered.
    pub(super) fn remembered(&self) -> Vec<(String, Type)> {
        let is_remembered = |text: &str| text.contains(".counts") || text.contains(".sets");
        self.0.iter().filter(|(text, _)| is_remembered(text)).cloned().collect()
    }

    /// Adds one that can be read now, and everything that it always has.
    pub(super) fn add(&mut self, world: &World, text: &str, ty: &Type) {
        let mut next = vec![(text.to_owned(), ty.clone(), 0)];
        while let Some((text, ty, steps)) = next.pop() {
            if self.0.len() >= PATHS_MAX {
                return;
            }
            if steps < STEPS_MAX {
                for (name, field) in fields(world, &ty).iter().filter(|(_, field)| field.required) {
                    next.push((access(&text, name), field.ty.clone(), steps + 1));
                }
            }
            self.0.push((text, ty));
        }
    }

    /// Those of a type.
    pub(super) fn of_type(&self, ty: &Type) -> Vec<String> {
        self.0.iter().filter(|(_, own)| own == ty).map(|(text, _)| text.clone()).collect()
    }

    /// The types that there are.
    pub(super) fn types(&self) -> Vec<Type> {
        self.0.iter().map(|(_, ty)| ty.clone()).collect()
    }

    /// Those that have fields, with these.
    pub(super) fn with_fields(&self, world: &World) -> Vec<(String, Fields)> {
        let with = self.0.iter().filter(|(_, ty)| matches!(ty, Type::Entity(_) | Type::Record(_)));
        with.map(|(text, ty)| (text.clone(), fields(world, ty))).collect()
    }

    /// What may be there.
    pub(super) fn optional(&self, world: &World) -> Vec<Path> {
        let mut found = Vec::new();
        for (text, all) in self.with_fields(world) {
            for (name, field) in all.iter().filter(|(_, field)| !field.required) {
                let attribute = if is_identifier(name) { name.to_string() } else { quoted(name) };
                found.push(Path {
                    guard: format!("({text} has {attribute})"),
                    text: access(&text, name),
                    ty: field.ty.clone(),
                });
                // One step further, where `has` takes a path.
                for (inner, inner_field) in fields(world, &field.ty).iter().filter(|_| is_identifier(name)) {
                    if is_identifier(inner) {
                        found.push(Path {
                            guard: format!("({text} has {name}.{inner})"),
                            text: format!("{text}.{name}.{inner}"),
                            ty: inner_field.ty.clone(),
                        });
                    }
                }
            }
        }
        found
    }

    /// Entities that can have tags, with the types of these.
    pub(super) fn tagged(&self, world: &World) -> Vec<(String, Type)> {
        let tags = |(text, ty): &(String, Type)| match ty {
            Type::Entity(kind) => Some((text.clone(), world.types.get(kind.as_str())?.tags.clone()?)),
            _ => None,
        };
        self.0.iter().filter_map(tags).collect()
    }
}

/// Whether a name needs no quotes.
pub(super) fn is_identifier(name: &str) -> bool {
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_word && !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && !RESERVED.contains(&name)
}

fn access(text: &str, name: &str) -> String {
    if is_identifier(name) { format!("{text}.{name}") } else { format!("{text}[{}]", quoted(name)) }
}

fn fields(world: &World, ty: &Type) -> Fields {
    match ty {
        Type::Record(fields) => fields.clone(),
        Type::Entity(kind) => world.types.get(kind.as_str()).map(|own| own.attributes.clone()).unwrap_or_default(),
        _ => Fields::new(),
    }
}

pub(super) fn required(fields: impl IntoIterator<Item = (&'static str, Type)>) -> Fields {
    fields.into_iter().map(|(name, ty)| (name.into(), Field { ty, required: true })).collect()
}

fn session() -> Fields {
    required([
        ("exists", Type::Bool),
        ("id", Type::String),
        ("owner", Type::String),
        ("task", Type::Record(required([("id", Type::String), ("purpose", Type::String)]))),
        ("labels", Type::Set(Box::new(Type::String))),
        ("risk", Type::Long),
        ("age_seconds", Type::Long),
        ("idle_seconds", Type::Long),
        ("delegation_depth", Type::Long),
        ("chain", Type::Set(Box::new(Type::String))),
    ])
}

fn tree() -> Fields {
    required([("id", Type::String), ("labels", Type::Set(Box::new(Type::String)))])
}

fn labels() -> Fields {
    required([("labels", Type::Set(Box::new(Type::String)))])
}
