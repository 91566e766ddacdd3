//! Follows the store's change feed, and keeps a replica's memory current by it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chaperone_policy::{Bundle, Entity, Problem};
use chaperone_store::{Changed, Changes, Cursor, StoreError, StoredBundle};
use tokio_util::sync::CancellationToken;

use super::upkeep::Upkeep;
use super::{Policies, Replica, Snapshot, stored_entities};
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How many changes are read at once.
const BATCH: u32 = 1_000;

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
    bundle: bool,
    entities: bool,
}

impl Work {
    fn and(&self, other: &Self) -> Self {
        Self { bundle: self.bundle || other.bundle, entities: self.entities || other.entities }
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
    async fn turn(&mut self) -> bool {
        let began = Instant::now();
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
                    tracing::error!(error = &error as &dyn std::error::Error, "the change feed cannot be read");
                    self.failing = true;
                }
                false
            }
        }
    }

    async fn load_everything(&mut self) -> Result<bool, StoreError> {
        // The end of the feed first: what changes while the rest is loaded is then read from the feed afterwards.
        let cursor = self.replica.store.feed_end().await?;
        self.replica.sessions.clear();
        // Those who watch cannot be told what changed, but that something may have.
        let _ = self.replica.session_changes.send(None);
        self.load_policies(&Work { bundle: true, entities: true }).await?;
        self.advance(cursor);
        Ok(true)
    }

    async fn follow(&mut self, cursor: &Cursor) -> Result<bool, StoreError> {
        let mut page = self.read(cursor).await?;
        while page.work.bundle || page.work.entities {
            // The old bundle decides until the new one is compiled, which for a large one takes seconds: longer than the state may be
            // old. Sessions stay current meanwhile. Entities do not, and may say who is suspended: with those the state gets old.
            let work = std::mem::take(&mut page.work);
            let load = self.load_policies(&work);
            tokio::pin!(load);
            loop {
                tokio::select! {
                    loaded = &mut load => break loaded?,
                    () = tokio::time::sleep(self.times.poll_interval) => {}
                }
                let began = Instant::now();
                let next = self.read(&page.cursor).await?;
                page = Page { work: page.work.and(&next.work), ..next };
                if !(page.more || work.entities || page.work.entities) {
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
        for change in &changed {
            match change {
                Changed::Session(id) => {
                    self.replica.sessions.apply_change(*id);
                    // Nobody watching is no error.
                    let _ = self.replica.session_changes.send(Some(*id));
                }
                Changed::ActiveBundle => work.bundle = true,
                Changed::Entity(_) => work.entities = true,
            }
        }
        Ok(Page { work, cursor, more })
    }

    fn advance(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor);
        self.replica.applied.send_replace(Some(cursor));
    }

    async fn load_policies(&self, work: &Work) -> Result<(), StoreError> {
        let current = match &**self.replica.policies() {
            Policies::Active(snapshot) if !work.bundle => Some(Arc::clone(snapshot)),
            Policies::Active(_) | Policies::Unusable(_) | Policies::None => None,
        };
        let entities = stored_entities(&**self.replica.store()).await?;
        let policies = match current {
            Some(snapshot) => {
                let bundle = Arc::clone(&snapshot.bundle);
                compile(snapshot.number, entities, move || Ok(bundle)).await
            }
            None => match self.replica.store.active_bundle().await? {
                Some(StoredBundle { info, source }) => {
                    compile(info.number, entities, move || Bundle::compile(&source).map(Arc::new)).await
                }
                None => Policies::None,
            },
        };
        match &policies {
            Policies::Active(snapshot) => {
                self.metrics.bundle_reloaded(true);
                if work.bundle {
                    tracing::info!(bundle.number = snapshot.number.get(), "bundle is active");
                }
            }
            Policies::Unusable(_) => self.metrics.bundle_reloaded(false),
            Policies::None => {}
        }
        // One pointer: no check sees the policies of one bundle with the mapping or the entities of another.
        self.replica.policies.store(Arc::new(policies));
        Ok(())
    }
}

/// Compiles off the async threads: a large bundle takes seconds.
async fn compile(
    number: chaperone_policy::BundleNumber,
    stored: Vec<Entity>,
    bundle: impl FnOnce() -> Result<Arc<Bundle>, Vec<Problem>> + Send + 'static,
) -> Policies {
    let compiled = tokio::task::spawn_blocking(move || {
        let bundle = bundle().map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let entities =
            bundle.entities(&stored).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Ok::<_, Vec<String>>(Snapshot { number, bundle, entities })
    });
    match compiled.await {
        Ok(Ok(snapshot)) => Policies::Active(Arc::new(snapshot)),
        Ok(Err(problems)) => {
            tracing::error!(
                bundle.number = number.get(),
                problems = problems.join("; "),
                "the active bundle cannot be used here; nothing is decided until it can"
            );
            Policies::Unusable(number)
        }
        Err(error) => {
            tracing::error!(bundle.number = number.get(), %error, "compiling the active bundle failed");
            Policies::Unusable(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use chaperone_policy::{EntityRef, Timestamp};
    use chaperone_store::{EmbeddedStore, Store};
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;
    use crate::replica::StalenessLimits;

    #[tokio::test]
    async fn those_who_watch_are_told_of_a_gap() {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(None).await.expect("a store in memory"));
        let limits = StalenessLimits { max: Duration::from_secs(1), grace: Duration::ZERO };
        let replica = Arc::new(Replica::new(Arc::clone(&store), 10, limits));
        let clock = Clock::manual(Timestamp::from_micros(1_800_000_000_000_000));
        let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
        let times = FollowerTimes { poll_interval: Duration::from_secs(1), touch_interval: Duration::from_secs(1) };
        let mut follower = Follower::new(Arc::clone(&replica), clock.clone(), metrics, times);
        while follower.turn().await {}
        let mut changes = replica.watch_sessions();
        assert_eq!(changes.try_recv(), Err(TryRecvError::Empty));
        let entity = Entity {
            uid: EntityRef::new("A", "a"),
            attributes: std::collections::BTreeMap::new(),
            tags: std::collections::BTreeMap::new(),
            parents: Vec::new(),
        };
        store.put_entities(&[entity], clock.now()).await.expect("it is stored");
        store.prune_changes(clock.now().plus(Duration::from_secs(1))).await.expect("it is pruned");
        while follower.turn().await {}
        assert_eq!(changes.try_recv(), Ok(None));
    }
}
