//! The Kubernetes API: what a request to it would do, and what its API server asks of a webhook.
//!
//! The rules are those by which the API server itself tells requests apart before it authorizes them, with three differences. Requests
//! that differ only in how they were written have one form: the verb of `exec`, `attach` and `portforward` is always `create`, though the
//! API server calls it `get` when a WebSocket carries it; the deprecated `/proxy/…` prefix is the subresource `proxy`; `services/https:web:443`
//! is the service `web`; `HEAD` is `get`. What the API server would answer with an error anyway is denied here, and so is what can be read in two
//! ways.
//!
//! What this cannot see:
//! - Impersonation. `Impersonate-User`, `Impersonate-Group`, `Impersonate-Uid` and `Impersonate-Extra-…` are headers, which make the request
//!   somebody else's. A gateway must refuse or remove them, or decide on their behalf; a webhook is asked about them in reviews of their
//!   own, with the verb `impersonate`.
//! - The body: the name of an object that is created, and what its specification lets its pods do.

mod action;
mod attributes;
mod command;
mod fact;
mod path;
mod query;
mod request;
mod resource_id;
mod review;
mod scope;
mod text;

use smol_str::SmolStr;

pub use fact::FACTS;
pub use request::{ApiRequest, decode};
pub use review::review;

/// How to decode.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// The cluster that is asked: the first part of the ids of resources. May be empty.
    pub cluster: SmolStr,
}

/// The types of the resources of operations.
///
/// `Object` is an object, or all objects of a kind: `cluster/group/resource/namespace/name`. `Path` is a path of the API server that is no
/// object's: `cluster/healthz`. What is absent, and the group of the core, is `-`; a byte that is no ASCII letter, digit or one of `.`, `_`, `:`,
/// `@`, `-` is `%` and two hexadecimal digits, and so is a `-` that is all of its part. A subresource is its object's.
pub const RESOURCES: &[&str] = &[attributes::OBJECT, action::PATH];
