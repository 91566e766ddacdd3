//! What is read of a request, and the view that reads it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::OnceLock;

use chaperone_decode::document::{Node, Pointer};
use chaperone_decode::grpc::Descriptors;
use smol_str::SmolStr;

use super::Undecodable;
use super::body::Body;
use super::host::normal_host;
use super::http::{Connection, Headers, HttpRequest};
use super::path::Path;
use super::path_template::Capture;
use super::query::Query;
use crate::zone::Zones;

/// How many headers a request may have.
const HEADERS_MAX: usize = 1_000;
/// How long a request target may be, in bytes.
const TARGET_BYTES_MAX: usize = 16 * 1024;
/// How long a method may be, in bytes.
const METHOD_BYTES_MAX: usize = 64;
/// How long a scheme may be, in bytes.
const SCHEME_BYTES_MAX: usize = 16;

/// A part of a request, as far as it can be read.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Reading<'a> {
    /// It is not there.
    Absent,
    /// It is there, once.
    One(Cow<'a, str>),
    /// It is there more than once, or is no text.
    Ambiguous,
    /// What it is a part of cannot be read.
    Undecodable(Undecodable),
}

/// A part of a request with its structure, as far as it has one.
#[derive(Debug)]
pub(super) enum Structured<'a> {
    /// It is not there.
    Absent,
    /// A value with a type of its own.
    Node(Cow<'a, Node>),
    /// A text, whatever it stands for.
    Text(Cow<'a, str>),
}

/// Something that placeholders of the kind `F` can be read from.
pub(super) trait Readable<F> {
    /// A part as text.
    fn read<'v>(&'v self, field: &'v F) -> Reading<'v>;

    /// A part with its structure.
    ///
    /// # Errors
    /// When it cannot be read in one way only.
    fn structured<'v>(&'v self, field: &'v F) -> Result<Structured<'v>, Undecodable>;
}

/// A part of a request that a template can name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum RequestField {
    Path {
        name: Box<str>,
        capture: Capture,
    },
    Query(Box<str>),
    Header(Box<str>),
    Extension(Box<str>),
    Host,
    Method,
    Scheme,
    Peer,
    SourceIp,
    Zone,
    /// The whole body, as text.
    BodyText,
    /// A value in the body.
    Body(Pointer),
    /// A value in what the proxy's other filters found out.
    Metadata(Pointer),
}

impl RequestField {
    /// Whether it may hold whatever the client wrote, beyond what a record is for.
    pub(super) const fn is_raw(&self) -> bool {
        matches!(self, Self::Header(_) | Self::BodyText | Self::Body(_))
    }

    /// Whether what it stands for may have a structure of its own.
    pub(super) const fn is_structured(&self) -> bool {
        matches!(self, Self::Body(_) | Self::Metadata(_))
    }
}

impl fmt::Display for RequestField {
    /// As a template writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path { name, .. } => write!(f, "{{path.{name}}}"),
            Self::Query(name) => write!(f, "{{query.{name}}}"),
            Self::Header(name) => write!(f, "{{header.{name}}}"),
            Self::Extension(name) => write!(f, "{{extension.{name}}}"),
            Self::Host => f.write_str("{host}"),
            Self::Method => f.write_str("{method}"),
            Self::Scheme => f.write_str("{scheme}"),
            Self::Peer => f.write_str("{peer}"),
            Self::SourceIp => f.write_str("{source_ip}"),
            Self::Zone => f.write_str("{zone}"),
            Self::BodyText => f.write_str("{body}"),
            Self::Body(pointer) => write!(f, "{{body:{pointer}}}"),
            Self::Metadata(pointer) => write!(f, "{{metadata:{pointer}}}"),
        }
    }
}

/// A request that can be read in one way only.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) method: &'a str,
    pub(super) scheme: Cow<'a, str>,
    /// Lower case, without port; may be empty.
    pub(super) host: Cow<'a, str>,
    pub(super) path: Path<'a>,
    pub(super) query: Query<'a>,
    pub(super) headers: &'a Headers<'a>,
    pub(super) body: Body<'a>,
    pub(super) connection: &'a Connection<'a>,
    pub(super) zones: &'a Zones,
    metadata: OnceLock<Result<Node, Undecodable>>,
}

