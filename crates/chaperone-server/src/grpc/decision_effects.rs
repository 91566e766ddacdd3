//! What a decision does beside being made, as answers say it.

use std::borrow::Cow;
use std::fmt::Write as _;

use chaperone_api::chaperone::v1 as api;
use chaperone_policy::{Change, Deferred, Effect, Level, Reported, Value, Wait};

use super::wire::Writer;

/// How long the text of an effect is: a value that is too long to be remembered is not worth more.
const TEXT_BYTES_MAX: usize = 1_024;

/// Writes an effect as the field of this number.
pub(super) fn write(field: u32, effect: &Effect, writer: &mut Writer) {
    writer.message(field, |writer| {
        writer.varint(1, u64::from(kind(effect) as u32));
        writer.varint(2, u64::from(level(effect) as u32));
        writer.text(3, &name(effect));
        writer.text(4, &text_of(effect));
        writer.varint(5, u64::from(waits_for(effect) as u32));
        writer.varint(6, u64::from(is_reserved(effect)));
    });
}

fn kind(effect: &Effect) -> api::EffectKind {
    match effect {
        Effect::Remember(_, Change::Label(_)) => api::EffectKind::Label,
        Effect::Remember(_, Change::Count(..)) => api::EffectKind::Count,
        Effect::Remember(_, Change::Release(..)) => api::EffectKind::Release,
        Effect::Remember(_, Change::Remember(..)) => api::EffectKind::Remember,
        Effect::Remember(_, Change::Risk(_)) => api::EffectKind::Risk,
        // Decisions give none; they use those that people gave.
        Effect::Remember(_, Change::Grant(..) | Change::UseGrant(_)) => api::EffectKind::Approval,
        Effect::Await(wait) => match &wait.what {
            Deferred::Label(_) => api::EffectKind::Label,
            Deferred::Reserved(..) | Deferred::Count(..) | Deferred::CountFact(..) => api::EffectKind::Count,
            Deferred::Remember(..) | Deferred::RememberFact(..) => api::EffectKind::Remember,
            Deferred::Risk(_) => api::EffectKind::Risk,
        },
        Effect::Revoke { .. } => api::EffectKind::Revoke,
        Effect::Alert(_) => api::EffectKind::Alert,
    }
}

fn level(effect: &Effect) -> api::EffectLevel {
    match effect {
        Effect::Remember(level, _) | Effect::Revoke { level, .. } | Effect::Await(Wait { level, .. }) => match level {
            Level::Session => api::EffectLevel::Session,
            Level::Tree => api::EffectLevel::Tree,
            Level::Principal => api::EffectLevel::Principal,
        },
        Effect::Alert(_) => api::EffectLevel::Unspecified,
    }
}

fn waits_for(effect: &Effect) -> api::ReportOutcome {
    match effect {
        Effect::Await(Wait { on: Reported::Executed, .. }) => api::ReportOutcome::Executed,
        Effect::Await(Wait { on: Reported::Failed, .. }) => api::ReportOutcome::Failed,
        Effect::Remember(..) | Effect::Revoke { .. } | Effect::Alert(_) => api::ReportOutcome::Unspecified,
    }
}

fn is_reserved(effect: &Effect) -> bool {
    matches!(effect, Effect::Await(Wait { what: Deferred::Reserved(..), .. }))
}

fn name(effect: &Effect) -> Cow<'_, str> {
    match effect {
        Effect::Remember(_, Change::Label(label)) => label.as_str().into(),
        Effect::Remember(_, Change::Count(name, _) | Change::Release(name, ..) | Change::Remember(name, _)) => {
            name.as_str().into()
        }
        Effect::Remember(_, Change::Grant(approval, _) | Change::UseGrant(approval)) => approval.to_string().into(),
        Effect::Await(wait) => match &wait.what {
            Deferred::Label(label) => label.as_str().into(),
            Deferred::Reserved(name, ..)
            | Deferred::Count(name, _)
            | Deferred::CountFact(name, ..)
            | Deferred::Remember(name, _)
            | Deferred::RememberFact(name, ..) => name.as_str().into(),
            Deferred::Risk(_) => "".into(),
        },
        Effect::Alert(alert) => alert.name.as_str().into(),
        Effect::Remember(_, Change::Risk(_)) | Effect::Revoke { .. } => "".into(),
    }
}

/// As the annotation would write it.
fn text_of(effect: &Effect) -> String {
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

/// The session's is what annotations mean when they name nobody.
fn prefix(level: Level) -> String {
    match level {
        Level::Session => String::new(),
        Level::Tree | Level::Principal => format!("{level}:"),
    }
}

/// As Cedar writes it.
fn value_text(value: &Value) -> String {
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

/// What the API says that an effect is.
pub(super) fn effect_to_api(effect: &Effect) -> api::Effect {
    api::Effect {
        kind: kind(effect).into(),
        level: level(effect).into(),
        name: name(effect).into_owned(),
        text: text_of(effect),
        waits_for: waits_for(effect).into(),
        reserved: is_reserved(effect),
    }
}

#[cfg(test)]
mod tests {
    use chaperone_policy::{Alert, Amount, EntityRef, MemoryName, Severity};

    use super::*;

    fn memory_name(text: &str) -> MemoryName {
        MemoryName::parse(text).expect("a name")
    }

    #[test]
    fn effects_read_as_policies_write_them() {
        let remember = |value| Change::Remember(memory_name("seen/1h"), value);
        let document = Value::Entity(EntityRef::new("Document", "4\"2"));
        let decimal = Amount::parse_decimal("2.5").expect("a decimal");
        let alert = Alert { name: "honeypot".into(), severity: Severity::Critical, policy: "p".into() };
        for (effect, name, text) in [
            (Effect::Remember(Level::Session, Change::Label("pii".into())), "pii", "pii"),
            (Effect::Remember(Level::Tree, Change::Label("pii".into())), "pii", "tree:pii"),
            (
                Effect::Remember(Level::Session, Change::Count(memory_name("exports/1h"), Amount::Whole(3))),
                "exports/1h",
                "exports/1h += 3",
            ),
            (
                Effect::Remember(Level::Principal, Change::Count(memory_name("usd"), decimal)),
                "usd",
                "principal:usd += 2.5000",
            ),
            (Effect::Remember(Level::Session, remember(document)), "seen/1h", "seen/1h = Document::\"4\\\"2\""),
            (
                Effect::Remember(Level::Session, remember(Value::Ip("10.0.0.1".into()))),
                "seen/1h",
                "seen/1h = ip(\"10.0.0.1\")",
            ),
            (Effect::Remember(Level::Session, Change::Risk(20)), "", "+20"),
            (Effect::Remember(Level::Session, Change::Risk(-5)), "", "-5"),
            (Effect::Revoke { level: Level::Tree, policy: "p".into() }, "", "tree"),
            (Effect::Alert(alert), "honeypot", "honeypot:critical"),
        ] {
            let shown = effect_to_api(&effect);
            assert_eq!((shown.name.as_str(), shown.text.as_str()), (name, text));
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let value = Value::String("é".repeat(2_000).into());
        let text = text_of(&Effect::Remember(Level::Session, Change::Remember(memory_name("a"), value)));
        assert!((TEXT_BYTES_MAX - 1..=TEXT_BYTES_MAX).contains(&text.len()), "{}", text.len());
    }
}
