//! The actions of a schema, with what a decision asks of them ready at hand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::validator::types::Type as CedarType;
use cedar_policy_core::validator::{ValidatorActionId, ValidatorSchema};

use super::{PATH, SUPPLIED_ACTION, find_after, shapes};
use crate::compiled::{Symbol, Symbols, Uid, UidSet};
use crate::convert;
use crate::diagnostics::File;
use crate::problem::Problem;
use crate::shape::ActionShape;
use crate::value::EntityRef;

/// Up to how many attributes are searched from first to last.
const LINEAR_MAX: usize = 8;

/// An action that applies to something.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    /// Its identity.
    pub(crate) name: Uid,
    /// Its identity in Cedar's own form.
    pub(crate) uid: EntityUID,
    /// The groups that it is in, near and far.
    pub(crate) groups: Arc<UidSet>,
    /// What the schema says of it.
    pub(crate) shape: Arc<ActionShape>,
    /// The names of the shape's attributes, in its order, which is theirs as well.
    pub(crate) attributes: Arc<[Symbol]>,
    /// Whether its context declares `session`.
    pub(crate) reads_session: bool,
    /// Whether its context declares `tree`.
    pub(crate) reads_tree: bool,
    /// Whether its context declares `principal`.
    pub(crate) reads_principal: bool,
}

impl Action {
    /// The place of an attribute in the shape.
    pub(crate) fn place(&self, attribute: Symbol) -> Option<usize> {
        if self.attributes.len() <= LINEAR_MAX {
            return self.attributes.iter().position(|own| *own == attribute);
        }
        self.attributes.binary_search(&attribute).ok()
    }

    /// An action that is like it in everything but its name.
    fn named(&self, uid: &EntityUID) -> Self {
        Self { name: Uid::new(convert::entity_ref(uid)), uid: uid.clone(), ..self.clone() }
    }
}

/// The actions that apply to anything, in the order of their names, so that equal schemas number them alike. `unnamed` are those that are
/// not in the schema, each with the one that stands for it there.
///
/// # Errors
/// With every action whose context is not as it must be.
pub(super) fn all(
    file: File<'_>,
    schema: &ValidatorSchema,
    symbols: &Symbols,
    unnamed: &BTreeMap<EntityUID, EntityUID>,
) -> Result<Vec<Action>, Vec<Problem>> {
    let supplied = SuppliedTypes::of(schema);
    let ancestors = ancestors_by_action(schema);
    let mut by_model: HashMap<&EntityUID, Vec<&EntityUID>> = HashMap::new();
    for (uid, model) in unnamed {
        by_model.entry(model).or_default().push(uid);
    }
    let mut found = BTreeMap::new();
    let mut problems = Vec::new();
    for id in schema.action_ids() {
        let groups = ancestors.get(id.name()).map_or(&[][..], Vec::as_slice);
        match one(id, groups, &supplied, symbols) {
            Ok(Some(action)) => {
                for uid in by_model.get(id.name()).into_iter().flatten() {
                    found.insert((*uid).clone(), action.named(uid));
                }
                found.insert(id.name().clone(), action);
            }
            Ok(None) => {}
            Err(message) => problems.push(action_problem(file, &convert::entity_ref(id.name()), &message)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let numbered = found.into_values().zip(0..).map(|(action, number)| {
        let shape = Arc::new(ActionShape { number, ..action.shape.as_ref().clone() });
        Action { shape, ..action }
    });
    Ok(numbered.collect())
}

/// An action, without its number; `None` where it applies to nothing.
fn one(
    id: &ValidatorActionId,
    groups: &[EntityUID],
    supplied: &SuppliedTypes<'_>,
    symbols: &Symbols,
) -> Result<Option<Action>, String> {
    let (Some(context), Some(_), Some(_)) =
        (id.context_type(), id.applies_to_principals().next(), id.applies_to_resources().next())
    else {
        return Ok(None);
    };
    let shape = shapes::action(id, shapes::fields(supplied.check_context(context)?)?);
    Ok(Some(Action {
        name: Uid::new(convert::entity_ref(id.name())),
        uid: id.name().clone(),
        groups: Arc::new(groups.iter().map(|group| Arc::new(Uid::new(convert::entity_ref(group)))).collect()),
        attributes: shape.attributes.keys().filter_map(|name| symbols.find(name)).collect(),
        shape: Arc::new(shape),
        reads_session: field(context, "session").is_some(),
        reads_tree: field(context, "tree").is_some(),
        reads_principal: field(context, "principal").is_some(),
    }))
}

fn ancestors_by_action(schema: &ValidatorSchema) -> HashMap<&EntityUID, Vec<EntityUID>> {
    let mut ancestors: HashMap<&EntityUID, Vec<EntityUID>> = HashMap::new();
    for group in schema.action_ids() {
        for member in group.descendants() {
            ancestors.entry(member).or_default().push(group.name().clone());
        }
    }
    ancestors
}

/// The type of a field of a record.
pub(super) fn field<'a>(record: &'a CedarType, name: &str) -> Option<&'a CedarType> {
    match record {
        CedarType::Record { attrs, .. } => attrs.get_attr(name).map(|attribute| attribute.attr_type.as_ref()),
        _ => None,
    }
}

/// The supplied types of the context's parts, as the schema resolved them.
struct SuppliedTypes<'a> {
    session: Option<&'a CedarType>,
    tree: Option<&'a CedarType>,
    principal: Option<&'a CedarType>,
}

impl<'a> SuppliedTypes<'a> {
    fn of(schema: &'a ValidatorSchema) -> Self {
        let http = schema.action_ids().find(|id| {
            let name = convert::entity_ref(id.name());
            name.kind == SUPPLIED_ACTION && name.id == "http"
        });
        let context = http.and_then(|id| id.context_type());
        let of = |name| context.and_then(|context| field(context, name));
        Self { session: of("session"), tree: of("tree"), principal: of("principal") }
    }

    /// The type of `context.request`, when the context is as it must be.
    fn check_context<'t>(&self, context: &'t CedarType) -> Result<&'t CedarType, String> {
        let CedarType::Record { attrs, .. } = context else {
            return Err("its context must be a record".into());
        };
        for (name, attribute) in attrs.iter() {
            let ty = Some(attribute.attr_type.as_ref());
            match name.as_str() {
                "request" if matches!(ty, Some(CedarType::Record { .. })) && attribute.is_required() => {}
                "request" => return Err("`request` in its context must be a required record".into()),
                "session" if ty == self.session => {}
                "session" => return Err("`session` in its context must be `Chaperone::Session`".into()),
                "tree" if ty == self.tree => {}
                "tree" => return Err("`tree` in its context must be `Chaperone::Tree`".into()),
                "principal" if ty == self.principal => {}
                "principal" => return Err("`principal` in its context must be `Chaperone::Principal`".into()),
                _ => return Err(format!("its context must not have `{name}`: attributes belong into `request`")),
            }
        }
        field(context, "request").ok_or_else(|| "its context must have `request`, a record, which may be empty".into())
    }
}

fn action_problem(file: File<'_>, action: &EntityRef, message: &str) -> Problem {
    let message = format!("action `{}`: {message}", action.id);
    let problem = match find_after(file.text, "action", &action.id) {
        Some(offset) => file.problem(offset, action.id.len(), "action_context", message),
        None => Problem::of_file(PATH, "action_context", message),
    };
    problem.with_help("context: { session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal, request: { … } }")
}