impl<'a> View<'a> {
    /// Reads the parts that every decision depends on.
    pub(super) fn of(
        request: &'a HttpRequest<'a>,
        semicolons: bool,
        zones: &'a Zones,
        descriptors: Option<&'a Descriptors>,
    ) -> Result<Self, Undecodable> {
        if request.headers.len() > HEADERS_MAX {
            return Err(Undecodable::new(format!("the request has more than {HEADERS_MAX} headers")));
        }
        if request.target.len() > TARGET_BYTES_MAX {
            return Err(Undecodable::new(format!("the request target is longer than {TARGET_BYTES_MAX} bytes")));
        }
        if !is_method(request.method) {
            return Err(Undecodable::new("the method is not in upper case"));
        }
        let scheme = normal_scheme(request.scheme)?;
        let host = agreed_host(request)?;
        let (path, query) = match request.target.split_once('?') {
            Some((path, query)) => (path, query),
            None => (request.target, ""),
        };
        let path = if request.target == "*" && request.method == "OPTIONS" {
            Path::asterisk()
        } else {
            Path::parse(path, semicolons).map_err(|error| Undecodable::new(error.to_string()))?
        };
        let query = Query::parse(query, semicolons).map_err(|error| Undecodable::new(error.to_string()))?;
        let (headers, connection) = (&request.headers, &request.connection);
        let (method, body) = (request.method, Body::of(request, descriptors));
        Ok(Self { method, scheme, host, path, query, headers, body, connection, zones, metadata: OnceLock::new() })
    }

    /// A value in what the proxy's other filters found out.
    fn metadata(&self, pointer: &Pointer) -> Result<Option<&Node>, Undecodable> {
        let Some(metadata) = self.connection.metadata else { return Ok(None) };
        match self.metadata.get_or_init(|| metadata.read()) {
            Ok(node) => Ok(node.at(pointer)),
            Err(undecodable) => Err(undecodable.clone()),
        }
    }
}

impl Readable<RequestField> for View<'_> {
    fn read<'v>(&'v self, field: &'v RequestField) -> Reading<'v> {
        match field {
            RequestField::Path { capture, .. } => capture.read(&self.path),
            RequestField::Query(name) => self.query.find(name),
            RequestField::Header(name) => read_header(self.headers, name),
            RequestField::Extension(name) => {
                let mut values = self.connection.context_extensions.iter().filter(|(key, _)| *key == &**name);
                match (values.next(), values.next()) {
                    (None, _) => Reading::Absent,
                    (Some((_, value)), None) => Reading::One(Cow::Borrowed(value)),
                    (Some(_), Some(_)) => Reading::Ambiguous,
                }
            }
            RequestField::Host => non_empty(&self.host),
            RequestField::Method => non_empty(self.method),
            RequestField::Scheme => non_empty(&self.scheme),
            RequestField::Peer => non_empty(self.connection.peer_spiffe_id),
            RequestField::SourceIp => match source_ip(self.connection) {
                Some(address) => Reading::One(Cow::Owned(address.to_string())),
                None => Reading::Absent,
            },
            RequestField::Zone => match zone(self.connection, self.zones) {
                Some(name) => Reading::One(Cow::Borrowed(name)),
                None => Reading::Absent,
            },
            RequestField::BodyText => match self.body.text() {
                Ok(text) => Reading::One(Cow::Borrowed(text)),
                Err(undecodable) => Reading::Undecodable(undecodable),
            },
            RequestField::Body(pointer) => reading(self.body.at(pointer)),
            RequestField::Metadata(pointer) => reading(self.metadata(pointer)),
        }
    }

    fn structured<'v>(&'v self, field: &'v RequestField) -> Result<Structured<'v>, Undecodable> {
        match field {
            RequestField::Body(pointer) if !self.body.is_form() => Ok(structured(self.body.at(pointer)?)),
            RequestField::Metadata(pointer) => Ok(structured(self.metadata(pointer)?)),
            _ => match self.read(field) {
                Reading::Absent => Ok(Structured::Absent),
                Reading::One(text) => Ok(Structured::Text(text)),
                Reading::Ambiguous => Err(ambiguous(field)),
                Reading::Undecodable(undecodable) => Err(undecodable),
            },
        }
    }
}

