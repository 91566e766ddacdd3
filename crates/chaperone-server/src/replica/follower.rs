//! Follows the store's change feed, and keeps a replica's memory current by it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{Bundle, BundleNumber, EntityRef, EntityStore, MemoryKey};
use chaperone_store::{Changed, Changes, Cursor, StoreError, StoredBundle};
use tokio_util::sync::CancellationToken;

use super::candidates::Candidates;
use super::entities::{EntityLoadError, apply_changed_entities, load_entities};
use super::upkeep::Upkeep;
use super::{Policies, Replica, Snapshot};
use crate::causes::causes;
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How many changes are read at once.
const BATCH: u32 = 1_000;
/// How many memories are read at once.
const MEMORIES_MAX: usize = 1_000;

/// When a [`Follower`] does what.
#[derive(Clone, Copy, Debug)]
pub struct FollowerTimes {
    /// How long to wait between two reads of the feed when nothing wakes it.
    pub poll_interval: Duration,
    /// How long to wait between two writes of when sessions were last used.
    pub touch_interval: Duration,
}

/// Keeps one replica current. The only writer of its memory.
#[derive(Debug)]
pub struct Follower {
    replica: Arc<Replica>,
    clock: Clock,
    metrics: Arc<Metrics>,
    times: FollowerTimes,
    /// `None` until everything was loaded once, and again after a gap.
    cursor: Option<Cursor>,
    failing: bool,
}

/// What a batch of changes asks for.
#[derive(Debug, Default)]
struct Work {
    /// Everything is loaded again.
    bundle: bool,
    /// The candidates are.
    candidates: bool,
    /// These are.
    entities: BTreeSet<EntityRef>,
}

impl Work {
    fn is_none(&self) -> bool {
        !self.bundle && !self.candidates && self.entities.is_empty()
    }

    fn and(mut self, mut other: Self) -> Self {
        self.entities.append(&mut other.entities);
        let (bundle, candidates) = (self.bundle || other.bundle, self.candidates || other.candidates);
        Self { bundle, candidates, entities: self.entities }
    }
}

/// A page of the feed, whose changes of sessions are applied.
#[derive(Debug)]
struct Page {
    work: Work,
    cursor: Cursor,
    more: bool,
}

impl Follower {
    /// A follower that has loaded nothing yet.
    pub fn new(replica: Arc<Replica>, clock: Clock, metrics: Arc<Metrics>, times: FollowerTimes) -> Self {
        Self { replica, clock, metrics, times, cursor: None, failing: false }
    }

