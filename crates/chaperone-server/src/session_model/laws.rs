//! What must hold after every step.

use std::collections::{BTreeMap, BTreeSet};

use chaperone_policy::{
    Amount, Decision, Effect, HandleHash, Memory, MemoryKey, MemoryName, Outcome, SessionId, Timestamp,
};
use chaperone_store::{SessionFilter, Store as _, StoredMemory};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::link::{Backend, Read};
use super::node::MAX_STALENESS;
use super::{Ask, Notice, REPLICAS};
use crate::no_decision::NoDecision;

/// How many exports a tree may make.
pub(super) const BUDGET: i64 = 3;
/// By how much a signal raises the risk.
pub(super) const RISK: i64 = 20;
/// The label with which nothing is allowed.
pub(super) const FROZEN: &str = "frozen";
/// The label with which nothing is exported.
pub(super) const PII: &str = "pii";

/// A session that somebody holds a handle of.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: SessionId,
    pub(super) handle: HandleHash,
    pub(super) parent: Option<usize>,
    pub(super) root: usize,
    /// It may only read.
    pub(super) is_narrow: bool,
    pub(super) expires_at: Timestamp,
}

/// Something that is in the store and takes authority away.
#[derive(Debug)]
struct Fact {
    what: What,
    at: Timestamp,
    /// The step after which it was in the store.
    step: usize,
    /// Which replicas have applied it.
    applied: [bool; REPLICAS],
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    /// The session has ended by an act, with all below it.
    Ended(usize),
    /// It may do nothing, nor may what is below it.
    Frozen(usize),
    /// Nor may anything in the tree with this root.
    TreeFrozen(usize),
    /// The tree with this root may not export.
    Marked(usize),
}

/// A check that was begun: what is known of it beforehand.
#[derive(Clone, Debug)]
pub(super) struct Begun {
    pub(super) replica: usize,
    /// Which start of the replica this was.
    pub(super) generation: usize,
    pub(super) session: usize,
    pub(super) ask: Ask,
    /// Why it must not be allowed, whatever happens until it is answered.
    forbidden: Option<String>,
    /// The replica cannot know how things are.
    is_blind: bool,
}

/// What is known of the sessions of one case, and what they must not do any more.
#[derive(Debug, Default)]
pub(super) struct Laws {
    /// Whose sessions these are: no other case's.
    pub(super) owner: String,
    pub(super) sessions: Vec<Known>,
    facts: Vec<Fact>,
    /// When the store was last looked at: after so many calls, with so many sessions.
    learned_at: Option<(u64, usize)>,
    /// How many exports of each tree were answered with an allow.
    exported: BTreeMap<usize, i64>,
    /// The memories as they were last seen.
    memories: BTreeMap<MemoryKey, StoredMemory>,
    /// Risky events that were sent, and those of which the sender was told that they were taken.
    sent: BTreeSet<(usize, u8)>,
    taken: BTreeSet<(usize, u8)>,
}

impl Laws {
    /// Of the sessions of one owner, of whom there are none yet.
    pub(super) fn new(owner: String) -> Self {
        Self { owner, ..Self::default() }
    }

    /// A session and those above it.
    fn chain(&self, session: usize) -> impl Iterator<Item = (usize, &Known)> {
        std::iter::successors(Some(session), |number| self.sessions[*number].parent)
            .map(|number| (number, &self.sessions[number]))
    }

    fn binds(&self, what: &What, session: usize, ask: Ask) -> bool {
        match what {
            What::Ended(number) | What::Frozen(number) => self.chain(session).any(|(above, _)| above == *number),
            What::TreeFrozen(root) => self.sessions[session].root == *root,
            What::Marked(root) => self.sessions[session].root == *root && ask == Ask::Export,
        }
    }

    /// Why this may not be allowed at all, as the store has it; `None` when it may.
    pub(super) fn objection(&self, session: usize, ask: Ask, now: Timestamp) -> Option<String> {
        if ask == Ask::Trap {
            return Some("the policies never allow it".to_owned());
        }
        if self.chain(session).any(|(_, known)| known.expires_at <= now) {
            return Some("it or an ancestor has expired".to_owned());
        }
        if ask == Ask::Export && self.chain(session).any(|(_, known)| known.is_narrow) {
            return Some("its scope or an ancestor's does not cover it".to_owned());
        }
        let fact = self.facts.iter().find(|fact| self.binds(&fact.what, session, ask));
        fact.map(|fact| format!("{fact:?}"))
    }

