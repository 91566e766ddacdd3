//! The schema that a bundle is validated against: its own, combined with the one that Chaperone supplies.

mod action;
mod names;
mod shapes;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{Schema, SchemaError, SchemaFragment};
use cedar_policy_core::ast::{Entity as CoreEntity, EntityType, EntityUID};
use cedar_policy_core::entities::Schema as _;
use cedar_policy_core::validator::{CoreSchema, Validator, ValidatorSchema};
use smol_str::{SmolStr, ToSmolStr as _};

pub(crate) use self::action::Action;
use crate::compiled::Symbols;
use crate::convert;
use crate::decoders::Decoders;
use crate::diagnostics::File;
use crate::effects::{Level, MemoryLayout};
use crate::nesting::{self, Language};
use crate::problem::Problem;
use crate::shape::{ActionShape, Shapes};
use crate::value::EntityRef;

/// The path of a bundle's schema.
pub(crate) const PATH: &str = "schema.cedarschema";
/// The namespace of what Chaperone supplies.
pub(crate) const NAMESPACE: &str = "Chaperone";

const SUPPLIED: &str = include_str!("supplied.cedarschema");
const PRINCIPALS: &str = "$PRINCIPALS$";
const WORKLOAD: &str = "Chaperone::Workload";
/// The type of the actions that Chaperone supplies.
pub(crate) const SUPPLIED_ACTION: &str = "Chaperone::Action";

/// A valid schema, with what a decision asks of it ready at hand.
#[derive(Debug)]
pub(crate) struct CompiledSchema {
    parts: Parts,
    validator: Arc<Validator>,
    /// By the number of their shape.
    actions: Vec<Action>,
    types: HashMap<SmolStr, EntityType>,
    shapes: Shapes,
    symbols: Arc<Symbols>,
    /// The actions that Cedar is not shown, each with the one that stands for it.
    unnamed: BTreeMap<EntityUID, EntityUID>,
}

/// What a schema is made of.
#[derive(Clone, Debug)]
struct Parts {
    /// The bundle's own schema.
    own: SchemaFragment,
    /// The types that can act, separated by commas.
    principals: String,
    decoders: Decoders,
    memory: Arc<MemoryLayout>,
}

impl CompiledSchema {
    /// Reads a bundle's schema, combines it with the supplied one and checks both. `memory` is what its policies count and remember, and
    /// `decoders` are those that its mapping names.
    ///
    /// # Errors
    /// With every problem that was found before the first one that hides the others.
    pub(crate) fn compile(text: &str, decoders: Decoders, memory: MemoryLayout) -> Result<Self, Vec<Problem>> {
        let file = File { path: PATH, text };
        let own = parse(file)?;
        refuse_own_namespace(file, &own)?;
        let mut parts = Parts { own, principals: WORKLOAD.to_owned(), decoders, memory: Arc::new(memory) };
        // Which types can be principals is known only once the bundle's own part has been resolved, hence two passes.
        let draft = parts.combine(file)?;
        let principals: BTreeSet<String> =
            draft.principals().map(ToString::to_string).filter(|kind| kind != WORKLOAD).collect();
        for principal in principals {
            parts.principals.push_str(", ");
            parts.principals.push_str(&principal);
        }
        Self::from_parts(file, parts)
    }

    /// The same schema, of a bundle whose policies count and remember this.
    ///
    /// # Errors
    /// As [`compile`](Self::compile), with its text.
    pub(crate) fn with_memory(&self, text: &str, memory: MemoryLayout) -> Result<Self, Vec<Problem>> {
        let parts = Parts { memory: Arc::new(memory), ..self.parts.clone() };
        Self::from_parts(File { path: PATH, text }, parts)
    }

