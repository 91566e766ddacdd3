//! The story of a session: what its records say, in order, without repetitions.

use chaperone_policy::{ApprovalId, DecisionId, SessionId, Timestamp};
use chaperone_trail::{Acted, AppliedEffect, Decided, Event, Record, SessionFacts};
use serde::{Serialize, Serializer};

use crate::cli::trail::action;

/// What happened in a session and in those that were delegated from it.
#[derive(Debug, Serialize)]
pub struct Story {
    pub session_id: SessionId,
    pub tree_id: Option<SessionId>,
    pub parent_id: Option<SessionId>,
    pub principal: Option<String>,
    pub owner: String,
    pub task_id: String,
    /// In the order of their times.
    pub beats: Vec<Beat>,
}

/// Something that happened, or several things that are told at once.
#[derive(Debug, PartialEq, Serialize)]
pub struct Beat {
    /// When, or when the first did.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    /// When the last did.
    #[serde(serialize_with = "rfc3339")]
    pub last_at: Timestamp,
    /// How many.
    pub count: u32,
    /// In which session.
    pub session_id: SessionId,
    /// How many delegations lie between it and the story's session.
    pub depth: usize,
    /// Who acts in it.
    pub principal: Option<String>,
    #[serde(flatten)]
    pub what: What,
    /// What it changed.
    pub effects: Vec<String>,
    /// The decision, or that it follows from; of several, the first.
    pub decision_id: Option<DecisionId>,
}

/// What happened.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A decision.
    Decision {
        outcome: String,
        code: String,
        reason: String,
        actions: Vec<String>,
        /// Those that failed, and how.
        failures: Vec<String>,
        /// The approvals that are asked for: name and id.
        asks: Vec<(String, ApprovalId)>,
    },
    /// An act.
    Act { act: String, by: String, note: String, approval_id: Option<ApprovalId> },
}

impl Story {
    /// The story of `session`, from records of its tree.
    pub fn of(session: SessionId, records: impl IntoIterator<Item = Record>) -> Self {
        let mut story = Self {
            session_id: session,
            tree_id: None,
            parent_id: None,
            principal: None,
            owner: String::new(),
            task_id: String::new(),
            beats: Vec::new(),
        };
        for record in records {
            story.tell(&record);
        }
        story
    }

    fn tell(&mut self, record: &Record) {
        let Some(facts) = record.event.session() else { return };
        let Some(depth) = depth_under(self.session_id, facts) else { return };
        let principal = record.event.principal().map(ToString::to_string);
        if depth == 0 {
            self.introduce(facts, principal.as_ref());
        }
        let (what, effects, decision_id) = match &record.event {
            Event::Decision(decided) => (decision(decided), effects(&decided.effects), Some(decided.id)),
            Event::Act(acted) => (act(acted), effects(&acted.effects), acted.decision),
            _ => return,
        };
        let (at, session_id) = (record.at, facts.id);
        let beat = Beat { at, last_at: at, count: 1, session_id, depth, principal, what, effects, decision_id };
        match self.beats.last_mut() {
            Some(last) if last.is_again(&beat) => {
                last.last_at = beat.at;
                last.count += 1;
            }
            _ => self.beats.push(beat),
        }
    }

    fn introduce(&mut self, facts: &SessionFacts<'_>, principal: Option<&String>) {
        self.tree_id = Some(facts.tree);
        self.parent_id = facts.ancestors.first().map(|parent| parent.id);
        self.owner = facts.owner.to_string();
        self.task_id = facts.task.to_string();
        if let Some(principal) = principal {
            self.principal = Some(principal.clone());
        }
    }
}

impl Beat {
    /// Whether `next` only says the same again: an allow, because every refusal and every change deserves its line.
    fn is_again(&self, next: &Self) -> bool {
        matches!(&self.what, What::Decision { outcome, .. } if outcome == "allow")
            && self.effects.is_empty()
            && (self.session_id, &self.what, &self.effects) == (next.session_id, &next.what, &next.effects)
    }
}

/// How many delegations `facts` is below `session`; `None` when it is not.
fn depth_under(session: SessionId, facts: &SessionFacts<'_>) -> Option<usize> {
    if facts.id == session {
        return Some(0);
    }
    facts.ancestors.iter().position(|ancestor| ancestor.id == session).map(|place| place + 1)
}

fn decision(decided: &Decided<'_>) -> What {
    let failures = decided.policies.iter().filter_map(|policy| {
        let failure = policy.failure.as_ref()?;
        Some(format!("{}: {failure}", policy.id))
    });
    What::Decision {
        outcome: decided.outcome.to_string(),
        code: decided.code.to_string(),
        reason: decided.reason.to_string(),
        actions: decided.actions.iter().map(action).collect(),
        failures: failures.collect(),
        asks: decided.step_ups.iter().map(|asked| (asked.name.to_string(), asked.approval)).collect(),
    }
}

fn act(acted: &Acted<'_>) -> What {
    What::Act {
        act: acted.act.to_string(),
        by: acted.by.to_string(),
        note: acted.note.to_string(),
        approval_id: acted.approval,
    }
}

fn effects(effects: &[AppliedEffect<'_>]) -> Vec<String> {
    effects.iter().map(|effect| format!("{} {}", effect.effect, effect.text)).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands fields over so")]
fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}
