//! What a step asks: an action as the schema has it, a raw request as a proxy would report it, or what a decoder reads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chaperone_policy::document::{Document, Node as Json};
use chaperone_policy::mapping::{Connection, Metadata, Payload, Undecodable};
use chaperone_policy::{Bundle, EntityRef, Request};

use super::fields::{Fields, Read, entity, entries, list, text, texts};
use super::values::{attributes, json};
use super::world::PresenterGiven;
use super::yaml::{Node, Value};
use crate::cli::Message;

/// What a step asks.
#[derive(Debug)]
pub enum Asked {
    /// An action.
    Action(Box<Request>),
    /// A request over HTTP, gRPC among them.
    Http(Box<HttpGiven>),
    /// What a decoder of the mapping reads.
    Payload { decoder: String, content: Content },
}

/// A raw request.
#[derive(Debug)]
pub struct HttpGiven {
    message: Message,
    extensions: Vec<(String, String)>,
    metadata: Option<FoundOut>,
}

/// What a decoder reads.
#[derive(Debug)]
pub enum Content {
    /// A script or a command line.
    Text(String),
    /// A program with its arguments.
    Arguments(Vec<String>),
    /// A message in JSON.
    Message(Vec<u8>),
}

/// What the proxy's other filters found out.
#[derive(Debug)]
struct FoundOut(Json);

impl Metadata for FoundOut {
    fn read(&self) -> Result<Json, Undecodable> {
        Ok(self.0.clone())
    }
}

impl Asked {
    /// From what a test says. `handle` presents the test's session, where it has one.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn of(node: &Node, bundle: &Bundle, handle: Option<&str>) -> Read<Self> {
        let mut fields = Fields::of(node)?;
        let asked = match (fields.take("action"), fields.take("http"), fields.take("grpc"), fields.take("decoder")) {
            (Some(_), None, None, None) => Self::Action(Box::new(action(&mut fields, node, bundle)?)),
            (None, Some(http), None, None) => Self::Http(Box::new(HttpGiven::http(http, bundle, handle)?)),
            (None, None, Some(grpc), None) => Self::Http(Box::new(HttpGiven::grpc(grpc, bundle, handle)?)),
            (None, None, None, Some(decoder)) => payload(decoder, bundle)?,
            _ => return Err(node.fault("a request has one of `action`, `http`, `grpc` and `decoder`")),
        };
        fields.finish()?;
        Ok(asked)
    }
}

fn action(fields: &mut Fields<'_>, node: &Node, bundle: &Bundle) -> Read<Request> {
    let action = node.get("action").map(text).transpose()?.unwrap_or_default();
    let resource = entity(fields.require("resource")?)?;
    let given = fields.take("attributes");
    let attributes = match (given, bundle.shapes().get(&EntityRef::action(action))) {
        (Some(given), Some(shape)) => attributes(given, &shape.attributes)?,
        // The bundle says itself that it has no such action.
        (Some(_), None) | (None, _) => chaperone_policy::Attributes::new(),
    };
    bundle.request(action, resource, attributes).map_err(|error| {
        let part = error.field.split('.').next().and_then(|name| node.get(name)).unwrap_or(node);
        part.fault(format!("this is no request: {error}"))
    })
}

fn payload(node: &Node, bundle: &Bundle) -> Read<Asked> {
    let mut fields = Fields::of(node)?;
    let name = fields.require("name")?;
    let decoder = text(name)?.to_owned();
    if !bundle.mapping().has_decoder(&decoder) {
        return Err(name.fault("the mapping has no decoder of this name"));
    }
    let content = match (fields.take("text"), fields.take("message"), fields.take("argv")) {
        (Some(written), None, None) => Content::Text(text(written)?.to_owned()),
        (None, Some(message), None) => Content::Message(document(message)?),
        (None, None, Some(arguments)) => Content::Arguments(texts(arguments)?.into_iter().map(str::to_owned).collect()),
        _ => return Err(node.fault("a decoder reads one of `text`, `message` and `argv`")),
    };
    fields.finish()?;
    Ok(Asked::Payload { decoder, content })
}

/// A message in JSON: written as that, or as YAML.
fn document(node: &Node) -> Read<Vec<u8>> {
    match &node.value {
        Value::Scalar { text, .. } => Ok(text.clone().into_bytes()),
        Value::List(_) | Value::Map(_) => Ok(json(node)?.to_string().into_bytes()),
    }
}

/// As the mapping reads JSON.
fn read(node: &Node) -> Read<Json> {
    let document = Document::json(json(node)?.to_string().as_bytes());
    Ok(document.map_err(|error| node.fault(error.message))?.root)
}

impl Content {
    /// As the mapping takes it.
    pub fn with<T>(&self, use_it: impl FnOnce(Payload<'_>) -> T) -> T {
        match self {
            Self::Text(text) => use_it(Payload::Text(text)),
            Self::Message(bytes) => use_it(Payload::Message(bytes)),
            Self::Arguments(values) => {
                use_it(Payload::Arguments(&values.iter().map(String::as_str).collect::<Vec<_>>()))
            }
        }
    }
}

impl HttpGiven {
    fn http(node: &Node, bundle: &Bundle, handle: Option<&str>) -> Read<Self> {
        if let Value::Scalar { text, .. } = &node.value {
            let message = Message::parse(text.as_bytes()).map_err(|message| node.fault(message))?;
            return Ok(Self { message, extensions: Vec::new(), metadata: None }.presenting(bundle, handle));
        }
        let mut fields = Fields::of(node)?;
        let mut message = Message {
            target: text(fields.require("path")?)?.to_owned(),
            host: fields.read("host", text)?.unwrap_or_default().to_owned(),
            scheme: fields.read("scheme", text)?.unwrap_or_default().to_owned(),
            ..Message::default()
        };
        let body = body(&mut fields, node, &mut message)?;
        message.method = match fields.read("method", text)? {
            Some(method) => method.to_owned(),
            None => if body { "POST" } else { "GET" }.to_owned(),
        };
        Self::with_surroundings(fields, message, bundle, handle)
    }

