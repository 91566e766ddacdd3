//! Sessions as they are printed.

use std::fmt::Write as _;

use chaperone_api::chaperone::v1::{Binding, EntityRef, Session, SessionState};
use serde::Serialize;

use super::actor::{DelegationJson, parties};
use crate::cli::output::{BAD, Cell, DIM, GOOD, Table, WARN, paint, plain};
use crate::cli::parse::show_entity_ref;
use crate::cli::time::{shown_duration, shown_time};

/// A session in JSON output. What does not apply is null.
#[derive(Debug, Serialize)]
pub struct SessionJson<'a> {
    session_id: &'a str,
    state: &'static str,
    parent_id: Option<&'a str>,
    tree_id: &'a str,
    delegation_depth: u32,
    principal: Option<EntityJson<'a>>,
    owner: &'a str,
    task_id: &'a str,
    purpose: &'a str,
    labels: &'a [String],
    scope_cedar: Option<&'a str>,
    bound_spiffe_id: Option<&'a str>,
    bound_certificate_sha256: Option<String>,
    bound_zones: &'a [String],
    opened_at: Option<String>,
    expires_at: Option<String>,
    idle_timeout_seconds: Option<i64>,
    last_used_at: Option<String>,
    ended_at: Option<String>,
    ended_reason: Option<&'a str>,
    ended_by: Option<&'a str>,
    delegation: Option<DelegationJson<'a>>,
    version: u64,
}

#[derive(Debug, Serialize)]
struct EntityJson<'a> {
    r#type: &'a str,
    id: &'a str,
}

impl<'a> From<&'a Session> for SessionJson<'a> {
    fn from(session: &'a Session) -> Self {
        let binding = session.binding.as_ref();
        Self {
            session_id: &session.id,
            state: state_name(session.state()),
            parent_id: given(&session.parent_id),
            tree_id: &session.tree_id,
            delegation_depth: session.delegation_depth,
            principal: session
                .principal
                .as_ref()
                .map(|principal| EntityJson { r#type: &principal.r#type, id: &principal.id }),
            owner: &session.owner,
            task_id: session.task.as_ref().map_or("", |task| &task.id),
            purpose: session.task.as_ref().map_or("", |task| &task.purpose),
            labels: &session.labels,
            scope_cedar: given(&session.scope_cedar),
            bound_spiffe_id: binding.and_then(|binding| given(&binding.spiffe_id)),
            bound_certificate_sha256: thumbprint(session),
            bound_zones: binding.map_or(&[], |binding| &binding.zones),
            opened_at: session.opened_at.map(|time| time.to_string()),
            expires_at: session.expires_at.map(|time| time.to_string()),
            idle_timeout_seconds: session.idle_timeout.map(|timeout| timeout.seconds),
            last_used_at: session.last_used_at.map(|time| time.to_string()),
            ended_at: session.ended_at.map(|time| time.to_string()),
            ended_reason: given(&session.ended_reason),
            ended_by: given(&session.ended_by),
            delegation: session.delegation.as_ref().map(DelegationJson::from),
            version: session.version,
        }
    }
}

/// A row a session.
pub fn list(sessions: &[Session]) -> String {
    let mut table = Table::with_header(&["SESSION", "STATE", "PRINCIPAL", "OWNER", "TASK", "EXPIRES"]);
    for session in sessions {
        table.row([
            Cell::from(&session.id),
            state(session),
            principal(session).into(),
            Cell::from(&session.owner),
            Cell::from(session.task.as_ref().map_or("", |task| &task.id)),
            shown_time(session.expires_at.as_ref()).into(),
        ]);
    }
    table.render()
}

/// Everything about one session.
pub fn details(session: &Session) -> String {
    let binding = session.binding.as_ref();
    let mut facts = Table::of_facts();
    facts
        .fact("state", state(session))
        .fact("principal", principal(session))
        .fact("owner", &session.owner)
        .fact("task", session.task.as_ref().map_or("", |task| &task.id))
        .fact("purpose", session.task.as_ref().map_or("", |task| &task.purpose))
        .fact("parent", &session.parent_id)
        .fact("tree", if session.tree_id == session.id { "" } else { &session.tree_id })
        .fact("acts for", session.delegation.as_ref().map(parties).unwrap_or_default())
        .fact("labels", session.labels.join(", "))
        .fact("bound to", binding.map_or("", |binding| &binding.spiffe_id))
        .fact("bound to", thumbprint(session).map(|digits| format!("sha256:{digits}")).unwrap_or_default())
        .fact("bound to", binding.map_or_else(String::new, shown_zones))
        .fact("opened", shown_time(session.opened_at.as_ref()))
        .fact("expires", shown_time(session.expires_at.as_ref()))
        .fact("idle after", shown_duration(session.idle_timeout.as_ref()))
        .fact("last used", shown_time(session.last_used_at.as_ref()))
        .fact("ended", shown_time(session.ended_at.as_ref()))
        .fact("ended by", &session.ended_by)
        .fact("because", &session.ended_reason);
    for line in session.scope_cedar.lines() {
        facts.fact("scope", line);
    }
    format!("session {}\n{}", plain(&session.id), facts.render())
}

/// What a change made of a session, in one line.
pub fn change(session: &Session) -> String {
    let (what, style) = match session.state() {
        SessionState::Active if session.version <= 1 => ("opened", GOOD),
        SessionState::Active => ("changed", GOOD),
        other => (state_name(other), state_style(other)),
    };
    let since = session.ended_at.as_ref().or(session.opened_at.as_ref()).filter(|_| what != "changed");
    let mut line = format!(
        "{}  {}  {}  {}",
        paint(DIM, &format!("{:20}", shown_time(since))),
        paint(style, &format!("{what:9}")),
        plain(&session.id),
        principal(session),
    );
    // Writing to a String cannot fail.
    let _ = write!(line, "  owner {}", plain(&session.owner));
    if let Some(task) = session.task.as_ref().filter(|task| !task.id.is_empty()) {
        let _ = write!(line, "  task {}", plain(&task.id));
    }
    if !session.ended_by.is_empty() {
        let _ = write!(line, "  by {}", plain(&session.ended_by));
    }
    if !session.ended_reason.is_empty() {
        let _ = write!(line, ": {}", plain(&session.ended_reason));
    }
    if matches!(session.state(), SessionState::Active) {
        let _ = write!(line, "  until {}", shown_time(session.expires_at.as_ref()));
    }
    line.push('\n');
    line
}

fn state_name(state: SessionState) -> &'static str {
    match state {
        SessionState::Unspecified => "unknown",
        SessionState::Active => "active",
        SessionState::Expired => "expired",
        SessionState::Idle => "idle",
        SessionState::Completed => "completed",
        SessionState::Revoked => "revoked",
        SessionState::AncestorEnded => "ancestor_ended",
    }
}

