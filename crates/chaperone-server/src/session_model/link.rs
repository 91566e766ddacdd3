//! What one replica has of the store: a connection that may lose, hold back and reorder what goes over it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use async_trait::async_trait;
use chaperone_policy::{
    Approval, ApprovalId, BundleNumber, Ended, Entity, EntityRef, HandleHash, MemoryKey, Session, SessionId, Timestamp,
};
use chaperone_store::{
    ApprovalFilter, BundleActivation, BundleInfo, Candidate, CandidateRole, Changes, Committed, Cursor, EmbeddedStore,
    NewActivation, NewBundle, OpenedApproval, ReplicaReport, RevokeTarget, SavedApproval, SessionFilter, Store,
    StoreError, StoredBundle, StoredMemory, Transition, TreeLimits,
};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::clock::Clock;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Fate {
    /// It is answered.
    #[default]
    Answered,
    /// It never arrives.
    Lost,
    /// It is done, and its caller is told that the store did not answer.
    Unacknowledged,
    /// It arrives when it is released.
    Late,
    /// It is done at once, and answered when it is released.
    AnsweredLate,
}

/// How a page of the feed is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// What becomes of the first read.
    pub(super) fate: Fate,
    /// How many changes a page has at most.
    pub(super) page_max: Option<u32>,
    /// The last change comes first: order among shards means nothing.
    pub(super) is_reversed: bool,
    /// Every change comes twice.
    pub(super) is_doubled: bool,
}

/// The store itself, on a runtime of its own, so that a call is one step of the model: nothing else goes on meanwhile.
#[derive(Debug)]
pub(super) struct Backend {
    store: EmbeddedStore,
    runtime: Runtime,
    /// How many steps the model has taken.
    steps: AtomicUsize,
    /// How many calls of replicas it has done.
    calls: AtomicU64,
}

impl Backend {
    pub(super) fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let store = thread::scope(|scope| {
            scope.spawn(|| runtime.block_on(EmbeddedStore::open(None))).join().expect("nobody panics")
        });
        Self { store: store.expect("a store in memory"), runtime, steps: AtomicUsize::new(0), calls: AtomicU64::new(0) }
    }

    /// The model's present step.
    pub(super) fn step(&self) -> usize {
        self.steps.load(Ordering::Relaxed)
    }

    /// How many calls of replicas it has done.
    pub(super) fn done(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The model goes on to its next step.
    pub(super) fn next_step(&self) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Asks the store, and does nothing else until it has answered.
    pub(super) fn ask<'s, T: Send, F: Future<Output = T> + Send>(
        &'s self,
        call: impl FnOnce(&'s EmbeddedStore) -> F + Send,
    ) -> T {
        thread::scope(|scope| {
            scope.spawn(|| self.runtime.block_on(call(&self.store))).join().expect("the store does not panic")
        })
    }
}

/// One replica's connection to the store.
#[derive(Debug)]
pub(super) struct Link {
    backend: Arc<Backend>,
    clock: Clock,
    line: Mutex<Line>,
    released: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Line {
    is_cut: bool,
    has_gap: bool,
    fates: VecDeque<Fate>,
    reading: Reading,
    /// What a turn of the follower that is under way has read, as long as nothing failed.
    turn: Option<Read>,
    /// The last that was read and applied completely.
    applied: Option<Read>,
    /// The last that was read to the end of the feed, whatever became of it.
    heard: Option<Read>,
}

/// When the feed was read to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Read {
    pub(super) at: Timestamp,
    /// In which step of the model.
    pub(super) step: usize,
}

type Stored<T> = Result<T, StoreError>;

fn lost() -> StoreError {
    StoreError::Unavailable("the connection is lost".into())
}

impl Link {
    pub(super) fn new(backend: &Arc<Backend>, clock: &Clock) -> Self {
        let (backend, clock) = (Arc::clone(backend), clock.clone());
        Self { backend, clock, line: Mutex::default(), released: watch::Sender::new(()) }
    }

    pub(super) fn cut(&self, is_cut: bool) {
        self.line().is_cut = is_cut;
    }

    /// The next calls, other than reads of the feed, have these fates.
    pub(super) fn destine(&self, fates: impl IntoIterator<Item = Fate>) {
        self.line().fates.extend(fates);
    }

    /// Nothing happens to what goes over it any more.
    pub(super) fn heal(&self) {
        let mut line = self.line();
        line.is_cut = false;
        line.has_gap = false;
        line.fates.clear();
        line.reading = Reading::default();
    }

