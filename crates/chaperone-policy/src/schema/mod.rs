//! The schema that a bundle is validated against: its own, combined with the one that Chaperone supplies.

mod names;
mod shapes;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{Schema, SchemaError, SchemaFragment};
use cedar_policy_core::ast::{Entity as CoreEntity, EntityType, EntityUID};
use cedar_policy_core::entities::Schema as _;
use cedar_policy_core::validator::types::Type as CedarType;
use cedar_policy_core::validator::{CoreSchema, Validator, ValidatorActionId, ValidatorSchema};
use smol_str::{SmolStr, ToSmolStr as _};

use crate::compiled::{Symbol, Symbols, Uid, UidSet};
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

/// Up to how many attributes are searched from first to last.
const LINEAR_MAX: usize = 8;

/// A valid schema, with what a decision asks of it ready at hand.
#[derive(Debug)]
pub(crate) struct CompiledSchema {
    validator: Validator,
    /// By the number of their shape.
    actions: Vec<Action>,
    types: HashMap<SmolStr, EntityType>,
    shapes: Shapes,
    symbols: Arc<Symbols>,
    memory: Arc<MemoryLayout>,
}

/// An action that applies to something.
#[derive(Debug)]
pub(crate) struct Action {
    /// Its identity.
    pub(crate) name: Uid,
    /// Its identity in Cedar's own form.
    pub(crate) uid: EntityUID,
    /// The groups that it is in, near and far.
    pub(crate) groups: UidSet,
    /// What the schema says of it.
    pub(crate) shape: Arc<ActionShape>,
    /// The names of the shape's attributes, in its order, which is theirs as well.
    pub(crate) attributes: Box<[Symbol]>,
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
}

impl CompiledSchema {
    /// Reads a bundle's schema, combines it with the supplied one and checks both. `memory` is what its policies count and remember, and
    /// `decoders` are those that its mapping names.
    ///
    /// # Errors
    /// With every problem that was found before the first one that hides the others.
    pub(crate) fn compile(text: &str, decoders: &Decoders, memory: MemoryLayout) -> Result<Self, Vec<Problem>> {
        let file = File { path: PATH, text };
        let own = parse(file)?;
        refuse_own_namespace(file, &own)?;
        // Which types can be principals is known only once the bundle's own part has been resolved, hence two passes.
        let draft = combine(file, own.clone(), std::iter::empty(), decoders, &memory)?;
        let principals: BTreeSet<String> =
            draft.principals().map(ToString::to_string).filter(|kind| kind != WORKLOAD).collect();
        let schema = combine(file, own, principals.iter(), decoders, &memory)?;
        if !schema.is_complete() {
            let message = "the schema must define everything itself: `external` declarations are not supported";
            return Err(vec![Problem::of_file(PATH, "schema_type", message)]);
        }
        Self::from_schema(file, schema.as_ref().clone(), memory)
    }

