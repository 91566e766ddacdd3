//! Which records a command is about.

use std::time::Duration;

use chaperone_api::chaperone::v1::{EntityRef, TrailFilter, TrailKind, TrailOutcome};
use chaperone_policy::DecisionId;
use clap::{Args, ValueEnum};
use prost_types::Timestamp;

use crate::cli::failure::Failure;
use crate::cli::parse::{self, Moment, SessionIdArg};
use crate::clock::Clock;
use crate::grpc::convert::timestamp_to_api;

/// Options that narrow a set of records; every one that is given must hold.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub struct FilterOptions {
    #[command(flatten)]
    times: TimeOptions,
    /// Of this session
    #[arg(long, value_name = "ID", value_parser = parse::session_id)]
    session: Option<SessionIdArg>,
    /// Of the tree under this root session
    #[arg(long, value_name = "ID", value_parser = parse::session_id)]
    tree: Option<SessionIdArg>,
    /// Of this principal, such as 'Agent::"report-bot"'
    #[arg(long, value_name = "ENTITY", value_parser = parse::entity_ref)]
    principal: Option<EntityRef>,
    /// Of this owner's sessions
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// Decisions on this action, such as read or 'Files::Action::"read"'
    #[arg(long, value_name = "ACTION", value_parser = action)]
    action: Option<EntityRef>,
    /// Decisions on this resource, such as 'Document::"welcome"'
    #[arg(long, value_name = "ENTITY", value_parser = parse::entity_ref)]
    resource: Option<EntityRef>,
    /// Checks that ended so
    #[arg(long, value_enum)]
    outcome: Option<OutcomeOption>,
    /// Checks with this stable reason code, such as forbidden
    #[arg(long, visible_alias = "code", value_name = "CODE")]
    reason: Option<String>,
    /// Decisions that this policy determined
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// This decision, and what follows from it
    #[arg(long, value_name = "ID", value_parser = decision_id)]
    decision: Option<String>,
    /// Of this kind; can be repeated. States are left out of what is listed unless they are asked for
    #[arg(long = "kind", value_enum, value_name = "KIND")]
    kinds: Vec<KindOption>,
}

/// Options that say when.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct TimeOptions {
    /// From then on: a time, or how long ago, such as 1h
    #[arg(long, visible_alias = "last", value_name = "TIME", value_parser = parse::moment)]
    since: Option<Moment>,
    /// Before then: a time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = parse::moment)]
    until: Option<Moment>,
}

/// How a check ended, as an option.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OutcomeOption {
    /// The action may go ahead
    Allow,
    /// The action must not go ahead
    Deny,
    /// Not before a person approves
    Challenge,
    /// No decision could be made
    None,
}

/// What a record is of, as an option.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindOption {
    /// A decision
    Decision,
    /// No decision could be made
    NoDecision,
    /// A person or a system changed what is decided
    Act,
    /// Something that decisions read, as it was
    State,
    /// A replica began to write
    Started,
    /// The chain so far, signed
    Checkpoint,
    /// A replica stopped in order
    Stopped,
}

impl TimeOptions {
    /// From when on, and before when.
    pub fn times(self) -> (Option<Timestamp>, Option<Timestamp>) {
        let now = timestamp_to_api(Clock::system().now());
        (self.since.map(|since| since.before(now)), self.until.map(|until| until.before(now)))
    }
}

/// Everything that happened, without what was read.
const EVENTS: [TrailKind; 6] = [
    TrailKind::Started,
    TrailKind::Checkpoint,
    TrailKind::Stopped,
    TrailKind::Decision,
    TrailKind::NoDecision,
    TrailKind::Act,
];

impl FilterOptions {
    /// From so long ago on, where neither a time nor a decision is named.
    pub fn or_last(mut self, last: Duration) -> Self {
        if self.times.since.is_none() && self.times.until.is_none() && self.decision.is_none() {
            self.times.since = Some(Moment::Ago(last));
        }
        self
    }

    /// The filter that the API takes, for people: states are there only for who asks for them.
    ///
    /// # Errors
    /// As [`into_filter`](Self::into_filter).
    pub fn into_filter_of_events(self) -> Result<TrailFilter, Failure> {
        let mut filter = self.into_filter()?;
        if filter.kinds.is_empty() {
            filter.kinds = EVENTS.map(Into::into).to_vec();
        }
        Ok(filter)
    }

