//! Where two bundles decide the same question differently: told by kind, grouped by what was asked and the policies that make it so.

mod groups;
mod kind;
mod memories;
mod verdict;

pub use self::groups::{Example, Group, GroupKey, Groups};
pub use self::kind::Kind;
pub(crate) use self::memories::CandidateMemories;
pub use self::verdict::Verdict;
