//! Checkpoints: a chain up to a place, signed.

use chaperone_policy::Timestamp;

use crate::chain::Head;
use crate::event::Event;
use crate::key::{SigningKey, VerifyingKey};
use crate::record::ChainId;

/// What a signature says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Claim {
    /// The chain was like this.
    Checkpoint,
    /// And here it was stopped in order: what follows is `stopped`. Without a claim of its own, whoever cuts a chain off after any
    /// checkpoint could write the `stopped` himself.
    Stop,
}

impl Claim {
    const fn domain(self) -> &'static [u8] {
        match self {
            Self::Checkpoint => b"chaperone trail checkpoint v1\0",
            Self::Stop => b"chaperone trail stop v1\0",
        }
    }
}

/// What is signed: the claim's domain, the chain (16 bytes), the checkpoint's own place and time (8 bytes each, big-endian), and the
/// digest of the record before it (32 bytes). With the key, that is all that a checkpoint says.
fn message(claim: Claim, chain: ChainId, before: Head, at: Timestamp) -> Vec<u8> {
    let mut message = claim.domain().to_vec();
    message.extend_from_slice(chain.as_uuid().as_bytes());
    message.extend_from_slice(&(before.seq + 1).to_be_bytes());
    message.extend_from_slice(&at.as_micros().to_be_bytes());
    message.extend_from_slice(before.digest.as_bytes());
    message
}

/// The checkpoint that follows `before`.
pub(crate) fn sign(key: &SigningKey, claim: Claim, chain: ChainId, before: Head, at: Timestamp) -> Event<'static> {
    Event::Checkpoint {
        key: key.verifying_key().to_string().into(),
        signature: key.sign(&message(claim, chain, before, at)).into(),
    }
}

/// What `signature` claims of the chain up to `before`; nothing when it is not `key`'s.
pub(crate) fn claimed(
    key: &VerifyingKey,
    chain: ChainId,
    before: Head,
    at: Timestamp,
    signature: &str,
) -> Option<Claim> {
    [Claim::Checkpoint, Claim::Stop]
        .into_iter()
        .find(|claim| key.verifies(&message(*claim, chain, before, at), signature))
}