    fn from_parts(file: File<'_>, parts: Parts) -> Result<Self, Vec<Problem>> {
        let schema = parts.combine(file)?;
        if !schema.is_complete() {
            let message = "the schema must define everything itself: `external` declarations are not supported";
            return Err(vec![Problem::of_file(PATH, "schema_type", message)]);
        }
        let schema: ValidatorSchema = schema.as_ref().clone();
        let mut symbols = Symbols::new(names::of_values(&schema));
        // Last: what policies remember must not number the names of requests and entities anew.
        for name in names::of_contexts(&schema) {
            symbols.add(name);
        }
        let unnamed: BTreeMap<_, _> = (parts.decoders.unnamed())
            .filter_map(|(action, model)| Some((supplied_action(&action)?, supplied_action(&model)?)))
            .collect();
        let actions = action::all(file, &schema, &symbols, &unnamed)?;
        let shapes = actions.iter().map(|action| (action.name.name().clone(), Arc::clone(&action.shape))).collect();
        let types = schema.entity_type_names().map(|kind| (kind.to_smolstr(), kind.clone())).collect();
        let validator = Arc::new(Validator::new(schema));
        Ok(Self { parts, validator, actions, types, shapes, symbols: Arc::new(symbols), unnamed })
    }

    /// Cedar's validator against this schema.
    pub(crate) fn validator(&self) -> &Validator {
        &self.validator
    }

    /// The numbers of its attributes' names.
    pub(crate) fn symbols(&self) -> &Arc<Symbols> {
        &self.symbols
    }

    /// The action of a shape that this schema made, or one like it.
    pub(crate) fn action(&self, shape: &Arc<ActionShape>) -> Option<&Action> {
        let action = self.actions.get(shape.number as usize)?;
        (Arc::ptr_eq(&action.shape, shape) || action.shape == *shape).then_some(action)
    }

    /// Cedar's validator against this schema, for a text that is no part of the bundle and may name other actions.
    ///
    /// # Errors
    /// When the schema cannot be put together again, though it could before.
    pub(crate) fn validator_for(&self, text: &str) -> Result<Arc<Validator>, Vec<Problem>> {
        let mut decoders = self.parts.decoders.clone();
        if !decoders.note_names(text) {
            return Ok(Arc::clone(&self.validator));
        }
        let parts = Parts { decoders, ..self.parts.clone() };
        let schema = parts.combine(File { path: PATH, text: "" })?;
        Ok(Arc::new(Validator::new(schema.as_ref().clone())))
    }

    /// An action or a group of actions in Cedar's own form, with the groups that it is in.
    pub(crate) fn action_entity(&self, uid: &EntityUID) -> Option<Arc<CoreEntity>> {
        let schema = CoreSchema::new(self.validator.schema());
        let Some(model) = self.unnamed.get(uid) else { return schema.action(uid) };
        let groups = schema.action(model)?.ancestors().cloned().collect();
        let (no_values, no_parents) = (std::iter::empty, HashSet::new());
        let action = CoreEntity::new_with_attr_partial_value(uid.clone(), no_values(), groups, no_parents, no_values());
        Some(Arc::new(action))
    }

    /// Every action and group of actions in Cedar's own form.
    pub(crate) fn action_entities(&self) -> impl Iterator<Item = Arc<CoreEntity>> {
        let shown = CoreSchema::new(self.validator.schema()).action_entities();
        shown.into_iter().chain(self.unnamed.keys().filter_map(|uid| self.action_entity(uid)))
    }

    /// Every action that applies to anything.
    pub(crate) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter()
    }

    /// Whether a type of entity is declared.
    pub(crate) fn declares(&self, kind: &SmolStr) -> bool {
        self.types.contains_key(kind)
    }

    /// The identity of an action or a group of actions of this name.
    pub(crate) fn action_or_group(&self, name: &EntityRef) -> Option<EntityUID> {
        let uid = convert::uid(name).ok()?;
        let is_declared = self.validator.schema().get_action_id(&uid).is_some() || self.unnamed.contains_key(&uid);
        is_declared.then_some(uid)
    }

    /// The decoders whose actions it has.
    pub(crate) fn decoders(&self) -> &Decoders {
        &self.parts.decoders
    }

    /// An entity's identity, when its type is declared.
    pub(crate) fn uid(&self, entity: &EntityRef) -> Option<EntityUID> {
        self.types.get(&entity.kind).map(|kind| convert::uid_of(kind.clone(), &entity.id))
    }

    /// What its policies count and remember.
    pub(crate) fn memory(&self) -> &Arc<MemoryLayout> {
        &self.parts.memory
    }

    /// What it says of every action, as plain data.
    pub(crate) fn shapes(&self) -> &Shapes {
        &self.shapes
    }
}

