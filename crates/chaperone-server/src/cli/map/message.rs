//! An HTTP request, from arguments like those of curl or from a file as it goes over the wire.

use chaperone_policy::mapping::{Connection, Headers, HttpRequest};

/// A request, as it was written. Nothing of it is put into order: what would be refused is to be seen.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// The method.
    pub method: String,
    /// `Host` or `:authority`; empty where only a header says it.
    pub host: String,
    /// The scheme; empty where it is not said.
    pub scheme: String,
    /// Path and query.
    pub target: String,
    /// With lower-case names.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads a message as HTTP/1.1 has it: a line with method, target and version, headers, an empty line, and the body.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut rest = bytes;
        let mut lines = Vec::new();
        while !rest.is_empty() {
            // A message without a body may end without an empty line, and without the end of its last.
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            match line.strip_suffix(b"\r").unwrap_or(line) {
                b"" => break,
                line => lines.push(line),
            }
        }
        let (first, headers) = lines.split_first().ok_or("the request is empty")?;
        let first = std::str::from_utf8(first).map_err(|_| "the first line is not UTF-8")?;
        let mut words = first.split(' ');
        let (Some(method), Some(target), version, None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("the first line is a method, a target and a version, such as `GET /a HTTP/1.1`".to_owned());
        };
        if version.is_some_and(|version| !version.starts_with("HTTP/")) {
            return Err("the first line ends in a version, such as `HTTP/1.1`".to_owned());
        }
        let headers = headers.iter().map(|line| header(line)).collect::<Result<Vec<_>, _>>()?;
        let (scheme, host, target) = split_url(target);
        Ok(Self { method: method.to_owned(), host, scheme, target, headers, body: rest.to_vec() })
    }

    /// Whether it has a header of this name, in lower case.
    pub fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(known, _)| known == name)
    }

    /// Adds a header, where there is none of that name yet.
    pub fn add_header(&mut self, name: &str, value: String) {
        if !self.has_header(name) {
            self.headers.push((name.to_owned(), value.into_bytes()));
        }
    }

    /// As a proxy would report it.
    pub fn request<'a>(&'a self, connection: Connection<'a>) -> HttpRequest<'a> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        HttpRequest {
            method: &self.method,
            host: &self.host,
            scheme: &self.scheme,
            target: &self.target,
            headers: Headers::new(headers),
            body: &self.body,
            body_is_text: false,
            connection,
        }
    }
}

/// A header as a line has it: `name: value`.
///
/// # Errors
/// With what is wrong.
pub fn header(line: &[u8]) -> Result<(String, Vec<u8>), String> {
    let colon = line.iter().position(|byte| *byte == b':').filter(|place| *place > 0);
    let (name, value) = colon.map(|place| line.split_at(place)).ok_or("a header is written `name: value`")?;
    let name = std::str::from_utf8(name).ok().filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
    let name = name.ok_or("the name of a header has no spaces")?.to_ascii_lowercase();
    Ok((name, value.get(1..).unwrap_or_default().trim_ascii().to_vec()))
}

/// Scheme, host and target of a URL; of a target alone the others are empty.
pub fn split_url(url: &str) -> (String, String, String) {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?'])) else {
        return (String::new(), String::new(), url.to_owned());
    };
    let (host, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    // A URL may leave the path out, and a request may not.
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    (scheme.to_owned(), host.to_owned(), target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_read_as_it_goes_over_the_wire() {
        let bytes = b"POST /a?b=c HTTP/1.1\r\nHost: docs.example.com\r\nX-A:  1 \r\n\r\nline\r\n\r\nline";
        let message = Message::parse(bytes).expect("a message");
        assert_eq!((message.method.as_str(), message.target.as_str()), ("POST", "/a?b=c"));
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        assert_eq!(message.headers, [header("host", "docs.example.com"), header("x-a", "1")]);
        assert_eq!(message.body, b"line\r\n\r\nline");
        let message = Message::parse(b"GET https://a.example:8443/b HTTP/1.1").expect("a message");
        let parts = (message.scheme.as_str(), message.host.as_str(), message.target.as_str());
        assert_eq!(parts, ("https", "a.example:8443", "/b"));
        for bytes in [b"GET /a\nx-a: 1\n" as &[u8], b"GET /a\nx-a: 1", b"GET /a\nx-a: 1\n\n"] {
            let message = Message::parse(bytes).expect("a message");
            assert_eq!((message.headers, message.body), (vec![header("x-a", "1")], Vec::new()));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bytes in
            [b"" as &[u8], b"\n", b"GET", b"GET /a b HTTP/1.1", b"GET /a FTP", b"GET /a\nnone\n", b"GET /a\n: b\n"]
        {
            assert!(Message::parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn url_is_split_and_never_put_into_order() {
        let split = |url| -> [String; 3] { split_url(url).into() };
        assert_eq!(split("https://a.example"), ["https", "a.example", "/"]);
        assert_eq!(split("http://a.example?b"), ["http", "a.example", "/?b"]);
        assert_eq!(split("http://a.example/b/../c"), ["http", "a.example", "/b/../c"]);
        assert_eq!(split("/a?u=http://b"), ["", "", "/a?u=http://b"]);
    }
}
