//! Templates: text with `{placeholders}`.

use std::borrow::Cow;

use super::Undecodable;
use super::reading::Reading;

/// How many parts a template may have.
const PARTS_MAX: usize = 64;

/// Text with placeholders, checked. `F` says what a placeholder stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Template<F> {
    parts: Vec<Part<F>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part<F> {
    Literal(Box<str>),
    Field(F),
}

/// What is wrong with a template, and where in it, in bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TemplateError {
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) message: String,
}

/// A placeholder that stands for nothing, for more than one thing, or for a part of what cannot be read.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Unreadable<'t, F> {
    Absent(&'t F),
    Ambiguous(&'t F),
    Undecodable(Undecodable),
}

impl<F> Template<F> {
    /// Reads a template; `{{` and `}}` are literal braces. `resolve` says what a name stands for, or why it cannot.
    pub(super) fn parse(text: &str, mut resolve: impl FnMut(&str) -> Result<F, String>) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        let at = |rest: &str, length, message: &str| TemplateError {
            offset: text.len() - rest.len(),
            length,
            message: message.to_owned(),
        };
        while let Some(place) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(place);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(after) = from.strip_prefix('{') {
                let Some((name, after)) = after.split_once('}') else {
                    return Err(at(from, 1, "a `{` without its `}`; a literal brace is written `{{`"));
                };
                let field = resolve(name).map_err(|message| at(from, name.len() + 2, &message))?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                }
                parts.push(Part::Field(field));
                rest = after;
            } else {
                return Err(at(from, 1, "a `}` without its `{`; a literal brace is written `}}`"));
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        if parts.len() > PARTS_MAX {
            return Err(TemplateError { offset: 0, length: text.len(), message: "too many placeholders".into() });
        }
        Ok(Self { parts })
    }

    /// One placeholder.
    pub(super) fn of(field: F) -> Self {
        Self { parts: vec![Part::Field(field)] }
    }

    /// The text, if there is no placeholder in it.
    pub(super) fn constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The placeholder, if there is nothing beside it.
    pub(super) fn only(&self) -> Option<&F> {
        match self.parts.as_slice() {
            [Part::Field(field)] => Some(field),
            _ => None,
        }
    }

    /// As [`Template::only`], taken out.
    pub(super) fn into_only(self) -> Option<F> {
        match <[Part<F>; 1]>::try_from(self.parts) {
            Ok([Part::Field(field)]) => Some(field),
            Ok([Part::Literal(_)]) | Err(_) => None,
        }
    }

    /// The literal parts.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(&**text),
            Part::Field(_) => None,
        })
    }

    /// What its placeholders stand for.
    pub(super) fn fields(&self) -> impl Iterator<Item = &F> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Field(field) => Some(field),
        })
    }

    /// The same template, its placeholders standing for something else.
    pub(super) fn map<G>(self, mut change: impl FnMut(F) -> G) -> Template<G> {
        let parts = self.parts.into_iter().map(|part| match part {
            Part::Literal(text) => Part::Literal(text),
            Part::Field(field) => Part::Field(change(field)),
        });
        Template { parts: parts.collect() }
    }

    /// The text, with every placeholder replaced by what `read` reads for it.
    pub(super) fn render<'t>(
        &'t self,
        mut read: impl FnMut(&'t F) -> Reading<'t>,
    ) -> Result<Cow<'t, str>, Unreadable<'t, F>> {
        let mut text = Cow::Borrowed("");
        for part in &self.parts {
            let piece = match part {
                Part::Literal(literal) => Cow::Borrowed(&**literal),
                Part::Field(field) => match read(field) {
                    Reading::One(value) => value,
                    Reading::Absent => return Err(Unreadable::Absent(field)),
                    Reading::Ambiguous => return Err(Unreadable::Ambiguous(field)),
                    Reading::Undecodable(undecodable) => return Err(Unreadable::Undecodable(undecodable)),
                },
            };
            // A template that is one placeholder borrows its value.
            text += piece;
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Template<String>, TemplateError> {
        Template::parse(text, |name| if name == "bad" { Err("unknown".into()) } else { Ok(name.to_owned()) })
    }

    #[test]
    fn placeholders_are_replaced_and_doubled_braces_stay() {
        let template = parse("a-{x}{{{y}}}").expect("valid");
        let text = template.render(|name| Reading::One(name.to_uppercase().into()));
        assert_eq!(text.expect("readable"), "a-X{Y}");
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, offset, length) in [("ab{bad}", 2, 5), ("a{x", 1, 1), ("a}b", 1, 1), ("{{x}", 3, 1)] {
            let error = parse(text).expect_err(text);
            assert_eq!((error.offset, error.length), (offset, length), "{text}");
        }
    }

    #[test]
    fn replaced_text_is_not_read_again() {
        let template = parse("{x}").expect("valid");
        assert_eq!(template.render(|_| Reading::One("{y}".into())).expect("readable"), "{y}");
    }

    #[test]
    fn absent_and_ambiguous_placeholders_are_named() {
        let template = parse("{x}").expect("valid");
        assert_eq!(template.render(|_| Reading::Absent), Err(Unreadable::Absent(&"x".to_owned())));
        assert_eq!(template.render(|_| Reading::Ambiguous), Err(Unreadable::Ambiguous(&"x".to_owned())));
    }
}
