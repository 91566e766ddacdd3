//! What a bundle would remember by now of what was decided before it decides.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chaperone_policy::{
    Change, Decision, DecisionId, Deferred, Effect, Level, Memory, MemoryKey, MemoryName, NewNames, Outcome,
    SessionChain, Timestamp, Wait,
};
use chaperone_trail::{ChainId, Decided, Event, Record};

use super::decide::{Again, Question};
use super::obstacle::Obstacle;
use super::reports::{Left, Report, Settled, Waiting};
use super::rules::Rules;
use super::states::{Flaw, States};
use crate::evaluator::Evaluator;

/// How many bytes of states are kept, of those that were read last.
const STATES_BYTES_MAX: usize = 256 << 20;

/// What a bundle would remember under names that those before it did not keep.
///
/// **What was allowed counts as allowed, and what was denied as denied, whatever the bundle says of it**: it happened, or it did not. What it would
/// have done beside, its policies say. What was reported settles what would have waited for it, before anything of it is joined with what is stored.
#[derive(Debug)]
pub struct Filling {
    rules: Rules,
    names: NewNames,
    states: States,
    /// Those that decided, by the digests of their bundles.
    deciders: HashMap<String, Rules>,
    parts: HashMap<MemoryKey, Part>,
    waiting: Waiting,
    parts_max: usize,
    decision_count: u64,
    untold: Option<Untold>,
    has_overflown: bool,
}

/// A part of a memory.
#[derive(Debug)]
struct Part {
    memory: Memory,
    /// When the session or tree ends at the latest; `None` for a principal's.
    until: Option<Timestamp>,
    /// Whether it grew since it was last taken.
    is_new: bool,
}

/// Decisions of which it cannot be told what the bundle would remember.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Untold {
    /// How many.
    pub count: u64,
    /// One of them.
    pub example: DecisionId,
    /// Why that one.
    pub why: Obstacle,
}

impl Filling {
    /// For a bundle that keeps these names, in up to `parts_max` memories.
    pub fn new(rules: Rules, names: NewNames, parts_max: usize) -> Self {
        let deciders = [(rules.digest().to_owned(), rules.clone())].into();
        let states = States::new(STATES_BYTES_MAX);
        Self {
            rules,
            names,
            states,
            deciders,
            parts: HashMap::new(),
            waiting: Waiting::default(),
            parts_max,
            decision_count: 0,
            untold: None,
            has_overflown: false,
        }
    }

    /// Takes the next record. Of each chain they come in their order, and a state before the decisions that name it. Tells whether it names a
    /// bundle, which may be [`wanted`](Self::wanted).
    pub fn take(&mut self, record: Record) -> bool {
        let Record { chain, seq, at, event, .. } = record;
        match event {
            Event::State(state) => {
                let is_bundle = state.of.starts_with("bundle:");
                self.states.add(chain, seq, state);
                return is_bundle;
            }
            Event::Decision(decided) => {
                self.decision_count += 1;
                let told = catch_unwind(AssertUnwindSafe(|| self.decision((chain, seq), at, &decided)));
                match told.unwrap_or_else(|_| Err(Obstacle::Defect.into())) {
                    Ok(()) => {}
                    Err(Flaw::Obstacle(why)) => self.note(decided.id, why),
                    Err(Flaw::Changed(of)) => {
                        self.note(decided.id, Obstacle::StateUnreadable { of, message: "it was changed".to_owned() });
                    }
                }
            }
            Event::Act(acted) => {
                let report = Report::of(at, &acted).and_then(|report| self.waiting.take(report));
                if let Some((left, report)) = report {
                    self.settle(&left, &report);
                }
            }
            _ => {}
        }
        false
    }

    /// Bundles that decided and are not at hand: their numbers and digests.
    pub fn wanted(&self) -> Vec<(u64, String)> {
        let named = self.states.bundles();
        named.into_iter().filter(|(_, digest)| !self.deciders.contains_key(digest)).collect()
    }

    /// Gives a bundle that decided.
    pub fn add_decider(&mut self, rules: Rules) {
        self.deciders.insert(rules.digest().to_owned(), rules);
    }

    /// The parts of memories that grew since they were last taken, without those that have no future at `now`. The same part is to be joined
    /// with what is there: it is all that was told of it so far.
    pub fn grown(&mut self, now: Timestamp) -> Vec<(MemoryKey, Memory)> {
        let parts = self.parts.iter_mut().filter(|(_, part)| part.is_new && part.until.is_none_or(|until| until > now));
        let grown = parts.map(|(key, part)| {
            part.is_new = false;
            (key.clone(), part.memory.clone())
        });
        grown.collect()
    }

    /// How many decisions were looked at.
    pub const fn decision_count(&self) -> u64 {
        self.decision_count
    }

    /// Those of them that told nothing.
    pub const fn untold(&self) -> Option<&Untold> {
        self.untold.as_ref()
    }

    /// Whether there were more memories than there is room for.
    pub const fn has_overflown(&self) -> bool {
        self.has_overflown
    }

    fn note(&mut self, example: DecisionId, why: Obstacle) {
        self.untold.get_or_insert(Untold { count: 0, example, why }).count += 1;
    }

