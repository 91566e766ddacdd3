//! Bundles, compiled: what one replica decides with.

use crate::entities::{Entity, EntityError, EntityStore};
use crate::mapping::Mapping;
use crate::problem::Problem;
use crate::request::Request;
use crate::source::BundleSource;
use crate::value::{Attributes, EntityRef};

/// A valid bundle, ready to decide. Immutable.
#[derive(Debug)]
pub struct Bundle {
    mapping: Mapping,
}

/// A request that the schema does not allow.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct RequestError {
    /// The field at fault, such as `action`, `resource` or `attributes.amount`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Bundle {
    /// Validates a bundle strictly and compiles it.
    ///
    /// # Errors
    /// With every problem of every file, in the order of files and places.
    pub fn compile(source: &BundleSource) -> Result<Self, Vec<Problem>> {
        let _ = source;
        Err(Vec::new())
    }

    /// How many policies it has.
    pub fn policy_count(&self) -> usize {
        0
    }

    /// How requests become actions.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// Checks a direct caller's action against the schema, and completes its name: `read` becomes `Action::"read"`.
    ///
    /// # Errors
    /// When the action is not declared, does not apply to the resource's type, or an attribute is missing, unknown, or of another type.
    pub fn request(&self, action: &str, resource: EntityRef, attributes: Attributes) -> Result<Request, RequestError> {
        let _ = (action, resource, attributes);
        Err(RequestError { field: String::new(), message: String::new() })
    }

    /// The bundle's own entities with `stored` before them.
    ///
    /// # Errors
    /// With every entity that the schema does not allow.
    pub fn entities<'a>(&self, stored: impl IntoIterator<Item = &'a Entity>) -> Result<EntityStore, Vec<EntityError>> {
        let _ = stored.into_iter();
        Err(Vec::new())
    }
}
