//! What a decision does beside being made, as answers say it.

use std::borrow::Cow;

use chaperone_api::chaperone::v1 as api;
use chaperone_policy::{Change, Deferred, Effect, Level, Reported, Wait};

use super::wire::Writer;
use crate::effect_text::effect_text;

/// Writes an effect as the field of this number.
pub(super) fn write(field: u32, effect: &Effect, writer: &mut Writer) {
    writer.message(field, |writer| {
        writer.varint(1, u64::from(kind(effect) as u32));
        writer.varint(2, u64::from(level(effect) as u32));
        writer.text(3, &name(effect));
        writer.text(4, &effect_text(effect));
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

/// What the API says that an effect is.
pub(super) fn effect_to_api(effect: &Effect) -> api::Effect {
    api::Effect {
        kind: kind(effect).into(),
        level: level(effect).into(),
        name: name(effect).into_owned(),
        text: effect_text(effect),
        waits_for: waits_for(effect).into(),
        reserved: is_reserved(effect),
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
