//! From policies that determined an outcome to what the decision does.

use smol_str::SmolStr;

use super::{Alert, CounterKind, Effect, Level, Rule, Source};
use crate::compiled::{Datum, Question};
use crate::decision::Failure;
use crate::memory::{Amount, Change};
use crate::schema::CompiledSchema;
use crate::value::Value;

/// The effects of one policy, added to `effects`.
///
/// # Errors
/// When an amount or a value is not there, or cannot be counted. What was added before stays.
pub(crate) fn fire(
    id: &SmolStr,
    rules: &[Rule],
    question: &Question<'_>,
    schema: &CompiledSchema,
    effects: &mut Vec<Effect>,
) -> Result<(), Failure> {
    let needs_session = |rule: &Rule| !matches!(rule, Rule::Alert(..));
    if question.chain.is_none() && rules.iter().any(needs_session) {
        // A peer that acts for itself has no memory; what is to be remembered must not be lost.
        return Err(Failure::NoSession);
    }
    for rule in rules {
        effects.push(match rule {
            Rule::Label(level, label) => Effect::Remember(*level, Change::Label(label.clone())),
            Rule::Count(level, counter, source) => {
                let amount = amount(source, question, schema)?;
                let kind = schema.memory().counter(*level, counter.as_str()).map(|(_, kind)| kind);
                let amount = match (kind, amount) {
                    (Some(CounterKind::Decimal), amount @ Amount::Whole(_)) => Amount::Decimal(amount.to_decimal()),
                    (_, amount) => amount,
                };
                Effect::Remember(*level, Change::Count(counter.clone(), amount))
            }
            Rule::Remember(level, set, source) => {
                let value = match source {
                    Source::Principal => Value::Entity(question.principal.uid.name().clone()),
                    Source::Resource => Value::Entity(question.resource.uid.name().clone()),
                    Source::Whole(number) => Value::Long(*number),
                    Source::Attribute(path) => plain(attribute(path, question, schema)?).ok_or(Failure::WrongType)?,
                };
                Effect::Remember(*level, Change::Remember(set.clone(), value))
            }
            Rule::Risk(points) => Effect::Remember(Level::Session, Change::Risk(*points)),
            Rule::Revoke(level) => Effect::Revoke { level: *level, policy: id.clone() },
            Rule::Alert(name, severity) => {
                Effect::Alert(Alert { name: name.clone(), severity: *severity, policy: id.clone() })
            }
        });
    }
    Ok(())
}

fn amount(source: &Source, question: &Question<'_>, schema: &CompiledSchema) -> Result<Amount, Failure> {
    let amount = match source {
        Source::Whole(number) => Amount::Whole(*number),
        Source::Attribute(path) => match attribute(path, question, schema)? {
            Datum::Long(number) => Amount::Whole(*number),
            Datum::Decimal(ten_thousandths) => Amount::Decimal(*ten_thousandths),
            _ => return Err(Failure::WrongType),
        },
        Source::Principal | Source::Resource => return Err(Failure::WrongType),
    };
    match amount {
        // What was spent is not given back by whoever writes the request.
        Amount::Whole(number) | Amount::Decimal(number) if number < 0 => Err(Failure::NegativeAmount),
        amount => Ok(amount),
    }
}

fn attribute<'a>(path: &[SmolStr], question: &Question<'a>, schema: &CompiledSchema) -> Result<&'a Datum, Failure> {
    let (first, rest) = path.split_first().ok_or(Failure::AttributeMissing)?;
    let place = question.action.shape.place(first).ok_or(Failure::AttributeMissing)?;
    let mut found = question.request.value(place).ok_or(Failure::AttributeMissing)?;
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
        Datum::Ip(range) => Value::Ip(smol_str::format_smolstr!("{range}")),
        Datum::Bool(_)
        | Datum::Set(_)
        | Datum::Record(_)
        | Datum::Decimal(_)
        | Datum::Datetime(_)
        | Datum::Duration(_) => return None,
    })
}
