//! Bundles, compiled: what one replica decides with.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use crate::compiled::Datum;
use crate::decide::Authority;
use crate::decoders::Decoders;
use crate::descriptors;
use crate::diagnostics::{File, PROBLEMS_MAX};
use crate::effects::{Level, MemoryLayout};
use crate::entities::{Entity, EntityError, EntityStore};
use crate::entity_text;
use crate::manifest::{self, Manifest};
use crate::mapping::{self, Mapping, Needs, Recorded};
use crate::memory::MemoryName;
use crate::policy_set::{ParsedPolicy, PolicySet, UnsupportedPolicy};
use crate::policy_text::PolicyFiles;
use crate::problem::Problem;
use crate::request::Request;
use crate::schema::{self, CompiledSchema};
use crate::scope::ScopeFit;
use crate::shape::{Shapes, Type, ZONE, check_fields};
use crate::source::{self, BundleSource};
use crate::step_up;
use crate::value::{Attributes, EntityRef, Value};

/// The path of the mapping.
pub(crate) const MAPPING_PATH: &str = "mapping.toml";

/// A valid bundle, ready to decide. Immutable.
#[derive(Debug)]
pub struct Bundle {
    manifest: Manifest,
    schema: Arc<CompiledSchema>,
    schema_digest: [u8; 32],
    policies: PolicySet,
    remembers_principals: bool,
    /// What its policies remember in the open: sets of which no value is kept out of records.
    kept_sets: BTreeSet<(Level, MemoryName)>,
    entities: EntityStore,
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
        source.check_limits()?;
        Self::compile_with(source, compile_schema(source).map(Arc::new), Vec::new())
    }

    /// As [`compile`](Self::compile), with its schema compiled already, and with policies that no bundle's text can have: links of
    /// templates.
    pub(crate) fn compile_with(
        source: &BundleSource,
        schema: Result<Arc<CompiledSchema>, Vec<Problem>>,
        links: Vec<ParsedPolicy>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let manifest = problems.keep(Manifest::parse(file(source, manifest::PATH).unwrap_or_default()));
        let schema = problems.keep_all(schema);
        let mut policies = read_policies(source, links);
        let schema = schema.and_then(|schema| problems.keep_all(with_memory(source, schema, &mut policies)));
        let policies = compile_policies(policies, schema.as_deref(), &mut problems);
        if let (Some(manifest), Some(policies)) = (&manifest, &policies) {
            problems.0.extend(unused_step_ups(manifest, policies));
        }
        let entities = match file(source, entity_text::PATH) {
            Some(text) => problems.keep_all(entity_text::parse(text, schema.as_deref())),
            None => Some(schema.as_deref().map(EntityStore::of_schema).unwrap_or_default()),
        };
        let shapes = schema.as_deref().map(CompiledSchema::shapes);
        let descriptors = problems.keep(descriptors::parse(file(source, descriptors::PATH))).flatten();
        let mapping = problems.keep_all(match (file(source, MAPPING_PATH), shapes) {
            (Some(text), Some(shapes)) => Mapping::parse(text, shapes, descriptors.as_ref()).map(Some),
            // Every action is unknown then, so that only what does not hang on the schema can be judged.
            (Some(text), None) => match Mapping::check_syntax(text) {
                found if found.is_empty() => Ok(None),
                found => Err(found),
            },
            (None, shapes) => Ok(shapes.map(Mapping::new)),
        });
        match (problems.0.is_empty(), manifest, schema, policies, entities, mapping.flatten()) {
            (true, Some(manifest), Some(schema), Some(policies), Some(entities), Some(mut mapping)) => {
                mapping.keep_reads(schema.symbols(), |attribute| policies.read(attribute, schema.symbols()));
                let schema_digest = digest(source, &schema);
                let remembers_principals = policies.remembers(Level::Principal);
                let kept_sets = policies.kept_sets(|attribute| {
                    // The one attribute of which more hangs on the action than on the name.
                    let unmatched = EntityRef::new(schema::SUPPLIED_ACTION, "http");
                    mapping.recorded_anywhere(attribute) == Recorded::Kept
                        && mapping.recorded(&unmatched, attribute) == Recorded::Kept
                });
                Ok(Self {
                    manifest,
                    schema,
                    schema_digest,
                    policies,
                    remembers_principals,
                    kept_sets,
                    entities,
                    mapping,
                })
            }
            _ => Err(problems.in_order()),
        }
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of its schema's text and of what its policies count and remember: equal for bundles that differ in other things.
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
    #[expect(clippy::needless_pass_by_value, reason = "callers make the attributes for this and need them no longer")]
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
        check_fields(&shape.attributes, &attributes, &"attributes")
            .map_err(|error| refuse(&error.path, error.message))?;
        if !self.mapping.zones().is_empty() && shape.zone().is_some() && attributes.contains_key(ZONE) {
            // Two sources of one fact would be one too many.
            let message = "is the zone of the presenter's address, and not the caller's to say".to_owned();
            return Err(refuse(&format!("attributes.{ZONE}"), message));
        }
        let mut request = Request::of(action, resource, shape);
        for (name, value) in &attributes {
            let datum = Datum::new(value, self.schema.symbols());
            let datum = datum.map_err(|error| refuse(&format!("attributes.{name}"), error.to_string()))?;
            if let Some(place) = shape.place(name) {
                request.set(place, datum);
            }
        }
        Ok(request)
    }

    /// Puts the zone of the presenter's address into a request that this bundle made, where it declares zones and the action has room for one
    /// (`zone?: String` in its `request`). Where the address is in no zone, the request has none. `address` is not asked for otherwise.
    pub fn place_zone(&self, request: &mut Request, address: impl FnOnce() -> Option<IpAddr>) {
        let zones = self.mapping.zones();
        if zones.is_empty() {
            return;
        }
        let Some(place) = request.shape().and_then(|shape| shape.zone()) else { return };
        match address().and_then(|address| zones.find(address)) {
            Some(zone) => request.set(place, Datum::String(zone.clone())),
            None => request.unset(place),
        }
    }

    /// The attributes that a request has, in the order of their names: for whoever keeps them, in the one spelling that values which
    /// are equal to policies share.
    pub fn attributes<'a>(&'a self, request: &'a Request) -> impl Iterator<Item = (&'a str, Value)> + use<'a> {
        step_up::attributes(request, self.schema.symbols()).map(|(name, value)| (name.as_str(), value))
    }

    /// A request as a decision read it: with these attributes, whether or not the schema asks for more. Those that are `hidden` were there,
    /// with values that nobody knows; whoever decides must see that none of them was looked at.
    ///
    /// # Errors
    /// With the name of an attribute whose value the schema does not allow, or that it does not know.
    pub fn request_as_read(
        &self,
        action: &EntityRef,
        resource: &EntityRef,
        attributes: &[(impl AsRef<str>, Value)],
        hidden: &[impl AsRef<str>],
    ) -> Result<Request, SmolStr> {
        let Some(shape) = self.shapes().get(action) else {
            return Ok(Request::new(action.clone(), resource.clone()));
        };
        let mut request = Request::of(action.clone(), resource.clone(), shape);
        for (name, value) in attributes {
            let name = name.as_ref();
            let field = shape.attributes.get(name).filter(|field| field.ty.check(value, &name).is_ok());
            let datum = Datum::new(value, self.schema.symbols()).ok();
            match (field, shape.place(name), datum) {
                (Some(_), Some(place), Some(datum)) => request.set(place, datum),
                _ => return Err(name.into()),
            }
        }
        for name in hidden.iter().map(AsRef::as_ref) {
            let stand_in = shape.attributes.get(name).map(|field| Datum::stand_in(&field.ty, self.schema.symbols()));
            match (shape.place(name), stand_in) {
                (Some(place), Some(stand_in)) => request.set(place, stand_in),
                _ => return Err(name.into()),
            }
        }
        Ok(request)
    }

    /// Whether records keep what is in a remembered set: no value of it comes from what the mapping hashes or drops, or from a report.
    pub fn keeps_set(&self, level: Level, name: &MemoryName) -> bool {
        self.kept_sets.contains(&(level, name.clone()))
    }

    /// The sets of its policies that hold nothing of these attributes of requests, and nothing that a report tells.
    pub fn sets_without(&self, attributes: &[impl AsRef<str>]) -> BTreeSet<(Level, MemoryName)> {
        self.policies.kept_sets(|name| !attributes.iter().any(|attribute| attribute.as_ref() == name))
    }

    /// Whether records keep every attribute of this action's requests.
    pub fn keeps_attributes(&self, action: &EntityRef) -> bool {
        self.shapes().get(action).is_some_and(|shape| {
            shape.attributes.keys().all(|name| self.mapping.recorded(action, name) == Recorded::Kept)
        })
    }

    /// Whether a policy reads this attribute of requests, or takes something from it.
    pub fn reads(&self, attribute: &str) -> bool {
        self.policies.read(attribute, self.schema.symbols())
    }

    /// Whether its policies change what is remembered of principals.
    pub const fn remembers_principals(&self) -> bool {
        self.remembers_principals
    }

    /// The counters that its policies count in, at a level.
    pub fn counters(&self, level: Level) -> impl Iterator<Item = &MemoryName> {
        self.schema.memory().counters(level).map(|(name, _)| name)
    }

    /// The sets that its policies remember values in, at a level.
    pub fn sets(&self, level: Level) -> impl Iterator<Item = &MemoryName> {
        self.schema.memory().sets(level)
    }

    /// The type of what its policies remember in a set; `None` where they remember nothing in it.
    pub fn set_type(&self, level: Level, name: &str) -> Option<&Type> {
        self.schema.memory().set_type(level, name)
    }

    /// Whether attributes beside those that its policies read must be known to decide on this authority.
    pub fn needs(&self, authority: Authority<'_>) -> Needs {
        let mut sessions = authority.sessions();
        let reads_more = sessions.any(|session| match session.scope.policies(self) {
            ScopeFit::Policies(policies) => !policies.reads().is_empty(),
            ScopeFit::Unrestricted | ScopeFit::Unfit => false,
        });
        if reads_more { Needs::All } else { Needs::Policies }
    }

    /// An entity from Cedar's JSON format, as `entities.json` has them.
    ///
    /// # Errors
    /// With what the schema does not allow.
    pub fn read_entity(&self, json: &str) -> Result<Entity, String> {
        entity_text::parse_one(json, &self.schema)
    }

    /// The bundle's own entities with `stored` before them.
    ///
    /// # Errors
    /// As [`EntityChanges::finish`](crate::EntityChanges::finish).
    pub fn entities<'a>(&self, stored: impl IntoIterator<Item = &'a Entity>) -> Result<EntityStore, Vec<EntityError>> {
        let mut changes = self.entities.change();
        changes.put(self, stored);
        changes.finish()
    }

    /// The bundle's own entities, with the schema's actions.
    pub fn own_entities(&self) -> &EntityStore {
        &self.entities
    }

    pub(crate) fn schema(&self) -> &CompiledSchema {
        &self.schema
    }

    pub(crate) fn policies(&self) -> &PolicySet {
        &self.policies
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

/// Settings of step-ups that no policy asks for. A name that is misspelt there would leave the real one with the defaults.
fn unused_step_ups(manifest: &Manifest, policies: &PolicySet) -> Vec<Problem> {
    let unused = manifest.step_ups.keys().filter(|name| policies.step_ups().all(|asked| asked != *name));
    let problem = |name| {
        let message = format!("`[step_up.{name}]` is for a step-up that no policy asks for");
        Problem::of_file(manifest::PATH, "step_up_unused", message)
    };
    unused.map(problem).collect()
}

fn file<'a>(source: &'a BundleSource, path: &str) -> Option<&'a str> {
    source.files.get(path).map(String::as_str)
}

