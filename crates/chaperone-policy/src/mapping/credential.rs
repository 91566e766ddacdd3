//! Where a request presents its session.

use super::Credential;
use super::http::HttpRequest;

/// A place where a handle may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Source {
    /// A header of this name, lower case, that holds nothing else.
    Header(Box<str>),
    /// `Authorization: Bearer …`.
    Bearer,
}

/// What every handle starts with; by this a handle is told from somebody else's token.
const HANDLE_PREFIX: &str = "chp_";

/// What a request presents: the first source that is present wins, but two different handles are ambiguous.
pub(super) fn present(sources: &[Source], request: &HttpRequest<'_>) -> Credential {
    let mut chosen: Option<&str> = None;
    for source in sources {
        match (source.read(request), chosen) {
            (Presented::Ambiguous, _) => return Credential::Ambiguous,
            (Presented::Text(text), None) => chosen = Some(text),
            // A bearer token for the upstream may stand beside a handle in a header of its own; a second handle may not.
            (Presented::Text(text), Some(first)) if text != first && text.starts_with(HANDLE_PREFIX) => {
                return Credential::Ambiguous;
            }
            (Presented::Absent, _) | (Presented::Text(_), Some(_)) => {}
        }
    }
    chosen.map_or(Credential::Absent, |text| Credential::Handle(text.to_owned()))
}

/// The first source that is present: the one that wins, unless the whole is ambiguous.
pub(super) fn source<'s>(sources: &'s [Source], request: &HttpRequest<'_>) -> Option<&'s Source> {
    sources.iter().find(|source| !matches!(source.read(request), Presented::Absent))
}

/// The headers that must not reach the upstream, lower case: those of header sources, and `authorization` when it holds the handle.
pub(super) fn headers_to_strip<'s>(sources: &'s [Source], request: &HttpRequest<'_>) -> impl Iterator<Item = &'s str> {
    let handle = match present(sources, request) {
        Credential::Handle(handle) => Some(handle),
        Credential::Absent | Credential::Ambiguous => None,
    };
    let bearer = match bearer(request) {
        Presented::Text(text) => text.starts_with(HANDLE_PREFIX) || Some(text) == handle.as_deref(),
        Presented::Absent | Presented::Ambiguous => false,
    };
    sources.iter().filter_map(move |source| match source {
        Source::Header(name) => Some(&**name),
        Source::Bearer => bearer.then_some("authorization"),
    })
}

enum Presented<'a> {
    Absent,
    Text(&'a str),
    Ambiguous,
}

impl Source {
    /// The header that presents a handle here.
    pub(super) fn presented(&self, handle: &str) -> (String, String) {
        match self {
            Self::Header(name) => (name.to_string(), handle.to_owned()),
            Self::Bearer => ("authorization".to_owned(), format!("Bearer {handle}")),
        }
    }

    fn read<'a>(&self, request: &HttpRequest<'a>) -> Presented<'a> {
        match self {
            Self::Header(name) => {
                let mut values = request.headers.all(name);
                match (values.next(), values.next()) {
                    (None, _) => Presented::Absent,
                    // No handle has a comma: it joins the values of a repeated header.
                    (Some(value), None) if !value.contains(&b',') => {
                        std::str::from_utf8(value).map_or(Presented::Ambiguous, Presented::Text)
                    }
                    (Some(_), _) => Presented::Ambiguous,
                }
            }
            Self::Bearer => bearer(request),
        }
    }
}

/// The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1); another scheme is absent.
fn bearer<'a>(request: &HttpRequest<'a>) -> Presented<'a> {
    let mut values = request.headers.all("authorization");
    let value = match (values.next(), values.next()) {
        (None, _) => return Presented::Absent,
        (Some(_), Some(_)) => return Presented::Ambiguous,
        (Some(value), None) => value,
    };
    // Other schemes have commas of their own; what matters is whether a bearer token is among what they separate.
    if value.contains(&b',') {
        let any = value.split(|byte| *byte == b',').any(|part| token(part).is_some());
        return if any { Presented::Ambiguous } else { Presented::Absent };
    }
    match token(value).map(std::str::from_utf8) {
        None => Presented::Absent,
        Some(Ok(text)) => Presented::Text(text),
        Some(Err(_)) => Presented::Ambiguous,
    }
}

