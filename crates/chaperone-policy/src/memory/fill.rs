//! What is filled into a memory from history, for names that were not kept when it happened.
//!
//! **Filling is a join: filling the same twice is filling it once, and what was remembered never becomes less.** So it can be done again, from
//! a longer history or by another replica.

use smol_str::SmolStr;

use super::change::make_room;
use super::counter::Counter;
use super::limits::MemoryLimits;
use super::name::MemoryName;
use super::set::RememberedSet;
use super::{ChangeError, Memory};
use crate::timestamp::Timestamp;

impl Memory {
    /// Its labels, counters and sets of these names, and nothing else.
    pub(crate) fn part(
        &self,
        label: impl Fn(&SmolStr) -> bool,
        counter: impl Fn(&MemoryName) -> bool,
        set: impl Fn(&MemoryName) -> bool,
    ) -> Self {
        let counters = self.counters.iter().filter(|(name, _)| counter(name));
        let sets = self.sets.iter().filter(|(name, _)| set(name));
        Self {
            labels: self.labels.iter().filter(|name| label(name)).cloned().collect(),
            counters: counters.map(|(name, counter)| (name.clone(), counter.clone())).collect(),
            sets: sets.map(|(name, set)| (name.clone(), set.clone())).collect(),
            ..Self::default()
        }
    }

    /// The same with a part of another in place of what stands under its names here; labels are added.
    #[must_use]
    pub fn overlaid(&self, part: &Self) -> Self {
        let mut whole = self.clone();
        whole.labels.extend(part.labels.iter().cloned());
        whole.counters.extend(part.counters.iter().map(|(name, counter)| (name.clone(), counter.clone())));
        whole.sets.extend(part.sets.iter().map(|(name, set)| (name.clone(), set.clone())));
        whole
    }

    /// Fills in labels, counters and sets: each label of both, of each granule or sum the larger one, each value with its later time. What
    /// counts no more at `now` is left out.
    ///
    /// # Errors
    /// With the first that there is no room for; the others are filled in.
    pub fn fill(&mut self, part: &Self, now: Timestamp, limits: &MemoryLimits) -> Result<(), ChangeError> {
        let mut filled = Ok(());
        for label in &part.labels {
            filled = filled.and(self.label(label, limits));
        }
        for (name, counter) in &part.counters {
            filled = filled.and(self.fill_counter(name, counter, now, limits));
        }
        for (name, set) in &part.sets {
            filled = filled.and(self.fill_set(name, set, now, limits));
        }
        filled
    }

    fn fill_counter(
        &mut self,
        name: &MemoryName,
        history: &Counter,
        now: Timestamp,
        limits: &MemoryLimits,
    ) -> Result<(), ChangeError> {
        if history.is_empty() || history.is_spent(name.window(), now) {
            return Ok(());
        }
        if let Some(counter) = self.counters.get_mut(name) {
            let joined = counter.join(history, name.window(), now);
            return joined.map_err(|_| ChangeError::Overflow { name: name.clone() });
        }
        let is_spent = |counter: &Counter, window| counter.is_spent(window, now);
        make_room(&mut self.counters, name, "counter", limits.counters, is_spent)?;
        self.counters.insert(name.clone(), history.clone());
        Ok(())
    }

    fn fill_set(
        &mut self,
        name: &MemoryName,
        history: &RememberedSet,
        now: Timestamp,
        limits: &MemoryLimits,
    ) -> Result<(), ChangeError> {
        if history.is_spent(name.window(), now) {
            return Ok(());
        }
        if !self.sets.contains_key(name) {
            let is_spent = |set: &RememberedSet, window| set.is_spent(window, now);
            make_room(&mut self.sets, name, "set", limits.sets, is_spent)?;
        }
        let limit = limits.values_per_set;
        let set = self.sets.entry(name.clone()).or_default();
        set.join(history, name.window(), now, limit).map_err(|_| ChangeError::Full {
            what: "value",
            name: name.as_str().into(),
            limit,
        })
    }
}
