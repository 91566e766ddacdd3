//! Arbitrary events.

use chaperone_policy::{ApprovalId, BundleNumber, DecisionId, EntityRef, SessionId, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use super::at;
use crate::{
    Acted, AppliedEffect, Asked, Decided, Delegation, Digest, Event, Policy, Presented, SessionFacts, State, StateRef,
    StepUpAsked, Trace,
};

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn entity() -> impl Strategy<Value = EntityRef> {
    (any::<String>(), any::<String>()).prop_map(|(kind, id)| EntityRef::new(kind, id))
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Long),
        any::<String>().prop_map(|text| Value::String(text.into())),
        entity().prop_map(Value::Entity),
        any::<String>().prop_map(|text| Value::Ip(text.into())),
        any::<String>().prop_map(|text| Value::Decimal(text.into())),
        any::<String>().prop_map(|text| Value::Datetime(text.into())),
        any::<String>().prop_map(|text| Value::Duration(text.into())),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Set),
            vec((any::<String>(), inner), 0..3).prop_map(|fields| Value::Record(
                fields.into_iter().map(|(name, value)| (name.into(), value)).collect()
            )),
        ]
    })
}

fn session() -> impl Strategy<Value = SessionFacts<'static>> {
    (uuid(), uuid(), any::<String>(), any::<String>(), vec((uuid(), entity()), 0..3)).prop_map(
        |(id, tree, owner, task, ancestors)| SessionFacts {
            id: SessionId::new(id),
            tree: SessionId::new(tree),
            owner: owner.into(),
            task: task.into(),
            ancestors: ancestors
                .into_iter()
                .map(|(id, principal)| Delegation {
                    id: SessionId::new(id),
                    principal: std::borrow::Cow::Owned(principal),
                })
                .collect(),
        },
    )
}

fn effects() -> impl Strategy<Value = Vec<AppliedEffect<'static>>> {
    vec((any::<String>(), any::<String>()), 0..3).prop_map(|effects| {
        effects.into_iter().map(|(effect, text)| AppliedEffect { effect: effect.into(), text: text.into() }).collect()
    })
}

fn trace() -> impl Strategy<Value = Option<Trace<'static>>> {
    option::of((any::<String>(), any::<String>()))
        .prop_map(|trace| trace.map(|(trace_id, span_id)| Trace { trace_id: trace_id.into(), span_id: span_id.into() }))
}

fn asked() -> impl Strategy<Value = Asked<'static>> {
    let names = || vec(any::<String>(), 0..2);
    let parts = (entity(), entity(), vec((any::<String>(), value()), 0..3), names(), names());
    parts.prop_map(|(action, resource, attributes, dropped, hashed)| Asked {
        action: std::borrow::Cow::Owned(action),
        resource: std::borrow::Cow::Owned(resource),
        attributes: attributes.into_iter().map(|(name, value)| (name.into(), value)).collect(),
        dropped: dropped.into_iter().map(Into::into).collect(),
        hashed: hashed.into_iter().map(Into::into).collect(),
    })
}

fn decided() -> impl Strategy<Value = Decided<'static>> {
    let texts = any::<[String; 4]>();
    let what = (option::of(session()), option::of(entity()), vec(asked(), 0..3), effects());
    let why = (
        vec((any::<String>(), option::of(any::<String>())), 0..3),
        vec((any::<String>(), uuid()), 0..2),
        vec((any::<String>(), option::of(digest())), 0..3),
    );
    let how = (uuid(), any::<u32>(), any::<bool>(), any::<i64>(), any::<u64>(), trace());
    let who = (option::of(any::<String>()), option::of(digest()), option::of(any::<std::net::IpAddr>()));
    (texts, what, why, how, who).prop_map(|(texts, what, why, how, who)| {
        let [protocol, outcome, code, reason] = texts.map(Into::into);
        Decided {
            id: DecisionId::new(how.0),
            protocol,
            outcome,
            code,
            reason,
            session: what.0,
            principal: what.1.map(std::borrow::Cow::Owned),
            presenter: Presented { spiffe_id: who.0.map(Into::into), certificate_sha256: who.1, address: who.2 },
            actions: what.2,
            policies: why
                .0
                .into_iter()
                .map(|(id, failure)| Policy { id: id.into(), failure: failure.map(Into::into) })
                .collect(),
            effects: what.3,
            step_ups: why
                .1
                .into_iter()
                .map(|(name, id)| StepUpAsked { name: name.into(), approval: ApprovalId::new(id) })
                .collect(),
            bundle: BundleNumber::new(how.1.into()),
            states: why.2.into_iter().map(|(of, digest)| StateRef { of: of.into(), digest }).collect(),
            stale: how.2,
            began_at: at(how.3),
            elapsed_us: how.4,
            trace: how.5,
        }
    })
}

fn acted() -> impl Strategy<Value = Acted<'static>> {
    let ids = (option::of(uuid()), option::of(uuid()), option::of(any::<u32>()));
    (any::<[String; 3]>(), option::of(session()), option::of(entity()), ids, effects()).prop_map(
        |(texts, session, principal, ids, effects)| {
            let [act, by, note] = texts.map(Into::into);
            Acted {
                act,
                by,
                session,
                principal: principal.map(std::borrow::Cow::Owned),
                decision: ids.0.map(DecisionId::new),
                approval: ids.1.map(ApprovalId::new),
                bundle: ids.2.map(|number| BundleNumber::new(number.into())),
                effects,
                note,
            }
        },
    )
}

pub fn event() -> impl Strategy<Value = Event<'static>> {
    prop_oneof![
        any::<[String; 3]>().prop_map(|texts| {
            let [replica, version, key] = texts.map(Into::into);
            Event::Started { replica, version, key }
        }),
        any::<[String; 2]>().prop_map(|texts| {
            let [key, signature] = texts.map(Into::into);
            Event::Checkpoint { key, signature }
        }),
        Just(Event::Stopped),
        (any::<String>(), digest(), any::<String>()).prop_map(|(of, digest, value)| Event::State(State {
            of: of.into(),
            digest,
            value: value.into()
        })),
        decided().prop_map(|decided| Event::Decision(Box::new(decided))),
        (uuid(), any::<[String; 2]>(), any::<u64>(), trace()).prop_map(|(id, texts, elapsed_us, trace)| {
            let [protocol, code] = texts.map(Into::into);
            Event::NoDecision { id: DecisionId::new(id), protocol, code, elapsed_us, trace }
        }),
        acted().prop_map(|acted| Event::Act(Box::new(acted))),
    ]
}
