//! An alert as a `CloudEvent` (1.0, JSON format, structured content mode).

use bytes::Bytes;
use chaperone_policy::{Alert, Request};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::pdp::Answer;

/// The media type of the body.
pub(super) const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
/// What kind of event it is. Without a domain before it: the project has none that it could promise to keep.
const TYPE: &str = "chaperone.alert.v1";
/// What may not stand in a segment of a path as it is.
const SEGMENT: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An alert to be delivered.
#[derive(Debug)]
pub(super) struct Event {
    /// The same at every attempt, and of no other alert.
    pub(super) id: String,
    pub(super) body: Bytes,
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a>,
}

/// Every field is there in every event; what is not known is empty.
#[derive(Serialize)]
struct Data<'a> {
    alert: &'a str,
    severity: &'static str,
    policy: &'a str,
    decision_id: String,
    outcome: &'static str,
    code: &'static str,
    principal: String,
    actions: Vec<String>,
    resources: Vec<String>,
    session: String,
    tree: String,
    owner: &'a str,
    task: &'a str,
    bundle: u64,
}

/// The `source` of a replica's events: a relative reference.
pub(super) fn source(replica: &str) -> String {
    format!("chaperone/{}", utf8_percent_encode(replica, &SEGMENT))
}

impl Event {
    /// `place` is the alert's among those of its decision. `None` when it cannot be written, which nothing in it can cause.
    pub(super) fn new(
        source: &str,
        place: usize,
        alert: &Alert,
        answer: &Answer,
        requests: &[Request],
    ) -> Option<Self> {
        // No full stop in it, which separates it from the rest of what is signed.
        let id = format!("{}-{place}", answer.id);
        let session = answer.session.as_deref();
        let session_id = session.map(|session| session.id.to_string());
        let event = CloudEvent {
            specversion: "1.0",
            id: &id,
            source,
            r#type: TYPE,
            subject: session_id.clone(),
            time: answer.at.to_string(),
            datacontenttype: "application/json",
            data: Data {
                alert: &alert.name,
                severity: alert.severity.as_str(),
                policy: &alert.policy,
                decision_id: answer.id.to_string(),
                outcome: answer.decision.outcome.as_str(),
                code: answer.decision.reason.code(),
                principal: answer.principal.as_ref().map(ToString::to_string).unwrap_or_default(),
                actions: requests.iter().map(|request| request.action.to_string()).collect(),
                resources: requests.iter().map(|request| request.resource.to_string()).collect(),
                session: session_id.unwrap_or_default(),
                tree: session.map(|session| session.tree.to_string()).unwrap_or_default(),
                owner: session.map(|session| session.owner.as_str()).unwrap_or_default(),
                task: session.map(|session| session.task.id.as_str()).unwrap_or_default(),
                bundle: answer.bundle.get(),
            },
        };
        let body = serde_json::to_vec(&event).ok()?.into();
        Some(Self { id, body })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chaperone_policy::{BundleNumber, Decision, DecisionId, EntityRef, Reason, Severity, Timestamp};
    use uuid::Uuid;

    use super::*;

    pub(in super::super) fn alert() -> Alert {
        Alert { name: "honeypot".into(), severity: Severity::Critical, policy: "kill-switch".into() }
    }

    pub(in super::super) fn answer() -> Answer {
        Answer {
            id: DecisionId::new(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)),
            decision: Decision::deny(Reason::Forbidden),
            challenge: Box::default(),
            principal: Some(EntityRef::new("Chaperone::Workload", "spiffe://example.org/ci")),
            session: None,
            delegation: None,
            ancestors: Box::default(),
            bundle: BundleNumber::new(7),
            at: Timestamp::from_micros(1_800_000_000_500_000),
            read: crate::pdp::Read::default(),
        }
    }

    #[test]
    fn event_is_this_json() {
        let request = Request::new(EntityRef::new("Action", "read"), EntityRef::new("Document", "honey\"pot"));
        let source = source("pdp/1 a");
        let event = Event::new(&source, 0, &alert(), &answer(), &[request]).expect("it is written");
        assert_eq!(event.id, "01900000-0000-7000-8000-000000000001-0");
        assert_eq!(
            std::str::from_utf8(&event.body).expect("UTF-8"),
            concat!(
                r#"{"specversion":"1.0","id":"01900000-0000-7000-8000-000000000001-0","source":"chaperone/pdp%2F1%20a","#,
                r#""type":"chaperone.alert.v1","time":"2027-01-15T08:00:00.5Z","datacontenttype":"application/json","#,
                r#""data":{"alert":"honeypot","severity":"critical","policy":"kill-switch","#,
                r#""decision_id":"01900000-0000-7000-8000-000000000001","outcome":"deny","code":"forbidden","#,
                r#""principal":"Chaperone::Workload::\"spiffe://example.org/ci\"","#,
                r#""actions":["Action::\"read\""],"resources":["Document::\"honey\\\"pot\""],"#,
                r#""session":"","tree":"","owner":"","task":"","bundle":7}}"#,
            )
        );
    }
}
