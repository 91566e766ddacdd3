//! What is read of a request, and the view that reads it.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use smol_str::SmolStr;

use super::Undecodable;
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
}

/// A part of a request that a template can name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum RequestField {
    Path { name: Box<str>, capture: Capture },
    Query(Box<str>),
    Header(Box<str>),
    Extension(Box<str>),
    Host,
    Method,
    Scheme,
    Peer,
    SourceIp,
    Zone,
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
    pub(super) connection: &'a Connection<'a>,
    pub(super) zones: &'a Zones,
}

impl<'a> View<'a> {
    /// Reads the parts that every decision depends on.
    pub(super) fn of(request: &'a HttpRequest<'a>, semicolons: bool, zones: &'a Zones) -> Result<Self, Undecodable> {
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
        Ok(Self { method: request.method, scheme, host, path, query, headers, connection, zones })
    }

    /// Reads one part.
    pub(super) fn read<'v>(&'v self, field: &RequestField) -> Reading<'v> {
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
        }
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
