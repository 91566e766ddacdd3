//! Policy files: Cedar text to static policies with ids, and the problems on the way.

use std::collections::HashMap;

use cedar_policy::ValidationError;
use cedar_policy_core::ast::{Annotation, Policy as CorePolicy, PolicyID, PolicySet as CorePolicySet};
use cedar_policy_core::parser::{Loc, parse_policyset};
use cedar_policy_core::validator::{ValidationMode, Validator};
use smol_str::SmolStr;

use crate::diagnostics::{File, PROBLEMS_MAX, offset_of};
use crate::effects::{self, MemoryLayout};
use crate::fact::Results;
use crate::nesting::{self, Language};
use crate::policy_set::ParsedPolicy;
use crate::problem::Problem;
use crate::reason::ReasonTemplate;
use crate::schema::CompiledSchema;

/// How long an `@id` may be, in characters, all of which are ASCII.
const ID_CHARS_MAX: usize = 128;

/// The policies of several files, as far as they could be read.
#[derive(Debug, Default)]
pub(crate) struct PolicyFiles<'a> {
    policies: Vec<(File<'a>, ParsedPolicy)>,
    ids: HashMap<SmolStr, (File<'a>, Option<Loc>)>,
    problems: Vec<Problem>,
}

impl<'a> PolicyFiles<'a> {
    /// Reads one file.
    pub(crate) fn add(&mut self, file: File<'a>) {
        match parse(file) {
            Ok(policies) => policies.into_iter().for_each(|policy| self.add_policy(file, policy)),
            Err(problems) => self.problems.extend(problems),
        }
    }

    /// Takes a link of a template, which no file can have.
    pub(crate) fn add_link(&mut self, link: ParsedPolicy) {
        self.policies.push((File { path: "links", text: "" }, link));
    }

    fn add_policy(&mut self, file: File<'a>, core: CorePolicy) {
        // Finding a place costs as much as reading the file up to it.
        if self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        let annotations =
            effects::parse(file, &core).map_err(|problems| self.problems.extend(problems)).unwrap_or_default();
        let reason = self.keep(reason(file, &core)).flatten();
        if let Some(id) = self.keep(id(file, &core)).and_then(|id| self.keep_unique(file, &core, id)) {
            self.policies.push((file, ParsedPolicy { id, reason, annotations, core }));
        } else {
            // It is still checked for types, under a name that no policy can have.
            let id = SmolStr::from(format!("#{}", self.policies.len()));
            self.policies.push((file, ParsedPolicy { id, reason, annotations, core }));
        }
    }

    fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn keep_unique(&mut self, file: File<'a>, core: &CorePolicy, id: SmolStr) -> Option<SmolStr> {
        let loc = annotation(core, "id").and_then(|id| id.loc.as_ref()).or(core.loc());
        let Some((first_file, first_loc)) = self.ids.get(&id) else {
            self.ids.insert(id.clone(), (file, loc.cloned()));
            return Some(id);
        };
        let first = first_file.problem_at(first_loc.as_ref(), "", "");
        let help = format!("the first policy with this id is at {}:{}:{}", first.file, first.line, first.column);
        let problem = file.problem_at(loc, "policy_id_duplicate", format!("the id `{id}` is taken"));
        self.problems.push(problem.with_help(help));
        None
    }

    /// The policies, each with its file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (File<'a>, &ParsedPolicy)> {
        self.policies.iter().map(|(file, policy)| (*file, policy))
    }

    /// What they count and remember.
    pub(crate) fn memory(&mut self, schema: &CompiledSchema, results: &Results) -> MemoryLayout {
        let (memory, problems) = effects::declare(self.iter(), schema, results);
        self.problems.extend(problems);
        memory
    }

    /// Checks every policy against the schema.
    pub(crate) fn check_types(&mut self, validator: &Validator) {
        self.problems.extend(check_types(validator, self.iter().map(|(file, policy)| (file, &policy.core))));
    }

    /// The policies, each with the file that it stands in.
    pub(crate) fn into_policies(self) -> Vec<(File<'a>, ParsedPolicy)> {
        self.policies
    }

    /// The policies, and every problem.
    pub(crate) fn into_parts(self) -> (Vec<ParsedPolicy>, Vec<Problem>) {
        (self.policies.into_iter().map(|(_, policy)| policy).collect(), self.problems)
    }
}

