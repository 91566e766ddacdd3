//! How often the same alert of the same session is told: a thief who tries again and again must not bury the others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chaperone_policy::{SessionId, Severity, Timestamp};

use crate::pdp::Answer;

/// For how long the same alert is not told again.
const INTERVAL: Duration = Duration::from_mins(1);
/// How many are told apart.
const KEYS_MAX: usize = 16_384;
/// How often room is looked for at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// When each alert was told last.
#[derive(Debug, Default)]
pub(super) struct Limit(Mutex<Told>);

#[derive(Debug)]
struct Told {
    last: HashMap<Key, Timestamp>,
    swept_at: Timestamp,
}

/// What counts as the same alert. With the severity: a low one must not hide a critical one of the same name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key {
    pub(super) holder: Holder,
    pub(super) name: String,
    pub(super) severity: Severity,
}

/// Whose alert it is.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Holder {
    Session(SessionId),
    /// A peer that acts for itself.
    Principal(String),
}

impl Holder {
    pub(super) fn of(answer: &Answer) -> Self {
        match &answer.session {
            Some(session) => Self::Session(session.id),
            None => Self::Principal(answer.principal.as_ref().map(ToString::to_string).unwrap_or_default()),
        }
    }
}

impl Default for Told {
    fn default() -> Self {
        Self { last: HashMap::new(), swept_at: Timestamp::from_micros(0) }
    }
}

impl Limit {
    /// Whether this alert may be told now. Notes that it was.
    pub(super) fn admits(&self, key: Key, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = told.last.get_mut(&key) {
            let is_due = now.since(*last) >= INTERVAL;
            if is_due {
                *last = now;
            }
            return is_due;
        }
        if told.last.len() >= KEYS_MAX && now.since(told.swept_at) >= SWEEP_INTERVAL {
            told.swept_at = now;
            told.last.retain(|_, last| now.since(*last) < INTERVAL);
        }
        // More than can be told apart: told once too often rather than never.
        if told.last.len() < KEYS_MAX {
            told.last.insert(key, now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn key(principal: &str, severity: Severity) -> Key {
        Key { holder: Holder::Principal(principal.to_owned()), name: "token-reuse".to_owned(), severity }
    }

    #[test]
    fn same_alert_is_told_once_a_minute() {
        let limit = Limit::default();
        let told = |seconds| limit.admits(key("a", Severity::High), START.plus(Duration::from_secs(seconds)));
        assert_eq!([0, 1, 59, 60, 61, 119, 120].map(told), [true, false, false, true, false, false, true]);
    }

    #[test]
    fn others_and_graver_ones_are_told_meanwhile() {
        let limit = Limit::default();
        assert!(limit.admits(key("a", Severity::Low), START));
        assert!(limit.admits(key("b", Severity::Low), START));
        assert!(limit.admits(key("a", Severity::Critical), START));
        assert!(!limit.admits(key("a", Severity::Critical), START));
    }

    #[test]
    fn more_than_can_be_told_apart_are_told() {
        let limit = Limit::default();
        for number in 0..KEYS_MAX {
            assert!(limit.admits(key(&number.to_string(), Severity::Low), START));
        }
        assert!(limit.admits(key("one more", Severity::Low), START));
        assert!(limit.admits(key("one more", Severity::Low), START));
        let later = START.plus(INTERVAL);
        assert!(limit.admits(key("one more", Severity::Low), later));
        assert!(!limit.admits(key("one more", Severity::Low), later));
        assert_eq!(limit.0.lock().expect("not poisoned").last.len(), 1, "what is over is forgotten");
    }
}
