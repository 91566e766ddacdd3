//! What to change when a request goes on to the upstream: rules as they are written, and the plan made of them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Undecodable;
use super::answer::{Facts, HeaderMutation, Mutations};
use super::reading::{Readable as _, Reading, RequestField, View, ambiguous};
use super::template::Template;

/// How long a rendered value may be, in bytes.
const VALUE_BYTES_MAX: usize = 8 * 1024;
/// What is percent-encoded in a query parameter's value: all but what RFC 3986 section 2.3 calls unreserved. Envoy writes the value
/// into the path as it is, where `&` would begin another parameter.
const QUERY_ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a change of a response header is called.
const RESPONSE: &str = "response_header";

/// What a placeholder of an answer stands for. `R` is a part of the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum AnswerField<R> {
    Request(R),
    Principal,
    PrincipalId,
    PrincipalType,
    SessionId,
    SessionOwner,
    SessionTaskId,
    DecisionId,
    Bundle,
}

/// What to do with one header or query parameter.
#[derive(Clone, Debug)]
pub(super) enum Change<R> {
    Set(Template<AnswerField<R>>),
    Append(Template<AnswerField<R>>),
    Remove,
}

type Changes<R> = BTreeMap<Box<str>, Change<R>>;

/// The rules of one `on_allow` table, by the name of what they change.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerRules {
    /// Lower-case names.
    pub(super) headers: Changes<RequestField>,
    pub(super) query: Changes<RequestField>,
    /// Lower-case names.
    pub(super) response_headers: Changes<RequestField>,
}

/// Rules, ready to apply: the parts of the request that they speak of are read before the decision, by number.
#[derive(Debug, Default)]
pub(super) struct AnswerPlan {
    fields: Vec<RequestField>,
    headers: Changes<usize>,
    query: Changes<usize>,
    response_headers: Changes<usize>,
}

/// What one rule would do, before a decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedChange {
    /// What it does, such as `set_header` or `remove_query`.
    pub kind: &'static str,
    /// The name of what it changes.
    pub name: String,
    /// The value, with placeholders for what only a decision knows; `None` where something is removed, or left out.
    pub value: Option<String>,
}

impl PlannedChange {
    /// A header that presents the session does not reach the upstream.
    pub(super) fn strip(name: &str) -> Self {
        Self { kind: "remove_header", name: name.to_owned(), value: None }
    }
}

impl AnswerRules {
    /// These rules, and those of `base` where these say nothing.
    pub(super) fn over(self, base: &Self) -> Self {
        let merge = |mut rules: Changes<RequestField>, base: &Changes<RequestField>| {
            for (name, change) in base {
                rules.entry(name.clone()).or_insert_with(|| change.clone());
            }
            rules
        };
        Self {
            headers: merge(self.headers, &base.headers),
            query: merge(self.query, &base.query),
            response_headers: merge(self.response_headers, &base.response_headers),
        }
    }

    /// The plan that carries them out.
    pub(super) fn plan(self) -> AnswerPlan {
        let mut fields = Vec::new();
        let headers = number(self.headers, &mut fields);
        let query = number(self.query, &mut fields);
        let response_headers = number(self.response_headers, &mut fields);
        AnswerPlan { fields, headers, query, response_headers }
    }
}

/// Replaces parts of the request by their place in `fields`, adding those that are new.
fn number(changes: Changes<RequestField>, fields: &mut Vec<RequestField>) -> Changes<usize> {
    let mut place = |field: RequestField| {
        fields.iter().position(|known| *known == field).unwrap_or_else(|| {
            fields.push(field);
            fields.len() - 1
        })
    };
    let mut renumber = |template: Template<AnswerField<RequestField>>| {
        template.map(|field| match field {
            AnswerField::Request(field) => AnswerField::Request(place(field)),
            AnswerField::Principal => AnswerField::Principal,
            AnswerField::PrincipalId => AnswerField::PrincipalId,
            AnswerField::PrincipalType => AnswerField::PrincipalType,
            AnswerField::SessionId => AnswerField::SessionId,
            AnswerField::SessionOwner => AnswerField::SessionOwner,
            AnswerField::SessionTaskId => AnswerField::SessionTaskId,
            AnswerField::DecisionId => AnswerField::DecisionId,
            AnswerField::Bundle => AnswerField::Bundle,
        })
    };
    let numbered = changes.into_iter().map(|(name, change)| {
        let change = match change {
            Change::Set(template) => Change::Set(renumber(template)),
            Change::Append(template) => Change::Append(renumber(template)),
            Change::Remove => Change::Remove,
        };
        (name, change)
    });
    numbered.collect()
}

