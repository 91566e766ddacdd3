//! Canaries, as the API has them.

use chaperone_api::chaperone::v1 as api;
use chaperone_policy::NAME_BYTES_MAX;
use chaperone_store::Share;

use super::convert::{self, invalid};
use crate::admin::AdminError;
use crate::admin::canary::{CanaryScope, CanaryStatus};

/// For whom a canary is to decide.
///
/// # Errors
/// When neither a share nor a label says so, or both do.
pub(super) fn scope(share_ppm: u32, label: String) -> Result<CanaryScope, AdminError> {
    match (share_ppm, label.len()) {
        (0, 0) => Err(invalid("share_ppm", "is required where there is no label")),
        (0, 1..=NAME_BYTES_MAX) => Ok(CanaryScope::Label(label)),
        (0, _) => Err(invalid("label", format!("must have at most {NAME_BYTES_MAX} bytes"))),
        (_, 0) => share(share_ppm).map(CanaryScope::Share),
        _ => Err(invalid("label", "stands in place of a share, not beside it")),
    }
}

/// A part of all.
///
/// # Errors
/// When it is nothing, or more than all.
pub(super) fn share(millionths: u32) -> Result<Share, AdminError> {
    let share = Share::of_millionths(millionths).filter(|share| *share != Share::NONE);
    share.ok_or_else(|| invalid("share_ppm", "must be from 1 to 1000000"))
}

/// What the API tells of a canary.
pub(super) fn canary_to_api(status: CanaryStatus) -> api::Canary {
    let CanaryStatus { candidate, is_deciding, problem } = status;
    api::Canary {
        number: candidate.number.get(),
        beside: candidate.beside.get(),
        share_ppm: candidate.share.millionths(),
        label: candidate.label.unwrap_or_default(),
        message: candidate.message,
        started_by: candidate.started_by,
        started_at: Some(convert::timestamp_to_api(candidate.started_at)),
        deciding: is_deciding,
        problem: problem.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_or_label_says_for_whom_it_decides() {
        let half = Share::of_millionths(500_000).expect("not more than all");
        assert_eq!(scope(500_000, String::new()).ok(), Some(CanaryScope::Share(half)));
        assert_eq!(scope(0, "early".to_owned()).ok(), Some(CanaryScope::Label("early".to_owned())));
        for (share, label) in [(0, 0), (1, 1), (1_000_001, 0), (0, NAME_BYTES_MAX + 1)] {
            assert!(scope(share, "x".repeat(label)).is_err(), "{share} {label}");
        }
    }
}
