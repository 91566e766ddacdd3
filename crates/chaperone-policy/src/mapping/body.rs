//! A request's body, when the whole of it is there.

use std::sync::OnceLock;

use chaperone_decode::document::{Document, Node, Pointer};
use chaperone_decode::grpc::{self, Descriptors};

use super::Undecodable;
use super::http::{Headers, HttpRequest, is_grpc_type};

/// The header in which Envoy says whether it cut the body that it sent.
const PARTIAL: &str = "x-envoy-auth-partial-body";

/// A body that is looked at only where a mapping asks for it.
///
/// An enforcement point may send none of it, or the beginning. Whoever decides on a part decides on something else than what the upstream will
/// read; so unless it is certain that this is all, there is no body to read.
#[derive(Debug)]
pub(super) struct Body<'a> {
    method: &'a str,
    target: &'a str,
    headers: &'a Headers<'a>,
    bytes: &'a [u8],
    is_text: bool,
    /// What gRPC methods there are.
    descriptors: Option<&'a Descriptors>,
    document: OnceLock<Result<Document, Undecodable>>,
}

impl<'a> Body<'a> {
    pub(super) const fn of(request: &'a HttpRequest<'a>, descriptors: Option<&'a Descriptors>) -> Self {
        let HttpRequest { method, target, headers, body, body_is_text, .. } = request;
        Self { method, target, headers, bytes: body, is_text: *body_is_text, descriptors, document: OnceLock::new() }
    }

    /// The whole of it.
    ///
    /// # Errors
    /// When that is not certain, or when it is compressed.
    pub(super) fn bytes(&self) -> Result<&'a [u8], Undecodable> {
        let bytes = self.sent()?;
        // Over HTTP/2 Envoy says of a body whose first frame fills its buffer that it is whole, whatever comes behind; and it does not say
        // which version a request came by, or that it came in chunks. Only a length tells.
        if !bytes.is_empty() && self.headers.all("content-length").next().is_none() {
            return Err(Undecodable::new("the request does not tell the length of its body"));
        }
        Ok(bytes)
    }

    /// What there is of it: the whole, or as much as the proxy took for the whole.
    fn sent(&self) -> Result<&'a [u8], Undecodable> {
        if self.headers.all(PARTIAL).any(|value| value != b"false") {
            return Err(Undecodable::new("the proxy sent only a part of the body"));
        }
        if self.headers.all("content-encoding").any(|value| !value.eq_ignore_ascii_case(b"identity")) {
            return Err(Undecodable::new("the body is compressed"));
        }
        let mut lengths = self.headers.all("content-length").peekable();
        let is_told = lengths.peek().is_some();
        if !lengths.all(|length| is_length(length, self.bytes.len())) {
            let message = if self.bytes.is_empty() { "the proxy did not send the body" } else { "the body is cut" };
            return Err(Undecodable::new(message));
        }
        // Without a length, nobody says that a body which is not here is empty. These methods have none (RFC 9110 section 9.3).
        let may_be_empty = is_told || matches!(self.method, "GET" | "HEAD" | "DELETE" | "OPTIONS");
        if self.bytes.is_empty() && !may_be_empty {
            return Err(Undecodable::new("the proxy did not send the body"));
        }
        // Envoy replaces each byte that is not UTF-8 by this one; the upstream gets what the client sent.
        if self.is_text && self.bytes.contains(&b'!') {
            return Err(Undecodable::new("the proxy sent the body as text, in which `!` may stand for another byte"));
        }
        Ok(self.bytes)
    }

    /// The whole of it, as text.
    ///
    /// # Errors
    /// As [`Body::bytes`], and when it is not UTF-8.
    pub(super) fn text(&self) -> Result<&'a str, Undecodable> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Undecodable::new("the body is not UTF-8"))
    }

    /// A value in it, where it is JSON, a form or a gRPC message, as its content type says.
    ///
    /// # Errors
    /// As [`Body::bytes`], and when it is not what its content type says, or has none.
    pub(super) fn at(&self, pointer: &Pointer) -> Result<Option<&Node>, Undecodable> {
        match self.document.get_or_init(|| self.read()) {
            Ok(document) => Ok(document.root.at(pointer)),
            Err(undecodable) => Err(undecodable.clone()),
        }
    }

    /// Whether it is a form, whose values are all texts.
    pub(super) fn is_form(&self) -> bool {
        const FORM: &[u8] = b"application/x-www-form-urlencoded";
        self.headers
            .all("content-type")
            .any(|value| value.get(..FORM.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORM)))
    }

    fn read(&self) -> Result<Document, Undecodable> {
        let mut types = self.headers.all("content-type");
        match (types.next(), types.next()) {
            (Some(content_type), None) if is_grpc_type(content_type) => self.message(content_type),
            (Some(content_type), None) => Ok(Document::of_content_type(content_type, self.bytes()?)?),
            (None, _) => Err(Undecodable::new("the request has no content type")),
            (Some(_), Some(_)) => Err(Undecodable::new("the content type is there more than once")),
        }
    }

    /// The message of a gRPC call. It tells its own length, and clients send no other: of a method that takes one message, the server reads
    /// no more than this.
    fn message(&self, content_type: &[u8]) -> Result<Document, Undecodable> {
        const FORMATS: [&[u8]; 2] = [b"application/grpc", b"application/grpc+proto"];
        if self.method != "POST" || !FORMATS.iter().any(|format| content_type.eq_ignore_ascii_case(format)) {
            return Err(Undecodable::new("the gRPC message is in a format that is not read"));
        }
        let names = service_and_method(self.target);
        let method = self.descriptors.zip(names).and_then(|(known, (service, method))| known.method(service, method));
        let method = method.ok_or_else(|| Undecodable::new("the bundle has no descriptor of this gRPC method"))?;
        Ok(grpc::decode(&method, self.sent()?)?)
    }
}

/// The service and the method of a call, as it names them; not by another spelling of its path.
fn service_and_method(target: &str) -> Option<(&str, &str)> {
    target.strip_prefix('/')?.split_once('/')
}

/// Whether a `content-length` is this one.
fn is_length(text: &[u8], length: usize) -> bool {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let told = std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse::<usize>().ok());
    told == Some(length)
}
