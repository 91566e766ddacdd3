//! What others noticed of a session or a tree: its risk, labels, its end.

use std::sync::Arc;

use chaperone_policy::{
    Change, Effect, LABELS_MAX, Level, Memory, MemoryKey, MemoryLimits, NAME_BYTES_MAX, SIGNAL_ID_BYTES_MAX, Session,
    SessionId, Timestamp, is_name,
};
use chaperone_store::{Committed, RevokeTarget, StoreError, StoredMemory, Transition};
use chaperone_trail::Acted;

use super::memories::SessionMemory;
use super::sessions::{SessionView, Sessions, check_length};
use super::{AdminError, CATCH_UP};
use crate::telemetry::Metrics;
use crate::trail::acts;

/// How often a signal is tried again because decisions changed the same memory: they may do so all the time, and it must get through.
const ATTEMPTS_MAX: usize = 32;
/// How far a signal moves the risk at most, in points.
const RISK_MAX: i8 = 100;

/// Something that was noticed elsewhere.
#[derive(Clone, Debug)]
pub struct Signal {
    /// What it is about.
    pub target: SignalTarget,
    /// The event, by whoever noticed it. One that the target knows already changes nothing.
    pub event_id: String,
    /// Who noticed it; may be empty.
    pub source: String,
    /// Why; may be empty.
    pub reason: String,
    /// By how many points the risk moves.
    pub risk: i32,
    /// Labels for the session.
    pub labels: Vec<String>,
    /// Labels for the tree.
    pub tree_labels: Vec<String>,
    /// What to revoke.
    pub revoke: Option<SignalRevoke>,
}

/// What a signal is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignalTarget {
    /// One session.
    Session(SessionId),
    /// The tree with this root.
    Tree(SessionId),
}

/// What a signal revokes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignalRevoke {
    /// The session, and so its descendants.
    Session,
    /// Every session of the tree.
    Tree,
}

/// How things are after a signal.
#[derive(Clone, Debug)]
pub struct Signalled {
    /// Whether the target knew the event already, so that nothing was changed.
    pub duplicate: bool,
    /// The session, or the tree's root.
    pub view: SessionView,
    /// What is remembered of it.
    pub memory: SessionMemory,
}

/// The use case of signals.
#[derive(Clone, Debug)]
pub struct Signals {
    sessions: Sessions,
    limits: MemoryLimits,
    metrics: Arc<Metrics>,
}

/// What a signal changes, checked.
struct Changes<'a> {
    event_id: &'a str,
    target: SignalTarget,
    session: Vec<Change>,
    tree: Vec<Change>,
}

/// The two memories that a signal may change.
struct Memories {
    session: StoredMemory,
    tree: StoredMemory,
}

impl Signals {
    /// For the sessions of one replica, whose memories hold so much.
    pub fn new(sessions: Sessions, limits: MemoryLimits, metrics: Arc<Metrics>) -> Self {
        Self { sessions, limits, metrics }
    }

    /// Takes a signal: all of it at once, and each event once. Its revocation comes first, and stands even when the rest fails.
    ///
    /// # Errors
    /// When a field is not as it must be, there is no such session or tree, there is no room, decisions kept changing the same memory,
    /// or the store fails. The same signal can then be sent again.
    pub async fn signal(&self, signal: &Signal, by: &str) -> Result<Signalled, AdminError> {
        let outcome = self.take(signal, by).await;
        self.metrics.signalled(match &outcome {
            Ok(Signalled { duplicate: false, .. }) => "taken",
            Ok(Signalled { duplicate: true, .. }) => "duplicate",
            Err(_) => "failed",
        });
        outcome
    }