    /// What is known of a check at its begin.
    pub(super) fn begin(
        &self,
        (replica, generation): (usize, usize),
        session: usize,
        (ask, is_strict): (Ask, bool),
        now: Timestamp,
        heard: Option<Read>,
    ) -> Begun {
        // What is decided by the clock, the session's scope or the policies alone, no replica has to be told.
        let unconditional = Self { sessions: self.sessions.clone(), ..Self::default() }.objection(session, ask, now);
        let must_be_seen = |fact: &&Fact| {
            let is_of_memory = !matches!(fact.what, What::Ended(_));
            is_strict
                || fact.applied[replica]
                || fact.at.plus(MAX_STALENESS) < now
                // What leaves something behind is decided on the newest memories, whatever was read of the feed.
                || (is_of_memory && ask == Ask::Export)
        };
        let mut facts = self.facts.iter().filter(|fact| self.binds(&fact.what, session, ask));
        let forbidden = unconditional.or_else(|| facts.find(must_be_seen).map(|fact| format!("{fact:?}")));
        let is_blind = heard.is_none_or(|read| read.at.plus(MAX_STALENESS) < now);
        Begun { replica, generation, session, ask, forbidden, is_blind }
    }

    /// Looks at an answer, after [`Laws::learn`].
    pub(super) fn answered(
        &mut self,
        begun: &Begun,
        answer: Result<&Decision, NoDecision>,
        generation: usize,
    ) -> Result<(), TestCaseError> {
        let decision = match answer {
            Ok(decision) => decision,
            Err(failure) => {
                prop_assert!(failure != NoDecision::Internal, "a defect was caught: {begun:?}");
                return Ok(());
            }
        };
        prop_assert!(!begun.is_blind, "decided on a state that is too old: {begun:?}: {decision:?}");
        let root = self.sessions[begun.session].root;
        if decision.outcome == Outcome::Allow {
            prop_assert!(begun.forbidden.is_none(), "allowed: {begun:?}");
            match begun.ask {
                Ask::Read | Ask::Trap => {}
                Ask::Export => *self.exported.entry(root).or_default() += 1,
                Ask::ReadPii => {
                    let is_marked = self
                        .memory(&MemoryKey::Tree(self.sessions[root].id))
                        .is_some_and(|memory| memory.has_label(PII));
                    prop_assert!(is_marked, "answered before the mark was stored: {begun:?}");
                }
            }
        }
        if decision.effects.iter().any(|effect| matches!(effect, Effect::Revoke { .. })) {
            // Whoever is told of a denial that revokes can rely on it: everywhere in time, and on this replica at once.
            let ended = self.facts.iter_mut().find(|fact| fact.what == What::Ended(root));
            prop_assert!(ended.is_some(), "answered before the tree was revoked: {begun:?}");
            if let Some(fact) = ended
                && begun.generation == generation
            {
                fact.applied[begun.replica] = true;
            }
        }
        Ok(())
    }

    /// What is true now is what a new replica loads.
    pub(super) fn loaded_anew(&mut self, replica: usize) {
        self.facts.iter_mut().for_each(|fact| fact.applied[replica] = true);
    }

    /// An event was sent.
    pub(super) fn sent(&mut self, session: usize, notice: Notice, event: u8) {
        if notice == Notice::Risk {
            self.sent.insert((session, event));
        }
    }

    /// The sender of an event was told that it was taken. To be called after [`Laws::learn`].
    pub(super) fn taken(&mut self, session: usize, notice: Notice, event: u8) -> Result<(), TestCaseError> {
        let what = match notice {
            Notice::Frozen => What::Frozen(session),
            Notice::TreeFrozen => What::TreeFrozen(self.sessions[session].root),
            Notice::Revoked => What::Ended(session),
            Notice::Risk => {
                self.taken.insert((session, event));
                return Ok(());
            }
        };
        prop_assert!(self.facts.iter().any(|fact| fact.what == what), "acknowledged, but not stored: {what:?}");
        Ok(())
    }

    /// Whoever revokes or completes was told that it is done. To be called after [`Laws::learn`].
    pub(super) fn ended(&self, session: usize) -> Result<(), TestCaseError> {
        let is_stored = self.facts.iter().any(|fact| fact.what == What::Ended(session));
        prop_assert!(is_stored, "acknowledged, but not stored: session {session}");
        Ok(())
    }

    /// How much of a tree's budget is spent.
    pub(super) fn exports(&self, root: usize, now: Timestamp) -> i64 {
        let exports = MemoryName::parse("exports").expect("a name");
        let memory = self.memory(&MemoryKey::Tree(self.sessions[root].id));
        memory.and_then(|memory| memory.count(&exports, now)).map_or(0, Amount::to_whole_up)
    }

