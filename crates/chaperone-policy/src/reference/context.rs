//! The context that policies read, in Cedar's own form: the session, its tree and the request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cedar_policy_core::ast::{Context, Literal, Value};
use smol_str::{SmolStr, ToSmolStr as _};

use super::convert;
use crate::compiled::{Question, Symbols};
use crate::convert::ConvertError;
use crate::session::SessionChain;
use crate::timestamp::Timestamp;

type Fields = BTreeMap<SmolStr, Value>;

/// The context of one request: `request` always, `session` and `tree` where the action declares them.
///
/// # Errors
/// When a value cannot be converted.
pub(super) fn of(question: &Question<'_>, symbols: &Symbols) -> Result<Context, ConvertError> {
    let attributes =
        question.attributes().map(|(name, value)| Ok((symbols.name(name), convert::value(value, symbols)?)));
    let mut context = Fields::from([(key("request"), record(attributes.collect::<Result<Fields, ConvertError>>()?))]);
    if question.action.reads_session {
        context.insert(
            key("session"),
            record(question.chain.map_or_else(no_session, |chain| session(chain, question.now))),
        );
    }
    if question.action.reads_tree {
        context.insert(key("tree"), record(tree(question.chain)));
    }
    Ok(Context::Value(Arc::new(context)))
}

/// A set of strings.
fn strings<'a>(strings: impl IntoIterator<Item = &'a str>) -> Value {
    Value::set_of_lits(strings.into_iter().map(|text| Literal::String(text.into())), None)
}

fn session(chain: &SessionChain, now: Timestamp) -> Fields {
    let session = chain.session();
    let labels: BTreeSet<&str> = chain.iter().flat_map(|session| &session.labels).map(String::as_str).collect();
    Fields::from([
        (key("exists"), Value::from(true)),
        (key("id"), Value::from(session.id.to_smolstr())),
        (key("owner"), text(&session.owner)),
        (key("task"), task(&session.task.id, &session.task.purpose)),
        (key("labels"), strings(labels)),
        (key("risk"), Value::from(0_i64)),
        (key("age_seconds"), seconds(now.since(session.opened_at))),
        (key("idle_seconds"), seconds(now.since(session.last_used_at))),
        (key("delegation_depth"), Value::from(i64::from(session.depth))),
    ])
}

fn no_session() -> Fields {
    Fields::from([
        (key("exists"), Value::from(false)),
        (key("id"), text("")),
        (key("owner"), text("")),
        (key("task"), task("", "")),
        (key("labels"), Value::empty_set(None)),
        (key("risk"), Value::from(0_i64)),
        (key("age_seconds"), Value::from(0_i64)),
        (key("idle_seconds"), Value::from(0_i64)),
        (key("delegation_depth"), Value::from(0_i64)),
    ])
}

fn tree(chain: Option<&SessionChain>) -> Fields {
    let (id, labels) = match chain.map(SessionChain::root) {
        Some(root) => (Value::from(root.id.to_smolstr()), strings(root.labels.iter().map(String::as_str))),
        None => (text(""), Value::empty_set(None)),
    };
    Fields::from([(key("id"), id), (key("labels"), labels)])
}

fn task(id: &str, purpose: &str) -> Value {
    record(Fields::from([(key("id"), text(id)), (key("purpose"), text(purpose))]))
}

fn key(name: &'static str) -> SmolStr {
    SmolStr::new_static(name)
}

fn text(text: &str) -> Value {
    Value::from(SmolStr::new(text))
}

fn seconds(duration: Duration) -> Value {
    Value::from(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

fn record(fields: Fields) -> Value {
    Value::record_arc(Arc::new(fields), None)
}
