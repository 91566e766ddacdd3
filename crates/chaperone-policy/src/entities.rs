//! Entities: what policies can know of principals and resources.

use crate::value::{Attributes, EntityRef};

/// An entity as plain data.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entity {
    /// Its identity.
    pub uid: EntityRef,
    /// Its attributes, as the schema declares them.
    pub attributes: Attributes,
    /// The groups that it is directly in.
    pub parents: Vec<EntityRef>,
}

/// An entity that the schema does not allow.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("entity `{uid}`: {message}")]
pub struct EntityError {
    /// Which.
    pub uid: EntityRef,
    /// What is wrong with it.
    pub message: String,
}

/// Every entity that one decision can see: the bundle's, and before them those stored at run time. Immutable and cheap to clone.
#[derive(Clone, Debug)]
pub struct EntityStore {}
