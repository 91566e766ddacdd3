//! The context that policies read, in Cedar's own form: the request, and the session, its tree and its principal with what is remembered of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use cedar_policy_core::ast::{Context, Literal, Value};
use smol_str::{SmolStr, ToSmolStr as _};

use super::convert;
use crate::compiled::Question;
use crate::convert::{self as plain, ConvertError};
use crate::effects::{CounterKind, Level};
use crate::memory::Amount;
use crate::schema::CompiledSchema;
use crate::session::{Session, SessionChain};
use crate::value::Value as Plain;

type Fields = BTreeMap<SmolStr, Value>;

/// The context of one request: `request` always, the others where the action declares them.
///
/// # Errors
/// When a value cannot be converted.
pub(super) fn of(question: &Question<'_>, schema: &CompiledSchema) -> Result<Context, ConvertError> {
    let symbols = schema.symbols();
    let attributes =
        question.attributes().map(|(name, value)| Ok((symbols.name(name), convert::value(value, symbols)?)));
    let mut context = Fields::from([(key("request"), record(attributes.collect::<Result<Fields, ConvertError>>()?))]);
    let mut declare = |level: Level, fields: Fields| {
        let remembered = remembered(question, schema, level)?;
        context.insert(key(level.as_str()), record(fields.into_iter().chain(remembered).collect()));
        Ok(())
    };
    if question.action.reads_session {
        declare(Level::Session, question.chain.map_or_else(no_session, |chain| session(chain, question)))?;
    }
    if question.action.reads_tree {
        declare(Level::Tree, tree(question.chain))?;
    }
    if question.action.reads_principal {
        let labels = question.chain.map_or_else(BTreeSet::new, |chain| labels(chain, Level::Principal));
        declare(Level::Principal, Fields::from([(key("labels"), strings(labels))]))?;
    }
    Ok(Context::Value(Arc::new(context)))
}

/// What the bundle's policies count and remember at a level.
fn remembered(question: &Question<'_>, schema: &CompiledSchema, level: Level) -> Result<Fields, ConvertError> {
    let memory = question.chain.and_then(|chain| chain.recall().memory(level));
    let counters = schema.memory().counters(level).map(|(name, kind)| {
        let amount = memory.and_then(|memory| memory.count(name, question.now)).unwrap_or(Amount::Whole(0));
        let value = match (kind, amount) {
            (CounterKind::Whole, amount) => Value::from(amount.to_whole_up()),
            (CounterKind::Decimal, amount) => {
                plain::value(&Plain::Decimal(Amount::Decimal(amount.to_decimal()).to_smolstr()))?
            }
        };
        Ok((SmolStr::from(name.as_str()), value))
    });
    let sets = schema.memory().sets(level).map(|name| {
        let set = memory.and_then(|memory| memory.set(name));
        let members = set.into_iter().flat_map(|set| set.values(name.window(), question.now)).map(plain::value);
        Ok((SmolStr::from(name.as_str()), Value::set(members.collect::<Result<Vec<_>, ConvertError>>()?, None)))
    });
    Ok(Fields::from([
        (key("counts"), record(counters.collect::<Result<Fields, ConvertError>>()?)),
        (key("sets"), record(sets.collect::<Result<Fields, ConvertError>>()?)),
    ]))
}

/// A set of strings.
fn strings<'a>(strings: impl IntoIterator<Item = &'a str>) -> Value {
    Value::set_of_lits(strings.into_iter().map(|text| Literal::String(text.into())), None)
}

fn labels(chain: &SessionChain, level: Level) -> BTreeSet<&str> {
    let opened_with: Vec<_> = match level {
        Level::Session => chain.iter().flat_map(|session| &session.labels).collect(),
        Level::Tree => chain.root().labels.iter().collect(),
        Level::Principal => Vec::new(),
    };
    let recall = chain.recall();
    let added: Vec<_> = match level {
        Level::Session => recall.sessions().iter().collect(),
        Level::Tree | Level::Principal => recall.memory(level).into_iter().collect(),
    };
    let added = added.into_iter().flat_map(|memory| memory.labels()).map(SmolStr::as_str);
    opened_with.into_iter().map(String::as_str).chain(added).collect()
}

fn session(chain: &SessionChain, question: &Question<'_>) -> Fields {
    let session = chain.session();
    let now = question.now;
    let risks = chain.recall().sessions().iter().map(|memory| memory.risk(question.risk_decay_per_hour, now));
    Fields::from([
        (key("exists"), Value::from(true)),
        (key("id"), Value::from(session.id.to_smolstr())),
        (key("owner"), text(&session.owner)),
        (key("task"), task(&session.task.id, &session.task.purpose)),
        (key("labels"), strings(labels(chain, Level::Session))),
        (key("risk"), Value::from(risks.max().unwrap_or(0))),
        (key("age_seconds"), seconds(now.since(session.opened_at))),
        (key("idle_seconds"), seconds(now.since(session.last_used_at))),
        (key("delegation_depth"), Value::from(i64::from(session.depth))),
        (key("chain"), Value::set_of_lits(chain.iter().map(principal), None)),
    ])
}

fn principal(session: &Arc<Session>) -> Literal {
    Literal::String(session.principal.to_smolstr())
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
        (key("chain"), Value::empty_set(None)),
    ])
}

fn tree(chain: Option<&SessionChain>) -> Fields {
    let (id, labels) = match chain {
        Some(chain) => (Value::from(chain.root().id.to_smolstr()), strings(labels(chain, Level::Tree))),
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
