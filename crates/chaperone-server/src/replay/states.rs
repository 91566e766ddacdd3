//! States that were read from the trail, for those decisions that name them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use chaperone_policy::recorded::{BundleState, ChainState, EntityState, MemoryState, SessionState};
use chaperone_policy::{Level, Memory, MemoryName, Scope, Session, SessionChain};
use chaperone_trail::{ChainId, Digest, State};

use super::obstacle::Obstacle;

/// How many scopes are kept compiled.
const SCOPES_MAX: usize = 4_096;

/// What was read of the trail's states so far. Where there are too many, those make room that were not read for longest: a state is written
/// again every day that decisions read it.
#[derive(Debug)]
pub struct States {
    bytes_max: usize,
    held: RwLock<Held>,
    /// The same text of a scope in many sessions is compiled once.
    scopes: Mutex<HashMap<String, Scope>>,
}

#[derive(Debug, Default)]
struct Held {
    /// With when they came last.
    by_digest: HashMap<Digest, (u64, Arc<HeldState>)>,
    /// In the order in which they came last.
    order: BTreeMap<u64, Digest>,
    /// How many came so far.
    count: u64,
    bytes: usize,
    /// Of each chain and bundle: from which place on which state is meant.
    bundles: HashMap<(ChainId, u64), Vec<PlacedBundle>>,
}

/// A bundle's state, and its place in the chain.
type PlacedBundle = (u64, Arc<BundleState>);

#[derive(Debug)]
struct HeldState {
    of: String,
    text: String,
    /// Whether the text has the digest by which decisions name it.
    is_whole: bool,
    session: OnceLock<Result<Arc<Session>, String>>,
    memory: OnceLock<Result<ReadMemory, String>>,
    /// Once all that it names is there.
    chain: OnceLock<Arc<ReadChain>>,
    entity: OnceLock<Result<Arc<EntityState>, String>>,
}

#[derive(Clone, Debug)]
struct ReadMemory {
    memory: Arc<Memory>,
    dropped_sets: Arc<[MemoryName]>,
    dropped_grants: u32,
    awaited: u32,
}

/// A session with its ancestors and what was remembered of them, as far as it is on record.
#[derive(Debug)]
pub(super) struct ReadChain {
    pub(super) chain: SessionChain,
    /// Sets that there were, and that are not on record.
    pub(super) dropped_sets: BTreeSet<(Level, MemoryName)>,
    /// Whether there were approvals that are not on record.
    pub(super) has_dropped_grants: bool,
    /// Whether decisions waited for reports.
    pub(super) has_awaited: bool,
}

/// A state that cannot be used.
#[derive(Clone, Debug)]
pub(super) enum Flaw {
    /// It says something other than its digest does.
    Changed(String),
    /// As an obstacle says.
    Obstacle(Obstacle),
}

