//! What policies count and remember, with the types that the schema gives it.

use cedar_policy_core::ast::Policy as CorePolicy;
use smol_str::SmolStr;

use super::{Act, CounterKind, Level, MemoryLayout, Source};
use crate::diagnostics::{File, PROBLEMS_MAX};
use crate::fact::Results;
use crate::memory::MemoryName;
use crate::policy_scope::{covers, kinds};
use crate::policy_set::ParsedPolicy;
use crate::problem::Problem;
use crate::schema::{Action, CompiledSchema};
use crate::shape::Type;

/// Collects what the policies count and remember; with a problem for every counter and set whose type cannot be told, or is not the same
/// everywhere.
pub(crate) fn declare<'a>(
    policies: impl Iterator<Item = (File<'a>, &'a ParsedPolicy)>,
    schema: &CompiledSchema,
    results: &Results,
) -> (MemoryLayout, Vec<Problem>) {
    let mut layout = MemoryLayout::default();
    let mut written_out = Vec::new();
    let mut problems = Vec::new();
    for (file, policy) in policies {
        for rule in &policy.annotations.rules {
            let (name, added) = match &rule.act {
                // A number that is written out suits both kinds, and decides only where nothing else does.
                Act::Count(level, counter, Source::Whole(_)) => {
                    written_out.push((*level, counter));
                    continue;
                }
                Act::Count(level, counter, source) => {
                    ("count", add_counter(&mut layout, *level, counter, type_of(&policy.core, source, schema, results)))
                }
                Act::Remember(level, set, source) => {
                    ("remember", add_set(&mut layout, *level, set, type_of(&policy.core, source, schema, results)))
                }
                Act::Label(..) | Act::Risk(_) | Act::Revoke(_) | Act::Alert(..) => continue,
            };
            // Finding a place costs as much as reading the file up to it.
            if let Err(message) = added
                && problems.len() < PROBLEMS_MAX
            {
                let annotation = policy.core.annotations().find(|(key, _)| AsRef::<str>::as_ref(*key) == name);
                let loc = annotation.and_then(|(_, annotation)| annotation.loc.as_ref()).or(policy.core.loc());
                problems.push(file.problem_at(loc, "annotation_type", message));
            }
        }
    }
    for (level, counter) in written_out {
        // The kind that it has already suits.
        let _ = layout.add_counter(level, counter, CounterKind::Whole);
    }
    (layout, problems)
}

/// Of a policy that applies nowhere there is nothing to add.
type Found = Result<Option<Type>, String>;

fn add_counter(layout: &mut MemoryLayout, level: Level, counter: &MemoryName, found: Found) -> Result<(), String> {
    let kind = match found? {
        None => return Ok(()),
        Some(Type::Long) => CounterKind::Whole,
        Some(Type::Decimal) => CounterKind::Decimal,
        Some(_) => return Err(format!("`{counter}` counts a `Long` or a `decimal`, and this is neither")),
    };
    let added = layout.add_counter(level, counter, kind);
    added.map_err(|_| format!("`{counter}` counts whole numbers in one place and decimals in another"))
}

fn add_set(layout: &mut MemoryLayout, level: Level, set: &MemoryName, found: Found) -> Result<(), String> {
    match found? {
        None => Ok(()),
        Some(ty @ (Type::Entity(_) | Type::String | Type::Long | Type::Ip)) => {
            let added = layout.add_set(level, set, &ty);
            added.map_err(|known| format!("`{set}` remembers {} elsewhere, and {} here", shown(&known), shown(&ty)))
        }
        Some(_) => Err(format!("`{set}` can remember entities, `String`, `Long` and `ipaddr`")),
    }
}

/// The one type that a source has wherever the policy applies; `None` when it applies nowhere, which is reported elsewhere.
fn type_of(policy: &CorePolicy, source: &Source, schema: &CompiledSchema, results: &Results) -> Found {
    let mut found: Option<Type> = None;
    for action in schema.actions().filter(|action| covers(policy.action_constraint(), action)) {
        let principals = kinds(policy.principal_constraint().as_inner(), &action.shape.principals);
        let resources = kinds(policy.resource_constraint().as_inner(), &action.shape.resources);
        if principals.is_empty() || resources.is_empty() {
            continue;
        }
        let types = match source {
            Source::Whole(_) => vec![Type::Long],
            Source::Principal => principals.into_iter().map(Type::Entity).collect(),
            Source::Resource => resources.into_iter().map(Type::Entity).collect(),
            Source::Attribute(path) => vec![attribute(action, path)?],
            Source::Result(fact) => {
                let ty = results.get(action.name.name()).and_then(|facts| facts.get(fact));
                let missing = || format!("the mapping names no result `{fact}` of the action {}", action.name.name());
                vec![ty.ok_or_else(missing)?.into()]
            }
        };
        for ty in types {
            match &found {
                Some(known) if *known != ty => {
                    return Err(format!(
                        "it would be {} and {}; narrow the policy to one of them, such as by `resource is …` or `action == …`",
                        shown(known),
                        shown(&ty)
                    ));
                }
                _ => found = Some(ty),
            }
        }
    }
    Ok(found)
}

fn shown(ty: &Type) -> String {
    match ty {
        Type::Entity(kind) => format!("a `{kind}`"),
        Type::Bool => "a `Bool`".to_owned(),
        Type::Long => "a `Long`".to_owned(),
        Type::String => "a `String`".to_owned(),
        Type::Set(_) => "a set".to_owned(),
        Type::Record(_) => "a record".to_owned(),
        Type::Ip => "an `ipaddr`".to_owned(),
        Type::Decimal => "a `decimal`".to_owned(),
        Type::Datetime => "a `datetime`".to_owned(),
        Type::Duration => "a `duration`".to_owned(),
    }
}

fn attribute(action: &Action, path: &[SmolStr]) -> Result<Type, String> {
    let mut fields = &*action.shape.attributes;
    let mut walked = String::from("context.request");
    let mut names = path.iter().peekable();
    while let Some(name) = names.next() {
        let missing = || format!("`{walked}` of the action {} has no `{name}`", action.name.name());
        let field = fields.get(name).ok_or_else(missing)?;
        walked = format!("{walked}.{name}");
        match (&field.ty, names.peek()) {
            (ty, None) => return Ok(ty.clone()),
            (Type::Record(nested), Some(_)) => fields = nested,
            (_, Some(_)) => return Err(format!("`{walked}` is no record")),
        }
    }
    Err("an attribute has a name".to_owned())
}
