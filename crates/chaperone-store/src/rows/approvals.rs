//! The rows of `approvals`.

use chaperone_policy::{Approval, Verdict};
use sha2::{Digest as _, Sha256};

use super::{from_json, to_json};
use crate::error::StoreError;

const TABLE: &str = "approvals";

/// The name in `state` of what waits for answers, or did until it expired.
pub(crate) const PENDING: &str = "pending";
/// The name in `state` of what expired, and whose place another took.
pub(crate) const EXPIRED: &str = "expired";
/// How many approvals one session may wait for at once. Whoever asks for more wears people out.
pub(crate) const PENDING_MAX: i64 = 100;

/// What is asked for, as a key: equal for challenges that the same approval would answer.
pub(crate) fn challenge_of(approval: &Approval) -> Result<Vec<u8>, StoreError> {
    let Approval { session, step_up, action, resource, digest, .. } = approval;
    let asked = to_json(TABLE, "challenge", &(session, step_up, action, resource, digest))?;
    Ok(Sha256::digest(asked).to_vec())
}

/// The name in `state`.
pub(crate) fn state_of(approval: &Approval) -> &'static str {
    match approval.decided.as_ref().map(|decided| decided.verdict) {
        None => PENDING,
        Some(Verdict::Approved) => "approved",
        Some(Verdict::Denied) => "denied",
        Some(Verdict::Cancelled) => "cancelled",
    }
}

/// As it is stored.
pub(crate) fn stored_approval(approval: &Approval) -> Result<String, StoreError> {
    to_json(TABLE, &approval.id.to_string(), approval)
}

/// From what is stored.
pub(crate) fn loaded_approval(text: &str) -> Result<Approval, StoreError> {
    from_json(TABLE, "approval", text)
}
