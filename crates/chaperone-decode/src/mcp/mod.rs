//! Model Context Protocol: what a message asks an MCP server to do.
//!
//! Read from what Streamable HTTP carries, of all revisions from 2025-03-26 to 2026-07-28: those with sessions, and the stateless one. The
//! revisions differ in their methods and headers, not in what a method means, so all methods are known in all of them.

mod call;
mod facts;
mod headers;
mod import;
mod method;
mod uri;

use smol_str::SmolStr;

use crate::json_rpc::{self, Body, Content};
use crate::{Classes, Undecodable};

pub use crate::json_rpc::{Call, Message};
pub use facts::{FACTS, RESOURCES};
pub use import::{Imported, PRINCIPALS, import};

use call::Calls;
use headers::Headers;

/// What the decoder is told of the server.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// Its name, with which the ids of its tools, resources, prompts and tasks begin; they stand alone if it is empty. The id of the server
    /// itself is then `mcp`.
    pub server: SmolStr,
}

/// Tells what a request would do.
///
/// A request is a message, or a batch of them, where the revision has batches; a GET, which listens to what the server sends; or a DELETE, which
/// ends a session. Headers that repeat what the body says must say the same.
///
/// # Errors
/// [`Undecodable`] if it is none of these, or of a method that neither MCP nor `classes` have.
pub fn decode(message: &Message<'_>, options: &Options, classes: &Classes) -> Result<Vec<Call>, Undecodable> {
    let headers = Headers::read(message.headers)?;
    let mut calls = Calls::new(options, classes, headers.version);
    match message.method {
        "POST" => {
            headers.expect_json()?;
            match json_rpc::read(message.body)? {
                Body::One(envelope) => {
                    match &envelope.content {
                        Content::Call { method, params } => {
                            headers.agree(method, call::name(method, params), params)?;
                        }
                        Content::Response(_) => headers.refuse_message()?,
                    }
                    calls.push(envelope)?;
                }
                Body::Batch(envelopes) => {
                    headers.refuse_message()?;
                    if !headers.allow_batch() {
                        return Err(Undecodable::new("this revision of MCP has no batches"));
                    }
                    for envelope in &envelopes {
                        if let Content::Call { params, .. } = &envelope.content {
                            headers.agree_version(params)?;
                        }
                    }
                    calls.push_batch(envelopes)?;
                }
            }
        }
        "GET" | "DELETE" => {
            headers.refuse_message()?;
            if !message.body.is_empty() {
                return Err(Undecodable::new("a GET or DELETE of MCP has a body"));
            }
            calls.push_bodiless(if message.method == "GET" { method::LISTEN } else { method::END_SESSION })?;
        }
        _ => return Err(Undecodable::new("MCP has only GET, POST and DELETE")),
    }
    Ok(calls.into_calls())
}
