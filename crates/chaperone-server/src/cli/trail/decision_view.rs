//! One decision, with everything that is known of it.

use std::fmt::Write as _;

use chaperone_trail::{Decided, Event, Record};

use super::entry::Entry;
use super::view;
use crate::cli::output::{BAD, Cell, Table, paint, plain};
use crate::cli::time::shown_moment;

/// Whether this is a decision or a failure to make one, not what follows from it.
pub fn is_decision(entry: &Entry) -> bool {
    matches!(entry.record.as_ref().map(|record| &record.event), Some(Event::Decision(_) | Event::NoDecision { .. }))
}

/// A decision, and what followed from it.
pub fn details(entries: &[Entry]) -> String {
    let mut text = String::new();
    let (decisions, followed): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| is_decision(entry));
    for entry in decisions {
        match &entry.record {
            Some(record) => text.push_str(&decision(entry, record)),
            None => text.push_str(&view::line(entry)),
        }
    }
    if !followed.is_empty() {
        text.push_str("followed by\n");
        for entry in followed {
            // Writing to a String cannot fail.
            let _ = write!(text, "  {}", view::line(entry));
        }
    }
    text
}

fn decision(entry: &Entry, record: &Record) -> String {
    let mut facts = Table::of_facts();
    let heading = match &record.event {
        Event::Decision(decided) => {
            add_decision(&mut facts, decided);
            let (style, outcome) = view::outcome(&decided.outcome);
            format!("{} decision {}", paint(style, &plain(outcome).to_uppercase()), decided.id)
        }
        Event::NoDecision { id, protocol, code, elapsed_us, trace } => {
            facts.fact("code", code).fact("asked over", protocol).fact("took", format!("{elapsed_us} µs"));
            facts.fact("trace", trace.as_ref().map_or("", |trace| &*trace.trace_id));
            format!("{} {id}", paint(BAD, "NO DECISION"))
        }
        _ => String::new(),
    };
    facts
        .fact("decided", shown_moment(record.at))
        .fact("record", format!("{} of chain {}", record.seq, record.chain))
        .fact("sha256", &entry.wire.digest);
    format!("{heading}\n{}", facts.render())
}

fn add_decision(facts: &mut Table, decided: &Decided<'_>) {
    facts.fact("code", &decided.code);
    for line in decided.reason.lines() {
        facts.fact("because", line);
    }
    for policy in &decided.policies {
        let failure = policy.failure.as_ref().map(|failure| format!(", failed: {failure}")).unwrap_or_default();
        facts.fact("policy", format!("{}{failure}", policy.id));
    }
    facts.fact("principal", decided.principal.as_deref().map(ToString::to_string).unwrap_or_default());
    for asked in &decided.actions {
        facts.fact("action", view::action(asked));
        for (name, value) in &asked.attributes {
            let value = serde_json::to_string(value).unwrap_or_default();
            facts.fact("attribute", format!("{name} = {value}"));
        }
        for name in &asked.dropped {
            facts.fact("attribute", format!("{name} (dropped)"));
        }
    }
    if let Some(session) = &decided.session {
        facts.fact("session", session.id.to_string());
        for parent in &session.ancestors {
            facts.fact("delegated by", format!("{} {}", parent.principal, parent.id));
        }
        facts.fact("owner", &session.owner).fact("task", &session.task);
    }
    facts.fact("presented by", decided.presenter.spiffe_id.as_deref().unwrap_or_default());
    let certificate = decided.presenter.certificate_sha256.map(|digest| format!("sha256:{digest}"));
    facts.fact("presented by", certificate.unwrap_or_default());
    for effect in &decided.effects {
        facts.fact("effect", format!("{} {}", effect.effect, effect.text));
    }
    for asked in &decided.step_ups {
        facts.fact("asks for", format!("{}: approval {}", asked.name, asked.approval));
    }
    facts.fact("bundle", decided.bundle.to_string());
    for state in &decided.states {
        let digest = state.digest.map_or_else(|| "there was none".to_owned(), |digest| digest.to_string());
        facts.fact("read", format!("{}: {digest}", state.of));
    }
    if decided.stale {
        facts.row([Cell::from("stale"), Cell::from("older than the staleness limit, within the grace")]);
    }
    facts
        .fact("asked over", &decided.protocol)
        .fact("began", shown_moment(decided.began_at))
        .fact("took", format!("{} µs", decided.elapsed_us))
        .fact("trace", decided.trace.as_ref().map_or("", |trace| &*trace.trace_id));
}