/// What follows the scheme `Bearer`, in any case; empty when nothing does.
fn token(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = value.trim_ascii().split_at_checked(SCHEME.len())?;
    let separated = rest.first().is_none_or(u8::is_ascii_whitespace);
    (separated && scheme.eq_ignore_ascii_case(SCHEME)).then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::super::Headers;
    use super::*;

    fn read(sources: &[Source], headers: &[(&str, &[u8])]) -> Credential {
        let request = HttpRequest { headers: Headers::new(headers.iter().copied()), ..HttpRequest::default() };
        present(sources, &request)
    }

    /// Headers written as `name: value` lines.
    fn read_lines(lines: &[&'static [u8]]) -> Credential {
        let split = |line: &&'static [u8]| -> (&'static str, &'static [u8]) {
            let colon = line.iter().position(|byte| *byte == b':').expect("a header");
            (std::str::from_utf8(&line[..colon]).expect("ASCII"), &line[colon + 2..])
        };
        read(&both(), &lines.iter().map(split).collect::<Vec<_>>())
    }

    fn stripped<'s>(sources: &'s [Source], headers: &[(&str, &[u8])]) -> Vec<&'s str> {
        let request = HttpRequest { headers: Headers::new(headers.iter().copied()), ..HttpRequest::default() };
        headers_to_strip(sources, &request).collect()
    }

    fn both() -> [Source; 2] {
        [Source::Header("x-session".into()), Source::Bearer]
    }

    fn handle(text: &str) -> Credential {
        Credential::Handle(text.to_owned())
    }

    #[test]
    fn header_is_present_even_when_empty() {
        assert_eq!(read(&both(), &[]), Credential::Absent);
        assert_eq!(read(&both(), &[("x-session", b"")]), handle(""));
        assert_eq!(read(&both(), &[("X-Session", b"chp_a")]), handle("chp_a"));
    }

    #[test]
    fn repeated_joined_or_unreadable_header_is_ambiguous() {
        let cases: [&[&'static [u8]]; 8] = [
            &[b"x-session: chp_a", b"x-session: chp_a"],
            &[b"x-session: chp_a", b"X-Session: chp_b"],
            &[b"x-session: chp_a,chp_b"],
            &[b"x-session: chp_\xff"],
            &[b"authorization: Bearer chp_a", b"authorization: Basic eDp5"],
            &[b"authorization: Bearer chp_a,Bearer chp_b"],
            &[b"authorization: Basic eDp5, bearer chp_b"],
            &[b"authorization: Bearer \xff"],
        ];
        for lines in cases {
            assert_eq!(read_lines(lines), Credential::Ambiguous, "{lines:?}");
        }
    }

    #[test]
    fn bearer_scheme_is_read_in_any_case_and_other_schemes_are_absent() {
        for value in [b"Bearer chp_a" as &[u8], b"bearer chp_a", b"BEARER   chp_a ", b"Bearer\tchp_a"] {
            assert_eq!(read(&both(), &[("authorization", value)]), handle("chp_a"));
        }
        assert_eq!(read(&both(), &[("authorization", b"Bearer")]), handle(""));
        for value in [b"Basic eDp5" as &[u8], b"Bearerchp_a", b"", b"Digest username=\"a\", realm=\"b\"", b"\xff"] {
            assert_eq!(read(&both(), &[("authorization", value)]), Credential::Absent);
        }
    }

    #[test]
    fn first_source_wins_unless_a_second_handle_differs() {
        let both_present = |second: &[u8]| read(&both(), &[("x-session", b"chp_a"), ("authorization", second)]);
        assert_eq!(both_present(b"Bearer chp_a"), handle("chp_a"));
        assert_eq!(both_present(b"Bearer chp_b"), Credential::Ambiguous);
        assert_eq!(both_present(b"Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln"), handle("chp_a"));
    }

    #[test]
    fn authorization_is_stripped_only_when_it_holds_the_handle() {
        assert_eq!(stripped(&both(), &[("authorization", b"Bearer chp_a")]), ["x-session", "authorization"]);
        assert_eq!(stripped(&both(), &[("authorization", b"Basic eDp5")]), ["x-session"]);
        assert_eq!(stripped(&both(), &[("x-session", b"chp_a"), ("authorization", b"Bearer jwt")]), ["x-session"]);
        assert_eq!(stripped(&[Source::Bearer], &[("authorization", b"Bearer jwt")]), ["authorization"]);
    }
}