    async fn take(&self, signal: &Signal, by: &str) -> Result<Signalled, AdminError> {
        let changes = signal.check()?;
        let session = self.session(signal.target).await?;
        let mut memories = self.load(&session).await?;
        let mut duplicate = memories.know(&changes, self.sessions.clock.now());
        if !duplicate {
            // Before the event is noted: who sends the signal again after a failure must not find it known and nothing revoked.
            self.revoke(signal, &session, by).await?;
            duplicate = self.commit(&session, &mut memories, &changes).await?;
        }
        if !duplicate {
            self.record(signal, &session, &changes, by).await?;
            tracing::info!(
                signal.event_id,
                signal.source,
                signal.reason,
                signal.risk,
                signal.labels = ?signal.labels,
                signal.tree_labels = ?signal.tree_labels,
                signal.target = ?signal.target,
                admin.caller = by,
                "a signal was taken"
            );
        }
        // After a duplicate as well: the call that noted the event may have been another replica's.
        self.sessions.replica.catch_up(CATCH_UP).await;
        let view = self.sessions.get(session.id).await?;
        let memory = self.sessions.memory(&view.session).await?;
        Ok(Signalled { duplicate, view, memory })
    }

    async fn record(
        &self,
        signal: &Signal,
        session: &Session,
        changes: &Changes<'_>,
        by: &str,
    ) -> Result<(), AdminError> {
        let Signal { event_id, source, reason, .. } = signal;
        let trail = &self.sessions.trail;
        if trail.is_off() {
            return Ok(());
        }
        let levels = [(Level::Session, &changes.session), (Level::Tree, &changes.tree)];
        let mut effects = Vec::new();
        for (level, changes) in levels {
            effects.extend(changes.iter().map(|change| acts::applied(&Effect::Remember(level, change.clone()))));
        }
        let ancestors = self.sessions.ancestors(session).await?;
        let acted = Acted {
            effects,
            note: format!("{event_id} from `{source}`: {reason}").into(),
            ..acts::on_session(acts::SESSION_SIGNALLED, by, session, &ancestors)
        };
        trail.act(self.sessions.clock.now(), acted).await
    }

    async fn session(&self, target: SignalTarget) -> Result<Session, AdminError> {
        let (SignalTarget::Session(id) | SignalTarget::Tree(id)) = target;
        let session = self.sessions.store().session(id).await?.ok_or_else(|| AdminError::no_session(id))?;
        if matches!(target, SignalTarget::Tree(_)) && session.parent.is_some() {
            return Err(AdminError::invalid("tree_id", format!("`{id}` is not the root of a tree")));
        }
        Ok(session)
    }

    async fn load(&self, session: &Session) -> Result<Memories, AdminError> {
        let keys = [MemoryKey::Session(session.id), MemoryKey::Tree(session.tree)];
        let mut stored = self.sessions.store().memories(&keys).await?.into_iter();
        match (stored.next(), stored.next()) {
            (Some(session), Some(tree)) => Ok(Memories { session, tree }),
            // A store answers each key.
            _ => Err(AdminError::no_session(session.id)),
        }
    }

    async fn revoke(&self, signal: &Signal, session: &Session, by: &str) -> Result<(), AdminError> {
        let target = match signal.revoke {
            None => return Ok(()),
            Some(SignalRevoke::Session) => RevokeTarget::Session(session.id),
            Some(SignalRevoke::Tree) => RevokeTarget::Tree(session.tree),
        };
        let by = if signal.source.is_empty() { by.to_owned() } else { format!("{by} for {}", signal.source) };
        self.sessions.revoke(&target, &signal.reason, &by).await.map(drop)
    }

    /// Stores what a signal changes. Says whether the event became known meanwhile, so that nothing was stored.
    async fn commit(
        &self,
        session: &Session,
        memories: &mut Memories,
        changes: &Changes<'_>,
    ) -> Result<bool, AdminError> {
        for _ in 0..ATTEMPTS_MAX {
            let now = self.sessions.clock.now();
            if memories.know(changes, now) {
                return Ok(true);
            }
            let decay = self.sessions.risk_decay_per_hour();
            let writes = memories.after(changes, now, &self.limits, decay)?;
            let transition = Transition { writes, reads: Vec::new() };
            let mut outcomes = self.sessions.store().commit_memories(&[transition], now).await?;
            match outcomes.pop() {
                Some(Committed::Done) => return Ok(false),
                Some(Committed::Conflict(stored)) => memories.update(stored),
                // A store answers each transition.
                None => break,
            }
        }
        Err(AdminError::Store(StoreError::SessionConflict { id: session.id }))
    }
}

