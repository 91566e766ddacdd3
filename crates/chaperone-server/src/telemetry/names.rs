//! The name of every attribute of spans and metrics. What OpenTelemetry's conventions name has their name.

/// The service (OpenTelemetry).
pub const SERVICE_NAME: &str = "service.name";
/// Its version (OpenTelemetry).
pub const SERVICE_VERSION: &str = "service.version";
/// The replica (OpenTelemetry).
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
/// Why a span is an error (OpenTelemetry): the code of what kept a decision from being made.
pub const ERROR_TYPE: &str = "error.type";

/// The span of one check.
pub const CHECK_SPAN: &str = "chaperone.check";

/// The decision's id.
pub const DECISION_ID: &str = "chaperone.decision.id";
/// `allow`, `deny`, or `none` where no decision could be made.
pub const DECISION_OUTCOME: &str = "chaperone.decision.outcome";
/// The stable code of why.
pub const DECISION_REASON: &str = "chaperone.decision.reason";
/// Whether the decision was made within the grace for stale state.
pub const DECISION_STALE: &str = "chaperone.decision.stale";
/// The ids of the policies that determined it.
pub const POLICY_IDS: &str = "chaperone.policy.ids";
/// The bundle that decided.
pub const BUNDLE_NUMBER: &str = "chaperone.bundle.number";
/// The session.
pub const SESSION_ID: &str = "chaperone.session.id";
/// The root of the session's tree.
pub const SESSION_TREE_ID: &str = "chaperone.session.tree.id";
/// For whom the session's principal acts; absent where it acts for itself.
pub const SESSION_SUBJECT: &str = "chaperone.session.subject";
/// Who acts for that one, the current actor first.
pub const SESSION_ACTORS: &str = "chaperone.session.actors";
/// Who answers for the session.
pub const SESSION_OWNER: &str = "chaperone.session.owner";
/// What the session is for.
pub const SESSION_TASK_ID: &str = "chaperone.session.task.id";
/// Who acts.
pub const PRINCIPAL: &str = "chaperone.principal";
/// What is done: as many as the request maps to.
pub const ACTIONS: &str = "chaperone.actions";
/// To what: as many as there are actions.
pub const RESOURCES: &str = "chaperone.resources";
/// The door that the check came through.
pub const PROTOCOL: &str = "chaperone.protocol";

/// The event of an alert that a decision raised, on the check's span.
pub const ALERT_EVENT: &str = "chaperone.alert";
/// The alert's name.
pub const ALERT_NAME: &str = "chaperone.alert.name";
/// How grave it is: `low`, `medium`, `high` or `critical`.
pub const ALERT_SEVERITY: &str = "chaperone.alert.severity";
/// The policy that raised it; absent where a built-in rule did.
pub const ALERT_POLICY_ID: &str = "chaperone.alert.policy.id";
