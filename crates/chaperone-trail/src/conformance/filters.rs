//! What is asked for: of what is there, as a rule.

use chaperone_policy::{SessionId, Timestamp};
use uuid::Uuid;

use super::dice::Dice;
use crate::event::{Event, EventKind};
use crate::filter::RecordFilter;
use crate::source::{Found, Place};

const KINDS: [EventKind; 7] = [
    EventKind::Started,
    EventKind::Checkpoint,
    EventKind::Stopped,
    EventKind::State,
    EventKind::Decision,
    EventKind::NoDecision,
    EventKind::Act,
];

/// A filter of one to four conditions, most of which hold for some one record.
pub(super) fn filter(dice: &mut Dice, all: &[Found]) -> RecordFilter {
    let mut filter = RecordFilter::default();
    let like = dice.below(all.len());
    for _ in 0..=dice.below(4) {
        // One of another record may contradict the rest: nothing is found then.
        let record = if dice.once_in(8) { dice.below(all.len()) } else { like };
        restrict(&mut filter, dice, &all[record]);
    }
    filter
}

fn restrict(filter: &mut RecordFilter, dice: &mut Dice, like: &Found) {
    let event = &like.record.event;
    let session = event.session();
    let decided = match event {
        Event::Decision(decided) => Some(decided),
        _ => None,
    };
    let asked = decided.and_then(|decided| decided.actions.last());
    match dice.below(13) {
        0 => filter.kinds = vec![event.kind(), dice.one_of(&KINDS)],
        1 => filter.from = Some(like.record.at),
        2 => filter.before = Some(Timestamp::from_micros(like.record.at.as_micros() + 1)),
        // A time by itself finds nothing of that time.
        3 => filter.before = Some(like.record.at),
        4 => filter.session = Some(session.map_or(SessionId::new(Uuid::nil()), |session| session.id)),
        5 => filter.tree = session.map(|session| session.tree),
        6 => filter.principal = event.principal().cloned(),
        7 => filter.owner = session.map(|session| session.owner.to_string()),
        8 => filter.action = asked.map(|asked| asked.action.as_ref().clone()),
        9 => filter.resource = asked.map(|asked| asked.resource.as_ref().clone()),
        10 => {
            let outcome = decided.map_or("none", |decided| &*decided.outcome);
            filter.outcome = Some(outcome.to_owned());
        }
        11 => {
            filter.policy = decided.and_then(|decided| decided.policies.last()).map(|policy| policy.id.to_string());
            filter.code = decided.map(|decided| decided.code.to_string());
        }
        _ => {
            filter.decision = match event {
                Event::Decision(decided) => Some(decided.id),
                Event::NoDecision { id, .. } => Some(*id),
                Event::Act(acted) => acted.decision,
                _ => None,
            };
        }
    }
}

/// A place at which there is a record, or next to one.
pub(super) fn place(dice: &mut Dice, all: &[Found]) -> Place {
    let place = all[dice.below(all.len())].place();
    let at = |by: i64| Timestamp::from_micros(place.at.as_micros() + by);
    match dice.below(5) {
        0 => Place { seq: place.seq + 1, ..place },
        1 => Place { seq: 0, ..place },
        2 => Place { at: at(1), ..place },
        3 => Place { at: at(-1), ..place },
        _ => place,
    }
}
