//! JSON-RPC 2.0, read strictly: what MCP and A2A put their messages into.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use crate::document::{Document, Node, Object};
use crate::{Operation, Undecodable};

/// The most messages of a batch.
const BATCH_MAX: usize = 100;
/// The most bytes of an id, and of a name that messages have for a thing.
const NAME_BYTES_MAX: usize = 1024;

/// A request as HTTP has it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The headers, of whatever case; those that are not the protocol's do not matter.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The whole body.
    pub body: &'a [u8],
}

/// One thing that a request would do, and with what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// What it is.
    pub operation: Operation,
    /// The `arguments` of an MCP tool or prompt; otherwise the `params`, or of a response its `result` or `error`. An object, if an empty one.
    pub arguments: Document,
    /// Whether it answers a request of the other side.
    pub response: bool,
}

/// What a body has in it.
pub(crate) enum Body {
    /// One message.
    One(Envelope),
    /// Several in a list, at least one.
    Batch(Vec<Envelope>),
}

/// One message.
pub(crate) struct Envelope {
    /// What its answer refers to, as a text; a notification has none.
    pub(crate) id: Option<SmolStr>,
    pub(crate) content: Content,
}

/// What a message is.
pub(crate) enum Content {
    /// A request, or a notification.
    Call {
        /// What is asked for.
        method: SmolStr,
        /// With what; an empty object where the message has none.
        params: Object,
    },
    /// The answer to a request of the other side: its result, or its error.
    Response(Object),
}

/// Reads a body.
pub(crate) fn read(bytes: &[u8]) -> Result<Body, Undecodable> {
    // Nobody who writes messages puts space before them.
    if !matches!(bytes.first(), Some(b'{' | b'[')) {
        return Err(Undecodable::new("a JSON-RPC message begins with `{`, a batch with `[`"));
    }
    match Document::json(bytes)?.root {
        Node::List(nodes) => batch(nodes),
        node => Envelope::read(node).map(Body::One),
    }
}

fn batch(nodes: Vec<Node>) -> Result<Body, Undecodable> {
    if nodes.is_empty() || nodes.len() > BATCH_MAX {
        return Err(Undecodable::new(format!("a JSON-RPC batch has from 1 to {BATCH_MAX} messages")));
    }
    let mut envelopes = Vec::with_capacity(nodes.len());
    for (number, node) in (1..).zip(nodes) {
        let envelope = Envelope::read(node)
            .map_err(|error| Undecodable::new(format!("message {number} of the batch: {error}")))?;
        envelopes.push(envelope);
    }
    let mut ids = BTreeSet::new();
    if !envelopes.iter().filter_map(|envelope| envelope.id.as_ref()).all(|id| ids.insert(id)) {
        return Err(Undecodable::new("two messages of a JSON-RPC batch have the same `id`"));
    }
    Ok(Body::Batch(envelopes))
}

impl Envelope {
    fn read(node: Node) -> Result<Self, Undecodable> {
        let Node::Object(mut members) = node else {
            return Err(Undecodable::new("a JSON-RPC message is an object"));
        };
        if members.remove("jsonrpc").as_ref().and_then(Node::as_text).is_none_or(|version| version != "2.0") {
            return Err(Undecodable::new("`jsonrpc` of a message is not \"2.0\""));
        }
        let id = members.remove("id").map(|id| read_id(&id)).transpose()?;
        let content = match (members.remove("method"), members.remove("result"), members.remove("error")) {
            (Some(Node::Text(method)), None, None) => {
                let params = match members.remove("params") {
                    Some(Node::Object(params)) => params,
                    None => Object::default(),
                    Some(_) => return Err(Undecodable::new("`params` of a JSON-RPC message is not an object")),
                };
                Content::Call { method, params }
            }
            (None, Some(Node::Object(result)), None) if id.is_some() => Content::Response(result),
            // Whoever could not read a request cannot name its id.
            (None, None, Some(Node::Object(error))) => Content::Response(read_error(error)?),
            _ => {
                return Err(Undecodable::new(
                    "a JSON-RPC message has a text as `method`, or an `id` and an object as `result`, or an object as `error`",
                ));
            }
        };
        // A reader that compares names without their case takes `Method` for `method`; and what has no meaning here has none to judge.
        if !members.is_empty() {
            return Err(Undecodable::new("a JSON-RPC message has a member that it cannot have"));
        }
        Ok(Self { id, content })
    }
}

fn read_id(id: &Node) -> Result<SmolStr, Undecodable> {
    match id {
        Node::Text(id) if is_name(id) => Ok(id.clone()),
        Node::Number(number) if id.as_long().is_some() => Ok(number.clone()),
        _ => Err(Undecodable::new("`id` of a JSON-RPC message is neither a name nor an integer")),
    }
}

fn read_error(error: Object) -> Result<Object, Undecodable> {
    let is_error = error.get("code").and_then(Node::as_long).is_some()
        && error.get("message").and_then(Node::as_text).is_some()
        && error.iter().all(|(name, _)| matches!(name.as_str(), "code" | "message" | "data"));
    if is_error { Ok(error) } else { Err(Undecodable::new("`error` of a JSON-RPC message is no error")) }
}

/// Whether it can name a thing: not empty, of bounded length, without control characters, and without space around it, which some trim.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && is_line(text)
}

/// Whether it is a text as [`is_name`] wants it, of any length.
pub(crate) fn is_line(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(char::is_control)
}

/// Refuses an object that has a name which some readers take for one of these and others do not: one that differs from it in case.
///
/// Go's `encoding/json` is such a reader.
pub(crate) fn refuse_alike(object: &Object, known: &[&str], part: &'static str) -> Result<(), Undecodable> {
    let is_alike = |name: &str| !known.contains(&name) && known.iter().any(|known| folded(known).eq(folded(name)));
    if object.iter().any(|(name, _)| is_alike(name)) {
        return Err(Undecodable::new(format!("{part} has a name that differs from a known one in case")));
    }
    Ok(())
}

/// The letters of a name without their case: as Go folds them, in which two signs beyond ASCII are like one within.
pub(crate) fn folded(name: &str) -> impl Iterator<Item = char> {
    name.chars().map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    })
}
