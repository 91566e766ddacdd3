//! Cedar's own authorizer, used as its documentation says: entities are built once, request and context for each decision.

use std::str::FromStr as _;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression as Value,
};

use crate::fixture;

/// The actions and the groups that they are in: with Cedar they are entities.
const ACTIONS: &str = r#"[
  { "uid": { "type": "Chaperone::Action", "id": "data.read" }, "attrs": {}, "parents": [] },
  { "uid": { "type": "Action", "id": "read" }, "attrs": {}, "parents": [{ "type": "Chaperone::Action", "id": "data.read" }] }
]"#;

/// What does not change from decision to decision.
pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Entities,
    principal: EntityUid,
    action: EntityUid,
    resource: EntityUid,
}

impl Cedar {
    /// From policy text.
    pub fn new(policies: &str) -> Self {
        let uid = |text| EntityUid::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        let actions = Entities::from_json_str(ACTIONS, None).unwrap_or_else(|error| panic!("{error}"));
        let entities = actions.add_entities_from_json_str(fixture::ENTITIES, None);
        let entities = entities.unwrap_or_else(|error| panic!("{error}"));
        Self {
            authorizer: Authorizer::new(),
            policies: policies.parse().unwrap_or_else(|error| panic!("{error}")),
            entities,
            principal: uid("Agent::\"reader\""),
            action: uid("Action::\"read\""),
            resource: uid("Document::\"42\""),
        }
    }

    /// One decision.
    pub fn allows(&self) -> bool {
        let [principal, action, resource] = [&self.principal, &self.action, &self.resource].map(Clone::clone);
        // Without a schema: checking against one costs more than most decisions.
        let request = Request::new(principal, action, resource, context(), None).unwrap_or_else(|e| panic!("{e}"));
        let response = self.authorizer.is_authorized(&request, &self.policies, &self.entities);
        assert_eq!(response.diagnostics().errors().count(), 0);
        response.decision() == Decision::Allow
    }
}

/// From native values, which is many times faster than from JSON.
fn context() -> Context {
    let text = |text: &str| Value::new_string(text.to_owned());
    let labels = || Value::new_set(fixture::LABELS.map(text));
    let session = record([
        ("exists", Value::new_bool(true)),
        ("id", text(fixture::SESSION_ID)),
        ("owner", text(fixture::OWNER)),
        ("task", record([("id", text(fixture::TASK.0)), ("purpose", text(fixture::TASK.1))])),
        ("labels", labels()),
        ("risk", Value::new_long(0)),
        ("age_seconds", Value::new_long(fixture::AGE_S)),
        ("idle_seconds", Value::new_long(fixture::AGE_S)),
        ("delegation_depth", Value::new_long(0)),
        ("chain", Value::new_set([text("Agent::\"reader\"")])),
    ]);
    let tree = record([("id", text(fixture::SESSION_ID)), ("labels", labels())]);
    let request = record([
        ("format", text(fixture::FORMAT)),
        ("rows", Value::new_long(fixture::ROWS)),
        ("cost", Value::new_decimal(fixture::COST)),
        ("source_ip", Value::new_ip(fixture::SOURCE_IP)),
    ]);
    let parts = [("session", session), ("tree", tree), ("request", request)];
    Context::from_pairs(parts.map(|(name, value)| (name.to_owned(), value))).unwrap_or_else(|error| panic!("{error}"))
}

fn record<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    Value::new_record(fields).unwrap_or_else(|error| panic!("{error}"))
}
