//! Approvals as they are printed.

use chaperone_api::chaperone::v1::{Approval, ApprovalScope, ApprovalState, ApprovalVote, EntityRef, Value, value};
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::output::{self, BAD, Cell, DIM, Format, GOOD, Table, WARN, paint, plain};
use crate::cli::parse::show_entity_ref;
use crate::cli::time::{shown_duration, shown_time};

/// An approval in JSON output. What does not apply is null.
#[derive(Debug, Serialize)]
pub struct ApprovalJson<'a> {
    approval_id: &'a str,
    state: &'static str,
    step_up: &'a str,
    session_id: &'a str,
    tree_id: &'a str,
    principal: String,
    owner: &'a str,
    task_id: &'a str,
    purpose: &'a str,
    action: &'a str,
    resource: String,
    attributes: serde_json::Map<String, serde_json::Value>,
    attributes_digest: &'a str,
    reason: &'a str,
    policies: &'a [String],
    bundle_number: u64,
    decision_id: &'a str,
    requested_at: Option<String>,
    expires_at: Option<String>,
    approvers_needed: u32,
    max_duration_seconds: Option<i64>,
    votes: Vec<VoteJson<'a>>,
    scope: Option<&'static str>,
    uses: Option<u32>,
    granted_until: Option<String>,
    withdrawn_uses: Option<u32>,
    decided: Option<VoteJson<'a>>,
}

#[derive(Debug, Serialize)]
struct VoteJson<'a> {
    by: &'a str,
    via: &'a str,
    at: Option<String>,
    comment: &'a str,
}

impl<'a> From<&'a ApprovalVote> for VoteJson<'a> {
    fn from(vote: &'a ApprovalVote) -> Self {
        Self { by: &vote.by, via: &vote.via, at: vote.at.map(|time| time.to_string()), comment: &vote.comment }
    }
}

impl<'a> From<&'a Approval> for ApprovalJson<'a> {
    fn from(approval: &'a Approval) -> Self {
        let mut attributes: Vec<_> = approval.attributes.iter().collect();
        attributes.sort_by_key(|(name, _)| *name);
        Self {
            approval_id: &approval.id,
            state: state_name(approval.state()),
            step_up: &approval.step_up,
            session_id: &approval.session_id,
            tree_id: &approval.tree_id,
            principal: entity(approval.principal.as_ref()),
            owner: &approval.owner,
            task_id: &approval.task_id,
            purpose: &approval.task_purpose,
            action: &approval.action,
            resource: entity(approval.resource.as_ref()),
            attributes: attributes.into_iter().map(|(name, value)| (name.clone(), json(value))).collect(),
            attributes_digest: &approval.attributes_digest,
            reason: &approval.reason,
            policies: &approval.policies,
            bundle_number: approval.bundle_number,
            decision_id: &approval.decision_id,
            requested_at: approval.requested_at.map(|time| time.to_string()),
            expires_at: approval.expires_at.map(|time| time.to_string()),
            approvers_needed: approval.approvers_needed,
            max_duration_seconds: approval.max_duration.map(|duration| duration.seconds),
            votes: approval.votes.iter().map(VoteJson::from).collect(),
            scope: scope_name(approval.scope()),
            uses: Some(approval.uses).filter(|uses| *uses > 0),
            granted_until: approval.granted_until.map(|time| time.to_string()),
            withdrawn_uses: Some(approval.withdrawn_uses).filter(|uses| *uses > 0),
            decided: approval.decided.as_ref().map(VoteJson::from),
        }
    }
}

/// One approval, as it was asked for.
///
/// # Errors
/// When it cannot be printed.
pub fn print(approval: &Approval, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::print_json(&ApprovalJson::from(approval)),
        Format::Table => output::print(&details(approval)),
    }
}

/// A row an approval.
pub fn list(approvals: &[Approval]) -> String {
    let mut table = Table::with_header(&["APPROVAL", "STATE", "STEP-UP", "PRINCIPAL", "ACTION", "RESOURCE", "EXPIRES"]);
    for approval in approvals {
        table.row([
            Cell::from(&approval.id),
            state(approval),
            Cell::from(&approval.step_up),
            entity(approval.principal.as_ref()).into(),
            Cell::from(&approval.action),
            entity(approval.resource.as_ref()).into(),
            shown_time(approval.expires_at.as_ref()).into(),
        ]);
    }
    table.render()
}

