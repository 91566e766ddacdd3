//! Filling in what a bundle would remember by now, so that a new rule does not begin blind.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{Bundle, BundleNumber, Memory, MemoryKey, MemoryLimits, NewNames, Timestamp};
use chaperone_store::{Committed, ReplicaReport, StoredMemory, Transition};
use chaperone_trail::{Record, Sealed, SourceError};

use super::trail::{Merged, TrailReading};
use super::{AdminError, CONFLICT_RETRIES};
use crate::clock::Clock;
use crate::count_text::count_text;
use crate::replay::{Filling, Rules, Untold};
use crate::replica::{CompiledBundles, GONE_AFTER, Policies, Replica};
use crate::trail::read_since;

/// In how many memories something is filled in at the most.
const MEMORIES_MAX: usize = 500_000;
/// How many memories are written at once.
const WRITTEN_AT_ONCE: usize = 100;
/// How long other replicas have, to serve what was activated, and then to bring what they decided before into the trail.
const REPLICAS_WAIT: Duration = Duration::from_secs(5);
const REPLICAS_INTERVAL: Duration = Duration::from_millis(50);
const SHIPPING_WAIT: Duration = Duration::from_secs(1);

/// Fills in, from the trail, what an activated bundle keeps and the one before it did not.
#[derive(Clone, Debug)]
pub struct Backfill {
    trail: TrailReading,
    limits: MemoryLimits,
    reach_max: Duration,
}

/// What was filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Backfilled {
    /// Labels, counters and sets, such as `session counter exports/1h`.
    pub names: String,
    /// From which time on; `None` where nothing is filled in here, and all of it begins with the activation.
    pub since: Option<Timestamp>,
    /// How many decisions were looked at.
    pub decision_count: u64,
    /// Those of them that do not tell what the bundle would remember.
    pub untold: Option<Untold>,
    /// How many memories something was filled into.
    pub memory_count: u64,
    /// How many of them had no room for all of it.
    pub full_count: u64,
    /// Why not all of it was filled in, if so.
    pub failure: Option<String>,
}

/// One bundle's.
#[derive(Debug)]
pub struct Filler {
    replica: Arc<Replica>,
    clock: Clock,
    limits: MemoryLimits,
    number: BundleNumber,
    names: String,
    since: Timestamp,
    records: Merged,
    filling: Filling,
    /// Bundles that cannot be had, by their digests.
    missing: HashSet<String>,
    filled: HashSet<MemoryKey>,
    full: HashSet<MemoryKey>,
}

impl Backfill {
    /// From this trail, as far back as what is kept still counts, and no farther than `reach_max`; not at all where that is zero.
    pub fn new(trail: TrailReading, limits: MemoryLimits, reach_max: Duration) -> Self {
        Self { trail, limits, reach_max }
    }

    /// Begins with what a bundle keeps and the active one does not; `None` where there is nothing to fill in, or nothing to fill it from.
    pub(super) fn begin(
        &self,
        replica: &Arc<Replica>,
        clock: &Clock,
        (number, digest, bundle): (BundleNumber, &str, &Arc<Bundle>),
    ) -> Option<Filler> {
        let names = new_names(replica, bundle);
        let reach = names.reach(self.reach_max);
        if reach.is_zero() {
            return None;
        }
        let since = clock.now().minus(reach);
        let records = self.trail.merged_since(read_since(since))?;
        let text = names.to_string();
        let filling = Filling::new(Rules::new(number, digest, Arc::clone(bundle)), names, MEMORIES_MAX);
        Some(Filler {
            replica: Arc::clone(replica),
            clock: clock.clone(),
            limits: self.limits,
            number,
            names: text,
            since,
            records,
            filling,
            missing: HashSet::new(),
            filled: HashSet::new(),
            full: HashSet::new(),
        })
    }

    /// What a bundle keeps and the active one does not, where [`begin`](Self::begin) has nothing to fill it from.
    pub(super) fn left_out(replica: &Replica, bundle: &Bundle) -> Option<Backfilled> {
        let names = new_names(replica, bundle);
        let left_out = || Backfilled {
            names: names.to_string(),
            since: None,
            decision_count: 0,
            untold: None,
            memory_count: 0,
            full_count: 0,
            failure: None,
        };
        (!names.is_empty()).then(left_out)
    }
}

