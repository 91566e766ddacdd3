//! One decision, made again.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chaperone_policy::mapping::Needs;
use chaperone_policy::recorded::{BundleState, EntityState};
use chaperone_policy::{
    Authority, Decision, Effect, EntityRef, Looked, MemoryLimits, Outcome, Presenter, Reason, Request, SessionChain,
    Timestamp, Trace, Wait,
};
use chaperone_trail::Decided;

use super::candidate::Trial;
use super::obstacle::Obstacle;
use super::rules::Rules;
use super::states::{Flaw, ReadChain, States};
use crate::config::OnTokenReuse;
use crate::differences::{Kind, Verdict};
use crate::evaluator::Evaluator;
use crate::pdp::{Judge, WORKLOAD};

/// What became of a decision that was made again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Replayed {
    /// The same.
    Same,
    /// Something else.
    Differs(Box<Difference>),
    /// It cannot be made again from what is on record.
    Not(Obstacle),
}

/// How a decision differs from its record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Difference {
    /// It is another decision.
    Decision {
        /// What is on record.
        recorded: Verdict,
        /// What came of it.
        replayed: Verdict,
    },
    /// A state that it was made on was changed since.
    State {
        /// Whose.
        of: String,
    },
}

/// What a decision was about, as its record has it.
enum Subject {
    Session(Arc<ReadChain>),
    Peer(EntityRef),
    Nobody(Reason),
}

/// What is needed to decide again, whichever bundle does.
pub(super) struct Question<'a> {
    decided: &'a Decided<'a>,
    at: Timestamp,
    entities: Vec<Arc<EntityState>>,
    limits: MemoryLimits,
    states: &'a States,
}

/// A decision that was made again, and what it looked at.
pub(super) struct Again {
    pub(super) decision: Decision,
    /// The chain as it leaves it; `None` where nothing changes.
    pub(super) after: Option<SessionChain>,
    entities: Vec<EntityRef>,
    looked: BTreeSet<Looked>,
    pub(super) chain: Option<Arc<ReadChain>>,
    needs: Needs,
}

impl Again {
    /// A decision for which nothing is looked at.
    const fn without_looking(decision: Decision) -> Self {
        Self {
            decision,
            after: None,
            entities: Vec::new(),
            looked: BTreeSet::new(),
            chain: None,
            needs: Needs::Policies,
        }
    }

    /// What it leaves to wait for a report, in the order of its effects.
    pub(super) fn waits(&self) -> Vec<Wait> {
        let effects = self.decision.effects.iter();
        let waits =
            effects.filter_map(|effect| if let Effect::Await(wait) = effect { Some(wait.clone()) } else { None });
        waits.collect()
    }
}

/// Makes a decision again, by the bundle that made it or by a candidate, and compares it with its record.
///
/// Equal arguments give equal results, and leave equal memories of the candidate. Where it hangs on something that is not on record, that is said, and nothing is guessed.
/// `context` is the state of the bundle that the record names, `own` is that bundle.
pub fn replay(
    decided: &Decided<'_>,
    at: Timestamp,
    states: &States,
    context: &BundleState,
    own: &Rules,
    candidate: Option<Trial<'_>>,
) -> Replayed {
    let work = || Question::of(decided, at, states, context)?.replay(own, candidate);
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(replayed)) => replayed,
        Ok(Err(Flaw::Changed(of))) => Replayed::Differs(Box::new(Difference::State { of })),
        Ok(Err(Flaw::Obstacle(obstacle))) => Replayed::Not(obstacle),
        Err(_) => Replayed::Not(Obstacle::Defect),
    }
}

impl From<Obstacle> for Flaw {
    fn from(obstacle: Obstacle) -> Self {
        Self::Obstacle(obstacle)
    }
}

impl<'a> Question<'a> {
    /// From the record, with the entities that it names.
    pub(super) fn of(
        decided: &'a Decided<'a>,
        at: Timestamp,
        states: &'a States,
        context: &BundleState,
    ) -> Result<Self, Flaw> {
        if decided.code == Reason::Undecodable.code() {
            return Err(Obstacle::Undecodable.into());
        }
        let mut entities = Vec::new();
        for read in decided.states.iter().filter(|read| read.of.starts_with("entity:")) {
            let digest = read.digest.ok_or(Obstacle::NoState)?;
            entities.push(states.entity(&read.of, digest)?);
        }
        Ok(Self { decided, at, entities, limits: context.limits(), states })
    }

