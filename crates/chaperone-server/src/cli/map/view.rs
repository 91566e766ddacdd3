//! Explanations as they are printed.

use chaperone_policy::mapping::{
    ActionExplained, AttributeExplained, Explanation, PlannedChange, Recorded, SessionFound,
};
use serde::Serialize;

use crate::cli::output::{BAD, Cell, DIM, GOOD, STRONG, Table, WARN, paint, plain};
use crate::effect_text::value_text;

/// An explanation in JSON output.
#[derive(Debug, Serialize)]
pub struct ExplanationJson<'a> {
    session: SessionJson<'a>,
    route: Option<&'a str>,
    decoder: Option<DecoderJson<'a>>,
    /// Why it is denied whatever the policies say.
    undecodable: Option<&'a str>,
    actions: Vec<ActionJson<'a>>,
    /// Why sessions are denied whose scopes read more attributes than the policies do.
    unread: Option<&'a str>,
    changes: Vec<ChangeJson<'a>>,
}

#[derive(Debug, Serialize)]
struct SessionJson<'a> {
    state: &'static str,
    source: Option<&'a str>,
    peer_may_act: bool,
}

#[derive(Debug, Serialize)]
struct DecoderJson<'a> {
    name: &'a str,
    kind: &'a str,
}

#[derive(Debug, Serialize)]
struct ActionJson<'a> {
    action: String,
    declared: bool,
    groups: Vec<String>,
    resource: String,
    attributes: Vec<AttributeJson<'a>>,
}

#[derive(Debug, Serialize)]
struct AttributeJson<'a> {
    name: &'a str,
    r#type: &'a str,
    /// As records write it; null where it is absent.
    value: Option<&'a chaperone_policy::Value>,
    read: bool,
    recorded: &'static str,
}

#[derive(Debug, Serialize)]
struct ChangeJson<'a> {
    change: &'static str,
    name: &'a str,
    value: Option<&'a str>,
}

impl<'a> From<&'a Explanation> for ExplanationJson<'a> {
    fn from(explanation: &'a Explanation) -> Self {
        let (state, source) = match &explanation.session {
            SessionFound::Absent => ("absent", None),
            SessionFound::Ambiguous => ("ambiguous", None),
            SessionFound::In(source) => ("presented", Some(source.as_str())),
        };
        let decoder = explanation.decoder.as_ref();
        Self {
            session: SessionJson { state, source, peer_may_act: explanation.peer },
            route: explanation.route.as_deref(),
            decoder: decoder.map(|decoder| DecoderJson { name: &decoder.name, kind: decoder.kind }),
            undecodable: explanation.actions.as_ref().err().map(|undecodable| undecodable.message.as_str()),
            actions: explanation.actions.iter().flatten().map(ActionJson::from).collect(),
            unread: explanation.unread.as_ref().map(|undecodable| undecodable.message.as_str()),
            changes: explanation.changes.iter().map(ChangeJson::from).collect(),
        }
    }
}

impl<'a> From<&'a ActionExplained> for ActionJson<'a> {
    fn from(told: &'a ActionExplained) -> Self {
        let attribute = |told: &'a AttributeExplained| AttributeJson {
            name: &told.name,
            r#type: &told.ty,
            value: told.value.as_ref(),
            read: told.is_read,
            recorded: recorded(told.recorded),
        };
        Self {
            action: told.action.to_string(),
            declared: told.is_declared,
            groups: told.groups.iter().map(ToString::to_string).collect(),
            resource: told.resource.to_string(),
            attributes: told.attributes.iter().map(attribute).collect(),
        }
    }
}

impl<'a> From<&'a PlannedChange> for ChangeJson<'a> {
    fn from(change: &'a PlannedChange) -> Self {
        Self { change: change.kind, name: &change.name, value: change.value.as_deref() }
    }
}

/// An explanation for people.
pub fn shown(explanation: &Explanation, method: &str, target: &str) -> String {
    let verdict = match &explanation.actions {
        Ok(_) => paint(GOOD, "UNDERSTOOD"),
        Err(_) => paint(BAD, "UNDECODABLE"),
    };
    let session = match (&explanation.session, explanation.peer) {
        (SessionFound::Absent, true) => "none; the peer may act for itself".to_owned(),
        (SessionFound::Absent, false) => "none".to_owned(),
        (SessionFound::Ambiguous, _) => "ambiguous: it can be read in more than one way".to_owned(),
        (SessionFound::In(source), _) => source.clone(),
    };
    let mut facts = Table::of_facts();
    facts.fact("session", session);
    let is_understood = explanation.actions.is_ok();
    match &explanation.route {
        Some(name) => facts.fact("route", name.as_ref()),
        None => facts.fact("route", if is_understood { "none: a generic action" } else { "" }),
    };
    if let Some(decoder) = &explanation.decoder {
        facts.fact("decoder", format!("{} ({})", decoder.name, decoder.kind));
    }
    if let Err(undecodable) = &explanation.actions {
        facts.row([Cell::new(DIM, "because"), Cell::new(BAD, &undecodable.message)]);
    }
    if let Some(undecodable) = &explanation.unread {
        let text = format!("denied where a session's scope reads attributes: {}", undecodable.message);
        facts.row([Cell::new(DIM, "note"), Cell::new(WARN, &text)]);
    }
    let mut shown = format!("{verdict} {}\n{}", plain(&format!("{method} {target}")), facts.render());
    for action in explanation.actions.iter().flatten() {
        shown.push_str(&shown_action(action));
    }
    if !explanation.changes.is_empty() {
        let mut table = Table::with_header(&["CHANGE", "NAME", "VALUE"]);
        for change in &explanation.changes {
            let value = change.value.as_deref().unwrap_or_default();
            table.row([change.kind.replace('_', " ").into(), change.name.as_str().into(), value.into()]);
        }
        shown.push('\n');
        shown.push_str(&table.render());
    }
    shown
}

fn shown_action(told: &ActionExplained) -> String {
    let title = paint(STRONG, &plain(&format!("{} {}", told.action, told.resource)));
    let mut facts = Table::of_facts();
    if told.is_declared {
        let groups: Vec<_> = told.groups.iter().map(ToString::to_string).collect();
        facts.fact("groups", groups.join(", "));
    } else {
        facts.row([Cell::new(DIM, "note"), Cell::new(WARN, "the schema has no such action: no policy can permit it")]);
    }
    let mut text = format!("\n{title}\n{}", facts.render());
    if !told.attributes.is_empty() {
        let mut table = Table::with_header(&["ATTRIBUTE", "TYPE", "VALUE", "READ", "RECORDED"]);
        for told in &told.attributes {
            let value = match &told.value {
                Some(value) => Cell::from(value_text(value)),
                None => Cell::new(DIM, "absent"),
            };
            let read = if told.is_read { Cell::from("yes") } else { Cell::new(DIM, "no") };
            table.row([Cell::from(&told.name), Cell::from(&told.ty), value, read, recorded(told.recorded).into()]);
        }
        text.push_str(&table.render());
    }
    text
}

const fn recorded(recorded: Recorded) -> &'static str {
    match recorded {
        Recorded::Kept => "kept",
        Recorded::Hashed => "hashed",
        Recorded::Dropped => "dropped",
    }
}
