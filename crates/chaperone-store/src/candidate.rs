//! Candidates: bundles beside the active one, which are tried before they decide for everybody.

use std::fmt;

use chaperone_policy::{BundleNumber, Timestamp};

/// What a candidate is there for. There is at most one of each role.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CandidateRole {
    /// It decides beside the active bundle, and nobody is answered by it.
    Shadow,
    /// It decides for a part of the sessions.
    Canary,
}

impl CandidateRole {
    /// Its name in the store, in records and in output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary => "canary",
        }
    }
}

impl fmt::Display for CandidateRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A part of all, in millionths.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Share(u32);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(1_000_000);

    /// So many millionths; `None` when that is more than all.
    pub const fn of_millionths(millionths: u32) -> Option<Self> {
        if millionths <= Self::ALL.0 { Some(Self(millionths)) } else { None }
    }

    /// In millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// Whether it takes what has this number. For numbers that are evenly spread it takes as large a part of them as it says, and a larger
    /// share takes all that a smaller one does.
    pub const fn takes(self, number: u32) -> bool {
        // Below 2^52, so that nothing is lost.
        (number as u64) * (Self::ALL.0 as u64) < (self.0 as u64) << 32
    }
}

impl fmt::Display for Share {
    /// In per cent, as people write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 10_000, self.0 % 10_000);
        let part = format!("{part:04}");
        match part.trim_end_matches('0') {
            "" => write!(f, "{whole}%"),
            part => write!(f, "{whole}.{part}%"),
        }
    }
}

/// A bundle beside the active one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// What it is there for.
    pub role: CandidateRole,
    /// The bundle.
    pub number: BundleNumber,
    /// The bundle that was active when this was set; 0: none.
    pub beside: BundleNumber,
    /// Of a shadow: of which part of the decisions it makes its own. Of a canary: for which part of the sessions it decides.
    pub share: Share,
    /// Of a canary: the label of the sessions for which it decides, in place of a share.
    pub label: Option<String>,
    /// Why; may be empty.
    pub message: String,
    /// Who started it, or changed its share.
    pub started_by: String,
    /// When.
    pub started_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(millionths: u32) -> Share {
        Share::of_millionths(millionths).expect("not more than all")
    }

    #[test]
    fn share_takes_as_much_as_it_says() {
        assert!(!Share::NONE.takes(0) && Share::ALL.takes(u32::MAX));
        assert!(share(250_000).takes(0x3fff_ffff) && !share(250_000).takes(0x4000_0000));
        assert!(share(1).takes(4_294) && !share(1).takes(4_295));
        assert_eq!(Share::of_millionths(1_000_001), None);
    }

    #[test]
    fn larger_share_takes_all_that_a_smaller_one_does() {
        let numbers = (0..1_000_u32).map(|number| number.wrapping_mul(2_654_435_761));
        for number in numbers {
            assert!(!share(50_000).takes(number) || share(60_000).takes(number), "{number}");
        }
    }

    #[test]
    fn share_is_written_in_per_cent() {
        let written = [0, 1, 100, 50_000, 125_000, 1_000_000].map(|millionths| share(millionths).to_string());
        assert_eq!(written, ["0%", "0.0001%", "0.01%", "5%", "12.5%", "100%"]);
    }
}
