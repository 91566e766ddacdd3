//! A chain with what is remembered of it, as one decision reads it, and what the trail has of these.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use chaperone_policy::recorded::{ChainState, MemoryState, SessionState, StateMark, StateText};
use chaperone_policy::{Bundle, BundleNumber, Level, SessionChain, SessionId};
use chaperone_trail::SessionText;

use super::Snapshot;

/// A chain with what is remembered of it.
#[derive(Debug)]
pub struct RecalledChain {
    /// The chain.
    pub chain: SessionChain,
    /// What tells these memories from later ones.
    pub(super) marks: Box<[u64]>,
    sessions: WrittenSessions,
    states: ArcSwapOption<ChainMarks>,
}

/// What the trail has of a chain's sessions, which stay the same while what is remembered changes.
#[derive(Clone, Debug, Default)]
pub struct WrittenSessions(Arc<Written>);

#[derive(Debug, Default)]
struct Written {
    /// Of their states.
    marks: OnceLock<Box<[StateMark]>>,
    /// What each record has of them; nothing when it could not be written.
    text: OnceLock<Option<SessionText>>,
}

/// The marks of a chain's states, but for its sessions'. What is kept out of records hangs on the bundle.
#[derive(Debug)]
struct ChainMarks {
    bundle: BundleNumber,
    memories: Box<[Option<StateMark>]>,
    chain: StateMark,
}

impl RecalledChain {
    /// Of a chain with what the trail has of its sessions.
    pub fn new(chain: SessionChain, sessions: WrittenSessions) -> Self {
        Self { chain, marks: Box::default(), sessions, states: ArcSwapOption::empty() }
    }

    /// With what tells its memories from later ones.
    pub(super) fn marked(self, marks: Box<[u64]>) -> Self {
        Self { marks, ..self }
    }

    /// What each record has of this session, which `write` writes where that was not done yet; nothing where the chain is another's.
    pub fn session_text(
        &self,
        session: SessionId,
        write: impl FnOnce() -> Option<SessionText>,
    ) -> Option<&SessionText> {
        if session != self.chain.session().id {
            return None;
        }
        self.sessions.0.text.get_or_init(write).as_ref()
    }

    /// The digest of the chain's state, after that and all that it names was put into `stretch` of the trail, where it is not there yet.
    /// `put` takes whose state it is, and the state.
    ///
    /// Where nothing has changed, this looks at one mark.
    ///
    /// # Errors
    /// Those of `put`.
    pub fn put_states<E>(
        &self,
        snapshot: &Snapshot,
        stretch: u64,
        mut put: impl FnMut(String, StateText) -> Result<(), E>,
    ) -> Result<[u8; 32], E> {
        let known = self.states.load();
        if let Some(known) = &*known
            && known.bundle == snapshot.number
        {
            if !known.chain.is_written(stretch) {
                self.put_sessions(stretch, &mut put)?;
                self.put_memories(known, &snapshot.bundle, stretch, &mut put)?;
                put(self.name(), StateText::new(self.state(known).text()))?;
                known.chain.note_written(stretch);
            }
            return Ok(*known.chain.digest());
        }
        self.put_sessions(stretch, &mut put)?;
        let mut memories = Vec::new();
        for (key, state) in self.memories(&snapshot.bundle) {
            let Some(state) = state else {
                memories.push(None);
                continue;
            };
            let state = StateText::new(state.text());
            let mark = StateMark::new(state.digest);
            put(key, state)?;
            mark.note_written(stretch);
            memories.push(Some(mark));
        }
        let state = StateText::new(self.state_of(&memories).text());
        let marks = ChainMarks {
            bundle: snapshot.number,
            memories: memories.into_boxed_slice(),
            chain: StateMark::new(state.digest),
        };
        let digest = state.digest;
        put(self.name(), state)?;
        marks.chain.note_written(stretch);
        self.states.store(Some(Arc::new(marks)));
        Ok(digest)
    }

    fn put_sessions<E>(&self, stretch: u64, put: &mut impl FnMut(String, StateText) -> Result<(), E>) -> Result<(), E> {
        let texts = || self.chain.iter().map(|session| StateText::new(SessionState::of(session).text()));
        let marks = self.sessions.0.marks.get_or_init(|| texts().map(|state| StateMark::new(state.digest)).collect());
        if marks.iter().all(|mark| mark.is_written(stretch)) {
            return Ok(());
        }
        for ((session, mark), state) in self.chain.iter().zip(marks).zip(texts()) {
            put(format!("session:{}", session.id), state)?;
            mark.note_written(stretch);
        }
        Ok(())
    }

    fn put_memories<E>(
        &self,
        known: &ChainMarks,
        bundle: &Bundle,
        stretch: u64,
        put: &mut impl FnMut(String, StateText) -> Result<(), E>,
    ) -> Result<(), E> {
        for ((key, state), mark) in self.memories(bundle).zip(&known.memories) {
            if let (Some(state), Some(mark)) = (state, mark)
                && !mark.is_written(stretch)
            {
                put(key, StateText::new(state.text()))?;
                mark.note_written(stretch);
            }
        }
        Ok(())
    }

    /// Whose memories, and what decisions read of them.
    fn memories<'a>(&'a self, bundle: &'a Bundle) -> impl Iterator<Item = (String, Option<MemoryState<'a>>)> {
        let sessions = self.chain.iter().map(|_| Level::Session);
        let levels = sessions.chain([Level::Tree, Level::Principal]);
        self.chain
            .memory_keys()
            .zip(self.chain.memories())
            .zip(levels)
            .map(move |((key, memory), level)| (format!("memory:{key}"), MemoryState::of(memory, level, bundle)))
    }

    fn name(&self) -> String {
        format!("chain:{}", self.chain.session().id)
    }

    fn state(&self, known: &ChainMarks) -> ChainState {
        self.state_of(&known.memories)
    }

    fn state_of(&self, memories: &[Option<StateMark>]) -> ChainState {
        let sessions = self.sessions.0.marks.get().map(|marks| &**marks).unwrap_or_default();
        let memories = memories.iter().map(|mark| mark.as_ref().map(StateMark::digest));
        ChainState::new(sessions.iter().map(StateMark::digest), memories)
    }
}