    /// The feed has a gap, the next time it is read.
    pub(super) fn lose_changes(&self) {
        self.line().has_gap = true;
    }

    /// Lets go of all that is held back.
    pub(super) fn release(&self) {
        self.released.send_replace(());
    }

    /// A turn of the follower begins.
    pub(super) fn begin_turn(&self, reading: Reading) {
        let mut line = self.line();
        line.turn = None;
        line.reading = reading;
    }

    /// The turn is over; `more` is what it said.
    pub(super) fn end_turn(&self, more: bool) {
        let mut line = self.line();
        let read = line.turn.take();
        if let (Some(read), false) = (read, more) {
            line.applied = Some(read);
        }
    }

    pub(super) fn applied(&self) -> Option<Read> {
        self.line().applied
    }

    pub(super) fn heard(&self) -> Option<Read> {
        self.line().heard
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().expect("nobody panics")
    }

    async fn call<'s, T: Send, F: Future<Output = Stored<T>> + Send>(
        &'s self,
        call: impl FnOnce(&'s EmbeddedStore) -> F + Send,
    ) -> Stored<T> {
        let fate = self.line().fates.pop_front().unwrap_or_default();
        let answer = self.go(fate, call).await;
        if answer.is_err() {
            // Whose call it was is not known; that of a follower costs the turn.
            self.line().turn = None;
        }
        answer
    }

    async fn go<'s, T: Send, F: Future<Output = Stored<T>> + Send>(
        &'s self,
        fate: Fate,
        call: impl FnOnce(&'s EmbeddedStore) -> F + Send,
    ) -> Stored<T> {
        if fate == Fate::Late {
            self.until_released().await;
        }
        if fate == Fate::Lost || self.line().is_cut {
            return Err(lost());
        }
        let answer = self.backend.ask(call);
        self.backend.calls.fetch_add(1, Ordering::Relaxed);
        match fate {
            Fate::Answered | Fate::Lost | Fate::Late => answer,
            Fate::Unacknowledged => Err(lost()),
            Fate::AnsweredLate => {
                self.until_released().await;
                answer
            }
        }
    }

    async fn until_released(&self) {
        let _ = self.released.subscribe().changed().await;
    }
}

#[async_trait]
impl Store for Link {
    async fn changes(&self, cursor: &Cursor, limit: u32) -> Stored<Changes> {
        let reading = {
            let mut line = self.line();
            if std::mem::take(&mut line.has_gap) {
                return Err(StoreError::FeedGap);
            }
            std::mem::take(&mut line.reading)
        };
        let limit = reading.page_max.map_or(limit, |max| max.min(limit));
        let mut read = None;
        let read_at = &mut read;
        let answer = self.go(reading.fate, |store| {
            *read_at = Some(Read { at: self.clock.now(), step: self.backend.step() });
            store.changes(cursor, limit)
        });
        let answer = answer.await;
        let mut line = self.line();
        line.reading = Reading { fate: Fate::Answered, ..reading };
        let mut answer = answer?;
        if !answer.more {
            line.turn = read;
            line.heard = read;
        }
        if reading.is_doubled {
            answer.changed.extend_from_within(..);
        }
        if reading.is_reversed {
            answer.changed.reverse();
        }
        Ok(answer)
    }

