//! Whose memory it is.

use crate::ids::SessionId;
use crate::value::EntityRef;

/// Whose memory it is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MemoryKey {
    /// One session's.
    Session(SessionId),
    /// All of a tree's, by its root.
    Tree(SessionId),
    /// A principal's, in whatever session.
    Principal(EntityRef),
}
