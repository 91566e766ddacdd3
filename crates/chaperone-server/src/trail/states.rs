//! What decisions read, written down before them: each state once for as long as it stays the same, and again every day.
//!
//! Days are what retention drops: a record stands in the trail for no longer than the states that it was made on.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use chaperone_policy::recorded::{StateMark, StateText};
use chaperone_policy::{EntityRef, SessionId, Timestamp};
use chaperone_trail::{DecisionText, Digest, State, StateRef};
use uuid::fmt::Hyphenated;

use crate::pdp::Answer;
use crate::recorder::Subject;

/// How many states are known to be written, beside what the marks say. When there are more, some are written again.
const KNOWN_MAX: usize = 65_536;
/// What the name of a chain's state begins with; behind it stands its session's id.
const CHAIN: &str = "chain:";
/// A day, in microseconds.
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;
/// More days than anybody counts.
const DAYS: u64 = 1 << 24;

/// The states that were written lately, so that what several objects hold is written once.
#[derive(Debug, Default)]
pub(super) struct KnownStates(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    stretch: u64,
    digests: HashSet<[u8; 32]>,
}

/// The states that a decision read.
#[derive(Debug, Default)]
pub(super) struct ReadStates {
    /// Of its session's chain.
    chain: Option<(SessionId, Digest)>,
    /// Of entities, by what records call them.
    entities: Vec<(String, Digest)>,
}

impl ReadStates {
    pub(super) fn write(&self, text: &mut DecisionText<'_>) {
        let mut put = |of: &str, digest: &Digest| text.state(&StateRef { of: of.into(), digest: Some(*digest) });
        if let Some((session, digest)) = &self.chain {
            // Nearly every record has it: written without the way through formatting.
            let mut name = [0; CHAIN.len() + Hyphenated::LENGTH];
            let (kind, id) = name.split_at_mut(CHAIN.len());
            kind.copy_from_slice(CHAIN.as_bytes());
            session.as_uuid().hyphenated().encode_lower(id);
            put(std::str::from_utf8(&name).unwrap_or_default(), digest);
        }
        for (entity, digest) in &self.entities {
            put(entity, digest);
        }
    }
}

/// The stretch of the trail within which a state that was written stays written: a day of one time without failures.
pub(super) fn stretch(generation: u64, at: Timestamp) -> u64 {
    let day = u64::try_from(at.as_micros().div_euclid(DAY_US)).unwrap_or_default();
    generation.wrapping_mul(DAYS) | (day % DAYS)
}

/// From when on all that a decision at this time read stands before it in its chain: the beginning of its day, in UTC.
pub fn read_since(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros() - at.as_micros().rem_euclid(DAY_US))
}

impl KnownStates {
    /// Whether this state was written into this stretch.
    fn has(&self, stretch: u64, digest: &[u8; 32]) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.stretch == stretch && known.digests.contains(digest)
    }

    fn note(&self, stretch: u64, digest: [u8; 32]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.stretch != stretch || known.digests.len() >= KNOWN_MAX {
            known.digests.clear();
            known.stretch = stretch;
        }
        known.digests.insert(digest);
    }

    /// The states that a decision read, after each was handed to `write` that is not in this stretch yet.
    ///
    /// # Errors
    /// Those of `write`.
    pub(super) fn put<E>(
        &self,
        answer: &Answer,
        subject: &Subject<'_>,
        stretch: u64,
        bundle_text: impl Fn() -> String,
        mut write: impl FnMut(State<'_>) -> Result<(), E>,
    ) -> Result<ReadStates, E> {
        let mut put = |of: String, state: StateText| {
            if self.has(stretch, &state.digest) {
                return Ok(());
            }
            let StateText { text, digest } = state;
            write(State { of: of.into(), digest: Digest::from_bytes(digest), value: text.into() })?;
            // Only now: whoever finds it here writes what relies on it behind it.
            self.note(stretch, digest);
            Ok(())
        };
        let snapshot = subject.snapshot;
        // No decision names it: it is the last one of its number before it.
        let mark = snapshot.mark.get(&bundle_text);
        if !mark.is_written(stretch) {
            put(format!("bundle:{}", snapshot.number), StateText::new(bundle_text()))?;
            mark.note_written(stretch);
        }
        let mut states = ReadStates::default();
        if let (Some(chain), Some(session)) = (&answer.read.chain, &answer.session) {
            let digest = chain.put_states(snapshot, stretch, &mut put)?;
            states.chain = Some((session.id, Digest::from_bytes(digest)));
        }
        if !snapshot.entities.is_own_of(&snapshot.bundle) {
            for uid in entities(answer, subject) {
                let Some(entity) = snapshot.entities.stated(&snapshot.bundle, uid) else { continue };
                let (mark, of): (&StateMark, _) = (entity.mark(), format!("entity:{uid}"));
                if !mark.is_written(stretch) {
                    put(of.clone(), StateText::new(entity.text()))?;
                    mark.note_written(stretch);
                }
                states.entities.push((of, Digest::from_bytes(*mark.digest())));
            }
        }
        Ok(states)
    }
}

/// The entities that a decision looked at, each once.
fn entities<'a>(answer: &'a Answer, subject: &'a Subject<'_>) -> Vec<&'a EntityRef> {
    let principals = answer.principal.iter().chain(answer.ancestors.iter().map(|ancestor| &ancestor.principal));
    let resources = subject.requests.iter().map(|request| &request.resource);
    let mut entities = Vec::new();
    for uid in principals.chain(resources).chain(&answer.read.entities) {
        // A batch may have thousands of resources, of which none is looked at twice for long.
        if entities.len() > 64 || !entities.contains(&uid) {
            entities.push(uid);
        }
    }
    entities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_stands_since_the_stretch_began() {
        for at in [0, 1, DAY_US - 1, DAY_US, 20_000 * DAY_US + 5].map(Timestamp::from_micros) {
            let since = read_since(at);
            assert!(since <= at && stretch(1, since) == stretch(1, at), "{at}");
            let before = Timestamp::from_micros(since.as_micros() - 1);
            assert!(before.as_micros() < 0 || stretch(1, before) != stretch(1, at), "{at}");
        }
    }
}
