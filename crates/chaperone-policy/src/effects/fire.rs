//! From policies that determined an outcome to what the decision does.

use smol_str::SmolStr;

use super::{Act, Alert, CounterKind, Effect, Level, Rule, Source};
use crate::compiled::{Datum, Looked, Question};
use crate::decision::{Failure, Outcome};
use crate::fact::FactType;
use crate::memory::{Amount, Change, Deferred, MemoryName, Reported, Wait};
use crate::schema::CompiledSchema;
use crate::shape::Type;
use crate::value::Value;

/// The effects of one policy, added to `effects`. What waits for a report is left out where nothing was allowed.
///
/// One that cannot be had does not keep the others from being added: where the outcome is a denial all the same, a request that lacks
/// what is counted must not escape the revocation that stands beside it.
///
/// # Errors
/// With the first for which an amount or a value is not there, or cannot be counted.
pub(crate) fn fire(
    id: &SmolStr,
    rules: &[Rule],
    outcome: Outcome,
    question: &Question<'_>,
    schema: &CompiledSchema,
    effects: &mut Vec<Effect>,
) -> Result<(), Failure> {
    let mut fired = Ok(());
    for rule in rules.iter().filter(|rule| rule.on.is_none() || outcome == Outcome::Allow) {
        match effect(id, rule, question, schema) {
            Ok(effect) => effects.push(effect),
            Err(failure) => fired = fired.and(Err(failure)),
        }
    }
    fired
}

fn effect(id: &SmolStr, rule: &Rule, question: &Question<'_>, schema: &CompiledSchema) -> Result<Effect, Failure> {
    if question.chain.is_none() && !matches!(rule.act, Act::Alert(..)) {
        // A peer that acts for itself has no memory; what is to be remembered must not be lost.
        return Err(Failure::NoSession);
    }
    if let Some(on) = rule.on {
        return awaited(&rule.act, on, question, schema).map(Effect::Await);
    }
    Ok(match &rule.act {
        Act::Label(level, label) => Effect::Remember(*level, Change::Label(label.clone())),
        Act::Count(level, counter, source) => {
            let amount = counted(*level, counter, source, question, schema)?;
            Effect::Remember(*level, Change::Count(counter.clone(), amount))
        }
        Act::Remember(level, set, source) => {
            Effect::Remember(*level, Change::Remember(set.clone(), value(source, question, schema)?))
        }
        Act::Risk(points) => Effect::Remember(Level::Session, Change::Risk(*points)),
        Act::Revoke(level) => Effect::Revoke { level: *level, policy: id.clone() },
        Act::Alert(name, severity) => {
            Effect::Alert(Alert { name: name.clone(), severity: *severity, policy: id.clone() })
        }
    })
}

/// What waits for a report, with everything of it that is known now.
fn awaited(act: &Act, on: Reported, question: &Question<'_>, schema: &CompiledSchema) -> Result<Wait, Failure> {
    let (level, what) = match act {
        Act::Label(level, label) => (*level, Deferred::Label(label.clone())),
        Act::Count(level, counter, Source::Result(fact)) => {
            let ty = match schema.memory().counter(*level, counter.as_str()) {
                Some((_, CounterKind::Whole)) => FactType::Long,
                Some((_, CounterKind::Decimal)) => FactType::Decimal,
                None => return Err(Failure::WrongType),
            };
            (*level, Deferred::CountFact(counter.clone(), fact.clone(), ty))
        }
        Act::Count(level, counter, source) => {
            let amount = counted(*level, counter, source, question, schema)?;
            let what = match on {
                // Of any number of actions under way, no more are allowed than may succeed.
                Reported::Executed => Deferred::Reserved(counter.clone(), amount, None),
                Reported::Failed => Deferred::Count(counter.clone(), amount),
            };
            (*level, what)
        }
        Act::Remember(level, set, Source::Result(fact)) => {
            let ty = match schema.memory().set_type(*level, set.as_str()) {
                Some(Type::Entity(kind)) => FactType::Entity(kind.clone()),
                Some(Type::Long) => FactType::Long,
                Some(Type::String) => FactType::String,
                Some(Type::Ip) => FactType::Ip,
                _ => return Err(Failure::WrongType),
            };
            (*level, Deferred::RememberFact(set.clone(), fact.clone(), ty))
        }
        Act::Remember(level, set, source) => {
            (*level, Deferred::Remember(set.clone(), value(source, question, schema)?))
        }
        Act::Risk(points) => (Level::Session, Deferred::Risk(*points)),
        // `parse` lets none of these wait.
        Act::Revoke(_) | Act::Alert(..) => return Err(Failure::Other),
    };
    Ok(Wait { on, level, what })
}