fn details(approval: &Approval) -> String {
    let mut facts = Table::of_facts();
    facts
        .fact("state", state(approval))
        .fact("step-up", &approval.step_up)
        .fact("principal", entity(approval.principal.as_ref()))
        .fact("owner", &approval.owner)
        .fact("task", &approval.task_id)
        .fact("purpose", &approval.task_purpose)
        .fact("action", &approval.action)
        .fact("resource", entity(approval.resource.as_ref()));
    let mut attributes: Vec<_> = approval.attributes.iter().collect();
    attributes.sort_by_key(|(name, _)| *name);
    for (name, value) in attributes {
        facts.fact("attribute", plain(&format!("{name} = {}", json(value))));
    }
    for line in approval.reason.lines() {
        facts.fact("because", line);
    }
    facts
        .fact("policies", approval.policies.join(", "))
        .fact("session", &approval.session_id)
        .fact("asked", shown_time(approval.requested_at.as_ref()))
        .fact("expires", shown_time(approval.expires_at.as_ref()))
        .fact("counts at most", shown_duration(approval.max_duration.as_ref()))
        .fact("approvers", format!("{} of {}", approval.votes.len(), approval.approvers_needed));
    for vote in &approval.votes {
        facts.fact("approved by", vote_line(vote));
    }
    if matches!(approval.state(), ApprovalState::Denied | ApprovalState::Cancelled)
        && let Some(decided) = &approval.decided
    {
        facts.fact(state_name(approval.state()), vote_line(decided));
    }
    if approval.withdrawn_uses > 0 {
        facts.fact("withdrawn", format!("{} of {} uses", approval.withdrawn_uses, approval.uses));
    }
    if approval.granted_until.is_some() {
        facts
            .fact("counts for", scope_name(approval.scope()).unwrap_or_default())
            .fact("uses", approval.uses.to_string())
            .fact("until", shown_time(approval.granted_until.as_ref()));
    }
    format!("approval {}\n{}", plain(&approval.id), facts.render())
}

/// What a change made of an approval, in one line.
pub fn change(approval: &Approval) -> String {
    let last = approval.decided.as_ref().or(approval.votes.last());
    let at = last.and_then(|vote| vote.at.as_ref()).or(approval.requested_at.as_ref());
    let by = last.map(|vote| format!("  by {}", plain(&vote.by))).unwrap_or_default();
    format!(
        "{}  {}  {}  {}  {} {} {}{by}\n",
        paint(DIM, &format!("{:20}", shown_time(at))),
        paint(state_style(approval.state()), &format!("{:9}", state_name(approval.state()))),
        plain(&approval.id),
        plain(&approval.step_up),
        entity(approval.principal.as_ref()),
        plain(&approval.action),
        entity(approval.resource.as_ref()),
    )
}

fn vote_line(vote: &ApprovalVote) -> String {
    let comment = if vote.comment.is_empty() { String::new() } else { format!(": {}", plain(&vote.comment)) };
    format!("{} (via {}), {}{comment}", plain(&vote.by), plain(&vote.via), shown_time(vote.at.as_ref()))
}

fn state(approval: &Approval) -> Cell {
    Cell::new(state_style(approval.state()), state_name(approval.state()))
}

fn state_name(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Unspecified => "unknown",
        ApprovalState::Pending => "pending",
        ApprovalState::Approved => "approved",
        ApprovalState::Denied => "denied",
        ApprovalState::Cancelled => "cancelled",
        ApprovalState::Expired => "expired",
    }
}

fn state_style(state: ApprovalState) -> anstyle::Style {
    match state {
        ApprovalState::Approved => GOOD,
        ApprovalState::Denied => BAD,
        ApprovalState::Pending | ApprovalState::Unspecified => WARN,
        ApprovalState::Cancelled | ApprovalState::Expired => DIM,
    }
}

fn scope_name(scope: ApprovalScope) -> Option<&'static str> {
    match scope {
        ApprovalScope::Unspecified => None,
        ApprovalScope::Session => Some("session"),
        ApprovalScope::Tree => Some("tree"),
    }
}

fn entity(entity: Option<&EntityRef>) -> String {
    entity.map(|entity| plain(&show_entity_ref(entity))).unwrap_or_default()
}

/// A value as JSON that people read: extension values are their texts, entities as Cedar writes them.
fn json(value: &Value) -> serde_json::Value {
    use value::Kind;
    match &value.kind {
        None => serde_json::Value::Null,
        Some(Kind::Bool(value)) => (*value).into(),
        Some(Kind::Long(value)) => (*value).into(),
        Some(
            Kind::String(text) | Kind::Ip(text) | Kind::Decimal(text) | Kind::Datetime(text) | Kind::Duration(text),
        ) => text.as_str().into(),
        Some(Kind::Entity(entity)) => show_entity_ref(entity).into(),
        Some(Kind::Set(set)) => set.values.iter().map(json).collect(),
        Some(Kind::Record(record)) => {
            let mut fields: Vec<_> = record.fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            fields
                .into_iter()
                .map(|(name, value)| (name.clone(), json(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
    }
}
