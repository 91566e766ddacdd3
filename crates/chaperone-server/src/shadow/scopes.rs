//! Sessions whose scopes are the shadow's own.
//!
//! A scope remembers how it compiles for one schema. If the candidate's asked the very scopes that checks use, each would undo the
//! other's work, and checks would have to compile scopes.

use std::collections::HashMap;
use std::sync::Arc;

use chaperone_policy::{Scope, Session, SessionChain};

/// How many scopes are kept compiled.
const SCOPES_MAX: usize = 4_096;

/// Scopes by their texts.
#[derive(Debug, Default)]
pub(super) struct Scopes(HashMap<String, Scope>);

impl Scopes {
    /// The chain with scopes of this; the same where none of its sessions has any.
    pub(super) fn own(&mut self, chain: &SessionChain) -> Option<SessionChain> {
        if chain.iter().all(|session| session.scope.source().is_none()) {
            return Some(chain.clone());
        }
        let sessions = chain.iter().map(|session| self.session(session)).collect();
        SessionChain::new(sessions)?.with_memories(chain.memories().cloned().collect())
    }

    fn session(&mut self, session: &Arc<Session>) -> Arc<Session> {
        let Some(scope) = session.scope.source().and_then(|text| self.scope(text)) else { return Arc::clone(session) };
        Arc::new(Session { scope, ..Session::clone(session) })
    }

    fn scope(&mut self, text: &str) -> Option<Scope> {
        if let Some(scope) = self.0.get(text) {
            return Some(scope.clone());
        }
        let scope = Scope::parse(text).ok()?;
        if self.0.len() >= SCOPES_MAX {
            self.0.clear();
        }
        self.0.insert(text.to_owned(), scope.clone());
        Some(scope)
    }
}