fn compile_schema(source: &BundleSource) -> Result<CompiledSchema, Vec<Problem>> {
    match file(source, schema::PATH) {
        Some(text) => CompiledSchema::compile(text, decoders(source), MemoryLayout::default()),
        None => Err(vec![Problem::of_file(schema::PATH, "schema_missing", "the bundle has no schema")]),
    }
}

/// The schema with what the policies count and remember, of which it must be known first what types they meet.
fn with_memory(
    source: &BundleSource,
    schema: Arc<CompiledSchema>,
    policies: &mut PolicyFiles<'_>,
) -> Result<Arc<CompiledSchema>, Vec<Problem>> {
    // What is wrong with them, the whole mapping's parser says.
    let results = file(source, MAPPING_PATH).map(|text| mapping::results(text, schema.shapes())).unwrap_or_default();
    match policies.memory(&schema, &results) {
        memory if memory == **schema.memory() => Ok(schema),
        memory => {
            let text = file(source, schema::PATH).unwrap_or_default();
            schema.with_memory(text, memory).map(Arc::new)
        }
    }
}

/// The decoders that the mapping names. What is wrong with them, the whole mapping's parser says.
fn decoders(source: &BundleSource) -> Decoders {
    let mut decoders = file(source, MAPPING_PATH).map(mapping::decoders).unwrap_or_default();
    // Tests are no part of what is decided with.
    for (_, text) in source.files.iter().filter(|(path, _)| !source::is_test(path)) {
        decoders.note_names(text);
    }
    decoders
}

