//! Cedar's public corpus: files that name policies, entities and a schema, with requests and what is expected of them.
//!
//! Such schemas have contexts of any form, and Chaperone's have `context.request`: what a case says of `context` is moved there, in its schema
//! and in its policies, so that a bundle can be made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use cedar_policy::{PolicySet, SchemaFragment};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::run::Evaluate;
use crate::bundle::Bundle;
use crate::decide::{Authority, decide_by_cedar};
use crate::decision::{Decision, Outcome, Reason};
use crate::request::{Presenter, Request};
use crate::shape::{Fields, Type};
use crate::source::BundleSource;
use crate::timestamp::Timestamp;
use crate::value::{Attributes, EntityRef, Value};

/// One file of the corpus. Paths are from its root.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    policies: PathBuf,
    entities: PathBuf,
    schema: PathBuf,
    should_validate: bool,
    requests: Vec<Asked>,
}

/// A request, and what Cedar decides.
#[derive(Debug, Deserialize)]
struct Asked {
    principal: EntityRef,
    action: EntityRef,
    resource: EntityRef,
    context: Json,
    decision: String,
    reason: BTreeSet<String>,
    errors: BTreeSet<String>,
}

/// What became of a corpus.
#[derive(Clone, Debug, Default)]
pub struct CorpusReport {
    /// Files that were read.
    pub files: u64,
    /// Files whose policies are refused, as the corpus says they are.
    pub invalid: u64,
    /// Files that cannot be made into a bundle, by why.
    pub skipped_files: BTreeMap<String, Vec<PathBuf>>,
    /// Requests that were decided as expected, by both.
    pub decided: u64,
    /// Of them, those that were allowed.
    pub allowed: u64,
    /// Of them, those with policies that failed.
    pub failed: u64,
    /// Requests that the schema does not allow.
    pub skipped_requests: u64,
    /// Whatever was not as expected.
    pub differences: Vec<String>,
}

impl fmt::Display for CorpusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, invalid, decided, allowed, failed, skipped_requests, .. } = self;
        writeln!(f, "{files} files, of which {invalid} are refused as they should be")?;
        for (why, skipped) in &self.skipped_files {
            let first = skipped.first().map(|file| file.display());
            writeln!(f, "  {} skipped, {why}; the first is {}", skipped.len(), first.expect("there is one"))?;
        }
        writeln!(f, "{decided} requests decided as expected ({allowed} allowed, {failed} with policies that failed)")?;
        writeln!(f, "{skipped_requests} requests skipped that the schema does not allow")?;
        writeln!(f, "{} differences", self.differences.len())?;
        self.differences.iter().take(10).try_for_each(|difference| writeln!(f, "{difference}"))
    }
}