fn counted(
    level: Level,
    counter: &MemoryName,
    source: &Source,
    question: &Question<'_>,
    schema: &CompiledSchema,
) -> Result<Amount, Failure> {
    let amount = amount(source, question, schema)?;
    let kind = schema.memory().counter(level, counter.as_str()).map(|(_, kind)| kind);
    Ok(match (kind, amount) {
        // Written out, it is whole.
        (Some(CounterKind::Decimal), amount @ Amount::Whole(_)) => Amount::Decimal(amount.to_decimal()),
        (_, amount) => amount,
    })
}

fn value(source: &Source, question: &Question<'_>, schema: &CompiledSchema) -> Result<Value, Failure> {
    Ok(match source {
        Source::Principal => Value::Entity(question.principal.uid.name().clone()),
        Source::Resource => Value::Entity(question.resource.uid.name().clone()),
        Source::Whole(number) => Value::Long(*number),
        Source::Attribute(path) => {
            // Which value it is decides nothing here, but for one within a record.
            if path.len() > 1 {
                look(path, question);
            }
            plain(attribute(path, question, schema)?).ok_or(Failure::WrongType)?
        }
        // `parse` lets only what waits speak of it.
        Source::Result(_) => return Err(Failure::WrongType),
    })
}

fn amount(source: &Source, question: &Question<'_>, schema: &CompiledSchema) -> Result<Amount, Failure> {
    let amount = match source {
        Source::Whole(number) => Amount::Whole(*number),
        Source::Attribute(path) => match attribute(path, question, schema).inspect(|_| look(path, question))? {
            Datum::Long(number) => Amount::Whole(*number),
            Datum::Decimal(ten_thousandths) => Amount::Decimal(*ten_thousandths),
            _ => return Err(Failure::WrongType),
        },
        Source::Principal | Source::Resource | Source::Result(_) => return Err(Failure::WrongType),
    };
    match amount {
        // What was spent is not given back by whoever writes the request.
        Amount::Whole(number) | Amount::Decimal(number) if number < 0 => Err(Failure::NegativeAmount),
        amount => Ok(amount),
    }
}

fn look(path: &[SmolStr], question: &Question<'_>) {
    let name = || path.first().cloned().unwrap_or_default();
    question.trace.look(|| Looked::Attribute(question.request.action.clone(), name()));
}

fn attribute<'a>(path: &[SmolStr], question: &Question<'a>, schema: &CompiledSchema) -> Result<&'a Datum, Failure> {
    let (first, rest) = path.split_first().ok_or(Failure::AttributeMissing)?;
    let place = question.action.shape.place(first).ok_or(Failure::AttributeMissing)?;
    let Some(mut found) = question.request.value(place) else {
        question.trace.look(|| Looked::NoAttribute(question.request.action.clone(), first.clone()));
        return Err(Failure::AttributeMissing);
    };
    for name in rest {
        let Datum::Record(record) = found else { return Err(Failure::WrongType) };
        let symbol = schema.symbols().find(name).ok_or(Failure::AttributeMissing)?;
        found = record.find(symbol).ok_or(Failure::AttributeMissing)?;
    }
    Ok(found)
}

/// As plain data, where it is of a type that can be remembered.
fn plain(datum: &Datum) -> Option<Value> {
    Some(match datum {
        Datum::Long(number) => Value::Long(*number),
        Datum::String(text) => Value::String(text.clone()),
        Datum::Entity(uid) => Value::Entity(uid.name().clone()),
        Datum::Ip(range) => Value::Ip(range.to_smolstr()),
        Datum::Bool(_)
        | Datum::Set(_)
        | Datum::Record(_)
        | Datum::Decimal(_)
        | Datum::Datetime(_)
        | Datum::Duration(_) => return None,
    })
}
