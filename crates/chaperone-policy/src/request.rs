//! What is asked of a decision.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::compiled::Datum;
use crate::shape::ActionShape;
use crate::value::EntityRef;

/// One action on one resource, ready to be decided.
///
/// The principal is not part of it: it comes from the session, or from the presenter where there is none. Its attributes stand where
/// the action's shape has them; a bundle or its mapping puts them there, and only that bundle decides on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The action's identity, such as `Action::"read"`.
    pub action: EntityRef,
    /// What it acts on.
    pub resource: EntityRef,
    shape: Option<Arc<ActionShape>>,
    /// In the order of the shape's attributes; what is behind the end is absent.
    values: SmallVec<[Option<Datum>; 8]>,
}

impl Request {
    /// A request that no bundle has seen: it can be spoken of, and is never allowed.
    pub fn new(action: EntityRef, resource: EntityRef) -> Self {
        Self { action, resource, shape: None, values: SmallVec::new() }
    }

    /// A request without attributes yet.
    pub(crate) fn of(action: EntityRef, resource: EntityRef, shape: &Arc<ActionShape>) -> Self {
        Self { shape: Some(Arc::clone(shape)), ..Self::new(action, resource) }
    }

    /// The same action on another resource.
    #[must_use]
    pub fn on(self, resource: EntityRef) -> Self {
        Self { resource, ..self }
    }

    /// The action's shape, by which attributes are placed.
    pub(crate) fn shape(&self) -> Option<&Arc<ActionShape>> {
        self.shape.as_ref()
    }

    /// Puts an attribute into its place in the shape.
    pub(crate) fn set(&mut self, place: usize, value: Datum) {
        if self.values.len() <= place {
            self.values.resize(place + 1, None);
        }
        if let Some(slot) = self.values.get_mut(place) {
            *slot = Some(value);
        }
    }

    /// Leaves the attribute at a place out.
    pub(crate) fn unset(&mut self, place: usize) {
        if let Some(slot) = self.values.get_mut(place) {
            *slot = None;
        }
    }

    /// The attribute at a place in the shape.
    pub(crate) fn value(&self, place: usize) -> Option<&Datum> {
        self.values.get(place)?.as_ref()
    }
}

/// What the enforcement point vouches for about whoever presents a session or acts without one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Presenter<'a> {
    /// The SPIFFE ID of the peer's certificate, in its canonical form.
    pub spiffe_id: Option<Cow<'a, str>>,
    /// SHA-256 of the peer's certificate in DER (RFC 8705 section 3.1).
    pub certificate_sha256: Option<[u8; 32]>,
    /// The peer's address, where the binding asks for it.
    pub address: Option<IpAddr>,
}

impl Presenter<'_> {
    /// The same, to be kept.
    pub fn into_owned(self) -> Presenter<'static> {
        let Self { spiffe_id, certificate_sha256, address } = self;
        Presenter { spiffe_id: spiffe_id.map(|id| id.into_owned().into()), certificate_sha256, address }
    }
}
