//! What policies count and remember, with the types that the schema gives it.

use cedar_policy_core::ast::{
    ActionConstraint, EntityReference, Policy as CorePolicy, PrincipalOrResourceConstraint as Constraint,
};
use smol_str::{SmolStr, ToSmolStr as _};

use super::{CounterKind, MemoryLayout, Rule, Source};
use crate::compiled::Uid;
use crate::convert;
use crate::diagnostics::File;
use crate::policy_set::ParsedPolicy;
use crate::problem::Problem;
use crate::schema::{Action, CompiledSchema};
use crate::shape::Type;

/// Collects what the policies count and remember.
///
/// # Errors
/// With every counter and set whose type cannot be told, or is not the same everywhere.
pub(crate) fn declare<'a>(
    policies: impl Iterator<Item = (File<'a>, &'a ParsedPolicy)>,
    schema: &CompiledSchema,
) -> Result<MemoryLayout, Vec<Problem>> {
    let mut layout = MemoryLayout::default();
    let mut literals = Vec::new();
    let mut problems = Vec::new();
    for (file, policy) in policies {
        for rule in &policy.annotations.rules {
            let (name, declared) = match rule {
                // A number that is written out fits both kinds, and decides only where nothing else does.
                Rule::Count(level, counter, Source::Whole(_)) => {
                    literals.push((*level, counter));
                    continue;
                }
                Rule::Count(level, counter, source) => {
                    let kind = type_of(&policy.core, source, schema).and_then(|ty| match ty {
                        Some(Type::Long) => Ok(Some(CounterKind::Whole)),
                        Some(Type::Decimal) => Ok(Some(CounterKind::Decimal)),
                        None => Ok(None),
                        Some(_) => Err("an amount must be a `Long` or a `decimal`".to_owned()),
                    });
                    let declared = kind.and_then(|kind| {
                        let Some(kind) = kind else { return Ok(()) };
                        layout.add_counter(*level, counter, kind).map_err(|_| {
                            format!("`{counter}` counts whole numbers in one place and decimals in another")
                        })
                    });
                    ("count", declared)
                }
                Rule::Remember(level, set, source) => {
                    let declared = type_of(&policy.core, source, schema).and_then(|ty| {
                        let Some(ty) = ty else { return Ok(()) };
                        if !matches!(ty, Type::Entity(_) | Type::String | Type::Long | Type::Ip) {
                            return Err("entities, strings, numbers and addresses can be remembered".to_owned());
                        }
                        layout
                            .add_set(*level, set, ty)
                            .map_err(|_| format!("`{set}` has members of another type elsewhere"))
                    });
                    ("remember", declared)
                }
                Rule::Label(..) | Rule::Risk(_) | Rule::Revoke(_) | Rule::Alert(..) => continue,
            };
            if let Err(message) = declared {
                let annotation = policy.core.annotations().find(|(key, _)| AsRef::<str>::as_ref(*key) == name);
                let loc = annotation.and_then(|(_, annotation)| annotation.loc.as_ref()).or(policy.core.loc());
                problems.push(file.problem_at(loc, "annotation_type", message));
            }
        }
    }
    for (level, counter) in literals {
        // A kind that it has already suits.
        let _ = layout.add_counter(level, counter, CounterKind::Whole);
    }
    if problems.is_empty() { Ok(layout) } else { Err(problems) }
}

/// The one type that a source has wherever the policy applies; `None` when it applies nowhere, which is reported elsewhere.
fn type_of(policy: &CorePolicy, source: &Source, schema: &CompiledSchema) -> Result<Option<Type>, String> {
    let mut found: Option<Type> = None;
    for action in schema.actions().filter(|action| covers(&policy.action_constraint().clone(), action)) {
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

fn covers(constraint: &ActionConstraint, action: &Action) -> bool {
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => **uid == action.uid,
        ActionConstraint::In(groups) => groups
            .iter()
            .any(|group| **group == action.uid || action.groups.contains(&Uid::new(convert::entity_ref(group)))),
        #[allow(unreachable_patterns, reason = "Cedar has another constraint with a feature that others may turn on")]
        _ => false,
    }
}

/// Those of the types that a constraint lets through. Which types can be in a group is not asked.
fn kinds(constraint: &Constraint, declared: &[SmolStr]) -> Vec<SmolStr> {
    let only = match constraint {
        Constraint::Is(kind) | Constraint::IsIn(kind, _) => Some(kind.to_smolstr()),
        Constraint::Eq(EntityReference::EUID(uid)) => Some(uid.entity_type().to_smolstr()),
        Constraint::Any | Constraint::Eq(EntityReference::Slot(_)) | Constraint::In(_) => None,
    };
    declared.iter().filter(|kind| only.as_ref().is_none_or(|only| only == *kind)).cloned().collect()
}

fn attribute(action: &Action, path: &[SmolStr]) -> Result<Type, String> {
    let mut fields = &action.shape.attributes;
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
