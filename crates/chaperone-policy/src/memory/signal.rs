//! Signals that a memory knows, so that none counts twice.

use std::time::Duration;

use smol_str::SmolStr;

use super::Memory;
use super::change::ChangeError;
use crate::timestamp::Timestamp;
use crate::value::Value;

/// For how long an event id is known.
pub const SIGNAL_WINDOW: Duration = Duration::from_hours(24);
/// How many event ids one memory knows.
pub const SIGNALS_MAX: usize = 1_024;
/// How long an event id is at most.
pub const SIGNAL_ID_BYTES_MAX: usize = 128;

impl Memory {
    /// Whether the signal of this event was noted within [`SIGNAL_WINDOW`] before `now`.
    pub fn has_signal(&self, event_id: &str, now: Timestamp) -> bool {
        self.signals.as_ref().is_some_and(|known| known.contains(&value(event_id), Some(SIGNAL_WINDOW), now))
    }

    /// How many signals are known at `now`.
    pub fn signal_count(&self, now: Timestamp) -> usize {
        self.signals.as_ref().map_or(0, |known| known.values(Some(SIGNAL_WINDOW), now).count())
    }

    /// Notes the signal of an event.
    ///
    /// # Errors
    /// [`ChangeError::Full`] when [`SIGNALS_MAX`] are known: none of them is forgotten before its time, or it would count twice. The
    /// memory is then as it was.
    pub fn note_signal(&mut self, event_id: &str, now: Timestamp) -> Result<(), ChangeError> {
        let mut known = self.signals.take().unwrap_or_default();
        let noted = known.add(&value(event_id), Some(SIGNAL_WINDOW), now, SIGNALS_MAX);
        self.signals = Some(known).filter(|known| known.iter().next().is_some());
        noted.map_err(|_| ChangeError::Full { what: "signal", name: event_id.into(), limit: SIGNALS_MAX })
    }
}

fn value(event_id: &str) -> Value {
    Value::String(SmolStr::new(event_id))
}