    /// Decides by the candidate, where there is one, or by the bundle that did.
    fn replay(&self, own: &Rules, candidate: Option<Trial<'_>>) -> Result<Replayed, Flaw> {
        let again = self.decide(Evaluator::Compiled, own, None)?;
        let Some(candidate) = candidate else {
            self.check_known(&again)?;
            return Ok(compare(self.decided, &again.decision));
        };
        let Trial { rules, would } = candidate;
        let found = again.chain.as_ref().map(|read| &read.chain);
        let remembered = found.and_then(|chain| would.own(chain));
        let other = self.decide(Evaluator::Compiled, rules, remembered.as_ref())?;
        self.check_told(&again, &other, own)?;
        if let (Some(found), Some(remembered)) = (found, &remembered) {
            would.keep(again.after.as_ref().unwrap_or(found), other.after.as_ref().unwrap_or(remembered));
            if let Some(after) = &other.after {
                would.leave(rules, self.decided.id, after, || again.waits(), (self.at, self.limits));
            }
        }
        // What the bundle that decided did beside can only be told where it hangs on nothing that is kept out of records.
        let own_effects = self.check_known(&again).is_ok().then_some(&again.decision);
        Ok(compare_candidate(self.decided, own_effects, &other.decision))
    }

    /// Decides by one bundle; on what it would remember, where that is given, in place of what was remembered.
    pub(super) fn decide(
        &self,
        evaluator: Evaluator,
        rules: &Rules,
        remembered: Option<&SessionChain>,
    ) -> Result<Again, Flaw> {
        let decided = self.decided;
        let bundle = rules.bundle();
        let subject = self.subject(rules)?;
        let authority = match &subject {
            Subject::Session(read) => Authority::Session(remembered.unwrap_or(&read.chain)),
            Subject::Peer(principal) => Authority::Principal(principal),
            Subject::Nobody(reason) => return Ok(Again::without_looking(Decision::deny(*reason))),
        };
        let requests = decided.actions.iter().map(|asked| {
            let kept: Vec<_> =
                asked.attributes.iter().filter(|(name, _)| !asked.hashed.contains(name)).cloned().collect();
            let hidden: Vec<_> = asked.hashed.iter().chain(&asked.dropped).cloned().collect();
            bundle.request_as_read(&asked.action, &asked.resource, &kept, &hidden)
        });
        let requests = requests.collect::<Result<Vec<Request>, _>>();
        let requests = requests.map_err(|name| Obstacle::Unfit(name.to_string()))?;
        let snapshot = rules.with_entities(&self.entities)?;
        let (trace, id) = (Trace::of_all(), decided.id);
        let presenter = Presenter {
            spiffe_id: decided.presenter.spiffe_id.as_deref().map(Into::into),
            certificate_sha256: decided.presenter.certificate_sha256.map(|digest| *digest.as_bytes()),
            address: decided.presenter.address,
        };
        let judge = Judge { evaluator, limits: self.limits, on_token_reuse: OnTokenReuse::Deny };
        let judgement = judge.decide(id, &snapshot, authority, &presenter, &requests, self.at, &trace);
        let (decision, after, needs) = (judgement.decision, judgement.after, bundle.needs(authority));
        let chain = match subject {
            Subject::Session(read) => Some(read),
            Subject::Peer(_) | Subject::Nobody(_) => None,
        };
        let (entities, looked) = trace.into_parts();
        Ok(Again { decision, after, entities, looked, chain, needs })
    }

    /// On whose authority, as the record has it.
    fn subject(&self, rules: &Rules) -> Result<Subject, Flaw> {
        let decided = self.decided;
        if decided.session.is_some() {
            let read = decided.states.iter().find(|read| read.of.starts_with("chain:")).ok_or(Obstacle::NoState)?;
            let digest = read.digest.ok_or(Obstacle::NoState)?;
            return Ok(Subject::Session(self.states.chain(&read.of, digest)?));
        }
        // What was presented as a session and is none stays so, whatever the policies.
        if decided.code == Reason::SessionUnknown.code() {
            return Ok(Subject::Nobody(Reason::SessionUnknown));
        }
        let peer = decided.presenter.spiffe_id.as_deref().filter(|_| rules.bundle().mapping().allows_peer());
        Ok(match peer {
            Some(id) => Subject::Peer(EntityRef::new(WORKLOAD, id)),
            None => Subject::Nobody(Reason::Unauthenticated),
        })
    }

    /// Whether what another bundle decides can be told from what is on record of the decision that was made.
    pub(super) fn check_told(&self, own_way: &Again, other: &Again, own: &Rules) -> Result<(), Obstacle> {
        self.check_known(other)?;
        self.check_read(own_way, other, own)
    }