/// What a bundle keeps and the active one does not.
fn new_names(replica: &Replica, bundle: &Bundle) -> NewNames {
    match &**replica.policies() {
        Policies::Active(active) => bundle.names_beyond(&active.bundle),
        // Nothing was decided before the first.
        Policies::None => NewNames::default(),
        // Whatever it keeps: what is there already is not filled in twice.
        Policies::Unusable(_) => bundle.names(),
    }
}

impl Filler {
    /// Fills in what was decided until now.
    ///
    /// # Errors
    /// When the trail cannot be read, there are too many memories, or the store fails.
    pub(super) async fn fill(mut self) -> Result<Self, AdminError> {
        // While the past was read, more of it came.
        let mut read_count = usize::MAX;
        while read_count > 0 {
            self.records.look().await?;
            (self, read_count) = self.read().await?;
        }
        self.write().await?;
        Ok(self)
    }

    /// Fills in what others decided by the bundle before, until they served this one. What fails is told, and undoes nothing.
    pub(super) async fn finish(self) -> Backfilled {
        let mut told = self.told();
        self.replicas_serve().await;
        match self.fill().await {
            Ok(filler) => told = filler.told(),
            Err(error) => told.failure = Some(error.to_string()),
        }
        told
    }

    /// What was filled in so far.
    pub(super) fn told(&self) -> Backfilled {
        let count = |keys: &HashSet<MemoryKey>| u64::try_from(keys.len()).unwrap_or(u64::MAX);
        Backfilled {
            names: self.names.clone(),
            since: Some(self.since),
            decision_count: self.filling.decision_count(),
            untold: self.filling.untold().cloned(),
            memory_count: count(&self.filled),
            full_count: count(&self.full),
            failure: None,
        }
    }

    /// Reads to the ends of the chains as they are now. Returns how many records were taken.
    async fn read(mut self) -> Result<(Self, usize), AdminError> {
        let mut count = 0;
        loop {
            let batch = self.records.next().await?;
            if batch.is_empty() {
                return Ok((self, count));
            }
            // Of decisions that are too old, what they read may have been read again.
            let batch = batch.into_iter().filter(|(head, _)| !head.is_decision || head.at >= self.since);
            let mut rest: VecDeque<_> = batch.map(|(_, sealed)| sealed).collect();
            count += rest.len();
            while !rest.is_empty() {
                let (mut filling, mut records) = (self.filling, rest);
                // Off the async threads, which have checks to answer.
                let work = move || take(&mut filling, &mut records).map(|()| (filling, records));
                (self.filling, rest) = tokio::task::spawn_blocking(work).await.map_err(|_| crashed())??;
                self.give_deciders().await?;
            }
            if self.filling.has_overflown() {
                let message =
                    format!("more than {MEMORIES_MAX} sessions, trees and principals would remember something");
                return Err(AdminError::precondition("backfill_too_large", message));
            }
        }
    }

