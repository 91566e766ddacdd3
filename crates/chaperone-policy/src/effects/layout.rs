//! What a bundle's policies count and remember: what its conditions may read, by name and type.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use smol_str::SmolStr;

use super::Level;
use crate::memory::MemoryName;
use crate::shape::Type;

/// What a counter's number is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum CounterKind {
    /// Cedar's `Long`.
    Whole,
    /// Cedar's `decimal`.
    Decimal,
}

/// The counters and sets of a bundle, by whose they are.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct MemoryLayout([LevelLayout; 3]);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct LevelLayout {
    counters: BTreeMap<SmolStr, (MemoryName, CounterKind)>,
    sets: BTreeMap<SmolStr, (MemoryName, Type)>,
}

impl MemoryLayout {
    /// Declares a counter. `Err` has the kind that it was declared with before, when that is another.
    pub(crate) fn add_counter(
        &mut self,
        level: Level,
        name: &MemoryName,
        kind: CounterKind,
    ) -> Result<(), CounterKind> {
        let (_, known) = self.level_mut(level).counters.entry(name.as_str().into()).or_insert((name.clone(), kind));
        if *known == kind { Ok(()) } else { Err(*known) }
    }

    /// Declares a set. `Err` has the type that it was declared with before, when that is another.
    pub(crate) fn add_set(&mut self, level: Level, name: &MemoryName, ty: &Type) -> Result<(), Type> {
        let entry = self.level_mut(level).sets.entry(name.as_str().into());
        let (_, known) = entry.or_insert_with(|| (name.clone(), ty.clone()));
        if known == ty { Ok(()) } else { Err(known.clone()) }
    }

    /// A counter.
    pub(crate) fn counter(&self, level: Level, name: &str) -> Option<(&MemoryName, CounterKind)> {
        self.level(level).counters.get(name).map(|(name, kind)| (name, *kind))
    }

    /// A set.
    pub(crate) fn set(&self, level: Level, name: &str) -> Option<&MemoryName> {
        self.level(level).sets.get(name).map(|(name, _)| name)
    }

    /// The type of a set's values.
    pub(crate) fn set_type(&self, level: Level, name: &str) -> Option<&Type> {
        self.level(level).sets.get(name).map(|(_, ty)| ty)
    }

    /// Every counter of a level, in order.
    pub(crate) fn counters(&self, level: Level) -> impl Iterator<Item = (&MemoryName, CounterKind)> {
        self.level(level).counters.values().map(|(name, kind)| (name, *kind))
    }

    /// Every set of a level, in order.
    pub(crate) fn sets(&self, level: Level) -> impl Iterator<Item = &MemoryName> {
        self.level(level).sets.values().map(|(name, _)| name)
    }

    /// The type of `context.<level>.counts`, as a schema writes it.
    pub(crate) fn counts_type(&self, level: Level) -> String {
        record(self.counters(level).map(|(name, kind)| {
            let ty = match kind {
                CounterKind::Whole => "__cedar::Long",
                CounterKind::Decimal => "__cedar::decimal",
            };
            (name, ty.to_owned())
        }))
    }

    /// The type of `context.<level>.sets`, as a schema writes it.
    pub(crate) fn sets_type(&self, level: Level) -> String {
        record(self.level(level).sets.values().map(|(name, ty)| {
            let member = match ty {
                Type::Entity(kind) => kind.as_str(),
                Type::Long => "__cedar::Long",
                Type::Ip => "__cedar::ipaddr",
                // `declare` lets no other type pass.
                _ => "__cedar::String",
            };
            (name, format!("Set<{member}>"))
        }))
    }

    fn level(&self, level: Level) -> &LevelLayout {
        let [session, tree, principal] = &self.0;
        match level {
            Level::Session => session,
            Level::Tree => tree,
            Level::Principal => principal,
        }
    }

    fn level_mut(&mut self, level: Level) -> &mut LevelLayout {
        let [session, tree, principal] = &mut self.0;
        match level {
            Level::Session => session,
            Level::Tree => tree,
            Level::Principal => principal,
        }
    }
}

/// Names of counters and sets need no escapes.
fn record<'a>(fields: impl Iterator<Item = (&'a MemoryName, String)>) -> String {
    let mut text = String::from("{");
    for (name, ty) in fields {
        // Writing to a String cannot fail.
        let _ = write!(text, " \"{name}\": {ty},");
    }
    text.push_str(" }");
    text
}