    /// Whether the decision hangs on nothing that is kept out of records.
    fn check_known(&self, again: &Again) -> Result<(), Obstacle> {
        // What of the requests for an action is kept out of records: this attribute, or any.
        let redacted = |action: &EntityRef, name: Option<&str>| {
            let of_action = self.decided.actions.iter().filter(|asked| *asked.action == *action);
            let all = of_action.flat_map(|asked| {
                let hashed = asked.hashed.iter().map(|name| (name, "hashed"));
                hashed.chain(asked.dropped.iter().map(|name| (name, "dropped")))
            });
            all.filter(|(redacted, _)| name.is_none_or(|name| name == *redacted)).min()
        };
        for looked in &again.looked {
            let found = match looked {
                Looked::Attribute(action, name) => redacted(action, Some(name)),
                Looked::NoAttribute(..) => None,
                Looked::Attributes(action) => redacted(action, None),
                Looked::Grants(action) => {
                    let chain = again.chain.as_ref();
                    let has_grants = chain.is_some_and(|read| {
                        read.has_dropped_grants || read.chain.memories().any(|memory| memory.grants().next().is_some())
                    });
                    if has_grants
                        && (redacted(action, None).is_some() || chain.is_some_and(|read| read.has_dropped_grants))
                    {
                        return Err(Obstacle::GrantRedacted);
                    }
                    None
                }
                Looked::EntityAttribute(uid, name) => {
                    let state = self.entities.iter().find(|state| state.uid() == uid);
                    if state.is_some_and(|state| state.is_dropped(name)) {
                        let (uid, name) = (uid.clone(), name.to_string());
                        return Err(Obstacle::EntityAttributeRedacted { uid, name });
                    }
                    None
                }
                Looked::Set(level, name) => {
                    let set = (*level, name.clone());
                    if again.chain.as_ref().is_some_and(|read| read.dropped_sets.contains(&set)) {
                        return Err(Obstacle::SetRedacted { level: *level, name: name.clone() });
                    }
                    None
                }
            };
            if let Some((name, how)) = found {
                return Err(Obstacle::AttributeRedacted { name: name.to_string(), how });
            }
        }
        self.check_limits(again)
    }

    /// What a limit refused, or would refuse, can only be told where all that counts for it is on record.
    fn check_limits(&self, again: &Again) -> Result<(), Obstacle> {
        let actions = &self.decided.actions;
        let was_full = self.decided.code == Reason::MemoryFull.code();
        let is_full = again.decision.reason == Reason::MemoryFull;
        let is_incomplete = again
            .chain
            .as_ref()
            .is_some_and(|read| read.has_awaited || read.has_dropped_grants || !read.dropped_sets.is_empty());
        let is_incomplete =
            is_incomplete || actions.iter().any(|asked| !asked.hashed.is_empty() || !asked.dropped.is_empty());
        let waits = again.decision.outcome == Outcome::Challenge;
        if was_full && !is_full && (is_incomplete || waits) { Err(Obstacle::Full) } else { Ok(()) }
    }

    /// Whether a candidate looked at nothing that the decision did not look at: that is not on record.
    fn check_read(&self, own_way: &Again, other: &Again, own: &Rules) -> Result<(), Obstacle> {
        let recorded = |uid: &EntityRef| self.entities.iter().any(|state| state.uid() == uid);
        let unread = other.entities.iter().find(|uid| !own_way.entities.contains(uid) && !recorded(uid));
        if let Some(uid) = unread {
            return Err(Obstacle::EntityUnread(uid.clone()));
        }
        // Who asks directly tells all attributes; of what Envoy asks, only those were made that were needed.
        if self.decided.protocol != "ext_authz" || own_way.needs == Needs::All {
            return Ok(());
        }
        let unread = other.looked.iter().find_map(|looked| match looked {
            Looked::NoAttribute(_, name) if !own.bundle().reads(name) => Some(name.to_string()),
            Looked::Attributes(_) => Some("*".to_owned()),
            _ => None,
        });
        unread.map_or(Ok(()), |name| Err(Obstacle::AttributeUnread(name)))
    }
}

/// By the bundle that decided, a difference means that something was changed since: every detail counts.
fn compare(decided: &Decided<'_>, again: &Decision) -> Replayed {
    let (recorded, replayed) = (Verdict::recorded(decided), Verdict::without_effects(again));
    if recorded == replayed { Replayed::Same } else { differs(recorded, replayed) }
}

/// By a candidate: effects count too, where it is known which ones the bundle that decided has.
fn compare_candidate(decided: &Decided<'_>, own: Option<&Decision>, candidate: &Decision) -> Replayed {
    let recorded = Verdict::recorded(decided);
    let (recorded, replayed) = match own {
        Some(own) => (Verdict { effects: Verdict::of(own).effects, ..recorded }, Verdict::of(candidate)),
        None => (recorded, Verdict::without_effects(candidate)),
    };
    match Kind::between(&recorded, &replayed) {
        None => Replayed::Same,
        Some(_) => differs(recorded, replayed),
    }
}

fn differs(recorded: Verdict, replayed: Verdict) -> Replayed {
    Replayed::Differs(Box::new(Difference::Decision { recorded, replayed }))
}
