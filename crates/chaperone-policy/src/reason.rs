//! `@reason`: the text that a policy has for the caller.

use std::fmt::Write as _;

use crate::decide::Authority;
use crate::request::Request;

/// How long a `@reason` may be, in bytes.
pub(crate) const REASON_BYTES_MAX: usize = 1_024;

/// A `@reason` with its placeholders found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ReasonTemplate(Vec<Part>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Placeholder {
    Principal,
    Action,
    Resource,
    Owner,
    TaskId,
    TaskPurpose,
}

/// A `@reason` that cannot be rendered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ReasonError {
    /// An unknown placeholder.
    #[error("`{{{0}}}` is not a placeholder")]
    Unknown(String),
    /// A brace without its partner.
    #[error("a `{0}` stands alone; write `{0}{0}` for the character itself")]
    Brace(char),
    /// Too long.
    #[error("a reason has at most {REASON_BYTES_MAX} bytes")]
    TooLong,
}

impl ReasonTemplate {
    /// Reads a reason; `{{` and `}}` are literal braces.
    pub(crate) fn parse(text: &str) -> Result<Self, ReasonError> {
        if text.len() > REASON_BYTES_MAX {
            return Err(ReasonError::TooLong);
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(after) = from.strip_prefix('{') {
                let (name, after) = after.split_once('}').ok_or(ReasonError::Brace('{'))?;
                let placeholder = Placeholder::parse(name).ok_or_else(|| ReasonError::Unknown(name.to_owned()))?;
                parts.push(Part::Text(std::mem::take(&mut literal)));
                parts.push(Part::Placeholder(placeholder));
                rest = after;
            } else {
                return Err(ReasonError::Brace('}'));
            }
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal));
        Ok(Self(parts))
    }

    /// The text for one request. What speaks of a session is empty where there is none.
    pub(crate) fn render(&self, request: &Request, authority: Authority<'_>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Placeholder(placeholder) => placeholder.render(request, authority, &mut text),
            }
        }
        text
    }
}

impl Placeholder {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "principal" => Self::Principal,
            "action" => Self::Action,
            "resource" => Self::Resource,
            "session.owner" => Self::Owner,
            "session.task.id" => Self::TaskId,
            "session.task.purpose" => Self::TaskPurpose,
            _ => return None,
        })
    }

    fn render(self, request: &Request, authority: Authority<'_>, text: &mut String) {
        let session = authority.session();
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Principal => write!(text, "{}", authority.principal()),
            Self::Action => write!(text, "{}", request.action),
            Self::Resource => write!(text, "{}", request.resource),
            Self::Owner => write!(text, "{}", session.map_or("", |session| &session.owner)),
            Self::TaskId => write!(text, "{}", session.map_or("", |session| &session.task.id)),
            Self::TaskPurpose => write!(text, "{}", session.map_or("", |session| &session.task.purpose)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::EntityRef;

    fn render(template: &str) -> String {
        let request = Request::new(EntityRef::new("Action", "read"), EntityRef::new("Document", "a\"b"));
        let principal = EntityRef::new("Agent", "one");
        ReasonTemplate::parse(template).expect("valid").render(&request, Authority::Principal(&principal))
    }

    #[test]
    fn placeholders_are_filled_in() {
        assert_eq!(
            render("{principal} may not {action} {resource}{session.owner}; {{really}}"),
            r#"Agent::"one" may not Action::"read" Document::"a\"b"; {really}"#
        );
    }

    #[test]
    fn unknown_and_broken_placeholders_are_refused() {
        assert_eq!(ReasonTemplate::parse("{who}"), Err(ReasonError::Unknown("who".into())));
        assert_eq!(ReasonTemplate::parse("{principal"), Err(ReasonError::Brace('{')));
        assert_eq!(ReasonTemplate::parse("a } b"), Err(ReasonError::Brace('}')));
        assert_eq!(ReasonTemplate::parse(&"x".repeat(2_000)), Err(ReasonError::TooLong));
    }
}
