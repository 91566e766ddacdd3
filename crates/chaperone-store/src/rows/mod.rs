//! Rows as both databases return them, and their way to and from the domain.

mod activations;
mod approvals;
mod bundles;
mod candidates;
mod changes;
mod entities;
mod memories;
mod replicas;
mod sessions;
mod trail;

pub(crate) use activations::ActivationRow;
pub(crate) use approvals::{EXPIRED, PENDING, PENDING_MAX, challenge_of, loaded_approval, state_of, stored_approval};
pub(crate) use bundles::{BundleInfoRow, StoredBundleRow, bundle_columns, loaded_number, stored_files};
pub(crate) use candidates::CandidateRow;
pub(crate) use changes::{ChangeRow, MEMORIES_MAX};
pub(crate) use entities::{EntityRow, latest_by_identity};
pub(crate) use memories::{MemoryRow, loaded_key, stored_memory};
pub(crate) use replicas::ReplicaRow;
pub(crate) use sessions::{SessionRow, act_name, bind_session, session_columns, stored_hash, whole_chain};
pub(crate) use trail::{TrailRow, copy_of, copy_of_identity, name_of};

use crate::error::StoreError;

/// A number as the databases keep it. What does not fit is refused by the database's own range, so the largest is as good.
pub(crate) fn stored_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many rows a page may have, whatever is asked for: the largest page that still fits in memory with ease.
pub(crate) fn page(limit: u32) -> i64 {
    i64::from(limit.min(10_000))
}

fn to_json<T: serde::Serialize + ?Sized>(table: &'static str, key: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt(table, key, error))
}

fn from_json<T: serde::de::DeserializeOwned>(table: &'static str, key: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(table, key, error))
}

/// A row that breaks an invariant.
#[expect(clippy::needless_pass_by_value, reason = "callers hand over what they have: ids, numbers, errors and texts")]
pub(crate) fn corrupt(table: &'static str, key: impl ToString, message: impl ToString) -> StoreError {
    StoreError::Corrupt { table, key: key.to_string(), message: message.to_string() }
}
