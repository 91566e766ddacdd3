//! How requests become actions: the bundle's `mapping.toml`.

mod answer;
mod http;

pub use answer::{Facts, HeaderMutation, Mutations, OnFailure};
pub use http::{Connection, Headers, HttpRequest};

use std::sync::Arc;

use crate::problem::Problem;
use crate::request::Request;
use crate::shape::Shapes;

/// A valid mapping.
#[derive(Debug, Default)]
pub struct Mapping {}

/// What a request presents as its session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Credential {
    /// Nothing.
    Absent,
    /// A text that should be a handle; whether it is one, its parser says.
    Handle(String),
    /// Two different ones, or one that is no text: nobody can say which the upstream would believe.
    Ambiguous,
}

/// A request in the words of the policies.
#[derive(Debug)]
pub struct Mapped {
    /// What it does. All of them must be allowed; there is at least one.
    pub requests: Vec<Request>,
    /// The name of the route that matched; `None` for the generic action.
    pub route: Option<Arc<str>>,
    /// What being unable to decide looks like to Envoy.
    pub on_failure: OnFailure,
}

/// A request that cannot be read in one way only.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Undecodable {
    /// What is wrong with it, for the caller. Never repeats header values or the body.
    pub message: String,
}

impl Mapping {
    /// Reads `mapping.toml` and checks it against the schema.
    ///
    /// # Errors
    /// With every problem, in the order of their places.
    pub fn parse(text: &str, shapes: &Shapes) -> Result<Self, Vec<Problem>> {
        let _ = (text, shapes);
        Err(Vec::new())
    }

    /// What the request presents as its session, from the configured sources in their order.
    pub fn credential(&self, request: &HttpRequest<'_>) -> Credential {
        let _ = request;
        Credential::Absent
    }

    /// Whether a peer with a SPIFFE ID may act for itself where there is no session.
    pub fn allows_peer(&self) -> bool {
        false
    }

    /// The actions of an HTTP or gRPC request.
    ///
    /// # Errors
    /// When the request cannot be read in one way only: it is then denied, never guessed.
    pub fn map_http(&self, request: &HttpRequest<'_>) -> Result<Mapped, Undecodable> {
        let _ = request;
        Err(Undecodable { message: String::new() })
    }

    /// The action of a TCP connection, from Envoy's network filter.
    ///
    /// # Errors
    /// When the connection has no destination address.
    pub fn map_tcp(&self, connection: &Connection<'_>) -> Result<Mapped, Undecodable> {
        let _ = connection;
        Err(Undecodable { message: String::new() })
    }

    /// What to change when the request goes on to the upstream.
    pub fn mutations(&self, mapped: &Mapped, request: &HttpRequest<'_>, facts: &Facts<'_>) -> Mutations {
        let _ = (mapped, request, facts);
        Mutations::default()
    }
}
