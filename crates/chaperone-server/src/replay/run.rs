//! Many decisions, made again on many threads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use chaperone_policy::{DecisionId, EntityRef, SessionId, Timestamp};
use chaperone_trail::{ChainId, Decided, Event, Record, RecordFilter};
use serde::Deserialize;

use super::candidate::{Trial, WouldRemember};
use super::decide::{Difference, Replayed, replay};
use super::obstacle::Obstacle;
use super::reports::Report;
use super::rules::Rules;
use super::states::States;
use crate::differences::{Example, Groups, Kind};
use crate::trail::acts;

/// How many records go to a thread at once.
const BATCH: usize = 256;
/// How many batches wait for a thread.
const WAITING: usize = 16;
/// How many differences are told one by one.
const DIFFERENT_MAX: usize = 10_000;

/// Decisions made again on many threads. States and bundles come before the records that rely on them.
///
/// Where a candidate decides, all of a session tree is one thread's, in its order, so that what the candidate would remember of it is known.
#[derive(Debug)]
pub struct Run {
    shared: Arc<Shared>,
    lanes: Vec<Lane>,
    /// The lane whose turn it is.
    turn: usize,
    record_count: u64,
}

/// A thread, and what is on the way to it.
#[derive(Debug)]
struct Lane {
    batch: Vec<Vec<u8>>,
    jobs: SyncSender<Vec<Vec<u8>>>,
    thread: JoinHandle<Tally>,
}

#[derive(Debug)]
struct Shared {
    states: States,
    /// By their digest.
    rules: RwLock<HashMap<String, Rules>>,
    candidate: Option<Rules>,
    filter: RecordFilter,
    /// Of this chain, and within these places.
    places: (Option<ChainId>, RangeInclusive<u64>),
    decision_count: AtomicU64,
    different_count: AtomicU64,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunProgress {
    /// Records that came.
    pub records: u64,
    /// Decisions among them that were made again, or could not be.
    pub decisions: u64,
    /// Those that came out otherwise.
    pub differences: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Records that were read.
    pub record_count: u64,
    /// Decisions among them that were asked for.
    pub decision_count: u64,
    /// Those that came out as they are on record.
    pub same_count: u64,
    /// Those that did not.
    pub different_count: u64,
    /// The first of them, in the order of their chains and places.
    pub different: Vec<Different>,
    /// All of them but those of changed states, by kind, action and policies.
    pub groups: Groups,
    /// Those that cannot be made again: how many for each code, and one of them.
    pub obstacles: BTreeMap<&'static str, (u64, DecisionId, Obstacle)>,
    /// Lines that are no records.
    pub unreadable_count: u64,
}

/// A decision that comes out otherwise than it is on record.
#[derive(Clone, Debug)]
pub struct Different {
    /// Where its record stands.
    pub chain: ChainId,
    /// The place there.
    pub seq: u64,
    /// Its id.
    pub id: DecisionId,
    /// When it was made.
    pub at: Timestamp,
    /// What was asked first.
    pub asked: String,
    /// How it differs.
    pub difference: Difference,
}

/// What is read of a record to tell what it is.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    act: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    session: Option<HeadSession>,
}

/// What is read of a record's session.
#[derive(Deserialize)]
struct HeadSession {
    tree: SessionId,
}

