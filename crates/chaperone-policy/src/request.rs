//! What is asked of a decision, as plain data.

use crate::value::{Attributes, EntityRef};

/// One action on one resource, ready to be decided.
///
/// The principal is not part of it: it comes from the session, or from the presenter where there is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The action's identity, such as `Action::"read"`.
    pub action: EntityRef,
    /// What it acts on.
    pub resource: EntityRef,
    /// What policies read as `context.request`.
    pub attributes: Attributes,
}

/// What the enforcement point vouches for about whoever presents a session or acts without one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Presenter {
    /// The SPIFFE ID of the peer's certificate, in its canonical form.
    pub spiffe_id: Option<String>,
    /// SHA-256 of the peer's certificate in DER (RFC 8705 section 3.1).
    pub certificate_sha256: Option<[u8; 32]>,
}
