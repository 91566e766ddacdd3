//! What decisions read, in the form in which the trail keeps it, and back.
//!
//! A state is a text of JSON, and is known by the SHA-256 of it. Equal states have equal texts. What the mapping does not let into records
//! is left out, and its name is in the state: whoever decides again on that state can tell whether it would have mattered.

mod bundle;
mod chain;
mod entity;
mod hex;
mod mark;
mod memory;
mod session;

pub use self::bundle::BundleState;
pub use self::chain::ChainState;
pub use self::entity::{EntityState, StatedEntity};
pub use self::mark::{MarkCell, StateMark, StateText};
pub use self::memory::MemoryState;
pub use self::session::SessionState;

/// A text that is no state.
#[derive(Debug, thiserror::Error)]
#[error("this is no state of a {what}: {message}")]
pub struct StateError {
    /// What it should be of.
    pub what: &'static str,
    message: String,
}

impl StateError {
    fn new(what: &'static str, error: &impl ToString) -> Self {
        Self { what, message: error.to_string() }
    }
}

/// The JSON of something that can be written as such: names, texts and numbers.
fn json(state: &impl serde::Serialize) -> String {
    serde_json::to_string(state).unwrap_or_default()
}
