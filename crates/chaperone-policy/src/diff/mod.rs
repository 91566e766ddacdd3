//! Where two bundles differ, as a reviewer looks at it: by policies, declarations and sections, not by lines of files.

mod mapping;
mod policies;
mod schema;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::bundle::MAPPING_PATH;
use crate::descriptors;
use crate::problem::Problem;
use crate::source::{BundleSource, hexadecimal};

/// The part of a bundle that a difference is in.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DiffPart {
    /// A policy, named by its `@id`, in whichever file.
    Policy,
    /// A type of entities that the schema declares.
    EntityType,
    /// An action that the schema declares.
    Action,
    /// A common type that the schema declares.
    CommonType,
    /// A section of the mapping, named by its path of keys; a route is `route.` and its name.
    Mapping,
    /// Any other file, named by its path.
    File,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DiffChange {
    /// It is in the second bundle only.
    Added,
    /// It is in the first bundle only.
    Removed,
    /// It is in both, and not the same.
    Changed,
}

/// One thing in which two bundles differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// What it is.
    pub part: DiffPart,
    /// Its name within the part.
    pub name: String,
    /// Its text in the first bundle, in canonical form; `None`: it is not there.
    pub before: Option<String>,
    /// Its text in the second bundle.
    pub after: Option<String>,
}

/// Where two bundles differ. White space and comments, the order of policies and declarations, and which file a policy is in are no
/// differences.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BundleDiff {
    /// Every difference, by part and name.
    pub differences: Vec<Difference>,
}

/// A bundle that cannot be compared, because it cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DiffError {
    /// The first one.
    Before(Vec<Problem>),
    /// The second one.
    After(Vec<Problem>),
}

/// Texts in canonical form, by what they are.
type Parts = BTreeMap<(DiffPart, String), String>;

impl BundleDiff {
    /// Compares two bundles. They need be no more than readable: nothing is checked against their schemas.
    ///
    /// # Errors
    /// With the problems of the first of them that cannot be read.
    pub fn between(before: &BundleSource, after: &BundleSource) -> Result<Self, DiffError> {
        let mut before = parts(before).map_err(DiffError::Before)?;
        let mut after = parts(after).map_err(DiffError::After)?;
        let names: BTreeSet<_> = before.keys().chain(after.keys()).cloned().collect();
        let differences = names.into_iter().filter_map(|key| {
            let (before, after) = (before.remove(&key), after.remove(&key));
            let (part, name) = key;
            (before != after).then_some(Difference { part, name, before, after })
        });
        Ok(Self { differences: differences.collect() })
    }

    /// Whether there is no difference.
    pub const fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// As text, each difference a unified diff under a heading.
    pub fn to_text(&self) -> String {
        self.differences.iter().map(Difference::to_text).collect()
    }
}

impl Difference {
    /// What became of it.
    pub const fn change(&self) -> DiffChange {
        match (&self.before, &self.after) {
            (None, _) => DiffChange::Added,
            (Some(_), None) => DiffChange::Removed,
            (Some(_), Some(_)) => DiffChange::Changed,
        }
    }

    /// As a unified diff.
    pub fn to_text(&self) -> String {
        let name = format!("{} {}", self.part, self.name);
        text::unified(&name, self.before.as_deref(), self.after.as_deref())
    }
}

impl DiffPart {
    /// A stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::EntityType => "entity_type",
            Self::Action => "action",
            Self::CommonType => "common_type",
            Self::Mapping => "mapping",
            Self::File => "file",
        }
    }
}

impl fmt::Display for DiffPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl DiffChange {
    /// A stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

fn parts(source: &BundleSource) -> Result<Parts, Vec<Problem>> {
    let mut parts = policies::parts(source)?;
    for (path, text) in source.files.iter().filter(|(path, _)| !path.starts_with("policies/")) {
        match path.as_str() {
            crate::schema::PATH => parts.extend(schema::parts(text)?),
            MAPPING_PATH => parts.extend(mapping::parts(text)?),
            // It is no text: what can be told of it is whether it is the same.
            descriptors::PATH => {
                parts
                    .insert((DiffPart::File, path.clone()), format!("sha256:{}\n", hexadecimal(&Sha256::digest(text))));
            }
            _ => {
                parts.insert((DiffPart::File, path.clone()), text.clone());
            }
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