fn digest(source: &BundleSource, schema: &CompiledSchema) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut add = |text: &str| {
        // With its length, so that the end of one text is not taken for the start of the next.
        digest.update(text.len().to_le_bytes());
        digest.update(text);
    };
    add(file(source, schema::PATH).unwrap_or_default());
    for (action, groups) in schema.decoders().actions() {
        add(&action);
        add(&groups.join(" "));
    }
    for level in Level::ALL {
        add(&schema.memory().counts_type(level));
        add(&schema.memory().sets_type(level));
    }
    digest.finalize().into()
}

fn read_policies(source: &BundleSource, links: Vec<ParsedPolicy>) -> PolicyFiles<'_> {
    let mut files = PolicyFiles::default();
    for (path, text) in source.files.iter().filter(|(path, _)| path.starts_with("policies/")) {
        files.add(File { path, text });
    }
    for link in links {
        files.add_link(link);
    }
    files
}

fn compile_policies(
    mut files: PolicyFiles<'_>,
    schema: Option<&CompiledSchema>,
    problems: &mut Problems,
) -> Option<PolicySet> {
    if let Some(schema) = schema {
        files.check_types(schema.validator());
    }
    let (policies, mut found) = files.into_parts();
    if policies.is_empty() && found.is_empty() {
        let problem = Problem::of_file("policies/", "policies_missing", "the bundle has no policies");
        found.push(problem.with_help("put at least one into a file such as policies/main.cedar"));
    }
    let failed = !found.is_empty();
    problems.0.extend(found);
    let schema = schema.filter(|_| !failed)?;
    // The texts in which the policies stand are known only to themselves by now.
    let unsupported = |error: UnsupportedPolicy| Problem::of_file("policies/", "policy_unsupported", error.to_string());
    problems.keep(PolicySet::new(policies, schema).map_err(unsupported))
}

#[cfg(test)]
mod tests;
