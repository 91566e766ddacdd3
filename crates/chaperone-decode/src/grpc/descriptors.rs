//! Sets of descriptors, and what must hold of one before it is made use of.

use std::collections::HashMap;

use prost_reflect::prost::{DecodeError, Message};
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DescriptorError, DescriptorPool};

use super::Method;

/// In how many ways a file may come to others by imports that are public, all of which are followed.
const IMPORTS_MAX: u32 = 10_000;

/// What services there are, with their methods and messages: a `google.protobuf.FileDescriptorSet`.
#[derive(Clone, Debug)]
pub struct Descriptors {
    pool: DescriptorPool,
}

/// Bytes that are no set of descriptors, or one that cannot be made use of.
#[derive(Debug, thiserror::Error)]
pub enum DescriptorsError {
    /// They are not in the format of one.
    #[error(transparent)]
    Format(#[from] DecodeError),
    /// A file has what no compiler writes.
    #[error(transparent)]
    Invalid(#[from] DescriptorError),
    /// A file is of another syntax, or of an edition.
    #[error("`{file}` is of the syntax `{syntax}`, neither `proto2` nor `proto3`")]
    Syntax {
        /// The file.
        file: String,
        /// What it says.
        syntax: String,
    },
    /// A file imports one that is missing, or that is listed after it.
    #[error("`{file}` imports `{import}`, which does not stand before it")]
    Import {
        /// The file.
        file: String,
        /// What it imports.
        import: String,
    },
    /// A file imports files that import files, and so on, by too many ways.
    #[error("`{file}` comes to the files that it imports in too many ways")]
    Imports {
        /// The file.
        file: String,
    },
    /// A message says that it is the entry of a map, but has no key or no value.
    #[error("`{message}` is an entry of a map without a key or a value")]
    MapEntry {
        /// The message.
        message: String,
    },
}

impl Descriptors {
    /// Reads what `protoc --include_imports --descriptor_set_out` writes: each file after those that it imports.
    ///
    /// # Errors
    /// [`DescriptorsError`] if it is not that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DescriptorsError> {
        check(&FileDescriptorSet::decode(bytes)?)?;
        let pool = DescriptorPool::decode(bytes)?;
        for message in pool.all_messages().filter(prost_reflect::MessageDescriptor::is_map_entry) {
            if message.get_field(1).is_none() || message.get_field(2).is_none() {
                return Err(DescriptorsError::MapEntry { message: message.full_name().into() });
            }
        }
        Ok(Self { pool })
    }

    /// The method of a service by their names, such as `mail.v1.Mail` and `Send`.
    pub fn method(&self, service: &str, method: &str) -> Option<Method> {
        // One of another spelling is not what the path of a call has.
        let service = self.pool.get_service_by_name(service).filter(|found| found.full_name() == service)?;
        let descriptor = service.methods().find(|descriptor| descriptor.name() == method)?;
        Some(Method { descriptor })
    }
}

/// Checks what prost-reflect takes for granted: it panics at a syntax that it does not know, and follows imports without looking whether it
/// has been there before.
fn check(set: &FileDescriptorSet) -> Result<(), DescriptorsError> {
    let mut ways_of = HashMap::new();
    for file in &set.file {
        let name = || file.name().to_owned();
        if let Some(syntax) = file.syntax.as_ref().filter(|syntax| !matches!(syntax.as_str(), "proto2" | "proto3")) {
            return Err(DescriptorsError::Syntax { file: name(), syntax: syntax.clone() });
        }
        let mut ways = 1_u32;
        for import in &file.dependency {
            let further = ways_of.get(import.as_str());
            let further = further.ok_or_else(|| DescriptorsError::Import { file: name(), import: import.clone() })?;
            ways = ways.saturating_add(*further);
        }
        if ways > IMPORTS_MAX {
            return Err(DescriptorsError::Imports { file: name() });
        }
        let is_public = !file.public_dependency.is_empty();
        ways_of.insert(file.name(), if is_public { ways } else { 1 });
    }
    Ok(())
}