impl AnswerPlan {
    /// The plan that changes nothing.
    pub(super) fn nothing() -> &'static Self {
        static NOTHING: LazyLock<AnswerPlan> = LazyLock::new(AnswerPlan::default);
        &NOTHING
    }

    /// Reads the parts of the request that the answer will speak of.
    ///
    /// # Errors
    /// When one is there more than once, or a query parameter that is to be changed is there under a name that the proxy would not
    /// find: after the decision it is too late to refuse.
    pub(super) fn read(&self, view: &View<'_>) -> Result<Vec<Option<Box<str>>>, Undecodable> {
        if let Some(name) = self.query.keys().find(|name| view.query.is_disguised(name)) {
            return Err(Undecodable::new(format!("the query parameter `{name}` is written with escapes")));
        }
        let read = |field: &RequestField| match view.read(field) {
            Reading::One(text) => Ok(Some(Box::from(text))),
            Reading::Absent => Ok(None),
            Reading::Ambiguous => Err(ambiguous(field)),
            Reading::Undecodable(undecodable) => Err(undecodable),
        };
        self.fields.iter().map(read).collect()
    }

    /// The changes, as far as they are known before the decision. `values` are what `read` read.
    pub(super) fn planned(&self, values: &[Option<Box<str>>]) -> Vec<PlannedChange> {
        let table = |changes: &Changes<usize>, [set, append, remove]: [&'static str; 3]| {
            let planned = changes.iter().filter_map(|(name, change)| {
                let (kind, value) = match change {
                    // What was to be set and has no value is removed; but nobody sends response headers that could be.
                    Change::Set(template) => match known(template, values) {
                        None if set == RESPONSE => return None,
                        None => (remove, None),
                        value => (set, value),
                    },
                    Change::Append(template) => (append, Some(known(template, values)?)),
                    Change::Remove => (remove, None),
                };
                Some(PlannedChange { kind, name: name.to_string(), value })
            });
            planned.collect::<Vec<_>>()
        };
        let mut planned = table(&self.headers, ["set_header", "append_header", "remove_header"]);
        planned.extend(table(&self.query, ["set_query", "set_query", "remove_query"]));
        planned.extend(table(&self.response_headers, [RESPONSE, RESPONSE, RESPONSE]));
        planned
    }

    /// The changes to make. `values` are what `read` read.
    ///
    /// What was to be set and has no value is removed, so that a value that the client wrote never passes for ours.
    pub(super) fn mutations(&self, values: &[Option<Box<str>>], facts: &Facts<'_>) -> Mutations {
        let mut mutations = Mutations::default();
        for (name, change) in &self.headers {
            let (value, append) = match change {
                Change::Set(template) => (header_value(template, values, facts), false),
                Change::Append(template) => (header_value(template, values, facts), true),
                Change::Remove => (None, false),
            };
            match value {
                Some(value) => mutations.headers.push(HeaderMutation { name: name.to_string(), value, append }),
                None if append => {}
                None => mutations.headers_to_remove.push(name.to_string()),
            }
        }
        for (name, change) in &self.query {
            let value = match change {
                Change::Set(template) | Change::Append(template) => {
                    rendered(template, |field| fact(field, values, facts).map_or(Reading::Absent, Reading::One))
                        .map(|text| utf8_percent_encode(&text, &QUERY_ENCODED).to_string())
                }
                Change::Remove => None,
            };
            match value {
                Some(value) => mutations.query_to_set.push((name.to_string(), value)),
                None => mutations.query_to_remove.push(name.to_string()),
            }
        }
        for (name, change) in &self.response_headers {
            let (Change::Set(template) | Change::Append(template)) = change else {
                continue;
            };
            if let Some(value) = header_value(template, values, facts) {
                mutations.response_headers.push(HeaderMutation { name: name.to_string(), value, append: false });
            }
        }
        mutations
    }
}