impl Signal {
    fn check(&self) -> Result<Changes<'_>, AdminError> {
        check_length("event_id", &self.event_id, 1, SIGNAL_ID_BYTES_MAX)?;
        check_length("source", &self.source, 0, NAME_BYTES_MAX)?;
        check_length("reason", &self.reason, 0, NAME_BYTES_MAX)?;
        let risk = i8::try_from(self.risk).ok().filter(|points| (-RISK_MAX..=RISK_MAX).contains(points));
        let risk = risk.ok_or_else(|| AdminError::invalid("risk", "must be from -100 to 100"))?;
        if let SignalTarget::Tree(_) = self.target {
            if !self.labels.is_empty() {
                return Err(AdminError::invalid("labels", "are a session's; those of a tree are `tree_labels`"));
            }
            if self.revoke == Some(SignalRevoke::Session) {
                return Err(AdminError::invalid("revoke", "of a tree, the tree can be revoked"));
            }
        }
        let mut session = labels("labels", &self.labels)?;
        let tree = labels("tree_labels", &self.tree_labels)?;
        if risk != 0 {
            session.push(Change::Risk(risk));
        }
        if session.is_empty() && tree.is_empty() && self.revoke.is_none() {
            return Err(AdminError::invalid("risk", "the signal asks for nothing: no risk, no label, no revocation"));
        }
        Ok(Changes { event_id: &self.event_id, target: self.target, session, tree })
    }
}

fn labels(field: &str, labels: &[String]) -> Result<Vec<Change>, AdminError> {
    if labels.len() > LABELS_MAX {
        return Err(AdminError::invalid(field, format!("there may be at most {LABELS_MAX}")));
    }
    let change = |label: &String| {
        if is_name(label) {
            return Ok(Change::Label(label.into()));
        }
        let message = "a label has 1 to 64 characters, each of `A-Z`, `a-z`, `0-9`, `_`, `.`, `-`";
        Err(AdminError::invalid(field, message))
    };
    labels.iter().map(change).collect()
}

impl Memories {
    /// Whether the target knows the event.
    fn know(&self, changes: &Changes<'_>, now: Timestamp) -> bool {
        match changes.target {
            SignalTarget::Session(_) => self.session.memory.has_signal(changes.event_id, now),
            SignalTarget::Tree(_) => self.tree.memory.has_signal(changes.event_id, now),
        }
    }

    /// The memories that differ after these changes.
    fn after(
        &self,
        changes: &Changes<'_>,
        now: Timestamp,
        limits: &MemoryLimits,
        decay_per_hour: u32,
    ) -> Result<Vec<StoredMemory>, AdminError> {
        let (mut session, mut tree) = (self.session.memory.clone(), self.tree.memory.clone());
        match changes.target {
            SignalTarget::Session(_) => session.note_signal(changes.event_id, now),
            SignalTarget::Tree(_) => tree.note_signal(changes.event_id, now),
        }
        .map_err(AdminError::Full)?;
        for (memory, changes) in [(&mut session, &changes.session), (&mut tree, &changes.tree)] {
            for change in changes {
                memory.apply(change, now, limits, decay_per_hour).map_err(AdminError::Full)?;
            }
        }
        let pairs: [(&StoredMemory, Memory); 2] = [(&self.session, session), (&self.tree, tree)];
        let different = pairs.into_iter().filter(|(stored, memory)| stored.memory != *memory);
        let writes = different.map(|(stored, mut memory)| {
            memory.touch(now);
            StoredMemory { key: stored.key.clone(), version: stored.version, memory }
        });
        Ok(writes.collect())
    }

    /// Takes what others stored meanwhile.
    fn update(&mut self, stored: Vec<StoredMemory>) {
        for stored in stored {
            if stored.key == self.session.key {
                self.session = stored;
            } else if stored.key == self.tree.key {
                self.tree = stored;
            }
        }
    }
}

#[cfg(test)]
#[path = "signals_tests.rs"]
mod tests;