    /// A call, as it goes over HTTP/2.
    fn grpc(node: &Node, bundle: &Bundle, handle: Option<&str>) -> Read<Self> {
        let mut fields = Fields::of(node)?;
        let method = text(fields.require("method")?)?;
        let encoded = match (fields.take("message"), fields.take("message_base64")) {
            (Some(message), None) => {
                let encoded = bundle.mapping().encode_message(method, &read(message)?);
                encoded.map_err(|error| message.fault(error))?
            }
            (None, Some(encoded)) => base64(encoded)?,
            (None, None) => Vec::new(),
            (Some(_), Some(both)) => return Err(both.fault("a call has one message")),
        };
        let length = u32::try_from(encoded.len()).map_err(|_| node.fault("the message is too long"))?;
        let mut message = Message {
            method: "POST".to_owned(),
            target: format!("/{}", method.trim_start_matches('/')),
            host: fields.read("host", text)?.unwrap_or_default().to_owned(),
            // gRPC over HTTP/2: not compressed, and how long it is.
            body: [&[0], &length.to_be_bytes()[..], &encoded].concat(),
            ..Message::default()
        };
        message.add_header("content-type", "application/grpc".to_owned());
        Self::with_surroundings(fields, message, bundle, handle)
    }

    fn with_surroundings(
        mut fields: Fields<'_>,
        mut message: Message,
        bundle: &Bundle,
        handle: Option<&str>,
    ) -> Read<Self> {
        if let Some(node) = fields.take("headers") {
            let given = headers(node, handle)?;
            message.headers.retain(|(name, _)| !given.iter().any(|(known, _)| known == name));
            message.headers.extend(given);
        }
        let extensions = fields.read("extensions", entries)?.unwrap_or_default().iter();
        let extensions = extensions.map(|(key, node)| Ok((key.text.clone(), text(node)?.to_owned())));
        let extensions = extensions.collect::<Read<_>>()?;
        let metadata = fields.read("metadata", read)?.map(FoundOut);
        fields.finish()?;
        Ok(Self { message, extensions, metadata }.presenting(bundle, handle))
    }

    /// With the session where the mapping looks for one first, unless the request presents something itself.
    fn presenting(mut self, bundle: &Bundle, handle: Option<&str>) -> Self {
        let mapping = bundle.mapping();
        let presents = mapping.credential(&self.message.request(Connection::default()));
        if presents == chaperone_policy::mapping::Credential::Absent
            && let Some((name, value)) = handle.and_then(|handle| mapping.presented(handle))
        {
            self.message.headers.push((name, value.into_bytes()));
        }
        if !self.message.body.is_empty() && !self.message.has_header("transfer-encoding") {
            let length = self.message.body.len().to_string();
            self.message.add_header("content-length", length);
        }
        self
    }

    /// The request as the proxy would report it.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The connection that it came over.
    pub fn connection<'a>(&'a self, presenter: &'a PresenterGiven, address: &'a str) -> Connection<'a> {
        let extensions = self.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Connection {
            source_address: address,
            peer_spiffe_id: presenter.spiffe_id.as_deref().unwrap_or_default(),
            context_extensions: extensions.collect(),
            metadata: self.metadata.as_ref().map(|metadata| -> &dyn Metadata { metadata }),
            ..Connection::default()
        }
    }
}

/// Reads the body of a request, with the content type that its form has. Whether there is one.
fn body(fields: &mut Fields<'_>, node: &Node, message: &mut Message) -> Read<bool> {
    let given = (fields.take("body"), fields.take("json"), fields.take("form"), fields.take("body_base64"));
    message.body = match given {
        (None, None, None, None) => return Ok(false),
        (Some(body), None, None, None) => text(body)?.as_bytes().to_vec(),
        (None, Some(body), None, None) => {
            message.add_header("content-type", "application/json".to_owned());
            json(body)?.to_string().into_bytes()
        }
        (None, None, Some(body), None) => {
            message.add_header("content-type", "application/x-www-form-urlencoded".to_owned());
            text(body)?.as_bytes().to_vec()
        }
        (None, None, None, Some(body)) => base64(body)?,
        _ => return Err(node.fault("a request has one of `body`, `json`, `form` and `body_base64`")),
    };
    Ok(true)
}

fn base64(node: &Node) -> Read<Vec<u8>> {
    STANDARD.decode(text(node)?.trim()).map_err(|error| node.fault(format!("this is no Base64: {error}")))
}

/// Headers by their names, each with one value or a list of them. `${session}` is what presents the test's session.
fn headers(node: &Node, handle: Option<&str>) -> Read<Vec<(String, Vec<u8>)>> {
    let mut headers = Vec::new();
    for (key, node) in entries(node)? {
        let values = match &node.value {
            Value::List(_) => list(node)?.iter().collect(),
            Value::Scalar { .. } | Value::Map(_) => vec![node],
        };
        for value in values {
            let written = text(value)?;
            let value = match handle {
                Some(handle) => written.replace("${session}", handle),
                None if written.contains("${session}") => return Err(value.fault("this test has no session")),
                None => written.to_owned(),
            };
            headers.push((key.text.to_ascii_lowercase(), value.into_bytes()));
        }
    }
    Ok(headers)
}