    fn decision(&mut self, (chain, seq): (ChainId, u64), at: Timestamp, decided: &Decided<'_>) -> Result<(), Flaw> {
        // Nothing is remembered of who acts without a session.
        if decided.session.is_none() {
            return Ok(());
        }
        let number = decided.bundle.get();
        let context = self.states.bundle(chain, seq, number).ok_or(Obstacle::NoState)?;
        let own = self.deciders.get(context.digest()).ok_or(Obstacle::BundleMissing(number))?;
        let question = Question::of(decided, at, &self.states, &context)?;
        let own_way = question.decide(Evaluator::Compiled, own, None)?;
        let Some(read) = &own_way.chain else { return Ok(()) };
        let Some(found) = self.overlaid(&read.chain) else { return Ok(()) };
        let was_allowed = decided.outcome == Outcome::Allow.as_str();
        let mut other = question.decide(Evaluator::Compiled, &self.rules, Some(&found))?;
        if was_allowed && other.decision.outcome != Outcome::Allow {
            other = question.decide(Evaluator::CompiledAsAllowed, &self.rules, Some(&found))?;
        }
        question.check_told(&own_way, &other, own)?;
        let Again { decision, after, .. } = other;
        let Some(after) = after.filter(|_| was_allowed == (decision.outcome == Outcome::Allow)) else { return Ok(()) };
        let withheld = self.withheld(decided, &decision);
        self.keep(&found, &after, at, &withheld);
        let awaited = after.memories().next().and_then(|memory| memory.awaited_by(decided.id));
        if let Some(awaited) = awaited.and_then(|awaited| self.names.waits_of(awaited, &withheld)) {
            let (session, limits) = (after.session().id, context.limits());
            let ends = [Some(after.session().expires_at), Some(after.root().expires_at), None];
            let left = Left { awaited, own: own_way.waits(), session, at, limits, ends };
            if let Some((left, report)) = self.waiting.leave(decided.id, left) {
                self.settle(&left, &report);
            }
        }
        withheld.into_iter().next().map_or(Ok(()), |(level, name)| Err(Obstacle::SetRedacted { level, name }.into()))
    }

    /// The chain as it was, but for what is filled in.
    fn overlaid(&self, chain: &SessionChain) -> Option<SessionChain> {
        let memories = chain.memory_keys().zip(chain.memories()).map(|(key, memory)| match self.parts.get(&key) {
            Some(part) => Arc::new(memory.overlaid(&part.memory)),
            None => Arc::clone(memory),
        });
        chain.with_memories(memories.collect())
    }

    /// The new sets in which a decision remembers something that its record does not have.
    fn withheld(&self, decided: &Decided<'_>, decision: &Decision) -> BTreeSet<(Level, MemoryName)> {
        let actions = decided.actions.iter();
        let hidden: Vec<_> = actions.flat_map(|asked| asked.hashed.iter().chain(&asked.dropped)).collect();
        if hidden.is_empty() {
            return BTreeSet::new();
        }
        let told = self.rules.bundle().sets_without(&hidden);
        let remembered = decision.effects.iter().filter_map(|effect| match effect {
            Effect::Remember(level, Change::Remember(name, _))
            | Effect::Await(Wait { level, what: Deferred::Remember(name, _), .. }) => Some((*level, name.clone())),
            _ => None,
        });
        remembered.filter(|set| self.names.has_set(set.0, &set.1) && !told.contains(set)).collect()
    }

    /// Keeps what a decision at `at` leaves under the new names.
    fn keep(
        &mut self,
        before: &SessionChain,
        after: &SessionChain,
        at: Timestamp,
        withheld: &BTreeSet<(Level, MemoryName)>,
    ) {
        // Those of the sessions, then the tree's; the principal's has no end.
        let ends = after.iter().map(|session| session.expires_at).chain([after.root().expires_at]).map(Some);
        let ends = ends.chain([None]);
        let memories = before.memories().zip(after.memories());
        for ((key, (before, after)), until) in after.memory_keys().zip(memories).zip(ends) {
            if Arc::ptr_eq(before, after) {
                continue;
            }
            let grown = self.names.part_of(after, &key, withheld);
            if grown.is_empty() {
                continue;
            }
            let memory = match self.parts.get(&key) {
                Some(part) => part.memory.overlaid(&grown),
                None => grown,
            };
            self.put(key, memory, until, at);
        }
    }

    /// Keeps what a report leaves under the new names.
    fn settle(&mut self, left: &Left, report: &Report) {
        let memory = |key: &MemoryKey| self.parts.get(key).map(|part| part.memory.clone()).unwrap_or_default();
        // Risk, which decays, is not filled in.
        let Settled { memories, untold } = match left.settle(report, memory, 0) {
            Ok(settled) => settled,
            Err(why) => return self.note(report.decision, why),
        };
        for ((key, memory), until) in memories.into_iter().zip(left.ends) {
            let is_known = match self.parts.get(&key) {
                Some(part) => part.memory == memory,
                None => memory == Memory::default(),
            };
            if !is_known {
                self.put(key, memory, until, left.at);
            }
        }
        if let Some(why) = untold {
            self.note(report.decision, why);
        }
    }

    fn put(&mut self, key: MemoryKey, memory: Memory, until: Option<Timestamp>, at: Timestamp) {
        if let Some(part) = self.parts.get_mut(&key) {
            part.memory = memory;
            part.until = part.until.max(until);
            part.is_new = true;
            return;
        }
        if self.parts.len() >= self.parts_max {
            self.parts.retain(|_, part| part.until.is_none_or(|until| until > at));
        }
        if self.parts.len() < self.parts_max {
            self.parts.insert(key, Part { memory, until, is_new: true });
        } else {
            self.has_overflown = true;
        }
    }
}
