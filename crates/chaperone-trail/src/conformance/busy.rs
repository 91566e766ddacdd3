//! Decisions as a busy service has them, for measurements and for plans.

use std::borrow::Cow;

use chaperone_policy::{BundleNumber, DecisionId, EntityRef, SessionId, Timestamp, Value};
use uuid::Uuid;

use super::dice::Dice;
use crate::digest::Digest;
use crate::event::{Asked, Decided, Event, Policy, Presented, SessionFacts, StateRef, Trace};

/// How many sessions are at work at once, and of how many principals.
const SESSIONS: usize = 20_000;
const PRINCIPALS: usize = 500;

/// A decision that was made at `at`: one of 100 is a denial. With its place in a chain it has about 1,000 bytes.
pub fn decision(number: u64, at: Timestamp) -> Event<'static> {
    let mut dice = Dice::new(number);
    let session = dice.below(SESSIONS);
    let id = |of: usize, kind: u128| {
        let number = u128::try_from(of).expect("small");
        SessionId::new(Uuid::from_u128((kind << 112) | (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) << 16) | 0x7000))
    };
    let (outcome, code) = if dice.once_in(100) { ("deny", "forbidden") } else { ("allow", "allowed") };
    let principal = EntityRef::new("Acme::Agent", format!("invoice-worker-{}", session % PRINCIPALS));
    let milliseconds = u128::try_from(at.as_micros() / 1_000).expect("after 1970");
    let random = u128::try_from(dice.below(1 << 60)).expect("small");
    Event::Decision(Box::new(Decided {
        id: DecisionId::new(Uuid::from_u128((milliseconds << 80) | (0x7 << 76) | (0x2 << 62) | random)),
        protocol: "ext_authz".into(),
        outcome: outcome.into(),
        code: code.into(),
        reason: "the policies allow it".into(),
        session: Some(SessionFacts {
            id: id(session, 1),
            // Three sessions in four were delegated from another.
            tree: id(session / 4, 1),
            owner: "ada@acme.example".into(),
            task: "invoices-2026-11".into(),
            ancestors: Vec::new(),
        }),
        principal: Some(Cow::Owned(principal)),
        presenter: Presented {
            spiffe_id: Some("spiffe://acme.example/ns/billing/sa/worker".into()),
            certificate_sha256: None,
            address: None,
        },
        actions: vec![Asked {
            action: Cow::Owned(EntityRef::new("Acme::Action", "invoice.read")),
            resource: Cow::Owned(EntityRef::new("Acme::Invoice", format!("{}", dice.below(1_000_000)))),
            attributes: vec![("method".into(), Value::String("GET".into()))],
            dropped: Vec::new(),
            hashed: Vec::new(),
        }],
        policies: vec![Policy { id: "workers-read-invoices".into(), failure: None }],
        effects: Vec::new(),
        step_ups: Vec::new(),
        bundle: BundleNumber::new(12),
        states: vec![StateRef { of: "session".into(), digest: Some(Digest::of(&number.to_be_bytes())) }],
        stale: false,
        began_at: at,
        elapsed_us: 140,
        trace: Some(Trace { trace_id: format!("{random:032x}").into(), span_id: format!("{number:016x}").into() }),
    }))
}