impl States {
    /// Room for so many bytes of states.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: RwLock::default(), scopes: Mutex::default() }
    }

    /// Takes a state that stands at a place of a chain.
    pub fn add(&self, chain: ChainId, seq: u64, state: State<'_>) {
        let is_whole = Digest::of(state.value.as_bytes()) == state.digest;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = state.of.strip_prefix("bundle:").and_then(|number| number.parse().ok()) {
            // What is not as its digest says names no bundle.
            if let Some(bundle) = is_whole.then(|| BundleState::parse(&state.value).ok()).flatten() {
                held.bundles.entry((chain, number)).or_default().push((seq, Arc::new(bundle)));
            }
            return;
        }
        let (of, text) = (state.of.into_owned(), state.value.into_owned());
        let (session, memory) = (OnceLock::new(), OnceLock::new());
        let (chain, entity) = (OnceLock::new(), OnceLock::new());
        held.put(state.digest, HeldState { of, text, is_whole, session, memory, chain, entity });
        while held.bytes > self.bytes_max && held.drop_oldest() {}
    }

    /// What a record at this place of a chain means by a bundle's number.
    pub fn bundle(&self, chain: ChainId, seq: u64, number: u64) -> Option<Arc<BundleState>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let states = held.bundles.get(&(chain, number))?;
        states.iter().rev().find(|(place, _)| *place < seq).map(|(_, state)| Arc::clone(state))
    }

    /// Which bundles the records of this chain mean by a number.
    pub fn bundles(&self) -> Vec<(u64, String)> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let all = held
            .bundles
            .iter()
            .flat_map(|((_, number), states)| states.iter().map(|(_, state)| (*number, state.digest().to_owned())));
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn chain(&self, of: &str, digest: Digest) -> Result<Arc<ReadChain>, Flaw> {
        let state = self.find(of, digest)?;
        if let Some(read) = state.chain.get() {
            return Ok(Arc::clone(read));
        }
        let read = self.read_chain(&state)?;
        Ok(Arc::clone(state.chain.get_or_init(|| read)))
    }

    pub(super) fn entity(&self, of: &str, digest: Digest) -> Result<Arc<EntityState>, Flaw> {
        let state = self.find(of, digest)?;
        let parsed = state
            .entity
            .get_or_init(|| EntityState::parse(&state.text).map(Arc::new).map_err(|error| error.to_string()));
        parsed.clone().map_err(|message| unreadable(&state, message))
    }

    fn read_chain(&self, state: &HeldState) -> Result<Arc<ReadChain>, Flaw> {
        let parsed = ChainState::parse(&state.text).map_err(|error| unreadable(state, error.to_string()))?;
        let mut sessions = Vec::new();
        for digest in parsed.sessions() {
            sessions.push(self.session(Digest::from_bytes(*digest))?);
        }
        let (count, levels) = (sessions.len(), [Level::Tree, Level::Principal]);
        let levels = std::iter::repeat_n(Level::Session, count).chain(levels);
        let chain = SessionChain::new(sessions).ok_or_else(|| unreadable(state, "its sessions are no chain".into()))?;
        let (mut memories, mut dropped_sets) = (Vec::new(), BTreeSet::new());
        let (mut has_dropped_grants, mut has_awaited) = (false, false);
        for ((place, digest), level) in parsed.memories().enumerate().zip(levels) {
            let Some(digest) = digest else {
                memories.push(Arc::default());
                continue;
            };
            let read = self.memory(Digest::from_bytes(*digest))?;
            memories.push(read.memory);
            // Of ancestors' memories, labels and risk alone are read.
            if place == 0 || level != Level::Session {
                dropped_sets.extend(read.dropped_sets.iter().map(|name| (level, name.clone())));
            }
            has_dropped_grants |= read.dropped_grants > 0;
            has_awaited |= read.awaited > 0;
        }
        let chain = chain.with_memories(memories);
        let chain = chain.ok_or_else(|| unreadable(state, "its memories are not those of its sessions".into()))?;
        Ok(Arc::new(ReadChain { chain, dropped_sets, has_dropped_grants, has_awaited }))
    }

    fn session(&self, digest: Digest) -> Result<Arc<Session>, Flaw> {
        let state = self.find("session", digest)?;
        let read = || -> Result<Arc<Session>, String> {
            let parsed = SessionState::parse(&state.text).map_err(|error| error.to_string())?;
            let scope = match parsed.scope() {
                None => Scope::Unrestricted,
                Some(text) => self.scope(text)?,
            };
            Ok(Arc::new(parsed.into_session(scope)))
        };
        state.session.get_or_init(read).clone().map_err(|message| unreadable(&state, message))
    }

    fn scope(&self, text: &str) -> Result<Scope, String> {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scope) = scopes.get(text) {
            return Ok(scope.clone());
        }
        let scope = Scope::parse(text).map_err(|error| error.to_string())?;
        if scopes.len() >= SCOPES_MAX {
            scopes.clear();
        }
        scopes.insert(text.to_owned(), scope.clone());
        Ok(scope)
    }

    fn memory(&self, digest: Digest) -> Result<ReadMemory, Flaw> {
        let state = self.find("memory", digest)?;
        let read = || -> Result<ReadMemory, String> {
            let parsed = MemoryState::parse(&state.text).map_err(|error| error.to_string())?;
            let dropped_sets = parsed.dropped_sets().cloned().collect();
            let (dropped_grants, awaited) = (parsed.dropped_grants(), parsed.awaited());
            Ok(ReadMemory { memory: Arc::new(parsed.into_memory()), dropped_sets, dropped_grants, awaited })
        };
        state.memory.get_or_init(read).clone().map_err(|message| unreadable(&state, message))
    }

    fn find(&self, of: &str, digest: Digest) -> Result<Arc<HeldState>, Flaw> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let found = held.by_digest.get(&digest).map(|(_, state)| Arc::clone(state));
        let found = found.ok_or_else(|| Flaw::Obstacle(Obstacle::StateMissing { of: of.to_owned(), digest }))?;
        if found.is_whole { Ok(found) } else { Err(Flaw::Changed(found.of.clone())) }
    }
}

impl Held {
    /// Takes a state. Of one that came before, the first stays.
    fn put(&mut self, digest: Digest, state: HeldState) {
        self.count += 1;
        match self.by_digest.entry(digest) {
            Entry::Occupied(mut known) => {
                let (last, _) = known.get_mut();
                self.order.remove(last);
                *last = self.count;
            }
            Entry::Vacant(place) => {
                self.bytes += state.bytes();
                place.insert((self.count, Arc::new(state)));
            }
        }
        self.order.insert(self.count, digest);
    }

    /// Forgets the state that came before all others; false when there is none.
    fn drop_oldest(&mut self) -> bool {
        let oldest = self.order.pop_first();
        let gone = oldest.and_then(|(_, digest)| self.by_digest.remove(&digest));
        gone.inspect(|(_, state)| self.bytes = self.bytes.saturating_sub(state.bytes())).is_some()
    }
}

impl HeldState {
    fn bytes(&self) -> usize {
        self.of.len() + self.text.len()
    }
}

fn unreadable(state: &HeldState, message: String) -> Flaw {
    Flaw::Obstacle(Obstacle::StateUnreadable { of: state.of.clone(), message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(value: &str) -> Digest {
        Digest::of(value.as_bytes())
    }

    fn state(of: &'static str, value: &str) -> State<'static> {
        State { of: of.into(), digest: digest(value), value: value.to_owned().into() }
    }

    #[test]
    fn state_that_is_written_again_makes_room_later() {
        let (states, chain) = (States::new(6), ChainId::new(uuid::Uuid::from_u128(1)));
        for (seq, value) in (1..).zip(["a", "b", "a", "c", "d"]) {
            states.add(chain, seq, state("m", value));
        }
        let is_held = |value: &str| states.find("m", digest(value)).is_ok();
        assert_eq!(["a", "b", "c", "d"].map(is_held), [true, false, true, true]);
    }

    #[test]
    fn chain_is_read_once_what_it_names_is_there() {
        let (states, chain) = (States::new(1_000), ChainId::new(uuid::Uuid::from_u128(1)));
        let session = "{}";
        let text = ChainState::new([digest(session).as_bytes()], []).text();
        states.add(chain, 1, state("chain:1", &text));
        let read = || states.chain("chain:1", digest(&text)).expect_err("there is no such session");
        assert!(matches!(read(), Flaw::Obstacle(Obstacle::StateMissing { .. })));
        states.add(chain, 2, state("session:1", session));
        assert!(matches!(read(), Flaw::Obstacle(Obstacle::StateUnreadable { .. })));
    }
}