pub(crate) fn parse(file: File<'_>) -> Result<SchemaFragment, Vec<Problem>> {
    nesting::check(file.text, Language::Schema)
        .map_err(|error| vec![file.problem(error.offset(), 1, "schema_syntax", error.to_string())])?;
    match SchemaFragment::from_cedarschema_str(file.text) {
        Ok((fragment, _warnings)) => Ok(fragment),
        Err(error) => Err(file.problems_of(&error, "schema_syntax")),
    }
}

fn refuse_own_namespace(file: File<'_>, own: &SchemaFragment) -> Result<(), Vec<Problem>> {
    let taken = own.namespaces().flatten().map(|namespace| namespace.to_string()).find(|namespace| {
        namespace == NAMESPACE || namespace.strip_prefix(NAMESPACE).is_some_and(|rest| rest.starts_with("::"))
    });
    let Some(namespace) = taken else { return Ok(()) };
    let message = format!("the namespace `{namespace}` is reserved");
    let place = find_after(file.text, "namespace", NAMESPACE);
    let problem = match place {
        Some(offset) => file.problem(offset, namespace.len(), "schema_namespace", message),
        None => Problem::of_file(PATH, "schema_namespace", message),
    };
    Err(vec![
        problem.with_help("Chaperone supplies the namespace `Chaperone`; its names can be used without declaring it"),
    ])
}

impl Parts {
    fn combine(&self, file: File<'_>) -> Result<Schema, Vec<Problem>> {
        let decoders = self.decoders.schema(&self.principals);
        let mut supplied = SUPPLIED.replace(PRINCIPALS, &self.principals).replace("$DECODERS$", &decoders);
        for level in Level::ALL {
            let name = level.as_str().to_uppercase();
            supplied = supplied
                .replace(&format!("${name}_COUNTS$"), &self.memory.counts_type(level))
                .replace(&format!("${name}_SETS$"), &self.memory.sets_type(level));
        }
        let supplied = SchemaFragment::from_cedarschema_str(&supplied)
            .map(|(fragment, _warnings)| fragment)
            .map_err(|error| file.problems_of(&error, "schema_type"))?;
        Schema::from_schema_fragments([self.own.clone(), supplied]).map_err(|error| match &error {
            SchemaError::TypeShadowing(_) | SchemaError::ActionShadowing(_) => {
                vec![shadowing(file, &error.to_string())]
            }
            _ => file.problems_of(&error, "schema_type"),
        })
    }
}

/// An action of the namespace that Chaperone supplies, in Cedar's own form.
fn supplied_action(id: &str) -> Option<EntityUID> {
    convert::uid(&EntityRef::new(SUPPLIED_ACTION, id)).ok()
}

/// A declaration outside of every namespace has a name that some namespace declares too. Cedar points at the latter, which is
/// often the supplied one.
fn shadowing(file: File<'_>, message: &str) -> Problem {
    let name = message.rsplit('`').nth(1).map(|name| name.trim_start_matches("Action::").trim_matches('"'));
    let offset = name.and_then(|name| {
        ["entity", "type", "action"].into_iter().find_map(|keyword| find_after(file.text, keyword, name))
    });
    let problem = match (offset, name) {
        (Some(offset), Some(name)) => file.problem(offset, name.len(), "schema_type", message),
        _ => Problem::of_file(PATH, "schema_type", message),
    };
    problem.with_help(
        "names outside of namespaces must differ from those of every namespace; put this into a namespace of your own",
    )
}

/// Where `name` stands as a whole word in a declaration that begins with `keyword`; good enough for a message's place.
pub(crate) fn find_after(text: &str, keyword: &str, name: &str) -> Option<usize> {
    whole_words(text, keyword).find_map(|start| {
        let rest = text.get(start..)?;
        let end = rest.find(['{', ';']).unwrap_or(rest.len());
        whole_words(rest.get(..end)?, name).next().map(|offset| start + offset)
    })
}

fn whole_words<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).map(|(offset, _)| offset).filter(move |offset| {
        let before = text.get(..*offset).and_then(|before| before.chars().next_back());
        let after = text.get(offset + word.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(in_word) && !after.is_some_and(in_word)
    })
}

#[cfg(test)]
mod tests;
