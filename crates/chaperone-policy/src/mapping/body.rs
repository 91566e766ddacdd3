//! A request's body, when the whole of it is there.

use std::sync::OnceLock;

use chaperone_decode::document::{Document, Node, Pointer};

use super::Undecodable;
use super::http::{Headers, HttpRequest};

/// The header in which Envoy says whether it cut the body that it sent.
const PARTIAL: &str = "x-envoy-auth-partial-body";

/// A body that is looked at only where a mapping asks for it.
///
/// An enforcement point may send none of it, or the beginning. Whoever decides on a part decides on something else than what the upstream will
/// read; so unless it is certain that this is all, there is no body to read.
#[derive(Debug)]
pub(super) struct Body<'a> {
    method: &'a str,
    headers: &'a Headers<'a>,
    bytes: &'a [u8],
    is_text: bool,
    document: OnceLock<Result<Document, Undecodable>>,
}

impl<'a> Body<'a> {
    pub(super) const fn of(request: &'a HttpRequest<'a>) -> Self {
        let HttpRequest { method, headers, body, body_is_text, .. } = request;
        Self { method, headers, bytes: body, is_text: *body_is_text, document: OnceLock::new() }
    }

    /// The whole of it.
    ///
    /// # Errors
    /// When that is not certain, or when it is compressed.
    pub(super) fn bytes(&self) -> Result<&'a [u8], Undecodable> {
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
        // Over HTTP/2 Envoy says of a body whose first frame fills its buffer that it is whole, whatever comes behind; and it does not say
        // which version a request came by, or that it came in chunks. Only a length tells.
        if !self.bytes.is_empty() && !is_told {
            return Err(Undecodable::new("the request does not tell the length of its body"));
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

    /// A value in it, where it is JSON or a form, as its content type says.
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
        let bytes = self.bytes()?;
        let mut types = self.headers.all("content-type");
        match (types.next(), types.next()) {
            (Some(content_type), None) => Ok(Document::of_content_type(content_type, bytes)?),
            (None, _) => Err(Undecodable::new("the request has no content type")),
            (Some(_), Some(_)) => Err(Undecodable::new("the content type is there more than once")),
        }
    }
}

/// Whether a `content-length` is this one.
fn is_length(text: &[u8], length: usize) -> bool {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let told = std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse::<usize>().ok());
    told == Some(length)
}
