//! What decisions change in a memory.

use std::collections::BTreeMap;
use std::time::Duration;

use smol_str::SmolStr;

use super::amount::Amount;
use super::canonical::canonical;
use super::counter::{CountError, Counter};
use super::grant::ApprovalGrant;
use super::limits::MemoryLimits;
use super::name::MemoryName;
use super::risk::Risk;
use super::set::RememberedSet;
use super::{Memory, Used};
use crate::ids::ApprovalId;
use crate::timestamp::Timestamp;
use crate::value::Value;

/// One thing that a decision changes in a memory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Adds a label.
    Label(SmolStr),
    /// Adds to a counter. Never negative: what was spent is not given back.
    Count(MemoryName, Amount),
    /// Gives back what was reserved: takes it from the granule that it was added to, or from a counter without a window.
    Release(MemoryName, Amount, Option<i64>),
    /// Adds a value to a set, or renews it there.
    Remember(MemoryName, Value),
    /// Moves the risk, between 0 and 100.
    Risk(i8),
    /// Notes what a person approved. A person's doing, not a decision's.
    Grant(ApprovalId, Box<ApprovalGrant>),
    /// Takes one use of what a person approved.
    UseGrant(ApprovalId),
}

/// Why a change is not made. The memory is as it was.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// The memory holds as many as it may. A person raises the limit or uses fewer names.
    #[error("no room for {what} `{name}`: at most {limit} are remembered")]
    Full {
        /// `label`, `counter`, `set`, `signal`, `approval`, `outcome report`; or `value`, when it is the set of that name which is full.
        what: &'static str,
        /// Of what was to be added, or of the set.
        name: SmolStr,
        /// How many there may be.
        limit: usize,
    },
    /// The value is longer than one may be.
    #[error("set `{name}` remembers no value of more than {limit} bytes")]
    ValueTooLong {
        /// The set's.
        name: MemoryName,
        /// In bytes of JSON.
        limit: usize,
    },
    /// What a person approved is not there, over, or used up.
    #[error("approval `{approval}` has no use left")]
    GrantSpent {
        /// The approval's.
        approval: ApprovalId,
    },
    /// What was spent is not given back.
    #[error("counter `{name}` cannot count a negative amount")]
    NegativeAmount {
        /// The counter's.
        name: MemoryName,
    },
    /// The counter has come to the end of its 64 bits.
    #[error("counter `{name}` would hold more than fits 64 bits")]
    Overflow {
        /// The counter's.
        name: MemoryName,
    },
}

impl Memory {
    /// Makes one change. Equal memories, changes and times give equal memories.
    ///
    /// # Errors
    /// When the change cannot be made. The memory is then as it was, and the decision must not allow what it was to remember.
    pub fn apply(
        &mut self,
        change: &Change,
        now: Timestamp,
        limits: &MemoryLimits,
        risk_decay_per_hour: u32,
    ) -> Result<(), ChangeError> {
        match change {
            Change::Label(label) => self.label(label, limits),
            Change::Count(name, amount) => self.add(name, *amount, now, limits),
            Change::Release(name, amount, granule) => {
                self.release(name, *amount, *granule);
                Ok(())
            }
            Change::Remember(name, value) => self.remember(name, value, now, limits),
            Change::Grant(approval, grant) => self.grant(*approval, grant, now, limits),
            Change::UseGrant(approval) => self.use_grant(*approval, now),
            Change::Risk(points) => {
                let risk = self.risk.unwrap_or(Risk::none(now)).moved(*points, risk_decay_per_hour, now);
                self.risk = Some(risk).filter(|risk| !risk.is_none());
                Ok(())
            }
        }
    }

    /// Says that a decision, a report or a signal changes this at `now`. Never goes back. What waited for a report for too long is dropped.
    pub fn touch(&mut self, now: Timestamp) {
        self.drop_overdue(now);
        let used = self.used.unwrap_or(Used { first: now, last: now });
        self.used = Some(Used { last: used.last.max(now), ..used });
    }