    /// Gives the bundles that decided, as far as they can be had.
    async fn give_deciders(&mut self) -> Result<(), AdminError> {
        for (number, digest) in self.filling.wanted() {
            if self.missing.contains(&digest) {
                continue;
            }
            let number = BundleNumber::new(number);
            let stored = self.replica.store().bundle(number).await?;
            let source = stored.map(|stored| stored.source).filter(|source| source.digest() == digest);
            let bundle = match source {
                // Not among those that are kept: what is only looked at must not push out what decides.
                Some(source) => CompiledBundles::default().compile(source).await.ok(),
                None => None,
            };
            match bundle {
                Some(bundle) => self.filling.add_decider(Rules::new(number, &digest, bundle)),
                None => drop(self.missing.insert(digest)),
            }
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), AdminError> {
        let grown = self.filling.grown(self.clock.now());
        for parts in grown.chunks(WRITTEN_AT_ONCE) {
            self.write_parts(parts).await?;
        }
        Ok(())
    }

    /// Joins parts with what is stored. Another one may change that at the same time.
    async fn write_parts(&mut self, parts: &[(MemoryKey, Memory)]) -> Result<(), AdminError> {
        let parts: HashMap<&MemoryKey, &Memory> = parts.iter().map(|(key, part)| (key, part)).collect();
        let keys: Vec<MemoryKey> = parts.keys().copied().cloned().collect();
        let mut stored = self.replica.store().memories(&keys).await?;
        for _ in 0..=CONFLICT_RETRIES {
            let now = self.clock.now();
            let mut transitions = Vec::new();
            for StoredMemory { key, version, memory } in stored {
                let Some(part) = parts.get(&key) else { continue };
                let mut joined = memory.clone();
                if joined.fill(part, now, &self.limits).is_err() {
                    self.full.insert(key.clone());
                }
                if joined != memory {
                    joined.touch(now);
                    let writes = vec![StoredMemory { key, version, memory: joined }];
                    transitions.push(Transition { writes, reads: Vec::new() });
                }
            }
            if transitions.is_empty() {
                return Ok(());
            }
            let outcomes = self.replica.store().commit_memories(&transitions, now).await?;
            stored = Vec::new();
            for (transition, outcome) in transitions.into_iter().zip(outcomes) {
                match outcome {
                    Committed::Done => self.filled.extend(transition.writes.into_iter().map(|write| write.key)),
                    Committed::Conflict(changed) => stored.extend(changed),
                }
            }
        }
        if stored.is_empty() {
            return Ok(());
        }
        let message = "what is remembered changes too fast to be filled in; try again";
        Err(AdminError::precondition("contention", message))
    }

    /// Waits until every live replica serves the bundle, and what they decided before is in the trail; not for longer than a while.
    async fn replicas_serve(&self) {
        let serve = async {
            let mut replica_count = usize::MAX;
            while replica_count > 0 {
                tokio::time::sleep(REPLICAS_INTERVAL).await;
                let live = self.replica.store().replicas(self.clock.now().minus(GONE_AFTER)).await;
                let late = |report: &&ReplicaReport| report.bundle != Some(self.number);
                replica_count = live.map_or(usize::MAX, |live| live.iter().filter(late).count());
            }
        };
        // Who does not by then answers nothing by the bundle before: it is stale.
        let _ = tokio::time::timeout(REPLICAS_WAIT, serve).await;
        tokio::time::sleep(SHIPPING_WAIT).await;
    }
}

/// Takes records up to one that names a bundle which is wanted.
fn take(filling: &mut Filling, records: &mut VecDeque<Sealed>) -> Result<(), SourceError> {
    while let Some(Sealed { chain, seq, bytes }) = records.pop_front() {
        let damaged = |error| SourceError::Damaged { chain, seq, source: Box::new(error) };
        if filling.take(Record::parse(&bytes).map_err(damaged)?) {
            break;
        }
    }
    Ok(())
}

fn crashed() -> AdminError {
    AdminError::precondition("backfill_failed", "a defect was caught while the trail was read")
}

/// As on one line.
impl fmt::Display for Backfilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, decision_count, memory_count, full_count, .. } = self;
        if self.since.is_none() {
            return write!(f, "nothing is filled in: {names} begins with the activation");
        }
        let memories = count_text(*memory_count, "memory", "memories");
        let decisions = count_text(*decision_count, "decision", "decisions");
        write!(f, "filled in {names}: {memories}, from {decisions}")?;
        if let Some(Untold { count, why, .. }) = &self.untold {
            let tell = if *count == 1 { "tells" } else { "tell" };
            write!(f, "; {count} of them {tell} nothing ({})", why.code())?;
        }
        if *full_count > 0 {
            write!(f, "; {} had no room for all of it", count_text(*full_count, "memory", "memories"))?;
        }
        match &self.failure {
            Some(failure) => write!(f, "; not all of it: {failure}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_is_told_as_one() {
        let told = Backfilled {
            names: "session label seen".to_owned(),
            since: Some(Timestamp::from_micros(0)),
            decision_count: 1,
            untold: None,
            memory_count: 1,
            full_count: 1,
            failure: None,
        };
        let text = "filled in session label seen: 1 memory, from 1 decision; 1 memory had no room for all of it";
        assert_eq!(told.to_string(), text);
        let left_out = Backfilled { since: None, ..told };
        assert_eq!(left_out.to_string(), "nothing is filled in: session label seen begins with the activation");
    }
}