/// Runs every case in `tests/` and `corpus-tests/` under `root`.
///
/// # Errors
/// When a file cannot be read, or is not of the corpus's format.
pub fn run_corpus(root: &Path, evaluate: Evaluate) -> Result<CorpusReport, String> {
    let mut report = CorpusReport::default();
    for file in cases(root)? {
        report.files += 1;
        run_case(root, &file, evaluate, &mut report).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(report)
}

/// The files of cases, in order.
fn cases(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ["tests", "corpus-tests"].map(|name| root.join(name)).into();
    folders.retain(|folder| folder.is_dir());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))? {
            let path = entry.map_err(|error| error.to_string())?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.split_once('.').is_some_and(|(_, extension)| extension == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn run_case(root: &Path, file: &Path, evaluate: Evaluate, report: &mut CorpusReport) -> Result<(), String> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let case: Case = serde_json::from_str(&read(file)?).map_err(|error| error.to_string())?;
    let schema = read(&root.join(&case.schema))?;
    let policies = read(&root.join(&case.policies))?;
    let mut source = BundleSource::default();
    let mut skip = |why: String| {
        report.skipped_files.entry(why).or_default().push(file.to_owned());
        Ok(())
    };
    let (schema, actions) = match request_schema(&schema) {
        Ok(moved) => moved,
        Err(why) => return skip(why),
    };
    let policies = match with_request(&policies, &actions) {
        Ok(policies) => policies,
        Err(why) => return skip(why),
    };
    source.files.insert("policies/main.cedar".into(), policies);
    source.files.insert("schema.cedarschema".into(), schema);
    source.files.insert("entities.json".into(), read(&root.join(&case.entities))?);
    let bundle = match Bundle::compile(&source) {
        Ok(bundle) => bundle,
        Err(problems) => {
            let problem = &problems[0];
            return match problem.code {
                "policy_type" if case.should_validate => {
                    report.differences.push(format!("{}: refused: {problem:?}", file.display()));
                    Ok(())
                }
                "policy_type" => {
                    report.invalid += 1;
                    Ok(())
                }
                // Without what is quoted, so that equal ones are told together.
                code => skip(format!("{code}: {}", problem.message.split('`').step_by(2).collect::<String>())),
            };
        }
    };
    let store = bundle.entities([]).map_err(|errors| format!("{errors:?}"))?;
    for (place, asked) in case.requests.iter().enumerate() {
        let Some(request) = request(&bundle, asked) else {
            report.skipped_requests += 1;
            continue;
        };
        let (authority, presenter) = (Authority::Principal(&asked.principal), Presenter::default());
        let now = Timestamp::from_micros(0);
        let ours = evaluate(&bundle, &store, &request, authority, &presenter, now);
        let theirs = decide_by_cedar(&bundle, &store, &request, authority, &presenter, now);
        if ours != theirs || !is_expected(&ours, asked) {
            report.differences.push(format!(
                "{}: request {place}: {ours:?}, by Cedar {theirs:?}, expected {} {:?} {:?}",
                file.display(),
                asked.decision,
                asked.reason,
                asked.errors
            ));
            continue;
        }
        report.decided += 1;
        report.allowed += u64::from(ours.outcome == Outcome::Allow);
        report.failed += u64::from(ours.reason == Reason::PolicyError);
    }
    Ok(())
}

/// Whether a decision is what the corpus expects, under the rule that a policy that fails denies.
fn is_expected(decision: &Decision, asked: &Asked) -> bool {
    let policies: BTreeSet<String> = decision.policies.iter().map(|policy| policy.id.to_string()).collect();
    if !asked.errors.is_empty() {
        return decision.reason == Reason::PolicyError && policies == asked.errors;
    }
    let outcome = if asked.decision == "allow" { Outcome::Allow } else { Outcome::Deny };
    let is_suspended = decision.reason == Reason::PrincipalSuspended;
    is_suspended || (decision.outcome == outcome && decision.reason != Reason::PolicyError && policies == asked.reason)
}

/// The policies, with `context.request` where they say `context`, and each with its place as its id. Those for any action are for any of
/// `actions`: Chaperone's own are not meant.
fn with_request(text: &str, actions: &[Json]) -> Result<String, String> {
    let set: PolicySet = text.parse().map_err(|_| "the policies do not parse".to_owned())?;
    if set.templates().next().is_some() {
        return Err("templates".into());
    }
    let mut policies = String::new();
    for policy in set.policies() {
        let mut json = policy.to_json().map_err(|error| error.to_string())?;
        move_context(&mut json);
        if json["action"] == json!({ "op": "All" }) {
            json["action"] = json!({ "op": "in", "entities": actions });
        }
        json["annotations"] = json!({ "id": policy.id().to_string() });
        let moved = cedar_policy::Policy::from_json(None, json).map_err(|error| error.to_string())?;
        policies.push_str(&moved.to_cedar().ok_or("a link of a template")?);
        policies.push('\n');
    }
    Ok(policies)
}

fn move_context(json: &mut Json) {
    if *json == json!({ "Var": "context" }) {
        *json = json!({ ".": { "left": { "Var": "context" }, "attr": "request" } });
        return;
    }
    match json {
        // What is a value is no expression, whatever it looks like.
        Json::Object(fields) => {
            fields.iter_mut().filter(|(name, _)| *name != "Value").for_each(|(_, value)| move_context(value));
        }
        Json::Array(values) => values.iter_mut().for_each(move_context),
        _ => {}
    }
}

/// The schema, with every action's context moved into `request`; and every action.
fn request_schema(text: &str) -> Result<(String, Vec<Json>), String> {
    let refused = |_| "the schema does not parse".to_owned();
    let (fragment, _warnings) = SchemaFragment::from_cedarschema_str(text).map_err(refused)?;
    let mut json = fragment.to_json_value().map_err(|error| error.to_string())?;
    let mut actions = Vec::new();
    for (namespace, declared) in json.as_object_mut().into_iter().flatten() {
        let kind = if namespace.is_empty() { "Action".to_owned() } else { format!("{namespace}::Action") };
        for (id, action) in declared["actions"].as_object_mut().into_iter().flatten() {
            actions.push(json!({ "type": kind, "id": id }));
            let Some(applies_to) = action.get_mut("appliesTo").and_then(Json::as_object_mut) else { continue };
            let context = applies_to.remove("context").unwrap_or_else(|| json!({ "type": "Record", "attributes": {} }));
            applies_to.insert("context".into(), json!({ "type": "Record", "attributes": { "request": context } }));
        }
    }
    let moved = SchemaFragment::from_json_value(json).map_err(|error| error.to_string())?;
    Ok((moved.to_cedarschema().map_err(|error| error.to_string())?, actions))
}

/// The request, when the schema allows it.
fn request(bundle: &Bundle, asked: &Asked) -> Option<Request> {
    let shape = bundle.shapes().get(&asked.action)?;
    if !shape.principals.contains(&asked.principal.kind) || !shape.resources.contains(&asked.resource.kind) {
        return None;
    }
    let attributes = record(&shape.attributes, &asked.context)?;
    bundle.request(&format!("{}::\"{}\"", asked.action.kind, asked.action.id), asked.resource.clone(), attributes).ok()
}

fn record(fields: &Fields, json: &Json) -> Option<Attributes> {
    let values = json.as_object()?.iter();
    values.map(|(name, json)| Some((name.as_str().into(), value(&fields.get(name.as_str())?.ty, json)?))).collect()
}

/// A value of a type, in any of the forms that Cedar's JSON has for it.
fn value(ty: &Type, json: &Json) -> Option<Value> {
    let entity = |json: &Json| serde_json::from_value(json.get("__entity").unwrap_or(json).clone()).ok();
    let argument = |json: &Json| {
        let call = json.get("__extn").unwrap_or(json);
        call.as_str().or_else(|| call.get("arg")?.as_str()).map(Into::into)
    };
    Some(match ty {
        Type::Bool => Value::Bool(json.as_bool()?),
        Type::Long => Value::Long(json.as_i64()?),
        Type::String => Value::String(json.as_str()?.into()),
        Type::Entity(_) => Value::Entity(entity(json)?),
        Type::Set(element) => {
            Value::Set(json.as_array()?.iter().map(|json| value(element, json)).collect::<Option<_>>()?)
        }
        Type::Record(fields) => Value::Record(record(fields, json)?),
        Type::Ip => Value::Ip(argument(json)?),
        Type::Decimal => Value::Decimal(argument(json)?),
        Type::Datetime => Value::Datetime(argument(json)?),
        Type::Duration => Value::Duration(argument(json)?),
    })
}