    pub(super) fn label(&mut self, label: &SmolStr, limits: &MemoryLimits) -> Result<(), ChangeError> {
        if self.has_label(label) {
            return Ok(());
        }
        if self.labels.len() >= limits.labels {
            return Err(ChangeError::Full { what: "label", name: label.clone(), limit: limits.labels });
        }
        self.labels.insert(label.clone());
        Ok(())
    }

    fn add(
        &mut self,
        name: &MemoryName,
        amount: Amount,
        now: Timestamp,
        limits: &MemoryLimits,
    ) -> Result<(), ChangeError> {
        let error = |error| match error {
            CountError::Negative => ChangeError::NegativeAmount { name: name.clone() },
            CountError::Overflow => ChangeError::Overflow { name: name.clone() },
        };
        if let Some(counter) = self.counters.get_mut(name) {
            return counter.add(amount, name.window(), now).map_err(error);
        }
        let mut counter = Counter::new(name.window());
        counter.add(amount, name.window(), now).map_err(error)?;
        let is_spent = |counter: &Counter, window| counter.is_spent(window, now);
        make_room(&mut self.counters, name, "counter", limits.counters, is_spent)?;
        self.counters.insert(name.clone(), counter);
        Ok(())
    }

    /// The granule that was added to last; `None` where the counter has none.
    pub(crate) fn newest_granule(&self, name: &MemoryName) -> Option<i64> {
        self.counters.get(name)?.newest_granule()
    }

    fn release(&mut self, name: &MemoryName, amount: Amount, granule: Option<i64>) {
        let Some(counter) = self.counters.get_mut(name) else { return };
        counter.release(amount, granule);
        if counter.is_empty() {
            self.counters.remove(name);
        }
    }

    fn remember(
        &mut self,
        name: &MemoryName,
        value: &Value,
        now: Timestamp,
        limits: &MemoryLimits,
    ) -> Result<(), ChangeError> {
        Self::check_value(name, value, limits)?;
        let value = &canonical(value);
        let limit = limits.values_per_set;
        let full = |_| ChangeError::Full { what: "value", name: name.as_str().into(), limit };
        if let Some(set) = self.sets.get_mut(name) {
            return set.add(value, name.window(), now, limit).map_err(full);
        }
        let mut set = RememberedSet::default();
        set.add(value, name.window(), now, limit).map_err(full)?;
        let is_spent = |set: &RememberedSet, window| set.is_spent(window, now);
        make_room(&mut self.sets, name, "set", limits.sets, is_spent)?;
        self.sets.insert(name.clone(), set);
        Ok(())
    }
}

impl Memory {
    /// Whether a value is short enough to be stored.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) fn check_value(name: &MemoryName, value: &Value, limits: &MemoryLimits) -> Result<(), ChangeError> {
        // Measured as it will be stored.
        if !serde_json::to_vec(&canonical(value)).is_ok_and(|json| json.len() <= limits.value_bytes) {
            return Err(ChangeError::ValueTooLong { name: name.clone(), limit: limits.value_bytes });
        }
        Ok(())
    }
}

/// Makes room for `name`: at the limit, by dropping what holds nothing that still counts, such as those that an older bundle named.
pub(super) fn make_room<T>(
    held: &mut BTreeMap<MemoryName, T>,
    name: &MemoryName,
    what: &'static str,
    limit: usize,
    is_spent: impl Fn(&T, Option<Duration>) -> bool,
) -> Result<(), ChangeError> {
    if held.len() < limit {
        return Ok(());
    }
    if held.iter().filter(|(name, held)| !is_spent(held, name.window())).count() >= limit {
        return Err(ChangeError::Full { what, name: name.as_str().into(), limit });
    }
    held.retain(|name, held| !is_spent(held, name.window()));
    Ok(())
}