impl Run {
    /// With so many threads, or as many as there are processors. `filter` and `places` say which decisions are made again; those by `candidate`,
    /// where there is one, instead of by their own bundles. States take up to `states_bytes_max` bytes.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        filter: RecordFilter,
        places: (Option<ChainId>, RangeInclusive<u64>),
        candidate: Option<Rules>,
        threads: Option<NonZeroUsize>,
        states_bytes_max: usize,
    ) -> std::io::Result<Self> {
        let states = States::new(states_bytes_max);
        let (decision_count, different_count) = (AtomicU64::new(0), AtomicU64::new(0));
        let rules = RwLock::default();
        let shared = Shared { states, rules, candidate, filter, places, decision_count, different_count };
        let shared = Arc::new(shared);
        let threads = threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let lane = |number| {
            let (jobs, waiting) = sync_channel(WAITING);
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(format!("replay-{number}"));
            let thread = thread.spawn(move || shared.work(&waiting))?;
            Ok(Lane { batch: Vec::new(), jobs, thread })
        };
        let lanes = (0..threads).map(lane).collect::<std::io::Result<_>>()?;
        Ok(Self { shared, lanes, turn: 0, record_count: 0 })
    }

    /// Takes the bytes of the next record. States must come before the decisions that name them. Tells whether it names a bundle, which is
    /// then [`wanted`](Self::wanted) if it was not given yet.
    pub fn add(&mut self, record: &[u8]) -> bool {
        self.record_count += 1;
        let head = serde_json::from_slice::<Head<'_>>(record);
        match head.as_ref().map(|head| &*head.kind) {
            Ok("state") => {
                if let Ok(Record { chain, seq, event: Event::State(state), .. }) = Record::parse(record) {
                    let is_bundle = state.of.starts_with("bundle:");
                    self.shared.states.add(chain, seq, state);
                    return is_bundle;
                }
            }
            Ok("decision") | Err(_) => {}
            // What a candidate would have waiting is settled by it.
            Ok("act") if self.shared.candidate.is_some() && is_report(&head) => {}
            Ok(_) => return false,
        }
        // What cannot be read is counted there.
        let tree = head.ok().and_then(|head| head.session).map(|session| session.tree);
        let tree = tree.filter(|_| self.shared.candidate.is_some());
        let place = tree.map_or(self.turn, |tree| usize::from(last_byte(tree))) % self.lanes.len().max(1);
        if let Some(lane) = self.lanes.get_mut(place) {
            lane.batch.push(record.to_vec());
            if lane.batch.len() >= BATCH {
                lane.hand_over();
                self.turn = self.turn.wrapping_add(1);
            }
        }
        false
    }

    /// Bundles that records named and that were not given yet: their numbers and digests.
    pub fn wanted(&self) -> Vec<(u64, String)> {
        let rules = self.shared.rules.read().unwrap_or_else(PoisonError::into_inner);
        let known: HashSet<&str> = rules.keys().map(String::as_str).collect();
        let named = self.shared.states.bundles();
        named.into_iter().filter(|(_, digest)| !known.contains(digest.as_str())).collect()
    }

    /// Gives a bundle. Decisions that came before may have missed it.
    pub fn add_rules(&self, rules: Rules) {
        let mut known = self.shared.rules.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(rules.digest().to_owned(), rules);
    }

    /// How far it is.
    pub fn progress(&self) -> RunProgress {
        RunProgress {
            records: self.record_count,
            decisions: self.shared.decision_count.load(Ordering::Relaxed),
            differences: self.shared.different_count.load(Ordering::Relaxed),
        }
    }

    /// What came of all of it, when the last is done. Panics where a thread did: nobody knows what became of its decisions.
    pub fn finish(mut self) -> Tally {
        self.lanes.iter_mut().for_each(Lane::hand_over);
        let mut whole = Tally::default();
        // The threads end when nothing more can come.
        let threads: Vec<_> = self.lanes.drain(..).map(|lane| lane.thread).collect();
        for thread in threads {
            match thread.join() {
                Ok(part) => whole.merge(part),
                Err(defect) => resume_unwind(defect),
            }
        }
        whole.record_count = self.record_count;
        whole.different.sort_by_key(|different| (different.chain, different.seq));
        whole.different.truncate(DIFFERENT_MAX);
        whole
    }
}

impl Lane {
    fn hand_over(&mut self) {
        if !self.batch.is_empty() {
            // The thread ends after this.
            let _ = self.jobs.send(std::mem::take(&mut self.batch));
        }
    }
}

fn is_report(head: &Result<Head<'_>, serde_json::Error>) -> bool {
    head.as_ref().is_ok_and(|head| head.act.as_deref() == Some(acts::OUTCOME_REPORTED))
}

/// Of a UUIDv7, where it is random.
fn last_byte(tree: SessionId) -> u8 {
    let [.., last] = *tree.as_uuid().as_bytes();
    last
}

