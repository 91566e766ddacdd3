//! Bundles, compiled: what one replica decides with.

use std::sync::Arc;

use cedar_policy_core::ast::Entity as CoreEntity;
use sha2::{Digest as _, Sha256};

use crate::convert;
use crate::diagnostics::{File, PROBLEMS_MAX};
use crate::entities::{Entity, EntityError, EntityStore};
use crate::entity_text;
use crate::manifest::{self, Manifest};
use crate::mapping::Mapping;
use crate::policy_set::{ParsedPolicy, PolicySet};
use crate::policy_text::PolicyFiles;
use crate::problem::Problem;
use crate::request::Request;
use crate::schema::{self, CompiledSchema};
use crate::shape::{Shapes, check_fields};
use crate::source::BundleSource;
use crate::value::{Attributes, EntityRef, Value};

/// The path of the mapping.
const MAPPING_PATH: &str = "mapping.toml";

/// A valid bundle, ready to decide. Immutable.
#[derive(Debug)]
pub struct Bundle {
    manifest: Manifest,
    schema: Arc<CompiledSchema>,
    schema_digest: [u8; 32],
    policies: PolicySet,
    entities: Vec<CoreEntity>,
    mapping: Mapping,
}

/// A request that the schema does not allow.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct RequestError {
    /// The field at fault, such as `action`, `resource` or `attributes.amount`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Bundle {
    /// Validates a bundle strictly and compiles it.
    ///
    /// # Errors
    /// With every problem of every file, in the order of files and places. When the schema has problems, whatever is checked
    /// against it is only parsed.
    pub fn compile(source: &BundleSource) -> Result<Self, Vec<Problem>> {
        Self::compile_with(source, compile_schema(source).map(Arc::new), Vec::new())
    }

    /// As [`compile`](Self::compile), with its schema already compiled, and with policies that no bundle's text can have: links of templates.
    pub(crate) fn compile_with(
        source: &BundleSource,
        schema: Result<Arc<CompiledSchema>, Vec<Problem>>,
        links: Vec<ParsedPolicy>,
    ) -> Result<Self, Vec<Problem>> {
        source.check_limits()?;
        let mut problems = Problems::default();
        let manifest = problems.keep(Manifest::parse(file(source, manifest::PATH).unwrap_or_default()));
        let schema = problems.keep_all(schema);
        let policies = compile_policies(source, links, schema.as_deref(), &mut problems);
        let entities = match file(source, entity_text::PATH) {
            Some(text) => problems.keep_all(entity_text::parse(text, schema.as_deref())),
            None => Some(Vec::new()),
        };
        let mapping = match file(source, MAPPING_PATH) {
            Some(text) => problems.keep_all(compile_mapping(text, schema.as_deref())),
            None => Some(Mapping::default()),
        };
        match (problems.0.is_empty(), manifest, schema, entities, mapping) {
            (true, Some(manifest), Some(schema), Some(entities), Some(mapping)) => {
                let schema_digest = Sha256::digest(file(source, schema::PATH).unwrap_or_default()).into();
                Ok(Self { manifest, schema, schema_digest, policies, entities, mapping })
            }
            _ => Err(problems.in_order()),
        }
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of its schema's text: equal for bundles that differ in other things.
    pub(crate) fn schema_digest(&self) -> [u8; 32] {
        self.schema_digest
    }

    /// How many policies it has.
    pub fn policy_count(&self) -> usize {
        self.policies.len()
    }

    /// The ids of its policies, in order.
    pub fn policy_ids(&self) -> impl Iterator<Item = &str> {
        self.policies.ids()
    }

    /// What its schema says of every action that applies to anything.
    pub fn shapes(&self) -> &Shapes {
        self.schema.shapes()
    }

    /// How requests become actions.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Checks a direct caller's action against the schema, and completes its name: `read` becomes `Action::"read"`.
    ///
    /// # Errors
    /// When the action is not declared, does not apply to the resource's type, or an attribute is missing, unknown, or of another type.
    pub fn request(&self, action: &str, resource: EntityRef, attributes: Attributes) -> Result<Request, RequestError> {
        let refuse = |field: &str, message: String| RequestError { field: field.to_owned(), message };
        let action = EntityRef::action(action);
        let shape = self
            .shapes()
            .get(&action)
            .ok_or_else(|| refuse("action", format!("the schema does not declare `{action}`")))?;
        if !shape.resources.contains(&resource.kind) {
            let types = shape.resources.join("`, `");
            let message = format!("`{action}` applies to `{types}`, not to `{}`", resource.kind);
            return Err(refuse("resource", message));
        }
        check_fields(&shape.attributes, &attributes, "attributes")
            .map_err(|error| refuse(&error.path, error.message))?;
        for (name, value) in &attributes {
            check_text(value, &format!("attributes.{name}"))?;
        }
        Ok(Request { action, resource, attributes })
    }

    /// The bundle's own entities with `stored` before them.
    ///
    /// # Errors
    /// With every entity that the schema does not allow.
    pub fn entities<'a>(&self, stored: impl IntoIterator<Item = &'a Entity>) -> Result<EntityStore, Vec<EntityError>> {
        EntityStore::new(&self.schema, &self.entities, stored)
    }

    pub(crate) fn schema(&self) -> &CompiledSchema {
        &self.schema
    }

    pub(crate) fn policies(&self) -> &PolicySet {
        &self.policies
    }
}

