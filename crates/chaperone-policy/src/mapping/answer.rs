//! What the mapping says of the answer.

use crate::decision::Decision;
use crate::ids::{BundleNumber, DecisionId};
use crate::session::Session;
use crate::value::EntityRef;

/// What being unable to decide looks like to Envoy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnFailure {
    /// A denial, which nothing turns into an allow.
    #[default]
    Deny,
    /// An error, which the proxy's `failure_mode_allow` may turn into an allow.
    Error,
}

/// What the templates of an answer may speak of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The decision's id.
    pub decision_id: DecisionId,
    /// The decision.
    pub decision: &'a Decision,
    /// The bundle that decided.
    pub bundle: BundleNumber,
    /// Who acts.
    pub principal: &'a EntityRef,
    /// The session.
    pub session: Option<&'a Session>,
}

/// What to change when a request goes on to the upstream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mutations {
    /// Request headers to set or append.
    pub headers: Vec<HeaderMutation>,
    /// Request headers to remove, lower case.
    pub headers_to_remove: Vec<String>,
    /// Headers for the client's response.
    pub response_headers: Vec<HeaderMutation>,
    /// Query parameters to set.
    pub query_to_set: Vec<(String, String)>,
    /// Query parameters to remove.
    pub query_to_remove: Vec<String>,
}

/// A header to set or append. Name and value are valid in HTTP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderMutation {
    /// The name, lower case.
    pub name: String,
    /// The value.
    pub value: String,
    /// Append to a header of the same name; else overwrite it.
    pub append: bool,
}
