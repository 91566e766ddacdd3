//! What a `content-type` (RFC 9110 section 8.3) says of a body.

use crate::Undecodable;

/// What a body can be read as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// `application/json` and what is built on it.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

impl Format {
    /// The format of this media type.
    pub(crate) fn of(content_type: &[u8]) -> Result<Self, Undecodable> {
        let invalid = || Undecodable::new("`content-type` is no media type");
        // Two headers of this name come as one with a comma, which no token has; nor does a quoted text here have it or a semicolon.
        let text = std::str::from_utf8(content_type).map_err(|_| invalid())?;
        let mut parts = text.split(';').map(trim);
        let (main, sub) = parts.next().and_then(|name| name.split_once('/')).ok_or_else(invalid)?;
        if !is_token(main) || !is_token(sub) {
            return Err(invalid());
        }
        let mut charset = None;
        for part in parts {
            let (name, value) = part.split_once('=').ok_or_else(invalid)?;
            let value = match value.strip_prefix('"') {
                Some(quoted) => quoted.strip_suffix('"').ok_or_else(invalid)?,
                None => value,
            };
            if !is_token(name) || !is_token(value) {
                return Err(invalid());
            }
            if name.eq_ignore_ascii_case("charset") && charset.replace(value).is_some() {
                return Err(Undecodable::new("`content-type` has `charset` twice"));
            }
        }
        if charset.is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
            return Err(Undecodable::new("`content-type` has a `charset` other than `utf-8`"));
        }
        let (main, sub) = (main.to_ascii_lowercase(), sub.to_ascii_lowercase());
        match (main.as_str(), sub.as_str()) {
            ("application", "json") => Ok(Self::Json),
            ("application", "x-www-form-urlencoded") => Ok(Self::Form),
            ("application", sub) if sub.strip_suffix("+json").is_some_and(|name| !name.is_empty()) => Ok(Self::Json),
            _ => Err(Undecodable::new(
                "a body of this `content-type` cannot be looked into; those of `application/json`, `application/*+json` and \
                 `application/x-www-form-urlencoded` can",
            )),
        }
    }
}

fn trim(part: &str) -> &str {
    part.trim_matches([' ', '\t'])
}

/// Whether it is a token of RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