/// Parses Cedar text that may hold static policies only. Policies come in the order of the text.
pub(crate) fn parse(file: File<'_>) -> Result<Vec<CorePolicy>, Vec<Problem>> {
    nesting::check(file.text, Language::Policies)
        .map_err(|error| vec![file.problem(error.offset(), 1, "policy_syntax", error.to_string())])?;
    let set = parse_policyset(file.text).map_err(|errors| file.problems_of(&errors, "policy_syntax"))?;
    let templates: Vec<Problem> = set
        .templates()
        .take(PROBLEMS_MAX)
        .map(|template| {
            let message = "templates are not supported: write `?principal` and `?resource` out";
            file.problem_at(template.loc(), "policy_template", message)
        })
        .collect();
    if !templates.is_empty() {
        return Err(templates);
    }
    let mut policies: Vec<CorePolicy> = set.into_policies().collect();
    policies.sort_by_key(|policy| policy.loc().map(Loc::start));
    Ok(policies)
}

/// Checks policies strictly against a schema.
pub(crate) fn check_types<'a>(
    validator: &Validator,
    policies: impl Iterator<Item = (File<'a>, &'a CorePolicy)>,
) -> Vec<Problem> {
    let (files, policies): (Vec<File<'a>>, Vec<&CorePolicy>) = policies.unzip();
    let result = validator.validate(&by_place(policies), ValidationMode::Strict);
    let mut errors: Vec<_> = result
        .validation_errors()
        .filter_map(|error| {
            let error = ValidationError::from(error.clone());
            let file = *files.get(place_of(error.policy_id())?)?;
            Some((file.path, offset_of(&error), file, error))
        })
        .collect();
    errors
        .sort_by(|(path, offset, ..), (other_path, other_offset, ..)| (path, offset).cmp(&(other_path, other_offset)));
    let mut problems: Vec<Problem> =
        errors.iter().take(PROBLEMS_MAX).map(|(.., file, error)| type_problem(*file, error)).collect();
    problems.sort();
    // One mistake is reported once for each combination of types that the policy can meet.
    problems.dedup();
    problems
}

/// Policies under their places in a list for names. The validator wants distinct ids, and ours may be missing or taken.
pub(crate) fn by_place<'p>(policies: impl IntoIterator<Item = &'p CorePolicy>) -> CorePolicySet {
    let mut set = CorePolicySet::new();
    for (place, policy) in policies.into_iter().enumerate() {
        // Cannot fail: the ids are distinct.
        let _ = set.add(policy.new_id(PolicyID::from_string(place.to_string())));
    }
    set
}

/// The place that is the name of a policy in [`by_place`].
pub(crate) fn place_of(id: &cedar_policy::PolicyId) -> Option<usize> {
    AsRef::<str>::as_ref(id).parse().ok()
}

fn type_problem(file: File<'_>, error: &ValidationError) -> Problem {
    let problem = file.problem_of(error, "policy_type");
    Problem { message: unnamed(problem.message), help: unnamed(problem.help), ..problem }
}

/// Without the name of the policy, which is only its place in the validator's list: where the message points says which it is.
pub(crate) fn unnamed(text: String) -> String {
    match text.split_once("`, ") {
        Some((named, rest)) if named.starts_with("for policy `") => rest.to_owned(),
        _ => text,
    }
}

/// A policy's annotation of this name.
pub(crate) fn annotation<'p>(policy: &'p CorePolicy, name: &str) -> Option<&'p Annotation> {
    policy.annotations().find(|(key, _)| AsRef::<str>::as_ref(*key) == name).map(|(_, annotation)| annotation)
}

fn id(file: File<'_>, policy: &CorePolicy) -> Result<SmolStr, Problem> {
    let Some(id) = annotation(policy, "id") else {
        let place = policy.loc().map(|loc| loc.span((loc.start(), 0)));
        let problem = file.problem_at(place.as_ref(), "policy_id_missing", "this policy has no id");
        return Err(problem.with_help("write `@id(\"a-name\")` before it; decisions and traces name policies by it"));
    };
    let is_valid = !id.val.is_empty()
        && id.val.len() <= ID_CHARS_MAX
        && id.val.chars().all(|c| c.is_ascii_alphanumeric() || "._:/-".contains(c));
    if is_valid {
        return Ok(id.val.clone());
    }
    let problem = file.problem_at(id.loc.as_ref().or(policy.loc()), "policy_id_invalid", "this is not a valid id");
    Err(problem.with_help("an id has 1 to 128 characters, each of `A-Z`, `a-z`, `0-9`, `.`, `_`, `:`, `/`, `-`"))
}

/// A policy's `@reason`.
pub(crate) fn reason(file: File<'_>, policy: &CorePolicy) -> Result<Option<ReasonTemplate>, Problem> {
    let Some(reason) = annotation(policy, "reason") else { return Ok(None) };
    ReasonTemplate::parse(&reason.val).map(Some).map_err(|error| {
        file.problem_at(reason.loc.as_ref().or(policy.loc()), "reason_placeholder", error.to_string()).with_help(
            "placeholders are {principal}, {action}, {resource}, {session.owner}, {session.task.id} and {session.task.purpose}",
        )
    })
}