/// The text of a template, with the names of what only a decision knows; `None` where a part of the request is absent.
fn known(template: &Template<AnswerField<usize>>, values: &[Option<Box<str>>]) -> Option<String> {
    let read = |field: &AnswerField<usize>| {
        let name = match field {
            AnswerField::Request(place) => {
                return values
                    .get(*place)
                    .and_then(Clone::clone)
                    .map_or(Reading::Absent, |text| Reading::One(text.into_string().into()));
            }
            AnswerField::Principal => "{principal}",
            AnswerField::PrincipalId => "{principal.id}",
            AnswerField::PrincipalType => "{principal.type}",
            AnswerField::SessionId => "{session.id}",
            AnswerField::SessionOwner => "{session.owner}",
            AnswerField::SessionTaskId => "{session.task.id}",
            AnswerField::DecisionId => "{decision.id}",
            AnswerField::Bundle => "{bundle}",
        };
        Reading::One(Cow::Borrowed(name))
    };
    rendered(template, read)
}

fn header_value(
    template: &Template<AnswerField<usize>>,
    values: &[Option<Box<str>>],
    facts: &Facts<'_>,
) -> Option<String> {
    rendered(template, |field| match fact(field, values, facts) {
        Some(text) => Reading::One(header_text(text)),
        None => Reading::Absent,
    })
}

/// The text of a template, if all of its parts are there, and it is neither empty nor too long.
fn rendered<'t>(
    template: &'t Template<AnswerField<usize>>,
    read: impl FnMut(&'t AnswerField<usize>) -> Reading<'t>,
) -> Option<String> {
    let text = template.render(read).ok()?;
    (!text.is_empty() && text.len() <= VALUE_BYTES_MAX).then(|| text.into_owned())
}

/// What a placeholder stands for.
fn fact<'t>(field: &AnswerField<usize>, values: &'t [Option<Box<str>>], facts: &Facts<'t>) -> Option<Cow<'t, str>> {
    match field {
        AnswerField::Request(place) => values.get(*place)?.as_deref().map(Cow::Borrowed),
        AnswerField::Principal => Some(Cow::Owned(facts.principal.to_string())),
        AnswerField::PrincipalId => Some(Cow::Borrowed(&facts.principal.id)),
        AnswerField::PrincipalType => Some(Cow::Borrowed(&facts.principal.kind)),
        AnswerField::SessionId => Some(Cow::Owned(facts.session?.id.to_string())),
        AnswerField::SessionOwner => Some(Cow::Borrowed(&facts.session?.owner)),
        AnswerField::SessionTaskId => Some(Cow::Borrowed(&facts.session?.task.id)),
        AnswerField::DecisionId => Some(Cow::Owned(facts.decision_id.to_string())),
        AnswerField::Bundle => Some(Cow::Owned(facts.bundle.to_string())),
    }
}

/// A text as a part of a header's value: whatever a header cannot hold, or would lose at its ends, is percent-encoded.
///
/// So is `%` itself: two different texts are never written alike.
fn header_text(text: Cow<'_, str>) -> Cow<'_, str> {
    let last = text.len().saturating_sub(1);
    let plain = |place: usize, byte: u8| match byte {
        b'%' => false,
        b' ' => place != 0 && place != last,
        _ => byte.is_ascii_graphic(),
    };
    if text.bytes().enumerate().all(|(place, byte)| plain(place, byte)) {
        return text;
    }
    let mut encoded = String::with_capacity(text.len() + 8);
    for (place, byte) in text.bytes().enumerate() {
        if plain(place, byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[test]
    fn header_text_is_encoded_where_a_header_would_lose_it() {
        for (text, encoded) in [
            ("report-bot", "report-bot"),
            ("a b", "a b"),
            (" a ", "%20a%20"),
            ("a\r\nx: y", "a%0D%0Ax: y"),
            ("ä", "%C3%A4"),
            ("100%", "100%25"),
            ("\u{11}\u{22}", "%11\""),
            ("a\tb", "a%09b"),
            ("", ""),
        ] {
            assert_eq!(header_text(text.into()), encoded, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn header_text_is_valid_and_injective(text in any::<String>()) {
            let encoded = header_text(Cow::Borrowed(&text));
            prop_assert!(encoded.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
            prop_assert_eq!(encoded.trim(), &*encoded);
            let decoded = percent_encoding::percent_decode_str(&encoded).decode_utf8().expect("UTF-8");
            prop_assert_eq!(&*decoded, &*text);
        }
    }
}
