//! Routes that can never match, because an earlier one takes all that they would.

use super::route::{Condition, Pattern};

impl Pattern {
    /// Whether every request that `other` is for is one that this is for too.
    ///
    /// Sound, not complete: what it says is so, but several routes may together take all of another without its seeing that.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.path.covers(&other.path)
            && match (&self.methods, &other.methods) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mine), Some(others)) => others.iter().all(|method| mine.contains(method)),
            }
            && match (&self.host, &other.host) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mine), Some(other)) => mine.covers(other),
            }
            && implied(&self.headers, &other.headers)
            && implied(&self.query, &other.query)
    }
}

/// Whether each of `conditions` holds wherever all of `others` do.
fn implied(conditions: &[Condition], others: &[Condition]) -> bool {
    conditions.iter().all(|condition| {
        others
            .iter()
            .any(|other| other.name == condition.name && (condition.value.is_none() || condition.value == other.value))
    })
}
