//! From a report of what became of an allowed action to what is remembered afterwards.

use smol_str::SmolStr;

use crate::effects::{Effect, Level};
use crate::fact::FactType;
use crate::ids::DecisionId;
use crate::memory::{
    Amount, AwaitedReport, Change, ChangeError, Deferred, Memory, MemoryLimits, Reported, Told, Wait, canonical,
};
use crate::step_up::AttributesDigest;
use crate::timestamp::Timestamp;
use crate::value::{Attributes, Value};

/// What became of an allowed action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutcomeReport {
    /// The decision that allowed it.
    pub decision: DecisionId,
    /// What became of it.
    pub outcome: Reported,
    /// What came back, under the names that the mapping gives.
    pub facts: Attributes,
}

/// The memories that reports change: those of the session that the decision was for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReportedMemories {
    /// The session's, in which stands what waits.
    pub session: Memory,
    /// Its tree's.
    pub tree: Memory,
    /// Its principal's.
    pub principal: Memory,
}

/// What a report brings about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Settlement {
    /// These effects, with the memories after them.
    Settled(Vec<Effect>, Box<ReportedMemories>),
    /// Nothing: the same was reported before, and had these effects then.
    Repeated(Vec<Effect>),
    /// Nothing: the decision left nothing to wait for a report, or is not one of this session.
    NothingWaits,
    /// Nothing: the wait is over. What was reserved stays spent.
    TooLate,
}

impl Settlement {
    /// Its name in metrics and records.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Settled(..) => "settled",
            Self::Repeated(_) => "repeated",
            Self::NothingWaits => "nothing_waiting",
            Self::TooLate => "too_late",
        }
    }

    /// What took place, now or when the same was first reported.
    pub fn effects(&self) -> &[Effect] {
        match self {
            Self::Settled(effects, _) | Self::Repeated(effects) => effects,
            Self::NothingWaits | Self::TooLate => &[],
        }
    }
}

/// Why a report is not taken. Nothing is changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReportError {
    /// Something else was reported before, and stands.
    #[error("the decision was reported before as {0}, or with other facts; that stands")]
    AlreadyReported(Reported),
    /// A fact is missing, is not named by the mapping, or is not as it must be.
    #[error("facts.{name}: {message}")]
    Fact {
        /// The fact's name.
        name: SmolStr,
        /// What is wrong with it.
        message: String,
    },
    /// What the report brings about does not fit. It can be sent again.
    #[error("{level}: {error}")]
    Full {
        /// Whose memory is full.
        level: Level,
        /// What does not fit.
        error: ChangeError,
    },
}

/// Settles what waits for a report on this decision: all of it, once.
///
/// Pure: equal arguments give equal results. It needs no bundle: what waits says itself what it does.
///
/// # Errors
/// When the report cannot be taken. Then nothing is changed.
pub fn settle(
    report: &OutcomeReport,
    memories: &ReportedMemories,
    now: Timestamp,
    limits: &MemoryLimits,
    risk_decay_per_hour: u32,
) -> Result<Settlement, ReportError> {
    let Some(awaited) = memories.session.awaited_by(report.decision) else {
        let made_at = report.decision.made_at();
        let was_over = made_at.is_some_and(|made_at| made_at.plus(limits.report_wait) <= now);
        return Ok(if was_over { Settlement::TooLate } else { Settlement::NothingWaits });
    };
    let facts: Attributes = report.facts.iter().map(|(name, value)| (name.clone(), canonical(value))).collect();
    let told = Told { outcome: report.outcome, facts: AttributesDigest::of(&facts) };
    match awaited.told() {
        Some(before) if before != told => return Err(ReportError::AlreadyReported(before.outcome)),
        None if awaited.is_over(now) => return Ok(Settlement::TooLate),
        _ => {}
    }
    let outcomes = outcomes(awaited, report.outcome, &facts)?;
    let effects = outcomes.iter().map(|outcome| Effect::Remember(outcome.level, outcome.change.clone())).collect();
    if awaited.told().is_some() {
        return Ok(Settlement::Repeated(effects));
    }
    let mut after = carried_out(&outcomes, memories, now, limits, risk_decay_per_hour)?;
    after.session.note_report(report.decision, told);
    Ok(Settlement::Settled(effects, Box::new(after)))
}