    fn from_schema(file: File<'_>, schema: ValidatorSchema, memory: MemoryLayout) -> Result<Self, Vec<Problem>> {
        let mut symbols = Symbols::new(names::of_values(&schema));
        // Last: what policies remember must not number the names of requests and entities anew.
        for name in names::of_contexts(&schema) {
            symbols.add(name);
        }
        let symbols = Arc::new(symbols);
        let supplied = SuppliedTypes::of(&schema);
        let ancestors = ancestors_by_action(&schema);
        let mut actions = Vec::new();
        let mut shapes = Shapes::new();
        let mut problems = Vec::new();
        // In order, so that equal schemas number their actions alike.
        let mut ids: Vec<_> = schema.action_ids().collect();
        ids.sort_unstable_by_key(|id| id.name());
        for id in ids {
            let (Some(context), Some(_), Some(_)) =
                (id.context_type(), id.applies_to_principals().next(), id.applies_to_resources().next())
            else {
                continue;
            };
            let name = convert::entity_ref(id.name());
            let request = match supplied.check_context(context) {
                Ok(request) => request,
                Err(message) => {
                    problems.push(action_problem(file, &name, &message));
                    continue;
                }
            };
            let shape = match shapes::fields(request) {
                Ok(attributes) => {
                    // A schema has far fewer actions.
                    let number = u32::try_from(actions.len()).unwrap_or(u32::MAX);
                    Arc::new(shapes::action(number, id, attributes))
                }
                Err(message) => {
                    problems.push(action_problem(file, &name, &message));
                    continue;
                }
            };
            shapes.insert(name.clone(), Arc::clone(&shape));
            let groups = ancestors.get(id.name()).into_iter().flatten();
            let action = Action {
                name: Uid::new(name),
                uid: id.name().clone(),
                groups: groups.map(|group| Arc::new(Uid::new(convert::entity_ref(group)))).collect(),
                attributes: shape.attributes.keys().filter_map(|name| symbols.find(name)).collect(),
                shape,
                reads_session: field(context, "session").is_some(),
                reads_tree: field(context, "tree").is_some(),
                reads_principal: field(context, "principal").is_some(),
            };
            actions.push(action);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let types = schema.entity_type_names().map(|kind| (kind.to_smolstr(), kind.clone())).collect();
        let validator = Validator::new(schema);
        Ok(Self { validator, actions, types, shapes, symbols, memory: Arc::new(memory) })
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

    /// An action or a group of actions in Cedar's own form, with the groups that it is in.
    pub(crate) fn action_entity(&self, uid: &EntityUID) -> Option<Arc<CoreEntity>> {
        CoreSchema::new(self.validator.schema()).action(uid)
    }

    /// Every action and group of actions in Cedar's own form.
    pub(crate) fn action_entities(&self) -> impl Iterator<Item = Arc<CoreEntity>> {
        CoreSchema::new(self.validator.schema()).action_entities()
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
    pub(crate) fn action_or_group(&self, name: &EntityRef) -> Option<&EntityUID> {
        let uid = convert::uid(name).ok()?;
        self.validator.schema().get_action_id(&uid).map(ValidatorActionId::name)
    }

    /// An entity's identity, when its type is declared.
    pub(crate) fn uid(&self, entity: &EntityRef) -> Option<EntityUID> {
        self.types.get(&entity.kind).map(|kind| convert::uid_of(kind.clone(), &entity.id))
    }

    /// What its policies count and remember.
    pub(crate) fn memory(&self) -> &Arc<MemoryLayout> {
        &self.memory
    }

    /// What it says of every action, as plain data.
    pub(crate) fn shapes(&self) -> &Shapes {
        &self.shapes
    }
}

fn parse(file: File<'_>) -> Result<SchemaFragment, Vec<Problem>> {
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

fn combine<'a>(
    file: File<'_>,
    own: SchemaFragment,
    principals: impl Iterator<Item = &'a String>,
    decoders: &Decoders,
    memory: &MemoryLayout,
) -> Result<Schema, Vec<Problem>> {
    let principals = std::iter::once(WORKLOAD).chain(principals.map(String::as_str)).collect::<Vec<_>>().join(", ");
    let mut supplied = SUPPLIED.replace(PRINCIPALS, &principals).replace("$DECODERS$", &decoders.schema(&principals));
    for level in Level::ALL {
        let name = level.as_str().to_uppercase();
        supplied = supplied
            .replace(&format!("${name}_COUNTS$"), &memory.counts_type(level))
            .replace(&format!("${name}_SETS$"), &memory.sets_type(level));
    }
    let supplied = SchemaFragment::from_cedarschema_str(&supplied)
        .map(|(fragment, _warnings)| fragment)
        .map_err(|error| file.problems_of(&error, "schema_type"))?;
    Schema::from_schema_fragments([own, supplied]).map_err(|error| match &error {
        SchemaError::TypeShadowing(_) | SchemaError::ActionShadowing(_) => vec![shadowing(file, &error.to_string())],
        _ => file.problems_of(&error, "schema_type"),
    })
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
fn field<'a>(record: &'a CedarType, name: &str) -> Option<&'a CedarType> {
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
            name.kind == "Chaperone::Action" && name.id == "http"
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

/// Where `name` stands as a whole word in a declaration that begins with `keyword`; good enough for a message's place.
fn find_after(text: &str, keyword: &str, name: &str) -> Option<usize> {
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