fn state_style(state: SessionState) -> anstyle::Style {
    match state {
        SessionState::Active => GOOD,
        SessionState::Revoked | SessionState::AncestorEnded => BAD,
        SessionState::Expired | SessionState::Idle | SessionState::Unspecified => WARN,
        SessionState::Completed => DIM,
    }
}

fn state(session: &Session) -> Cell {
    Cell::new(state_style(session.state()), state_name(session.state()))
}

fn principal(session: &Session) -> String {
    session.principal.as_ref().map(|principal: &EntityRef| plain(&show_entity_ref(principal))).unwrap_or_default()
}

fn thumbprint(session: &Session) -> Option<String> {
    let bytes =
        session.binding.as_ref().map(|binding| &binding.certificate_sha256).filter(|bytes| !bytes.is_empty())?;
    Some(bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    }))
}

fn shown_zones(binding: &Binding) -> String {
    if binding.zones.is_empty() { String::new() } else { format!("zone {}", binding.zones.join(" or ")) }
}

fn given(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn session(state: SessionState) -> Session {
        Session {
            id: "0198c0de-0000-7000-8000-000000000001".into(),
            tree_id: "0198c0de-0000-7000-8000-000000000001".into(),
            principal: Some(EntityRef { r#type: "Agent".into(), id: "report-bot".into() }),
            owner: "ann@example.com".into(),
            opened_at: Some(Timestamp { seconds: 1_769_860_800, nanos: 0 }),
            expires_at: Some(Timestamp { seconds: 1_769_864_400, nanos: 0 }),
            state: state.into(),
            version: 1,
            ..Session::default()
        }
    }

    fn stripped(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn change_reads_as_one_line() {
        assert_eq!(
            stripped(&change(&session(SessionState::Active))),
            "2026-01-31T12:00:00Z  opened     0198c0de-0000-7000-8000-000000000001  Agent::\"report-bot\"  \
             owner ann@example.com  until 2026-01-31T13:00:00Z\n"
        );
        let revoked = Session {
            ended_at: Some(Timestamp { seconds: 1_769_860_860, nanos: 5 }),
            ended_by: "token:1".into(),
            ended_reason: "leaked\u{1b}[2J\nowned".into(),
            ..session(SessionState::Revoked)
        };
        let line = stripped(&change(&revoked));
        assert!(line.starts_with("2026-01-31T12:01:00Z  revoked    0198c0de"), "{line}");
        assert!(line.ends_with("  by token:1: leaked\\u{1b}[2J\\nowned\n"), "{line}");
    }

    #[test]
    fn details_leave_out_what_does_not_apply() {
        let shown = stripped(&details(&session(SessionState::Active)));
        assert!(shown.contains("  state      active\n"), "{shown}");
        for absent in ["parent", "tree", "bound", "ended", "scope"] {
            assert!(!shown.contains(absent), "{shown}");
        }
    }

    #[test]
    fn json_says_null_for_what_does_not_apply() {
        let json = serde_json::to_value(SessionJson::from(&session(SessionState::Active))).expect("it serializes");
        assert_eq!(json["state"], "active");
        assert_eq!(json["principal"]["type"], "Agent");
        assert_eq!(json["expires_at"], "2026-01-31T13:00:00Z");
        assert!(json["parent_id"].is_null() && json["ended_at"].is_null());
    }
}