    /// The filter that the API takes.
    ///
    /// # Errors
    /// `Input` when a handle was given for an id.
    pub fn into_filter(self) -> Result<TrailFilter, Failure> {
        let (from, before) = self.times.times();
        Ok(TrailFilter {
            kinds: self.kinds.into_iter().map(|kind| TrailKind::from(kind).into()).collect(),
            from,
            before,
            session_id: self.session.map(SessionIdArg::into_id).transpose()?.unwrap_or_default(),
            tree_id: self.tree.map(SessionIdArg::into_id).transpose()?.unwrap_or_default(),
            principal: self.principal,
            owner: self.owner.unwrap_or_default(),
            action: self.action,
            resource: self.resource,
            outcome: self.outcome.map_or(TrailOutcome::Unspecified, TrailOutcome::from).into(),
            code: self.reason.unwrap_or_default(),
            policy_id: self.policy.unwrap_or_default(),
            decision_id: self.decision.unwrap_or_default(),
        })
    }
}

impl From<OutcomeOption> for TrailOutcome {
    fn from(outcome: OutcomeOption) -> Self {
        match outcome {
            OutcomeOption::Allow => Self::Allow,
            OutcomeOption::Deny => Self::Deny,
            OutcomeOption::Challenge => Self::Challenge,
            OutcomeOption::None => Self::None,
        }
    }
}

impl From<KindOption> for TrailKind {
    fn from(kind: KindOption) -> Self {
        match kind {
            KindOption::Decision => Self::Decision,
            KindOption::NoDecision => Self::NoDecision,
            KindOption::Act => Self::Act,
            KindOption::State => Self::State,
            KindOption::Started => Self::Started,
            KindOption::Checkpoint => Self::Checkpoint,
            KindOption::Stopped => Self::Stopped,
        }
    }
}

/// Whether a filter is about times alone, and so about every record of some time.
pub fn says_only_when(filter: &TrailFilter) -> bool {
    *filter == TrailFilter { from: filter.from, before: filter.before, ..TrailFilter::default() }
}

/// Reads an action: an entity, or a short name.
fn action(text: &str) -> Result<EntityRef, String> {
    if text.contains("::") {
        return parse::entity_ref(text);
    }
    if text.is_empty() {
        return Err("an action is a name, such as read, or an entity, such as 'Files::Action::\"read\"'".to_owned());
    }
    Ok(EntityRef { r#type: "Action".to_owned(), id: text.to_owned() })
}

/// Reads a decision's id.
pub fn decision_id(text: &str) -> Result<String, String> {
    let id: Result<DecisionId, _> = text.parse();
    id.map(|id| id.to_string()).map_err(|_| {
        "a decision's id is a UUID; `chaperone check` prints it, and logs, spans and Envoy's metadata hold it"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Options {
        #[command(flatten)]
        filter: FilterOptions,
    }

    fn filter(arguments: &[&str]) -> Result<TrailFilter, String> {
        let options = Options::try_parse_from(["x"].iter().chain(arguments)).map_err(|error| error.to_string())?;
        options.filter.into_filter().map_err(|failure| failure.to_string())
    }

    #[test]
    fn every_option_becomes_its_field() {
        const ID: &str = "0198c0de-0000-7000-8000-000000000001";
        let taken = filter(&[
            "--since=2026-01-31T12:00:00Z",
            "--until=2026-01-31T13:00:00Z",
            "--session",
            ID,
            "--tree",
            ID,
            "--principal",
            "Agent::a",
            "--owner",
            "ann",
            "--action",
            "read",
            "--resource",
            "Document::d",
            "--outcome",
            "deny",
            "--reason",
            "forbidden",
            "--policy",
            "p",
            "--decision",
            ID,
            "--kind",
            "decision",
            "--kind",
            "act",
        ]);
        let entity = |kind: &str, id: &str| Some(EntityRef { r#type: kind.into(), id: id.into() });
        let expected = TrailFilter {
            kinds: vec![TrailKind::Decision.into(), TrailKind::Act.into()],
            from: Some(Timestamp { seconds: 1_769_860_800, nanos: 0 }),
            before: Some(Timestamp { seconds: 1_769_864_400, nanos: 0 }),
            session_id: ID.into(),
            tree_id: ID.into(),
            principal: entity("Agent", "a"),
            owner: "ann".into(),
            action: entity("Action", "read"),
            resource: entity("Document", "d"),
            outcome: TrailOutcome::Deny.into(),
            code: "forbidden".into(),
            policy_id: "p".into(),
            decision_id: ID.into(),
        };
        assert_eq!(taken, Ok(expected));
        assert_eq!(filter(&[]), Ok(TrailFilter::default()));
    }

    #[test]
    fn full_name_of_an_action_and_time_ago_are_read() {
        let taken = filter(&["--action", "Files::Action::\"read\"", "--since", "1h"]).expect("a filter");
        assert_eq!(taken.action.expect("an action").r#type, "Files::Action");
        assert!(taken.from.is_some_and(|from| from.seconds > 1_700_000_000) && taken.before.is_none());
        for wrong in [&["--action", ""][..], &["--session", "chp_x"], &["--decision", "x"], &["--since", "soon"]] {
            assert!(filter(wrong).is_err(), "{wrong:?}");
        }
    }
}