    fn memory(&self, key: &MemoryKey) -> Option<&Memory> {
        self.memories.get(key).map(|stored| &stored.memory)
    }

    /// Reads what the store has, and learns who has applied what. `done` is how many calls the store has done.
    pub(super) fn learn(
        &mut self,
        backend: &Backend,
        now: Timestamp,
        (done, applied): (u64, [Option<Read>; REPLICAS]),
    ) -> Result<(), TestCaseError> {
        let step = backend.step();
        // Without a call of the store nothing can have changed.
        if self.learned_at != Some((done, self.sessions.len())) {
            self.learned_at = Some((done, self.sessions.len()));
            self.learn_memories(backend)?;
            self.learn_sessions(backend, now, step)?;
            for number in 0..self.sessions.len() {
                let Known { id, root, .. } = self.sessions[number];
                self.note(self.has_label(&MemoryKey::Session(id), FROZEN), What::Frozen(number), now, step);
                if number == root {
                    let key = MemoryKey::Tree(id);
                    self.note(self.has_label(&key, FROZEN), What::TreeFrozen(number), now, step);
                    self.note(self.has_label(&key, PII), What::Marked(number), now, step);
                }
            }
        }
        for fact in &mut self.facts {
            for (is_applied, read) in fact.applied.iter_mut().zip(applied) {
                // A read in the same step may have come before it.
                *is_applied |= read.is_some_and(|read| read.step > fact.step);
            }
        }
        Ok(())
    }

    /// A memory only grows: its version, and its labels.
    fn learn_memories(&mut self, backend: &Backend) -> Result<(), TestCaseError> {
        let keys = |known: &Known| [MemoryKey::Session(known.id), MemoryKey::Tree(known.id)];
        let keys: Vec<_> = self.sessions.iter().flat_map(keys).collect();
        for stored in backend.ask(|store| store.memories(&keys)).expect("the store answers") {
            if let Some(before) = self.memories.get(&stored.key) {
                prop_assert!(before.version <= stored.version);
                prop_assert!(before.memory.labels().is_subset(stored.memory.labels()), "labels vanished: {stored:?}");
            }
            self.memories.insert(stored.key.clone(), stored);
        }
        Ok(())
    }

    fn learn_sessions(&mut self, backend: &Backend, now: Timestamp, step: usize) -> Result<(), TestCaseError> {
        let filter = SessionFilter { owner: Some(self.owner.clone()), ..SessionFilter::default() };
        let sessions = backend.ask(|store| store.sessions(&filter, None, 1_000)).expect("the store answers");
        for session in &sessions {
            let parent = session.parent.and_then(|id| sessions.iter().find(|other| other.id == id));
            if let Some(parent) = parent {
                prop_assert!(session.expires_at <= parent.expires_at, "a child outlives its parent");
                prop_assert_eq!(session.tree, parent.tree);
            }
            if let Some(number) = self.sessions.iter().position(|known| known.id == session.id) {
                let is_known = self.facts.iter().any(|fact| fact.what == What::Ended(number));
                prop_assert!(session.ended.is_some() || !is_known, "an ended session lives again");
                self.note(session.ended.is_some(), What::Ended(number), now, step);
            }
        }
        Ok(())
    }

    fn has_label(&self, key: &MemoryKey, label: &str) -> bool {
        self.memory(key).is_some_and(|memory| memory.has_label(label))
    }

    fn note(&mut self, is_so: bool, what: What, at: Timestamp, step: usize) {
        if is_so && self.facts.iter().all(|fact| fact.what != what) {
            self.facts.push(Fact { what, at, step, applied: [false; REPLICAS] });
        }
    }

    /// Budgets and risk, after every step.
    pub(super) fn amounts(&self, now: Timestamp) -> Result<(), TestCaseError> {
        for (number, known) in self.sessions.iter().enumerate() {
            if number == known.root {
                let (exported, stored) = (self.exported.get(&number).copied().unwrap_or(0), self.exports(number, now));
                prop_assert!(stored <= BUDGET, "{stored} exports stored of tree {number}");
                prop_assert!(exported <= stored, "{exported} exports allowed of tree {number}, {stored} stored");
            }
            let events = |events: &BTreeSet<(usize, u8)>| {
                RISK * i64::try_from(events.iter().filter(|(session, _)| *session == number).count()).expect("few")
            };
            let risk = self.memory(&MemoryKey::Session(known.id)).map_or(0, |memory| memory.risk(0, now));
            prop_assert!(events(&self.taken) <= risk && risk <= events(&self.sent), "session {number} has {risk}");
        }
        Ok(())
    }
}
