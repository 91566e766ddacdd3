//! What came of a shadow on this replica.

use std::collections::BTreeMap;

use chaperone_store::Candidate;

use super::sample::Untold;
use crate::differences::Groups;
use crate::replica::Trial;

/// What came of a shadow on this replica.
#[derive(Clone, Debug, Default)]
pub struct ShadowReport {
    /// Which one it is of.
    pub candidate: Option<Candidate>,
    /// How it is.
    pub state: ShadowState,
    /// Decisions that were made again.
    pub compared_count: u64,
    /// Differences, by kind, action and policies.
    pub groups: Groups,
    /// Decisions of which it cannot be told what the candidate decides, by code.
    pub untold: BTreeMap<&'static str, u64>,
    /// Decisions for which there was no time.
    pub dropped_count: u64,
}

/// How a shadow is on this replica.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ShadowState {
    /// It compares.
    #[default]
    Comparing,
    /// This replica cannot use the bundle, and compares nothing.
    Unusable(String),
}

impl ShadowReport {
    /// An empty one.
    pub(super) fn begin(trial: &Trial) -> Self {
        Self { candidate: Some(trial.candidate.clone()), ..Self::default() }
    }

    /// Whether it is of this one.
    pub(super) fn is_of(&self, trial: &Trial) -> bool {
        self.candidate.as_ref() == Some(&trial.candidate)
    }

    /// Notes a decision that cannot be told.
    pub(super) fn note_untold(&mut self, why: Untold) {
        *self.untold.entry(why.code()).or_default() += 1;
    }
}
