//! Differences between two bundles' decisions, as commands print them: of a replay and of a shadow.

use anstyle::Style;
use chaperone_api::chaperone::v1 as api;
use chaperone_policy::EntityRef;
use serde::Serialize;

use super::output::{BAD, Cell, GOOD, Table, WARN};
use crate::differences::{Example, Group, GroupKey, Kind, Verdict};

/// Differences of one kind, action and set of policies.
#[derive(Debug, Serialize)]
pub struct GroupJson {
    /// Such as `newly_denied`.
    pub kind: String,
    /// The action that was asked for.
    pub action: Option<String>,
    /// The policies that make it so.
    pub policies: Vec<String>,
    /// How many.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<ExampleJson>,
}

/// A decision that differs.
#[derive(Debug, Serialize)]
pub struct ExampleJson {
    /// Its id.
    pub decision_id: String,
    /// When it was made.
    pub time: String,
    /// What was acted on.
    pub resource: Option<String>,
    /// What was decided.
    pub active: VerdictJson,
    /// What the candidate decides.
    pub candidate: VerdictJson,
}

/// What is compared of a decision.
#[derive(Debug, Serialize)]
pub struct VerdictJson {
    /// `allow`, `deny` or `challenge`.
    pub outcome: String,
    /// The reason's code.
    pub code: String,
    /// The policies that determined it.
    pub policies: Vec<PolicyJson>,
    /// What it does beside.
    pub effects: Vec<String>,
}

/// A policy that determined a decision.
#[derive(Debug, Serialize)]
pub struct PolicyJson {
    /// Its `@id`.
    pub id: String,
    /// How it failed, where it did.
    pub failure: Option<String>,
}

impl From<(&GroupKey, &Group)> for GroupJson {
    fn from((key, group): (&GroupKey, &Group)) -> Self {
        Self {
            kind: key.kind.as_str().to_owned(),
            action: key.action.as_ref().map(ToString::to_string),
            policies: key.policies.clone(),
            count: group.count,
            examples: group.examples.iter().map(ExampleJson::from).collect(),
        }
    }
}

impl From<&api::DifferenceGroup> for GroupJson {
    fn from(group: &api::DifferenceGroup) -> Self {
        let kind = group.kind().as_str_name().trim_start_matches("KIND_").to_ascii_lowercase();
        let (policies, count) = (group.policy_ids.clone(), group.count);
        let examples = group.examples.iter().map(ExampleJson::from).collect();
        Self { kind, action: group.action.as_ref().map(shown), policies, count, examples }
    }
}

impl From<&api::DifferenceExample> for ExampleJson {
    fn from(example: &api::DifferenceExample) -> Self {
        let verdict = |verdict: &Option<api::ComparedVerdict>| VerdictJson::from(&verdict.clone().unwrap_or_default());
        Self {
            decision_id: example.decision_id.clone(),
            time: example.decided_at.map(|at| at.to_string()).unwrap_or_default(),
            resource: example.resource.as_ref().map(shown),
            active: verdict(&example.active),
            candidate: verdict(&example.candidate),
        }
    }
}

impl From<&api::ComparedVerdict> for VerdictJson {
    fn from(verdict: &api::ComparedVerdict) -> Self {
        let policies = verdict.policies.iter().cloned();
        let policies = policies.map(|api::ComparedPolicy { id, failure }| {
            let failure = Some(failure).filter(|failure| !failure.is_empty());
            PolicyJson { id, failure }
        });
        Self {
            outcome: verdict.outcome.clone(),
            code: verdict.code.clone(),
            policies: policies.collect(),
            effects: verdict.effects.clone(),
        }
    }
}

fn shown(entity: &api::EntityRef) -> String {
    EntityRef::new(&*entity.r#type, &*entity.id).to_string()
}

impl From<&Example> for ExampleJson {
    fn from(example: &Example) -> Self {
        Self {
            decision_id: example.id.to_string(),
            time: example.at.to_string(),
            resource: example.resource.as_ref().map(ToString::to_string),
            active: (&example.active).into(),
            candidate: (&example.candidate).into(),
        }
    }
}

impl From<&Verdict> for VerdictJson {
    fn from(verdict: &Verdict) -> Self {
        let policies = verdict.policies.iter().cloned().map(|(id, failure)| PolicyJson { id, failure });
        Self {
            outcome: verdict.outcome.clone(),
            code: verdict.code.clone(),
            policies: policies.collect(),
            effects: verdict.effects.clone(),
        }
    }
}

/// A line for each group; nothing where there is none.
pub fn table(groups: impl Iterator<Item = GroupJson>) -> String {
    let mut groups = groups.peekable();
    if groups.peek().is_none() {
        return String::new();
    }
    let mut table = Table::with_header(&["DIFFERENCE", "ACTION", "POLICIES", "COUNT", "SUCH AS"]);
    for group in groups {
        let policies = if group.policies.is_empty() { "-".to_owned() } else { group.policies.join(", ") };
        let example = group.examples.first().map(|example| example.decision_id.clone());
        table.row([
            Cell::new(style(&group.kind), &group.kind.replace('_', " ")),
            group.action.unwrap_or_else(|| "-".to_owned()).into(),
            policies.into(),
            group.count.to_string().into(),
            example.unwrap_or_default().into(),
        ]);
    }
    table.render()
}

fn style(kind: &str) -> Style {
    match kind {
        _ if kind == Kind::NewlyDenied.as_str() => BAD,
        _ if kind == Kind::NewlyAllowed.as_str() => GOOD,
        _ => WARN,
    }
}
