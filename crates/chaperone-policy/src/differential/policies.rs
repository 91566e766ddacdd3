//! Random policies, scopes and templates.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::chance::Chance;
use super::expression::{Shared, Writer};
use super::memories;
use super::paths::Paths;
use super::world::{Action, RequestKind, World};
use crate::value::EntityRef;

/// A policy without its annotations, and with the values of its slots where it has any.
pub(super) struct Draft {
    /// Its text.
    pub(super) text: String,
    /// What it does beside deciding. Scopes leave it out.
    pub(super) annotations: String,
    /// What stands for `?principal`.
    pub(super) principal_slot: Option<EntityRef>,
    /// What stands for `?resource`.
    pub(super) resource_slot: Option<EntityRef>,
}

impl Draft {
    /// One that applies to nothing.
    pub(super) fn never() -> Self {
        let text = "permit (principal == Chaperone::Workload::\"none\", action, resource);\n".to_owned();
        Self { text, annotations: String::new(), principal_slot: None, resource_slot: None }
    }

    /// The same with a condition that never holds: what it counts and remembers can still be read.
    pub(super) fn silenced(&self) -> Self {
        let head = self.text.lines().next().unwrap_or_default().trim_end_matches(';');
        let slots = (self.principal_slot.clone(), self.resource_slot.clone());
        Self {
            text: format!("{head} when {{ false }};\n"),
            annotations: self.annotations.clone(),
            principal_slot: slots.0,
            resource_slot: slots.1,
        }
    }

    /// Whether it has slots.
    pub(super) fn is_template(&self) -> bool {
        self.principal_slot.is_some() || self.resource_slot.is_some()
    }
}

/// Writes the policies of one schema.
pub(super) struct Author<'a> {
    world: &'a World,
    /// Conditions that policies for the same kind of request have in common, by that kind.
    shared: BTreeMap<RequestKind, Shared>,
}

/// A constraint on the principal or the resource.
struct Constraint {
    scope: String,
    /// What the condition must ask for where the scope leaves the type open.
    guard: Option<String>,
    slot: Option<EntityRef>,
}

impl<'a> Author<'a> {
    /// For one schema.
    pub(super) fn new(world: &'a World) -> Self {
        Self { world, shared: BTreeMap::new() }
    }

    /// Any policy; a template where slots are asked for.
    pub(super) fn write(&mut self, chance: &mut Chance, with_slots: bool) -> Draft {
        let world = self.world;
        let kind = chance.choose(&world.kinds_of_request);
        let RequestKind { action, principal, resource } = kind;
        let action = &world.actions[*action];
        let of_principal = constraint(chance, world, "principal", principal, with_slots);
        let of_resource = constraint(chance, world, "resource", resource, with_slots && of_principal.slot.is_none());
        let (action_scope, action_guard) = action_constraint(chance, world, action);

        let effect = if chance.percent(60) { "permit" } else { "forbid" };
        let mut text = format!("{effect} ({}, {action_scope}, {})", of_principal.scope, of_resource.scope);
        let guards: Vec<String> = [of_principal.guard, action_guard, of_resource.guard].into_iter().flatten().collect();
        let is_plain = guards.is_empty() && chance.percent(10);
        if !is_plain {
            let shared = self.shared.entry(kind.clone()).or_default();
            let mut clauses: Vec<(&str, String)> = Vec::new();
            for place in 0..*chance.choose(&[1, 1, 1, 2, 3]) {
                let clause = if place > 0 && chance.percent(50) { "unless" } else { "when" };
                let paths = Paths::new(world, action, principal, resource);
                let mut condition = Writer::new(world, chance, paths).condition(shared);
                if effect == "forbid" && chance.percent(30) {
                    // Or hardly anything would be allowed.
                    condition = format!("({condition} && context.request has nothing)");
                }
                clauses.push((clause, condition));
            }
            if let Some((_, first)) = clauses.first_mut() {
                *first = guards.into_iter().chain([std::mem::take(first)]).collect::<Vec<_>>().join(" && ");
            }
            for (clause, condition) in clauses {
                let _ = write!(text, "\n{clause} {{ {condition} }}");
            }
        }
        text.push_str(";\n");
        let annotations = memories::annotations(chance, effect, &world.kept);
        Draft { text, annotations, principal_slot: of_principal.slot, resource_slot: of_resource.slot }
    }
}

impl Author<'_> {
    /// The observers that count and remember: one for each kind of request that something is taken from.
    pub(super) fn write_keepers(&mut self, chance: &mut Chance) -> Vec<Draft> {
        let world = self.world;
        let mut drafts = Vec::new();
        for kind in &world.kinds_of_request {
            let Some(annotations) = memories::keeper(chance, &world.kept, kind) else { continue };
            let RequestKind { action, principal, resource } = kind;
            let action = &world.actions[*action];
            let scope = format!(
                "permit (principal is {principal}, action == {}, resource is {resource})",
                world.action_ref(&action.id)
            );
            let shared = self.shared.entry(kind.clone()).or_default();
            let paths = Paths::new(world, action, principal, resource);
            let condition = Writer::new(world, chance, paths).condition(shared);
            let text = format!("{scope}\nwhen {{ {condition} }};\n");
            drafts.push(Draft { text, annotations, principal_slot: None, resource_slot: None });
        }
        drafts
    }
}

fn constraint(chance: &mut Chance, world: &World, variable: &str, kind: &str, with_slot: bool) -> Constraint {
    let own = world.entity(chance, kind);
    let ancestors = world.ancestors(kind);
    let group_kind = chance.choose(&ancestors).clone();
    let group = world.entity(chance, &group_kind);
    let is_kind = Some(format!("{variable} is {kind}"));
    if with_slot {
        return match chance.below(3) {
            0 => Constraint { scope: format!("{variable} == ?{variable}"), guard: is_kind, slot: Some(own) },
            1 => Constraint { scope: format!("{variable} in ?{variable}"), guard: is_kind, slot: Some(group) },
            _ => Constraint { scope: format!("{variable} is {kind} in ?{variable}"), guard: None, slot: Some(group) },
        };
    }
    let (scope, guard) = match chance.below(10) {
        0..=3 => (format!("{variable} is {kind}"), None),
        4..=6 => (variable.to_owned(), is_kind),
        7 => (format!("{variable} == {own}"), None),
        8 => (format!("{variable} in {group}"), is_kind),
        _ => (format!("{variable} is {kind} in {group}"), None),
    };
    Constraint { scope, guard, slot: None }
}

fn action_constraint(chance: &mut Chance, world: &World, action: &Action) -> (String, Option<String>) {
    let own = world.action_ref(&action.id);
    let guard = Some(format!("action == {own}"));
    match chance.below(6) {
        0 | 1 => (format!("action == {own}"), None),
        2 => (format!("action in [{own}]"), None),
        3 => ("action".to_owned(), guard),
        4 => {
            let other = world.action_ref(&chance.choose(&world.actions).id);
            (format!("action in [{own}, {other}]"), guard)
        }
        _ if action.groups.is_empty() => (format!("action in {own}"), None),
        _ => (format!("action in {}", world.action_ref(chance.pick(&action.groups))), guard),
    }
}