/// The error for a part that is there more than once. It names the placeholder, never a value.
pub(super) fn ambiguous(field: &impl fmt::Display) -> Undecodable {
    Undecodable::new(format!("`{field}` is there more than once, or is no text"))
}

/// A value of a document as a text: what has a structure has none.
pub(super) fn reading(node: Result<Option<&Node>, Undecodable>) -> Reading<'_> {
    match node {
        Ok(None | Some(Node::Null)) => Reading::Absent,
        Ok(Some(Node::Text(text) | Node::Number(text))) => Reading::One(Cow::Borrowed(text)),
        Ok(Some(Node::Bool(value))) => Reading::One(Cow::Borrowed(if *value { "true" } else { "false" })),
        Ok(Some(Node::List(_) | Node::Object(_))) => Reading::Ambiguous,
        Err(undecodable) => Reading::Undecodable(undecodable),
    }
}

/// A value of a document as it is; `null` says that there is none.
pub(super) fn structured(node: Option<&Node>) -> Structured<'_> {
    match node {
        None | Some(Node::Null) => Structured::Absent,
        Some(node) => Structured::Node(Cow::Borrowed(node)),
    }
}

/// The zone that the peer's address is in. Where there are no zones, the address is not even read.
pub(super) fn zone<'z>(connection: &Connection<'_>, zones: &'z Zones) -> Option<&'z SmolStr> {
    if zones.is_empty() { None } else { zones.find(source_ip(connection)?) }
}

/// The peer's address, if it is one. An IPv4 address inside IPv6 is written as IPv4, so that one rule on ranges sees both.
pub(super) fn source_ip(connection: &Connection<'_>) -> Option<IpAddr> {
    connection.source_address.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn non_empty(text: &str) -> Reading<'_> {
    if text.is_empty() { Reading::Absent } else { Reading::One(Cow::Borrowed(text)) }
}

/// A header's one value. Proxies join a repeated header with commas, so a comma may stand for two values.
fn read_header<'v>(headers: &'v Headers<'_>, name: &str) -> Reading<'v> {
    let mut values = headers.all(name);
    match (values.next(), values.next()) {
        (None, _) => Reading::Absent,
        (Some(value), None) if !value.contains(&b',') => match std::str::from_utf8(value) {
            Ok(text) => Reading::One(Cow::Borrowed(text)),
            Err(_) => Reading::Ambiguous,
        },
        (Some(_), _) => Reading::Ambiguous,
    }
}

/// Methods are case-sensitive (RFC 9110 section 9.1), but not to every server: only one spelling has one reading.
pub(super) fn is_method(text: &str) -> bool {
    text.len() <= METHOD_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
}

fn normal_scheme(text: &str) -> Result<Cow<'_, str>, Undecodable> {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if text.len() > SCHEME_BYTES_MAX || !text.bytes().all(valid) {
        return Err(Undecodable::new("the scheme is not valid"));
    }
    Ok(lower_case(text))
}

/// The text in lower case, borrowed where it already is.
pub(super) fn lower_case(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// The request's host, from its own field or a `Host` header. Where both are there they must say the same: servers differ in
/// which one they believe.
fn agreed_host<'a>(request: &'a HttpRequest<'a>) -> Result<Cow<'a, str>, Undecodable> {
    let mut host = normal_host(request.host)?;
    for value in request.headers.all("host") {
        let text = std::str::from_utf8(value).map_err(|_| Undecodable::new("the host is not valid"))?;
        let told = normal_host(text)?;
        if host.is_empty() {
            host = told;
        } else if host != told {
            return Err(Undecodable::new("the request has two hosts"));
        }
    }
    Ok(host)
}