impl Shared {
    fn work(&self, waiting: &Receiver<Vec<Vec<u8>>>) -> Tally {
        let (mut tally, mut would) = (Tally::default(), WouldRemember::default());
        for record in waiting.iter().flatten() {
            self.replay(&record, &mut would, &mut tally);
        }
        tally
    }

    fn replay(&self, bytes: &[u8], would: &mut WouldRemember, tally: &mut Tally) {
        let Ok(record) = Record::parse(bytes) else {
            tally.unreadable_count += 1;
            return;
        };
        let (wanted, places) = &self.places;
        let is_placed = wanted.is_none_or(|wanted| wanted == record.chain) && places.contains(&record.seq);
        let is_asked_for = is_placed && self.filter.matches(&record);
        // What the candidate would remember also comes of what nobody asks for.
        if !is_asked_for && self.candidate.is_none() {
            return;
        }
        let Record { chain, seq, at, event, .. } = record;
        let decided = match (event, &self.candidate) {
            (Event::Decision(decided), _) => decided,
            (Event::Act(acted), Some(rules)) => {
                return Report::of(at, &acted).map_or((), |report| would.report(rules, report));
            }
            _ => return,
        };
        let mut unasked = Tally::default();
        let tally = if is_asked_for { tally } else { &mut unasked };
        tally.decision_count += 1;
        self.decision_count.fetch_add(u64::from(is_asked_for), Ordering::Relaxed);
        let number = decided.bundle.get();
        let Some(context) = self.states.bundle(chain, seq, number) else {
            return tally.note(decided.id, Obstacle::NoState);
        };
        let own = self.rules.read().unwrap_or_else(PoisonError::into_inner).get(context.digest()).cloned();
        let Some(own) = own else { return tally.note(decided.id, Obstacle::BundleMissing(number)) };
        let candidate = self.candidate.as_ref().map(|rules| Trial { rules, would });
        match replay(&decided, at, &self.states, &context, &own, candidate) {
            Replayed::Same => tally.same_count += 1,
            Replayed::Not(obstacle) => tally.note(decided.id, obstacle),
            Replayed::Differs(difference) => {
                self.different_count.fetch_add(u64::from(is_asked_for), Ordering::Relaxed);
                tally.note_difference((chain, seq), at, &decided, *difference);
            }
        }
    }
}

impl Tally {
    /// How many decisions cannot be made again.
    pub fn obstacle_count(&self) -> u64 {
        self.obstacles.values().map(|(count, ..)| count).sum()
    }

    fn note(&mut self, id: DecisionId, obstacle: Obstacle) {
        let (count, ..) = self.obstacles.entry(obstacle.code()).or_insert((0, id, obstacle));
        *count += 1;
    }

    fn note_difference(
        &mut self,
        (chain, seq): (ChainId, u64),
        at: Timestamp,
        decided: &Decided<'_>,
        difference: Difference,
    ) {
        self.different_count += 1;
        let (id, asked) = (decided.id, decided.actions.first());
        if let Difference::Decision { recorded, replayed } = &difference
            && let Some(kind) = Kind::between(recorded, replayed)
        {
            let (active, candidate) = (recorded.clone(), replayed.clone());
            let resource = asked.map(|asked| EntityRef::clone(&asked.resource));
            let example = Example { id, at, resource, active, candidate };
            self.groups.note(kind, asked.map(|asked| &*asked.action), example);
        }
        if self.different.len() < DIFFERENT_MAX {
            let asked = asked.map(|asked| format!("{} on {}", asked.action, asked.resource)).unwrap_or_default();
            self.different.push(Different { chain, seq, id, at, asked, difference });
        }
    }

    fn merge(&mut self, part: Self) {
        self.decision_count += part.decision_count;
        self.same_count += part.same_count;
        self.different_count += part.different_count;
        self.different.extend(part.different);
        self.groups.merge(part.groups);
        self.unreadable_count += part.unreadable_count;
        for (code, (count, id, obstacle)) in part.obstacles {
            let (sum, ..) = self.obstacles.entry(code).or_insert((0, id, obstacle));
            *sum += count;
        }
    }
}
