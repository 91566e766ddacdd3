//! Records as they are printed, one a line.

use anstyle::Style;
use chaperone_trail::{Acted, Asked, Decided, Event};

use super::entry::Entry;
use crate::cli::output::{BAD, Cell, DIM, GOOD, PLAIN, STRONG, Table, WARN, paint, plain};
use crate::cli::time::shown_moment;

/// What a line says of a record.
struct Summary {
    time: String,
    what: (Style, String),
    code: String,
    who: String,
    text: String,
    id: String,
}

/// A row a record.
pub fn list(entries: &[Entry]) -> String {
    let mut table = Table::with_header(&["TIME", "WHAT", "CODE", "PRINCIPAL", "ABOUT", "DECISION"]);
    for entry in entries {
        let Summary { time, what, code, who, text, id } = summary(entry);
        table.row([time.into(), Cell::new(what.0, &what.1), code.into(), who.into(), text.into(), id.into()]);
    }
    table.render()
}

/// A line for a record that just came.
pub fn line(entry: &Entry) -> String {
    let Summary { time, what, code, who, text, id } = summary(entry);
    let line = format!(
        "{}  {}  {:16}  {}  {}  {}",
        paint(DIM, &time),
        paint(what.0, &format!("{:9}", what.1)),
        plain(&code),
        plain(&who),
        plain(&text),
        paint(DIM, &id),
    );
    format!("{}\n", line.trim_end())
}

fn summary(entry: &Entry) -> Summary {
    let Some(record) = &entry.record else {
        let place = format!("record {} of chain {}", entry.wire.seq, entry.wire.chain_id);
        return summary_of("", (WARN, "unknown"), place);
    };
    let mut summary = match &record.event {
        Event::Decision(decided) => Summary {
            code: decided.code.to_string(),
            who: decided.principal.as_deref().map(ToString::to_string).unwrap_or_default(),
            id: decided.id.to_string(),
            ..summary_of("", outcome(&decided.outcome), about(decided))
        },
        Event::NoDecision { id, protocol, code, .. } => Summary {
            code: code.to_string(),
            id: id.to_string(),
            ..summary_of("", (BAD, "none"), protocol.to_string())
        },
        Event::Act(acted) => Summary {
            who: acted.principal.as_deref().map(ToString::to_string).unwrap_or_default(),
            id: acted.decision.map(|id| id.to_string()).unwrap_or_default(),
            ..summary_of(&acted.act, (STRONG, "act"), act_text(acted))
        },
        Event::Started { replica, version, .. } => {
            summary_of("", (DIM, "started"), format!("{replica}, version {version}"))
        }
        Event::Checkpoint { .. } => summary_of("", (DIM, "checkpoint"), format!("up to {}", record.seq)),
        Event::Stopped => summary_of("", (DIM, "stopped"), String::new()),
        Event::State(state) => summary_of("", (DIM, "state"), state.of.to_string()),
    };
    summary.time = shown_moment(record.at);
    summary
}

fn summary_of(code: &str, (style, what): (Style, &str), text: String) -> Summary {
    Summary {
        time: String::new(),
        what: (style, what.to_owned()),
        code: code.to_owned(),
        who: String::new(),
        text,
        id: String::new(),
    }
}

/// An outcome in its colour.
pub fn outcome(outcome: &str) -> (Style, &str) {
    let style = match outcome {
        "allow" => GOOD,
        "deny" => BAD,
        "challenge" => WARN,
        _ => PLAIN,
    };
    (style, outcome)
}

/// `read Document::"welcome"`.
pub fn action(asked: &Asked<'_>) -> String {
    let action = if asked.action.kind == "Action" { asked.action.id.to_string() } else { asked.action.to_string() };
    format!("{action} {}", asked.resource)
}

fn about(decided: &Decided<'_>) -> String {
    let actions: Vec<String> = decided.actions.iter().map(action).collect();
    if actions.is_empty() { "what was asked for could not be read".to_owned() } else { actions.join(", ") }
}

/// `by token: because`.
pub fn act_text(acted: &Acted<'_>) -> String {
    let by = if acted.by.is_empty() { String::new() } else { format!("by {}", acted.by) };
    let what = [
        acted.approval.map(|id| format!("approval {id}")),
        acted.bundle.map(|number| format!("bundle {number}")),
        Some(by).filter(|by| !by.is_empty()),
    ];
    let what: Vec<String> = what.into_iter().flatten().collect();
    match (&*acted.note, what.is_empty()) {
        ("", _) => what.join(" "),
        (note, true) => note.to_owned(),
        (note, false) => format!("{}: {note}", what.join(" ")),
    }
}
