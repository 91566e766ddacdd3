//! What a decision does beside being made, as answers say it.

use std::borrow::Cow;

use chaperone_api::chaperone::v1 as api;
use chaperone_policy::{Change, Effect, Level};
use prost::encoding::{WireType, encode_key, encode_varint};

use super::decision_codec::{number, text, text_length};
use crate::effect_text::effect_text;

/// Writes an effect as the field of this number, which is below 16.
pub(super) fn write(field: u32, effect: &Effect, buffer: &mut Vec<u8>) {
    let (kind, level, name, written) = (kind(effect) as u32, level(effect) as u32, name(effect), effect_text(effect));
    // Kinds and levels are small: one byte, and one for the field.
    let numbers = [kind, level].into_iter().filter(|number| *number != 0).count() * 2;
    encode_key(field, WireType::LengthDelimited, buffer);
    encode_varint((numbers + text_length(&name) + text_length(&written)) as u64, buffer);
    number(1, u64::from(kind), buffer);
    number(2, u64::from(level), buffer);
    text(3, &name, buffer);
    text(4, &written, buffer);
}

fn kind(effect: &Effect) -> api::EffectKind {
    match effect {
        Effect::Remember(_, Change::Label(_)) => api::EffectKind::Label,
        Effect::Remember(_, Change::Count(..)) => api::EffectKind::Count,
        Effect::Remember(_, Change::Remember(..)) => api::EffectKind::Remember,
        Effect::Remember(_, Change::Risk(_)) => api::EffectKind::Risk,
        // Decisions give none; they use those that people gave.
        Effect::Remember(_, Change::Grant(..) | Change::UseGrant(_)) => api::EffectKind::Approval,
        Effect::Revoke { .. } => api::EffectKind::Revoke,
        Effect::Alert(_) => api::EffectKind::Alert,
    }
}

fn level(effect: &Effect) -> api::EffectLevel {
    match effect {
        Effect::Remember(level, _) | Effect::Revoke { level, .. } => match level {
            Level::Session => api::EffectLevel::Session,
            Level::Tree => api::EffectLevel::Tree,
            Level::Principal => api::EffectLevel::Principal,
        },
        Effect::Alert(_) => api::EffectLevel::Unspecified,
    }
}

fn name(effect: &Effect) -> Cow<'_, str> {
    match effect {
        Effect::Remember(_, Change::Label(label)) => label.as_str().into(),
        Effect::Remember(_, Change::Count(name, _) | Change::Remember(name, _)) => name.as_str().into(),
        Effect::Remember(_, Change::Grant(approval, _) | Change::UseGrant(approval)) => approval.to_string().into(),
        Effect::Alert(alert) => alert.name.as_str().into(),
        Effect::Remember(_, Change::Risk(_)) | Effect::Revoke { .. } => "".into(),
    }
}

/// What the API says that an effect is.
#[cfg(test)]
pub(super) fn effect_to_api(effect: &Effect) -> api::Effect {
    api::Effect {
        kind: kind(effect).into(),
        level: level(effect).into(),
        name: name(effect).into_owned(),
        text: effect_text(effect),
    }
}

#[cfg(test)]
mod tests {
    use chaperone_policy::{Alert, Amount, EntityRef, MemoryName, Severity, Value};

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
}