    async fn check_schema(&self) -> Stored<()> {
        self.call(Store::check_schema).await
    }
    async fn open_session(&self, session: &Session, handle: &HandleHash, limits: &TreeLimits) -> Stored<()> {
        self.call(|store| store.open_session(session, handle, limits)).await
    }
    async fn session(&self, id: SessionId) -> Stored<Option<Session>> {
        self.call(|store| store.session(id)).await
    }
    async fn session_chain(&self, handle: &HandleHash) -> Stored<Vec<Session>> {
        self.call(|store| store.session_chain(handle)).await
    }
    async fn save_session(&self, session: &Session) -> Stored<Session> {
        self.call(|store| store.save_session(session)).await
    }
    async fn revoke_sessions(&self, target: &RevokeTarget, ended: &Ended) -> Stored<u64> {
        self.call(|store| store.revoke_sessions(target, ended)).await
    }
    async fn touch_sessions(&self, uses: &[(SessionId, Timestamp)]) -> Stored<()> {
        self.call(|store| store.touch_sessions(uses)).await
    }
    async fn sessions(&self, filter: &SessionFilter, before: Option<SessionId>, limit: u32) -> Stored<Vec<Session>> {
        self.call(|store| store.sessions(filter, before, limit)).await
    }
    async fn insert_bundle(&self, bundle: &NewBundle) -> Stored<(BundleInfo, bool)> {
        self.call(|store| store.insert_bundle(bundle)).await
    }
    async fn activate_bundle(&self, activation: &NewActivation) -> Stored<BundleInfo> {
        self.call(|store| store.activate_bundle(activation)).await
    }
    async fn bundle_activations(&self, before: Option<u64>, limit: u32) -> Stored<Vec<BundleActivation>> {
        self.call(|store| store.bundle_activations(before, limit)).await
    }
    async fn put_candidate(&self, candidate: &Candidate) -> Stored<()> {
        self.call(|store| store.put_candidate(candidate)).await
    }
    async fn remove_candidate(&self, role: CandidateRole, at: Timestamp) -> Stored<bool> {
        self.call(|store| store.remove_candidate(role, at)).await
    }
    async fn candidates(&self) -> Stored<Vec<Candidate>> {
        self.call(Store::candidates).await
    }
    async fn active_bundle(&self) -> Stored<Option<StoredBundle>> {
        self.call(Store::active_bundle).await
    }
    async fn bundle(&self, number: BundleNumber) -> Stored<Option<StoredBundle>> {
        self.call(|store| store.bundle(number)).await
    }
    async fn bundles(&self, before: Option<BundleNumber>, limit: u32) -> Stored<Vec<BundleInfo>> {
        self.call(|store| store.bundles(before, limit)).await
    }
    async fn put_entities(&self, entities: &[Entity], at: Timestamp) -> Stored<()> {
        self.call(|store| store.put_entities(entities, at)).await
    }
    async fn delete_entities(&self, uids: &[EntityRef], at: Timestamp) -> Stored<u64> {
        self.call(|store| store.delete_entities(uids, at)).await
    }
    async fn entities(&self, kind: Option<&str>, after: Option<&EntityRef>, limit: u32) -> Stored<Vec<Entity>> {
        self.call(|store| store.entities(kind, after, limit)).await
    }
    async fn entities_named(&self, uids: &[EntityRef]) -> Stored<Vec<Entity>> {
        self.call(|store| store.entities_named(uids)).await
    }
    async fn memories(&self, keys: &[MemoryKey]) -> Stored<Vec<StoredMemory>> {
        self.call(|store| store.memories(keys)).await
    }
    async fn commit_memories(&self, transitions: &[Transition], at: Timestamp) -> Stored<Vec<Committed>> {
        self.call(|store| store.commit_memories(transitions, at)).await
    }
    async fn open_approval(&self, approval: &Approval) -> Stored<OpenedApproval> {
        self.call(|store| store.open_approval(approval)).await
    }
    async fn approval(&self, id: ApprovalId) -> Stored<Option<Approval>> {
        self.call(|store| store.approval(id)).await
    }
    async fn approvals(
        &self,
        filter: &ApprovalFilter,
        before: Option<ApprovalId>,
        limit: u32,
    ) -> Stored<Vec<Approval>> {
        self.call(|store| store.approvals(filter, before, limit)).await
    }
    async fn approvals_waiting(&self, at: Timestamp) -> Stored<u64> {
        self.call(|store| store.approvals_waiting(at)).await
    }
    async fn save_approval(
        &self,
        approval: &Approval,
        granted: Option<&StoredMemory>,
        at: Timestamp,
    ) -> Stored<SavedApproval> {
        self.call(|store| store.save_approval(approval, granted, at)).await
    }
    async fn feed_end(&self) -> Stored<Cursor> {
        self.call(Store::feed_end).await
    }
    async fn changed(&self) {
        std::future::pending::<()>().await;
    }
    async fn report_replica(&self, report: &ReplicaReport) -> Stored<()> {
        self.call(|store| store.report_replica(report)).await
    }
    async fn replicas(&self, since: Timestamp) -> Stored<Vec<ReplicaReport>> {
        self.call(|store| store.replicas(since)).await
    }
    async fn forget_replicas(&self, replica: Option<&str>, before: Timestamp) -> Stored<()> {
        self.call(|store| store.forget_replicas(replica, before)).await
    }
    async fn prune_changes(&self, before: Timestamp) -> Stored<u64> {
        self.call(|store| store.prune_changes(before)).await
    }
    async fn ping(&self) -> Stored<()> {
        self.call(Store::ping).await
    }
    async fn close(&self) {}
}