/// Settles what a decision left to wait, from the record of a report, which does not tell all facts: what needs one of the others is left out.
/// Returns the memories after it, and the first of the facts that were needed and are not told.
///
/// # Errors
/// When what the report brings about does not fit. Then nothing is changed.
pub fn settle_recorded(
    awaited: &AwaitedReport,
    report: &OutcomeReport,
    memories: &ReportedMemories,
    now: Timestamp,
    limits: &MemoryLimits,
    risk_decay_per_hour: u32,
) -> Result<(ReportedMemories, Option<SmolStr>), ReportError> {
    if awaited.is_over(now) {
        return Ok((memories.clone(), None));
    }
    let mut untold = None;
    let mut facts = Attributes::new();
    for (name, ty) in awaited.waits().filter(|wait| wait.on == report.outcome).filter_map(|wait| wait.what.fact()) {
        match report.facts.get(name).filter(|value| ty.fits(value)) {
            Some(value) => drop(facts.insert(name.clone(), canonical(value))),
            None => untold = untold.or_else(|| Some(name.clone())),
        }
    }
    let is_told = |name: &SmolStr, ty: &FactType| facts.get(name).is_some_and(|value| ty.fits(value));
    let is_told = |wait: &Wait| wait.what.fact().is_none_or(|(name, ty)| is_told(name, ty));
    let told = awaited.part(|wait| wait.on != report.outcome || is_told(wait));
    let outcomes = outcomes(&told, report.outcome, &facts)?;
    let mut after = carried_out(&outcomes, memories, now, limits, risk_decay_per_hour)?;
    after.session.note_report(report.decision, Told { outcome: report.outcome, facts: AttributesDigest::of(&facts) });
    Ok((after, untold))
}

/// The memories after what becomes of all that waited.
fn carried_out(
    outcomes: &[Outcome],
    memories: &ReportedMemories,
    now: Timestamp,
    limits: &MemoryLimits,
    risk_decay_per_hour: u32,
) -> Result<ReportedMemories, ReportError> {
    let mut after = memories.clone();
    // What is given back makes room for what is added.
    let (released, added): (Vec<_>, Vec<_>) = outcomes
        .iter()
        .filter(|outcome| outcome.is_new)
        .partition(|outcome| matches!(outcome.change, Change::Release(..)));
    for Outcome { level, change, .. } in released.into_iter().chain(added) {
        let memory = match level {
            Level::Session => &mut after.session,
            Level::Tree => &mut after.tree,
            Level::Principal => &mut after.principal,
        };
        let applied = memory.apply(change, now, limits, risk_decay_per_hour);
        applied.map_err(|error| ReportError::Full { level: *level, error })?;
    }
    Ok(after)
}

/// What becomes of something that waited.
struct Outcome {
    level: Level,
    change: Change,
    /// Whether it is done now; what was reserved is done already.
    is_new: bool,
}

fn outcomes(awaited: &AwaitedReport, reported: Reported, facts: &Attributes) -> Result<Vec<Outcome>, ReportError> {
    check_facts(awaited, facts)?;
    let mut outcomes = Vec::new();
    for wait in awaited.waits() {
        let comes_true = wait.on == reported;
        let (change, is_new) = match &wait.what {
            Deferred::Reserved(counter, amount, _) if comes_true => (Change::Count(counter.clone(), *amount), false),
            Deferred::Reserved(counter, amount, granule) => (Change::Release(counter.clone(), *amount, *granule), true),
            _ if !comes_true => continue,
            Deferred::Label(label) => (Change::Label(label.clone()), true),
            Deferred::Count(counter, amount) => (Change::Count(counter.clone(), *amount), true),
            Deferred::Remember(set, value) => (Change::Remember(set.clone(), value.clone()), true),
            Deferred::Risk(points) => (Change::Risk(*points), true),
            Deferred::CountFact(counter, fact, ty) => {
                let amount = Amount::from_value(needed(facts, fact, ty)?).filter(|amount| !amount.is_negative());
                let amount = amount.ok_or_else(|| refused(fact, "must not be negative"))?;
                (Change::Count(counter.clone(), amount), true)
            }
            Deferred::RememberFact(set, fact, ty) => {
                (Change::Remember(set.clone(), needed(facts, fact, ty)?.clone()), true)
            }
        };
        outcomes.push(Outcome { level: wait.level, change, is_new });
    }
    Ok(outcomes)
}

/// Whether each fact is one that the mapping named for the action, of its type.
fn check_facts(awaited: &AwaitedReport, facts: &Attributes) -> Result<(), ReportError> {
    for (name, value) in facts {
        match awaited.facts().get(name) {
            None => return Err(refused(name, "is not named by the mapping for this action")),
            Some(ty) if !ty.fits(value) => return Err(refused(name, &format!("must be {ty}"))),
            Some(_) => {}
        }
    }
    Ok(())
}

fn needed<'f>(facts: &'f Attributes, name: &SmolStr, ty: &FactType) -> Result<&'f Value, ReportError> {
    let value = facts.get(name).ok_or_else(|| refused(name, "is required"))?;
    if ty.fits(value) { Ok(value) } else { Err(refused(name, &format!("must be {ty}"))) }
}

fn refused(name: &SmolStr, message: &str) -> ReportError {
    ReportError::Fact { name: name.clone(), message: message.to_owned() }
}