/// Checks the text of extension values, which their type alone does not.
fn check_text(value: &Value, path: &str) -> Result<(), RequestError> {
    match value {
        Value::Bool(_) | Value::Long(_) | Value::String(_) | Value::Entity(_) => Ok(()),
        Value::Set(values) => values.iter().try_for_each(|value| check_text(value, &format!("{path}[]"))),
        Value::Record(fields) => {
            fields.iter().try_for_each(|(name, value)| check_text(value, &format!("{path}.{name}")))
        }
        Value::Ip(_) | Value::Decimal(_) | Value::Datetime(_) | Value::Duration(_) => convert::value(value)
            .map(drop)
            .map_err(|error| RequestError { field: path.to_owned(), message: error.to_string() }),
    }
}

/// Every problem so far.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        self.keep_all(result.map_err(|problem| vec![problem]))
    }

    fn keep_all<T>(&mut self, result: Result<T, Vec<Problem>>) -> Option<T> {
        result.map_err(|problems| self.0.extend(problems)).ok()
    }

    fn in_order(mut self) -> Vec<Problem> {
        self.0.sort();
        self.0.dedup();
        if self.0.len() > PROBLEMS_MAX {
            self.0.truncate(PROBLEMS_MAX);
            let message = format!("there are more problems; these are the first {PROBLEMS_MAX}");
            self.0.push(Problem::of_file(manifest::PATH, "too_many_problems", message));
        }
        self.0
    }
}

fn file<'a>(source: &'a BundleSource, path: &str) -> Option<&'a str> {
    source.files.get(path).map(String::as_str)
}

fn compile_schema(source: &BundleSource) -> Result<CompiledSchema, Vec<Problem>> {
    match file(source, schema::PATH) {
        Some(text) => CompiledSchema::compile(text),
        None => Err(vec![Problem::of_file(schema::PATH, "schema_missing", "the bundle has no schema")]),
    }
}

fn compile_policies(
    source: &BundleSource,
    links: Vec<ParsedPolicy>,
    schema: Option<&CompiledSchema>,
    problems: &mut Problems,
) -> PolicySet {
    let mut files = PolicyFiles::default();
    for (path, text) in source.files.iter().filter(|(path, _)| path.starts_with("policies/")) {
        files.add(File { path, text });
    }
    for policy in links {
        files.add_link(policy);
    }
    if let Some(schema) = schema {
        files.check_types(schema.validator());
    }
    let (policies, mut found) = files.into_parts();
    if policies.is_empty() && found.is_empty() {
        let problem = Problem::of_file("policies/", "policies_missing", "the bundle has no policies");
        found.push(problem.with_help("put at least one into a file such as policies/main.cedar"));
    }
    problems.0.extend(found);
    PolicySet::new(policies)
}

fn compile_mapping(text: &str, schema: Option<&CompiledSchema>) -> Result<Mapping, Vec<Problem>> {
    let Some(schema) = schema else {
        // Every action is unknown then, so that only what does not hang on the schema can be judged. What comes of the mapping does not
        // matter: a bundle whose schema is broken is refused.
        return match Mapping::check_syntax(text) {
            problems if problems.is_empty() => Ok(Mapping::default()),
            problems => Err(problems),
        };
    };
    Mapping::parse(text, schema.shapes())
}

#[cfg(test)]
mod tests;
