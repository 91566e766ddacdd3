//! Policies as findings are made of them: each with its file, and its condition compiled.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{Effect, PrincipalOrResourceConstraint as Constraint};
use smol_str::SmolStr;

use super::allowed;
use crate::compiled::{Compiler, Condition};
use crate::diagnostics::File;
use crate::policy_scope::{covers, kinds};
use crate::policy_set::ParsedPolicy;
use crate::policy_text::{PolicyFiles, annotation};
use crate::problem::Problem;
use crate::schema::{Action, CompiledSchema};
use crate::source::BundleSource;

/// One policy.
pub(super) struct LintedPolicy<'a> {
    pub(super) file: File<'a>,
    pub(super) parsed: ParsedPolicy,
    /// Without its scope.
    pub(super) condition: Condition,
    /// Codes of findings that it is meant to have.
    pub(super) allowed: BTreeSet<SmolStr>,
}

/// A combination of types that a policy's scope lets through.
pub(super) struct Environment<'s> {
    pub(super) action: &'s Action,
    pub(super) principal: SmolStr,
    pub(super) resource: SmolStr,
}

/// Every policy, in the order of files and places.
pub(super) struct LintedPolicies<'a>(Vec<LintedPolicy<'a>>);

impl<'a> LintedPolicies<'a> {
    /// Reads those of a valid bundle. Equal parts of their conditions are equal to each other.
    pub(super) fn read(source: &'a BundleSource, schema: &CompiledSchema) -> Self {
        let mut files = PolicyFiles::default();
        for (path, text) in source.files.iter().filter(|(path, _)| path.starts_with("policies/")) {
            files.add(File { path, text });
        }
        let mut compiler = Compiler::new(schema.symbols(), schema.memory());
        let linted = files.into_policies().into_iter().filter_map(|(file, parsed)| {
            let condition = compiler.condition(parsed.core.non_scope_constraints()).ok()?;
            let allowed = allowed::codes(&parsed.core);
            Some(LintedPolicy { file, parsed, condition, allowed })
        });
        Self(linted.collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LintedPolicy<'a>> {
        self.0.iter()
    }

    /// Those that permit: observers do not.
    pub(super) fn permits(&self) -> impl Iterator<Item = &LintedPolicy<'a>> {
        self.iter().filter(|policy| policy.is_permit() && policy.parsed.annotations.observes.is_none())
    }

    /// Those that forbid.
    pub(super) fn forbids(&self) -> impl Iterator<Item = &LintedPolicy<'a>> {
        self.iter().filter(|policy| !policy.is_permit())
    }
}

impl LintedPolicy<'_> {
    pub(super) fn id(&self) -> &str {
        &self.parsed.id
    }

    pub(super) fn is_permit(&self) -> bool {
        self.parsed.core.effect() == Effect::Permit
    }

    pub(super) fn principal(&self) -> Constraint {
        self.parsed.core.principal_constraint().into_inner()
    }

    pub(super) fn resource(&self) -> Constraint {
        self.parsed.core.resource_constraint().into_inner()
    }

    /// What its scope lets through. Which types can be in a group is not asked, so that there may be more than can be asked for.
    pub(super) fn environments<'s>(&self, schema: &'s CompiledSchema) -> Vec<Environment<'s>> {
        let mut environments = Vec::new();
        for action in schema.actions().filter(|action| covers(self.parsed.core.action_constraint(), action)) {
            let resources = kinds(&self.resource(), &action.shape.resources);
            for principal in kinds(&self.principal(), &action.shape.principals) {
                environments.extend(resources.iter().map(|resource| Environment {
                    action,
                    principal: principal.clone(),
                    resource: resource.clone(),
                }));
            }
        }
        environments
    }

    /// A finding where the policy stands, unless it is meant to have it.
    pub(super) fn finding(
        &self,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<Problem> {
        let loc = self.parsed.core.loc();
        (!self.allowed.contains(code)).then(|| self.file.problem_at(loc, code, message).with_help(help))
    }

    /// The same where one of its annotations stands.
    pub(super) fn finding_at(
        &self,
        name: &str,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<Problem> {
        let loc = annotation(&self.parsed.core, name).and_then(|annotation| annotation.loc.as_ref());
        let loc = loc.or(self.parsed.core.loc());
        (!self.allowed.contains(code)).then(|| self.file.problem_at(loc, code, message).with_help(help))
    }
}
