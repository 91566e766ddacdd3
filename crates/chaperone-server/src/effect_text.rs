//! What a decision does beside being made, in the words of policies.

use std::fmt::Write as _;

use chaperone_policy::{Change, Deferred, Effect, Level, MemoryName, Value, Wait};

/// How long the text of an effect is: a value that is too long to be remembered is not worth more.
const TEXT_BYTES_MAX: usize = 1_024;

/// What kind of effect it is: the annotation's name, where there is one.
pub(crate) const fn effect_kind(effect: &Effect) -> &'static str {
    match effect {
        Effect::Remember(_, change) => match change {
            Change::Label(_) => "label",
            Change::Count(..) => "count",
            Change::Release(..) => "release",
            Change::Remember(..) => "remember",
            Change::Risk(_) => "risk",
            Change::Grant(..) | Change::UseGrant(_) => "approval",
        },
        Effect::Await(wait) => match &wait.what {
            Deferred::Label(_) => "label",
            Deferred::Reserved(..) | Deferred::Count(..) | Deferred::CountFact(..) => "count",
            Deferred::Remember(..) | Deferred::RememberFact(..) => "remember",
            Deferred::Risk(_) => "risk",
        },
        Effect::Revoke { .. } => "revoke",
        Effect::Alert(_) => "alert",
    }
}

/// An effect as the annotation would write it.
pub(crate) fn effect_text(effect: &Effect) -> String {
    let mut text = match effect {
        Effect::Remember(level, change) => {
            let mut text = prefix(*level);
            // Writing to a String cannot fail.
            let _ = match change {
                Change::Label(label) => write!(text, "{label}"),
                Change::Count(name, amount) => write!(text, "{name} += {amount}"),
                Change::Release(name, amount, _) => write!(text, "{name} -= {amount}"),
                Change::Remember(name, value) => write!(text, "{name} = {}", value_text(value)),
                Change::Risk(points) => write!(text, "{points:+}"),
                Change::Grant(approval, _) | Change::UseGrant(approval) => write!(text, "{approval}"),
            };
            text
        }
        Effect::Await(Wait { on, level, what }) => {
            let mut text = prefix(*level);
            let _ = match what {
                Deferred::Label(label) => write!(text, "{label}"),
                Deferred::Reserved(name, amount, _) | Deferred::Count(name, amount) => {
                    write!(text, "{name} += {amount}")
                }
                Deferred::CountFact(name, fact, _) => write!(text, "{name} += result.{fact}"),
                Deferred::Remember(name, value) => write!(text, "{name} = {}", value_text(value)),
                Deferred::RememberFact(name, fact, _) => write!(text, "{name} = result.{fact}"),
                Deferred::Risk(points) => write!(text, "{points:+}"),
            };
            let _ = write!(text, " on {on}");
            text
        }
        Effect::Revoke { level, .. } => level.to_string(),
        Effect::Alert(alert) => format!("{}:{}", alert.name, alert.severity),
    };
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    }
    text
}

/// What the text of an effect that counts begins with, before the amount.
pub(crate) fn counted_to(level: Level, counter: &MemoryName) -> String {
    format!("{}{counter} += ", prefix(level))
}

/// The session's is what annotations mean when they name nobody.
fn prefix(level: Level) -> String {
    match level {
        Level::Session => String::new(),
        Level::Tree | Level::Principal => format!("{level}:"),
    }
}

/// As Cedar writes it.
pub fn value_text(value: &Value) -> String {
    let list = |values: &[Value]| values.iter().map(value_text).collect::<Vec<_>>().join(", ");
    match value {
        Value::Bool(truth) => truth.to_string(),
        Value::Long(number) => number.to_string(),
        Value::String(text) => format!("{text:?}"),
        Value::Entity(entity) => entity.to_string(),
        Value::Set(values) => format!("[{}]", list(values)),
        Value::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name:?}: {}", value_text(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Ip(text) => format!("ip({text:?})"),
        Value::Decimal(text) => format!("decimal({text:?})"),
        Value::Datetime(text) => format!("datetime({text:?})"),
        Value::Duration(text) => format!("duration({text:?})"),
    }
}

#[cfg(test)]
mod tests {
    use chaperone_policy::MemoryName;

    use super::*;

    #[test]
    fn text_of_what_is_counted_begins_with_its_counter() {
        for level in Level::ALL {
            let counter = MemoryName::parse("rows/1h").expect("a name");
            let effect = Effect::Remember(level, Change::Count(counter.clone(), 5.into()));
            assert_eq!(effect_text(&effect), format!("{}5", counted_to(level, &counter)));
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let value = Value::String("é".repeat(2_000).into());
        let text = effect_text(&Effect::Remember(
            Level::Session,
            Change::Remember(MemoryName::parse("a").expect("a name"), value),
        ));
        assert!((TEXT_BYTES_MAX - 1..=TEXT_BYTES_MAX).contains(&text.len()), "{}", text.len());
    }
}
