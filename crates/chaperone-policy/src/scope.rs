//! Scopes: what a session may ever do, whatever the policies grant.

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use cedar_policy_core::ast::Policy as CorePolicy;

use crate::bundle::Bundle;
use crate::diagnostics::File;
use crate::effects::{self, Annotations};
use crate::policy_set::{ParsedPolicy, PolicySet};
use crate::policy_text;
use crate::problem::Problem;
use crate::value::EntityRef;

/// How long a scope's Cedar text may be, in bytes.
pub const SCOPE_BYTES_MAX: usize = 64 * 1024;
/// What stands for the file in problems of a scope.
const FILE: &str = "scope";

/// A scope. It only narrows: an action needs a permit here, and no forbid, beside what the bundle's policies say.
#[derive(Clone, Debug, Default)]
pub enum Scope {
    /// Everything that the policies allow.
    #[default]
    Unrestricted,
    /// What these policies allow.
    Policies(Arc<ScopePolicies>),
}

/// The policies of a scope.
#[derive(Debug)]
pub struct ScopePolicies {
    source: String,
    policies: Vec<CorePolicy>,
    /// For the schema that was asked about last: a memo, so that a scope is checked and compiled once and not at every decision.
    compiled: ArcSwapOption<CompiledScope>,
}

/// A scope for one schema.
#[derive(Debug)]
struct CompiledScope {
    /// The schema's digest.
    schema: [u8; 32],
    /// `None` when it does not fit the schema.
    policies: Option<Arc<PolicySet>>,
}

/// A scope in the light of the active policies.
#[derive(Debug)]
pub(crate) enum ScopeFit {
    /// It covers everything.
    Unrestricted,
    /// It covers what these policies allow by themselves.
    Policies(Arc<PolicySet>),
    /// It was written for another schema, and may name an action or a type that is now called otherwise: a forbid in it would silently
    /// forbid nothing.
    Unfit,
}

/// One line of a short scope: actions, and what they may act on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Grant {
    /// Actions, such as `read` or `Action::"read"`; a group covers its members. Empty means every action.
    pub actions: Vec<String>,
    /// Resources; each covers itself and everything that is in it. Empty means every resource.
    pub resources: Vec<EntityRef>,
}

/// A scope that is not valid.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the scope is not valid: {message}")]
pub struct ScopeError {
    /// What is wrong, with line and column where there is a text.
    pub message: String,
}

impl Scope {
    /// Parses a scope's Cedar text. `@id` is not needed; templates are refused.
    ///
    /// # Errors
    /// When the text is longer than [`SCOPE_BYTES_MAX`], does not parse, or holds a template.
    pub fn parse(source: &str) -> Result<Self, ScopeError> {
        if source.len() > SCOPE_BYTES_MAX {
            return Err(ScopeError { message: format!("it has more than {SCOPE_BYTES_MAX} bytes") });
        }
        let file = File { path: FILE, text: source };
        let policies = policy_text::parse(file).map_err(|problems| ScopeError { message: join(&problems) })?;
        let compiled = ArcSwapOption::empty();
        Ok(Self::Policies(Arc::new(ScopePolicies { source: source.to_owned(), policies, compiled })))
    }

    /// A scope of what any of `grants` covers, as the Cedar policies that say so.
    ///
    /// # Errors
    /// When there is no grant, when the bundle does not declare an action or a resource's type, or when the text is too long.
    pub fn from_grants(grants: &[Grant], bundle: &Bundle) -> Result<Self, ScopeError> {
        if grants.is_empty() {
            return Err(ScopeError { message: "it has no grants".into() });
        }
        let mut source = String::new();
        for grant in grants {
            write_grant(&mut source, grant, bundle)?;
            if source.len() > SCOPE_BYTES_MAX {
                return Err(ScopeError { message: format!("it has more than {SCOPE_BYTES_MAX} bytes") });
            }
        }
        Self::parse(&source)
    }

    /// Its Cedar text; `None` when unrestricted.
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Unrestricted => None,
            Self::Policies(policies) => Some(&policies.source),
        }
    }

    /// What it covers under a bundle's schema.
    pub(crate) fn policies(&self, bundle: &Bundle) -> ScopeFit {
        let Self::Policies(scope) = self else { return ScopeFit::Unrestricted };
        let known = scope.compiled.load();
        let policies = match &*known {
            Some(known) if known.schema == bundle.schema_digest() => known.policies.clone(),
            _ => {
                let policies = scope.compile(bundle).ok().map(Arc::new);
                let compiled = CompiledScope { schema: bundle.schema_digest(), policies: policies.clone() };
                scope.compiled.store(Some(Arc::new(compiled)));
                policies
            }
        };
        policies.map_or(ScopeFit::Unfit, ScopeFit::Policies)
    }
}

impl ScopePolicies {
    /// Checks the policies strictly, and compiles them.
    fn compile(&self, bundle: &Bundle) -> Result<PolicySet, Vec<Problem>> {
        let file = File { path: FILE, text: &self.source };
        let schema = bundle.schema();
        let mut problems: Vec<_> =
            self.policies.iter().flat_map(|policy| effects::refuse_in_scope(file, policy)).collect();
        let validator = schema.validator_for(&self.source)?;
        problems.extend(policy_text::check_types(&validator, self.policies.iter().map(|policy| (file, policy))));
        if !problems.is_empty() {
            return Err(problems);
        }
        let parsed = self.policies.iter().enumerate().map(|(place, core)| ParsedPolicy {
            id: place.to_string().into(),
            reason: None,
            annotations: Annotations::default(),
            core: core.clone(),
        });
        PolicySet::new(parsed.collect(), schema)
            .map_err(|error| vec![file.problem_at(error.loc.as_ref(), "policy_unsupported", error.to_string())])
    }
}

impl Bundle {
    /// Checks a scope strictly against the bundle's schema.
    ///
    /// # Errors
    /// With every problem; the file in their places is `scope`.
    pub fn check_scope(&self, scope: &Scope) -> Result<(), Vec<Problem>> {
        match scope {
            Scope::Unrestricted => Ok(()),
            Scope::Policies(policies) => policies.compile(self).map(drop),
        }
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

fn join(problems: &[Problem]) -> String {
    let one = |problem: &Problem| match problem.line {
        0 => problem.message.clone(),
        line => format!("line {line}, column {}: {}", problem.column, problem.message),
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Writes the policies of one grant. Cedar itself prints the identities, so that no id can end its quotes.
fn write_grant(source: &mut String, grant: &Grant, bundle: &Bundle) -> Result<(), ScopeError> {
    let actions = grant.actions.iter().map(|action| action_literal(action, bundle)).collect::<Result<Vec<_>, _>>()?;
    let action = match actions.as_slice() {
        [] => "action".to_owned(),
        actions => format!("action in [{}]", actions.join(", ")),
    };
    let mut write = |resource: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(source, "permit (principal, {action}, {resource});");
    };
    if grant.resources.is_empty() {
        write("resource");
    }
    for resource in &grant.resources {
        let uid = bundle.schema().uid(resource).ok_or_else(|| ScopeError {
            message: format!("the schema does not declare the type `{}`", resource.kind),
        })?;
        write(&format!("resource in {uid}"));
    }
    Ok(())
}

fn action_literal(action: &str, bundle: &Bundle) -> Result<String, ScopeError> {
    let uid = bundle.schema().action_or_group(&EntityRef::action(action));
    let uid =
        uid.ok_or_else(|| ScopeError { message: format!("the schema does not declare the action `{action}`") })?;
    Ok(uid.to_string())
}

#[cfg(test)]
mod tests;
