//! Events that have much in common, and texts that are hard to keep apart.

use std::borrow::Cow;

use chaperone_policy::{BundleNumber, DecisionId, EntityRef, SessionId, Timestamp};
use uuid::Uuid;

use super::dice::Dice;
use crate::digest::Digest;
use crate::event::{Acted, AppliedEffect, Asked, Decided, Event, Policy, Presented, SessionFacts, State};
use crate::record::ChainId;

/// 2026-11-22T00:00:00Z.
const BEGIN_US: i64 = 1_795_305_600_000_000;
/// Two hours and a little: events fall on some five days, many at one time.
const STEP_US: i64 = 7_200_000_001;
const STEPS: usize = 60;
const CHAINS: u128 = 3;
const EVENTS: usize = 110;

/// What to write: chains, each with its events and their times.
pub fn chains() -> Vec<(ChainId, Vec<(Timestamp, Event<'static>)>)> {
    let mut dice = Dice::new(7);
    let chain = |number: u128| {
        let started = Event::Started { replica: "r".into(), version: "1.2.3".into(), key: "AAAA".into() };
        let events = std::iter::once(started).chain((1..EVENTS).map(|_| event(&mut dice)));
        let events = events.collect::<Vec<_>>();
        let timed = events.into_iter().map(|event| (time(&mut dice), event)).collect();
        (ChainId::new(Uuid::from_u128(0x0199_0000_0000_7000_8000_0000_0000_0000 + number)), timed)
    };
    (1..=CHAINS).map(chain).collect()
}

/// Not in the order of places: what is decided first may be written last.
fn time(dice: &mut Dice) -> Timestamp {
    let step = i64::try_from(dice.below(STEPS)).expect("small");
    Timestamp::from_micros(BEGIN_US + step * STEP_US)
}

fn event(dice: &mut Dice) -> Event<'static> {
    match dice.below(20) {
        0 => Event::Checkpoint { key: "AAAA".into(), signature: "BBBB".into() },
        1 => Event::Stopped,
        2 => {
            let value = "{\"kind\":\"decision\",\"outcome\":\"deny\"}";
            Event::State(State {
                of: "session:1".into(),
                digest: Digest::of(value.as_bytes()),
                value: Cow::Borrowed(value),
            })
        }
        3 | 4 => Event::NoDecision {
            id: decision(dice),
            protocol: "ext_authz".into(),
            code: dice.one_of(&["stale", "forbidden", "deadline"]).into(),
            elapsed_us: 9,
            trace: None,
        },
        5..8 => Event::Act(Box::new(acted(dice))),
        _ => Event::Decision(Box::new(decided(dice))),
    }
}

fn decided(dice: &mut Dice) -> Decided<'static> {
    let (outcome, code) =
        dice.one_of(&[("allow", "allowed"), ("allow", "allowed"), ("deny", "forbidden"), ("challenge", "forbidden")]);
    let policies = ["exports", "no\\egress", "no\\\\egress", "mark\u{0}"];
    Decided {
        id: decision(dice),
        protocol: "ext_authz".into(),
        outcome: outcome.into(),
        code: code.into(),
        reason: "it says \"no\", \u{1f980}\u{0}".into(),
        session: session(dice),
        principal: (!dice.once_in(4)).then(|| Cow::Owned(principal(dice))),
        presenter: Presented::default(),
        actions: (0..dice.below(3)).map(|_| asked(dice)).collect(),
        policies: (0..dice.below(3)).map(|_| Policy { id: dice.one_of(&policies).into(), failure: None }).collect(),
        effects: vec![AppliedEffect { effect: "label".into(), text: "tree:pii".into() }],
        step_ups: Vec::new(),
        bundle: BundleNumber::new(3),
        states: Vec::new(),
        stale: false,
        began_at: Timestamp::from_micros(BEGIN_US),
        elapsed_us: 120,
        trace: None,
    }
}

fn acted(dice: &mut Dice) -> Acted<'static> {
    Acted {
        act: dice.one_of(&["session.revoked", "outcome.reported", "bundle.activated"]).into(),
        by: "ops".into(),
        session: session(dice),
        principal: (!dice.once_in(3)).then(|| Cow::Owned(principal(dice))),
        decision: dice.once_in(2).then(|| decision(dice)),
        approval: None,
        bundle: None,
        effects: Vec::new(),
        note: String::new().into(),
    }
}

fn decision(dice: &mut Dice) -> DecisionId {
    DecisionId::new(Uuid::from_u128(u128::try_from(dice.below(80)).expect("small")))
}

fn session(dice: &mut Dice) -> Option<SessionFacts<'static>> {
    let id = |number: usize| SessionId::new(Uuid::from_u128(u128::try_from(number).expect("small")));
    let number = dice.below(7);
    let owners = ["ada", "WORK\\ada", "WORK\\\\ada", "ada\u{0}", "ada\\0", "", "Ada "];
    (number > 0).then(|| SessionFacts {
        id: id(number),
        tree: id(number.min(3)),
        owner: dice.one_of(&owners).into(),
        task: "".into(),
        ancestors: Vec::new(),
    })
}

fn principal(dice: &mut Dice) -> EntityRef {
    // Longer than what a database indexes, and different at the end only.
    let long = "é".repeat(3_000);
    let ids = ["a", "A", "a\\b", "a\\\\b", "\u{0}", "\\0", "a\"", &format!("{long}1"), &format!("{long}2")];
    EntityRef::new(dice.one_of(&["Agent", "Acme::Agent"]), dice.one_of(&ids))
}

fn asked(dice: &mut Dice) -> Asked<'static> {
    Asked {
        action: Cow::Owned(EntityRef::action(dice.one_of(&["read", "write", "export"]))),
        resource: Cow::Owned(EntityRef::new("Document", dice.one_of(&["1", "2", "it's {1,\"2\"}", "NULL", ""]))),
        attributes: Vec::new(),
        dropped: Vec::new(),
        hashed: Vec::new(),
    }
}