    /// Follows until `stop`, then stores the last uses.
    pub async fn run(mut self, stop: CancellationToken) {
        let upkeep = Upkeep {
            replica: Arc::clone(&self.replica),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.metrics),
            touch_interval: self.times.touch_interval,
        };
        // Beside the feed, not between two reads of it: a write that has to wait must not make the state stale.
        tokio::join!(self.follow_until(&stop), upkeep.run(&stop));
    }

    async fn follow_until(&mut self, stop: &CancellationToken) {
        loop {
            if self.turn().await && !stop.is_cancelled() {
                continue;
            }
            let store = Arc::clone(self.replica.store());
            tokio::select! {
                () = stop.cancelled() => break,
                () = store.changed() => {}
                () = tokio::time::sleep(self.times.poll_interval) => {}
            }
        }
    }

    /// Reads the feed once and applies what it says. Says whether there is more to read at once.
    ///
    /// The state counts as fresh only after all of it was applied; when a part cannot be loaded, the cursor stays, and the part is
    /// tried again until it can be, or the state is too old to decide with.
    pub(crate) async fn turn(&mut self) -> bool {
        let began = self.clock.moment().instant;
        let outcome = match self.cursor {
            None => self.load_everything().await,
            Some(cursor) => self.follow(&cursor).await,
        };
        match outcome {
            Ok(more) => {
                if self.failing {
                    tracing::info!("the store answers again");
                    self.failing = false;
                }
                if !more {
                    self.replica.freshness.note_read(began);
                    self.metrics.feed_was_read();
                }
                more
            }
            Err(StoreError::FeedGap) => {
                tracing::warn!("the change feed has a gap; everything is loaded again");
                self.cursor = None;
                true
            }
            Err(error) => {
                self.metrics.store_error("changes");
                if !self.failing {
                    tracing::error!(error = causes(&error), "the change feed cannot be read");
                    self.failing = true;
                }
                false
            }
        }
    }

    async fn load_everything(&mut self) -> Result<bool, StoreError> {
        // The end of the feed first: what changes while the rest is loaded is then read from the feed afterwards.
        let cursor = self.replica.store.feed_end().await?;
        // The memories before the sessions: a chain whose cells are not held any more was begun to be loaded before the sessions are
        // cleared, and so is not kept. One that was kept would never learn of a change.
        self.replica.memories.clear();
        self.replica.sessions.clear();
        // Those who watch cannot be told what changed, but that something may have.
        let _ = self.replica.session_changes.send(None);
        let _ = self.replica.approval_changes.send(None);
        self.load_policies(Work { bundle: true, candidates: true, ..Work::default() }).await?;
        self.advance(cursor);
        Ok(true)
    }

    async fn follow(&mut self, cursor: &Cursor) -> Result<bool, StoreError> {
        let mut page = self.read(cursor).await?;
        while !page.work.is_none() {
            // The old bundle decides until the new one is compiled, which for a large one takes seconds: longer than the state may be
            // old. Sessions stay current meanwhile. Entities do not, and may say who is suspended: with those the state gets old.
            let work = std::mem::take(&mut page.work);
            let has_entities = !work.entities.is_empty();
            let load = self.load_policies(work);
            tokio::pin!(load);
            loop {
                tokio::select! {
                    loaded = &mut load => break loaded?,
                    () = tokio::time::sleep(self.times.poll_interval) => {}
                }
                let began = self.clock.moment().instant;
                let next = self.read(&page.cursor).await?;
                page = Page { work: page.work.and(next.work), ..next };
                if !(page.more || has_entities || !page.work.entities.is_empty()) {
                    self.replica.freshness.note_read(began);
                    self.metrics.feed_was_read();
                }
            }
        }
        self.advance(page.cursor);
        Ok(page.more)
    }

    /// Reads a page of the feed, and applies what it says of sessions.
    async fn read(&self, cursor: &Cursor) -> Result<Page, StoreError> {
        let Changes { changed, cursor, more } = self.replica.store.changes(cursor, BATCH).await?;
        let mut work = Work::default();
        let mut memories = Vec::new();
        for change in changed {
            match change {
                Changed::Session(id) => {
                    self.replica.sessions.apply_change(id);
                    // Nobody watching is no error.
                    let _ = self.replica.session_changes.send(Some(id));
                }
                Changed::Approval(id) => _ = self.replica.approval_changes.send(Some(id)),
                Changed::Memory(key, version) => memories.push((key, version)),
                Changed::ActiveBundle => work.bundle = true,
                Changed::Candidates => work.candidates = true,
                Changed::Entity(uid) => _ = work.entities.insert(uid),
            }
        }
        self.refresh_memories(&memories).await?;
        Ok(Page { work, cursor, more })
    }

    /// Reads what others have committed to memories that are held here.
    async fn refresh_memories(&self, changed: &[(MemoryKey, u64)]) -> Result<(), StoreError> {
        let behind = self.replica.memories.behind(changed);
        for cells in behind.chunks(MEMORIES_MAX) {
            let keys: Vec<_> = cells.iter().map(|cell| cell.key().clone()).collect();
            self.replica.memories.publish(self.replica.store.memories(&keys).await?);
        }
        Ok(())
    }

    fn advance(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
        self.replica.applied.send_replace(Some(cursor));
    }

    async fn load_policies(&self, work: Work) -> Result<(), StoreError> {
        if work.bundle || !work.entities.is_empty() {
            self.load_active(work.bundle, work.entities.clone()).await?;
        }
        let store = &**self.replica.store();
        // Where everything is loaded again, nobody knows which entities have changed.
        let is_anew = work.bundle && work.candidates;
        let known = if is_anew { Arc::default() } else { Arc::clone(&self.replica.candidates()) };
        let candidates = if work.candidates {
            Candidates::load(store, self.replica.bundles(), &known, &work.entities).await?
        } else if known.is_none() || work.entities.is_empty() {
            return Ok(());
        } else {
            known.with_changed(store, &work.entities).await?
        };
        self.replica.candidates.store(Arc::new(candidates));
        Ok(())
    }

    async fn load_active(&self, is_other: bool, entities: BTreeSet<EntityRef>) -> Result<(), StoreError> {
        let current = match &**self.replica.policies() {
            Policies::Active(snapshot) if !is_other => Some(Arc::clone(snapshot)),
            Policies::Active(_) | Policies::Unusable(_) | Policies::None => None,
        };
        let policies = match current {
            Some(snapshot) => self.change_entities(&snapshot, entities).await?,
            None => self.load_bundle().await?,
        };
        // One pointer: no check sees the policies of one bundle with the mapping or the entities of another.
        self.replica.policies.store(Arc::new(policies));
        Ok(())
    }

    async fn change_entities(&self, current: &Snapshot, changed: BTreeSet<EntityRef>) -> Result<Policies, StoreError> {
        let Snapshot { number, digest, bundle, entities, mark: _ } = current;
        let store = &**self.replica.store();
        let count = changed.len();
        let entities = match apply_changed_entities(store, bundle, entities, changed).await {
            Ok(entities) => {
                self.metrics.entities_changed(count);
                Ok(entities)
            }
            Err(EntityLoadError::Refused(_)) => {
                // They may only not fit together: when the page ended between two changes of the hierarchy that belong together, or
                // one of them was changed again meanwhile. What is stored now says which.
                tracing::info!("changed entities are refused; all of them are loaded again");
                load_entities(store, bundle).await
            }
            Err(error) => Err(error),
        };
        self.with_entities((*number, Arc::clone(digest)), Arc::clone(bundle), entities)
    }

    async fn load_bundle(&self) -> Result<Policies, StoreError> {
        let store = &**self.replica.store();
        let Some(StoredBundle { info, source }) = store.active_bundle().await? else { return Ok(Policies::None) };
        let bundle = match self.replica.bundles.compile(source).await {
            Ok(bundle) => bundle,
            Err(problems) => {
                let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                return Ok(self.unusable(info.number, &problems.join("; ")));
            }
        };
        let entities = load_entities(store, &bundle).await;
        let policies = self.with_entities((info.number, info.digest.into()), bundle, entities)?;
        if let Policies::Active(snapshot) = &policies {
            tracing::info!(bundle.number = snapshot.number.get(), "bundle is active");
            self.metrics.bundle_reloaded(true);
        }
        Ok(policies)
    }

    /// What there is to decide with, when these are the entities. Those that the schema refuses leave nothing: without them, what
    /// they forbid would be allowed.
    fn with_entities(
        &self,
        (number, digest): (BundleNumber, Arc<str>),
        bundle: Arc<Bundle>,
        entities: Result<EntityStore, EntityLoadError>,
    ) -> Result<Policies, StoreError> {
        match entities {
            Ok(entities) => {
                let mark = Arc::default();
                Ok(Policies::Active(Arc::new(Snapshot { number, digest, bundle, entities, mark })))
            }
            Err(EntityLoadError::Store(error)) => Err(error),
            Err(error @ (EntityLoadError::Refused(_) | EntityLoadError::Failed(_))) => {
                Ok(self.unusable(number, &error.to_string()))
            }
        }
    }

    fn unusable(&self, number: BundleNumber, problems: &str) -> Policies {
        tracing::error!(
            bundle.number = number.get(),
            problems,
            "the active bundle cannot be used here; nothing is decided until it can"
        );
        self.metrics.bundle_reloaded(false);
        Policies::Unusable(number)
    }
}

#[cfg(test)]
mod tests;
