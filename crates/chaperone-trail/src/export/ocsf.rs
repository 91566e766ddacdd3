//! OCSF (<https://schema.ocsf.io/1.6.0/classes/api_activity>): what happened at Chaperone as API Activity, with the profiles
//! `security_control` and `trace`.
//!
//! Names are the schema's; what it has no name for is in `unmapped`, named as in the record. What is not known is left out, but for
//! what the schema requires.

use serde_json::{Map, Value as Json, json};

use super::values::attributes;
use crate::event::{Acted, AppliedEffect, Decided, Event, SessionFacts, Trace};
use crate::record::{Record, Sealed};

const VERSION: &str = "1.6.0";
const CATEGORY_UID: u32 = 6;
const CLASS_UID: u32 = 6_003;
/// Where the schema requires a name that the record has not.
const UNKNOWN: &str = "unknown";

/// An activity of the class, with its caption.
type Named = (u32, &'static str);
const OTHER: u32 = 99;

/// A line for a record; nothing for what is no activity of anybody.
pub(super) fn write(sealed: &Sealed, record: &Record, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut event = match &record.event {
        Event::Decision(decided) => decision(decided),
        Event::NoDecision { id, protocol, code, elapsed_us, trace } => {
            let mut event = no_decision(code, &id.to_string());
            event.set("trace", trace.as_ref().map(|trace| json!({ "uid": trace.trace_id })));
            event.unmapped("protocol", protocol);
            event.unmapped("elapsed_us", elapsed_us);
            event
        }
        Event::Act(acted) => act(acted),
        Event::Started { .. } | Event::Checkpoint { .. } | Event::Stopped | Event::State(_) => return Ok(()),
    };
    event.set("category_uid", CATEGORY_UID);
    event.set("category_name", "Application Activity");
    event.set("class_uid", CLASS_UID);
    event.set("class_name", "API Activity");
    event.set("time", record.at.as_micros().div_euclid(1_000));
    event.set(
        "metadata",
        json!({
            "version": VERSION,
            "product": { "name": "Chaperone", "vendor_name": "Chaperone" },
            "profiles": ["security_control", "trace"],
            "uid": format!("{}/{}", record.chain, record.seq),
            "log_name": "trail",
            "original_time": record.at.to_string(),
            "sequence": record.seq,
        }),
    );
    event.unmapped("chain", record.chain);
    event.unmapped("prev", record.prev);
    event.unmapped("sha256", sealed.digest());
    serde_json::to_writer(&mut *out, &event.finish())?;
    out.push(b'\n');
    Ok(())
}

fn decision(decided: &Decided<'_>) -> Activity {
    let mut event = Activity::default();
    let operations: Vec<&str> = decided.actions.iter().map(|asked| &*asked.action.id).collect();
    let operation = if operations.is_empty() { UNKNOWN.to_owned() } else { operations.join(", ") };
    event.activity(crud(&operations), &operation);
    event.set("actor", actor(decided.principal.as_deref().map(ToString::to_string), decided.session.as_ref()));
    let asked: Vec<Json> = decided
        .actions
        .iter()
        .map(|asked| json!({ "action": asked.action.to_string(), "resource": asked.resource.to_string(), "attributes": attributes(asked) }))
        .collect();
    let request = json!({ "uid": decided.id.to_string(), "data": { "actions": asked } });
    event.set("api", json!({ "operation": operation, "request": request }));
    let resources = decided.actions.iter();
    let resources = resources.map(|asked| json!({ "uid": asked.resource.to_string(), "type": asked.resource.kind }));
    event.set("resources", resources.collect::<Vec<_>>());
    event.set(
        "src_endpoint",
        match &decided.presenter.spiffe_id {
            Some(id) => json!({ "uid": id }),
            None => json!({ "name": UNKNOWN }),
        },
    );
    let (action, disposition, severity) = match &*decided.outcome {
        "allow" => ((1, "Allowed"), (1, "Allowed"), (1, "Informational")),
        "deny" => ((2, "Denied"), (26, "Unauthorized"), (2, "Low")),
        // It would be allowed with an approval that is waited for.
        "challenge" => ((2, "Denied"), (14, "Delayed"), (1, "Informational")),
        _ => ((0, "Unknown"), (0, "Unknown"), (0, "Unknown")),
    };
    event.named("action", action);
    event.named("disposition", disposition);
    event.named("severity", severity);
    // The check itself succeeded, whatever its answer is.
    event.named("status", (1, "Success"));
    event.set("status_code", &decided.code);
    event.set("status_detail", &decided.reason);
    event.set("message", format!("{} {operation}: {}", decided.outcome, decided.code));
    let authorizations = decided.policies.iter().map(|policy| {
        json!({
            "decision": decided.outcome,
            "policy": { "uid": policy.id, "version": decided.bundle.to_string(), "is_applied": policy.failure.is_none() },
        })
    });
    event.set("authorizations", authorizations.collect::<Vec<_>>());
    event.set("trace", decided.trace.as_ref().map(|trace| span(decided, trace)));
    event.unmapped("outcome", &decided.outcome);
    event.unmapped("protocol", &decided.protocol);
    event.unmapped("bundle", decided.bundle);
    event.unmapped("effects", effects(&decided.effects));
    event.unmapped("step_ups", &decided.step_ups);
    let failures =
        decided.policies.iter().filter_map(|policy| Some((policy.id.to_string(), policy.failure.as_deref()?)));
    event.unmapped("failures", failures.map(|(id, failure)| (id, Json::from(failure))).collect::<Map<_, _>>());
    event.unmapped("states", &decided.states);
    event.unmapped("certificate_sha256", decided.presenter.certificate_sha256);
    event.unmapped("stale", decided.stale.then_some(true));
    event.unmapped("elapsed_us", decided.elapsed_us);
    event.unmapped_session(decided.session.as_ref());
    event
}

fn no_decision(code: &str, id: &str) -> Activity {
    let mut event = Activity::default();
    event.activity(OTHER, "check");
    event.set("actor", actor(None, None));
    event.set("api", json!({ "operation": "check", "request": { "uid": id } }));
    event.set("src_endpoint", json!({ "name": UNKNOWN }));
    event.named("action", (2, "Denied"));
    event.named("disposition", (27, "Error"));
    event.named("severity", (3, "Medium"));
    event.named("status", (2, "Failure"));
    event.set("status_code", code);
    event.set("message", format!("no decision: {code}"));
    event
}

fn act(acted: &Acted<'_>) -> Activity {
    let mut event = Activity::default();
    event.activity(OTHER, &acted.act);
    event.set("actor", actor(Some(acted.by.to_string()).filter(|by| !by.is_empty()), None));
    event.set("api", json!({ "operation": acted.act }));
    event.set("src_endpoint", json!({ "name": UNKNOWN }));
    let mut resources = Vec::new();
    if let Some(session) = &acted.session {
        resources.push(json!({ "uid": session.id, "type": "session", "owner": { "name": session.owner } }));
    }
    if let Some(approval) = acted.approval {
        resources.push(json!({ "uid": approval, "type": "approval" }));
    }
    if let Some(bundle) = acted.bundle {
        resources.push(json!({ "uid": bundle.to_string(), "type": "bundle" }));
    }
    event.set("resources", resources);
    event.named("severity", (1, "Informational"));
    event.named("status", (1, "Success"));
    let by = if acted.by.is_empty() { String::new() } else { format!(" by {}", acted.by) };
    event.set("message", format!("{}{by}", acted.act));
    event.set("status_detail", &acted.note);
    event.unmapped("effects", effects(&acted.effects));
    event.unmapped("decision", acted.decision);
    event.unmapped("principal", acted.principal.as_deref().map(ToString::to_string));
    event.unmapped_session(acted.session.as_ref());
    event
}

/// An event in the making. What is null or empty is left out.
#[derive(Default)]
struct Activity {
    fields: Map<String, Json>,
    unmapped: Map<String, Json>,
}

impl Activity {
    fn set(&mut self, name: &str, value: impl serde::Serialize) {
        put(&mut self.fields, name, value);
    }

    fn unmapped(&mut self, name: &str, value: impl serde::Serialize) {
        put(&mut self.unmapped, name, value);
    }

    /// A number of the schema, and beside it what the schema calls it.
    fn named(&mut self, name: &str, (id, caption): Named) {
        self.set(&format!("{name}_id"), id);
        self.set(name, caption);
    }

    fn activity(&mut self, id: u32, source: &str) {
        let caption = match id {
            1 => "Create",
            2 => "Read",
            3 => "Update",
            4 => "Delete",
            _ => source,
        };
        self.set("activity_id", id);
        self.set("activity_name", caption);
        self.set("type_uid", CLASS_UID * 100 + id);
        self.set("type_name", format!("API Activity: {}", if id == OTHER { "Other" } else { caption }));
    }

    fn unmapped_session(&mut self, session: Option<&SessionFacts<'_>>) {
        if let Some(session) = session {
            self.unmapped("tree", session.tree);
            self.unmapped("owner", &session.owner);
            self.unmapped("task", &session.task);
            self.unmapped("ancestors", &session.ancestors);
        }
    }

    fn finish(mut self) -> Map<String, Json> {
        self.fields.insert("unmapped".to_owned(), self.unmapped.into());
        self.fields
    }
}

fn put(fields: &mut Map<String, Json>, name: &str, value: impl serde::Serialize) {
    // Nothing that a record holds cannot be JSON: its keys are texts, and it has no numbers but whole ones.
    let value = serde_json::to_value(value).unwrap_or(Json::Null);
    let empty = match &value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(values) => values.is_empty(),
        Json::Object(fields) => fields.is_empty(),
        Json::Bool(_) | Json::Number(_) => false,
    };
    if !empty {
        fields.insert(name.to_owned(), value);
    }
}

