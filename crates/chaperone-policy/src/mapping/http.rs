//! A request as an enforcement point reports it, borrowed from its wire form.

use std::fmt::Debug;

use chaperone_decode::document::Node;

use super::Undecodable;

/// An HTTP request. Absent strings are empty: enforcement points differ in what they send.
#[derive(Clone, Debug, Default)]
pub struct HttpRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// `Host` or `:authority`.
    pub host: &'a str,
    /// The scheme.
    pub scheme: &'a str,
    /// The request target: path and query, as they go upstream.
    pub target: &'a str,
    /// The headers, without pseudo-headers.
    pub headers: Headers<'a>,
    /// The body, as far as the enforcement point sent it.
    pub body: &'a [u8],
    /// Whether that was sent as text, in which `!` may stand for a byte that is not UTF-8.
    pub body_is_text: bool,
    /// The connection that it came over.
    pub connection: Connection<'a>,
}

impl HttpRequest<'_> {
    /// Whether the client speaks gRPC, as far as the headers tell, so that a refusal takes gRPC's form.
    pub fn is_grpc(&self) -> bool {
        self.method == "POST" && self.headers.all("content-type").any(|value| is_grpc_type(value.trim_ascii()))
    }
}

/// Whether a content type is gRPC, with a message format or parameters behind it or none; not gRPC-Web.
pub(super) fn is_grpc_type(value: &[u8]) -> bool {
    const NAME: &[u8] = b"application/grpc";
    value.split_at_checked(NAME.len()).is_some_and(|(name, rest)| {
        name.eq_ignore_ascii_case(NAME) && matches!(rest.trim_ascii_start().first(), None | Some(b'+' | b';'))
    })
}

/// The connection that a request came over.
#[derive(Clone, Debug, Default)]
pub struct Connection<'a> {
    /// The peer's address, without port.
    pub source_address: &'a str,
    /// The listener's address.
    pub destination_address: &'a str,
    /// The listener's port; 0 when unknown.
    pub destination_port: u32,
    /// The server name of the TLS session.
    pub sni: &'a str,
    /// The peer's SPIFFE ID.
    pub peer_spiffe_id: &'a str,
    /// Constants of the route in the proxy's configuration: names and values.
    pub context_extensions: Vec<(&'a str, &'a str)>,
    /// What the proxy's other filters found out, by their namespaces; read only where a mapping asks for it.
    pub metadata: Option<&'a dyn Metadata>,
}

/// What a proxy's other filters found out, such as the claims of a token that one of them verified.
pub trait Metadata: Debug + Sync {
    /// All of it: an object of namespaces.
    ///
    /// # Errors
    /// When it cannot be read in one way only.
    fn read(&self) -> Result<Node, Undecodable>;
}

/// Headers: lower-case names, values as bytes, duplicates kept.
#[derive(Clone, Debug, Default)]
pub struct Headers<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Headers<'a> {
    /// From names and values. Pseudo-headers (`:path` and friends) are left out.
    pub fn new(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self(headers.into_iter().filter(|(name, _)| !name.starts_with(':')).collect())
    }

    /// Every value of a header.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        self.0.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// All of them.
    pub(super) fn as_slice(&self) -> &[(&'a str, &'a [u8])] {
        &self.0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
