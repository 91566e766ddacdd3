//! A request that one bundle allows and another does not.

use std::fmt::{self, Write as _};

use cedar_policy::{Authorizer, Decision, Policy, PolicySet};
use cedar_policy_symcc::Env;
use serde::Serialize;
use serde_json::Value;

/// A request, with the entities that it is about.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Example {
    /// Who asks.
    pub principal: String,
    /// For what.
    pub action: String,
    /// On what.
    pub resource: String,
    /// The context, in Cedar's JSON format.
    pub context: Value,
    /// The entities, in Cedar's JSON format.
    pub entities: Value,
}

impl Example {
    /// What the solver found, in readable form; `None` where it cannot be told.
    pub(crate) fn of(env: &Env) -> Option<Self> {
        let request = &env.request;
        let action = request.action()?.to_string();
        let mut entities = env.entities.to_json_value().ok()?;
        if let Some(list) = entities.as_array_mut() {
            // Actions are in the schema, and most other entities are only named.
            list.retain(says_anything);
        }
        Some(Self {
            principal: request.principal()?.to_string(),
            action,
            resource: request.resource()?.to_string(),
            context: request.context()?.to_json_value().ok()?,
            entities,
        })
    }
}

/// Whether Cedar itself allows this.
pub(crate) fn is_allowed(env: &Env, allowed: &Policy) -> bool {
    let mut policies = PolicySet::new();
    // Cannot fail: there is no other.
    let added = policies.add(allowed.clone()).is_ok();
    added && Authorizer::new().is_authorized(&env.request, &policies, &env.entities).decision() == Decision::Allow
}

fn says_anything(entity: &Value) -> bool {
    let kind = entity.pointer("/uid/type").and_then(Value::as_str);
    let is_action = kind.is_some_and(|kind| kind == "Action" || kind.ends_with("::Action"));
    let is_filled = |part: &str| match entity.get(part) {
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Array(values)) => !values.is_empty(),
        _ => false,
    };
    !is_action && ["attrs", "parents", "tags"].into_iter().any(is_filled)
}

impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { principal, action, resource, context, entities } = self;
        let mut text =
            format!("principal {principal}\naction    {action}\nresource  {resource}\ncontext   {context}\n");
        for entity in entities.as_array().into_iter().flatten() {
            writeln!(text, "entity    {entity}")?;
        }
        f.write_str(&text)
    }
}