/// Only what an action is named for plainly; Cedar knows no kinds of actions.
fn crud(operations: &[&str]) -> u32 {
    match operations {
        ["create"] => 1,
        ["read"] => 2,
        ["update"] => 3,
        ["delete"] => 4,
        _ => OTHER,
    }
}

fn actor(user: Option<String>, session: Option<&SessionFacts<'_>>) -> Json {
    let mut actor = Map::new();
    put(&mut actor, "session", session.map(|session| json!({ "uid": session.id })));
    // At least one of them must be there.
    let user = user.or_else(|| session.is_none().then(|| UNKNOWN.to_owned()));
    put(&mut actor, "user", user.map(|name| json!({ "name": name })));
    actor.into()
}

fn span(decided: &Decided<'_>, trace: &Trace<'_>) -> Json {
    let began = decided.began_at.as_micros();
    let ended = began.saturating_add_unsigned(decided.elapsed_us);
    let span = json!({
        "uid": trace.span_id,
        "start_time": began.div_euclid(1_000),
        "end_time": ended.div_euclid(1_000),
    });
    json!({ "uid": trace.trace_id, "span": span })
}

fn effects(effects: &[AppliedEffect<'_>]) -> Vec<String> {
    effects.iter().map(|effect| format!("{} {}", effect.effect, effect.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    /// The attributes of OCSF 1.6.0, where an event has them, with what the schema requires.
    const ATTRIBUTES: &[(&str, &[&str], &[&str])] = &[
        (
            "",
            &[
                "action",
                "action_id",
                "activity_id",
                "activity_name",
                "actor",
                "api",
                "authorizations",
                "category_name",
                "category_uid",
                "class_name",
                "class_uid",
                "disposition",
                "disposition_id",
                "message",
                "metadata",
                "resources",
                "severity",
                "severity_id",
                "src_endpoint",
                "status",
                "status_code",
                "status_detail",
                "status_id",
                "time",
                "trace",
                "type_name",
                "type_uid",
                "unmapped",
            ],
            &[
                "activity_id",
                "actor",
                "api",
                "category_uid",
                "class_uid",
                "metadata",
                "severity_id",
                "src_endpoint",
                "time",
                "type_uid",
            ],
        ),
        ("actor", &["session", "user"], &[]),
        ("actor.session", &["uid"], &[]),
        ("actor.user", &["name"], &[]),
        ("api", &["operation", "request"], &["operation"]),
        ("api.request", &["uid", "data"], &["uid"]),
        ("authorizations", &["decision", "policy"], &[]),
        ("authorizations.policy", &["uid", "version", "is_applied"], &[]),
        (
            "metadata",
            &["version", "product", "profiles", "uid", "log_name", "original_time", "sequence"],
            &["version", "product"],
        ),
        ("metadata.product", &["name", "vendor_name"], &[]),
        ("resources", &["uid", "type", "owner"], &[]),
        ("resources.owner", &["name"], &[]),
        ("src_endpoint", &["uid", "name"], &[]),
        ("trace", &["uid", "span"], &["uid"]),
        ("trace.span", &["uid", "start_time", "end_time"], &["uid", "start_time", "end_time"]),
    ];

    fn check(place: &str, value: &Json) {
        match value {
            Json::Array(values) => values.iter().for_each(|value| check(place, value)),
            Json::Object(fields) => {
                let known = ATTRIBUTES.iter().find(|(name, ..)| *name == place);
                let (_, may, must) = known.unwrap_or_else(|| panic!("`{place}` is no object of the schema"));
                must.iter().for_each(|name| assert!(fields.contains_key(*name), "{place}.{name} is required"));
                for (name, value) in fields {
                    assert!(may.contains(&&**name), "{place}.{name} is not in the schema");
                    // These are what the schema leaves to the product.
                    if !matches!(&**name, "unmapped" | "data") {
                        check(format!("{place}.{name}").trim_start_matches('.'), value);
                    }
                }
            }
            _ => {}
        }
    }

    fn exported() -> String {
        let mut out = Vec::new();
        for (sealed, record) in samples::story() {
            write(&sealed, &record, &mut out).expect("it is written");
        }
        String::from_utf8(out).expect("UTF-8")
    }

    fn events() -> Vec<Json> {
        exported().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn no_attribute_is_invented_and_none_that_is_required_is_missing() {
        for event in &events() {
            check("", event);
        }
    }

    #[test]
    fn class_type_and_outcomes_are_the_schemas_numbers() {
        let events = events();
        let of = |outcome: &str| events.iter().find(|event| event["unmapped"]["outcome"] == outcome).expect("one");
        for event in &events {
            assert_eq!((&event["class_uid"], &event["category_uid"]), (&json!(6003), &json!(6)));
            assert_eq!(event["type_uid"], json!(600_300 + event["activity_id"].as_i64().expect("a number")));
        }
        let (allow, deny, challenge) = (of("allow"), of("deny"), of("challenge"));
        assert_eq!((&allow["action_id"], &allow["disposition_id"]), (&json!(1), &json!(1)));
        assert_eq!((&deny["action_id"], &deny["disposition_id"]), (&json!(2), &json!(26)));
        assert_eq!((&challenge["action_id"], &challenge["disposition_id"]), (&json!(2), &json!(14)));
        assert_eq!(allow["time"], json!(1_769_860_801_000_i64), "milliseconds");
        assert_eq!(deny["authorizations"][0]["policy"]["uid"], "no-bulk-export");
        let none = events.iter().find(|event| event["status_id"] == 2).expect("a failure to decide");
        assert_eq!((&none["action_id"], &none["disposition_id"]), (&json!(2), &json!(27)));
    }

    #[test]
    fn only_decisions_failures_and_acts_are_activities() {
        let activities = samples::story().into_iter().filter(|(_, record)| {
            matches!(record.event, Event::Decision(_) | Event::NoDecision { .. } | Event::Act(_))
        });
        assert_eq!(events().len(), activities.count());
    }

    #[test]
    fn events_are_as_documented() {
        samples::assert_golden("story.ocsf.jsonl", &exported());
    }
}
