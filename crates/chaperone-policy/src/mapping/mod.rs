//! How requests become actions: the bundle's `mapping.toml`.

mod answer;
mod convert;
mod credential;
mod generic;
mod host;
mod http;
mod parse;
mod path;
mod path_template;
mod plan;
mod query;
mod reading;
mod route;
mod shadow;
mod template;

pub use answer::{Facts, HeaderMutation, Mutations, OnFailure};
pub use http::{Connection, Headers, HttpRequest};

use std::sync::Arc;

use self::credential::Source;
use self::plan::AnswerPlan;
use self::reading::View;
use self::route::RouteTable;
use crate::problem::Problem;
use crate::request::Request;
use crate::shape::Shapes;

/// The header that presents a session where a mapping does not say otherwise.
const DEFAULT_HEADER: &str = "x-chaperone-session";

/// A valid mapping. The default one finds the session in `x-chaperone-session`, and has no routes.
#[derive(Debug)]
pub struct Mapping {
    sources: Vec<Source>,
    strip: bool,
    peer: bool,
    semicolons: bool,
    routes: RouteTable,
    /// What to change in requests that no route matches.
    unmatched: Arc<AnswerPlan>,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            sources: vec![Source::Header(DEFAULT_HEADER.into())],
            strip: true,
            peer: false,
            semicolons: false,
            routes: RouteTable::default(),
            unmatched: Arc::default(),
        }
    }
}

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
    answer: Arc<AnswerPlan>,
    /// The parts of the request that the answer speaks of, read before the decision.
    read: Vec<Option<Box<str>>>,
}

/// A request that cannot be read in one way only.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Undecodable {
    /// What is wrong with it, for the caller. Never repeats header values or the body.
    pub message: String,
}

impl Undecodable {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl Mapping {
    /// Reads `mapping.toml` and checks it against the schema.
    ///
    /// # Errors
    /// With every problem, in the order of their places.
    pub fn parse(text: &str, shapes: &Shapes) -> Result<Self, Vec<Problem>> {
        parse::parse(text, Some(shapes))
    }

    /// The problems that `mapping.toml` has whatever the schema says: for a bundle whose schema is itself broken.
    pub fn check_syntax(text: &str) -> Vec<Problem> {
        parse::parse(text, None).err().unwrap_or_default()
    }

    /// What the request presents as its session, from the configured sources in their order.
    pub fn credential(&self, request: &HttpRequest<'_>) -> Credential {
        credential::present(&self.sources, request)
    }

    /// Whether a peer with a SPIFFE ID may act for itself where there is no session.
    pub fn allows_peer(&self) -> bool {
        self.peer
    }

    /// The actions of an HTTP or gRPC request.
    ///
    /// # Errors
    /// When the request cannot be read in one way only: it is then denied, never guessed.
    pub fn map_http(&self, request: &HttpRequest<'_>) -> Result<Mapped, Undecodable> {
        let view = View::of(request, self.semicolons)?;
        let (mapped, answer, route, on_failure) = match self.routes.find(&view)? {
            Some(route) => {
                (route.target.request(&view)?, &route.answer, Some(Arc::clone(&route.name)), route.on_failure)
            }
            None => (generic::http(&view)?, &self.unmatched, None, OnFailure::Deny),
        };
        let read = answer.read(&view)?;
        Ok(Mapped { requests: vec![mapped], route, on_failure, answer: Arc::clone(answer), read })
    }

    /// The action of a TCP connection, from Envoy's network filter.
    ///
    /// # Errors
    /// When the connection has no destination address and port, or its server name is not valid.
    #[expect(clippy::unused_self, reason = "no key of a mapping speaks of connections yet")]
    pub fn map_tcp(&self, connection: &Connection<'_>) -> Result<Mapped, Undecodable> {
        let requests = vec![generic::tcp(connection)?];
        // There is no request that an answer could change.
        Ok(Mapped { requests, route: None, on_failure: OnFailure::Deny, answer: Arc::default(), read: Vec::new() })
    }

    /// What to change when the request goes on to the upstream.
    ///
    /// The headers that present the session are removed, whoever the request was allowed for.
    pub fn mutations(&self, mapped: &Mapped, request: &HttpRequest<'_>, facts: &Facts<'_>) -> Mutations {
        let mut mutations = mapped.answer.mutations(&mapped.read, facts);
        if self.strip {
            for name in credential::headers_to_strip(&self.sources, request) {
                if !mutations.headers_to_remove.iter().any(|removed| removed == name) {
                    mutations.headers_to_remove.push(name.to_owned());
                }
            }
        }
        mutations
    }
}
