//! What people and systems change of what is decided, as records.

use std::borrow::{Borrow, Cow};
use std::time::Duration;

use chaperone_policy::{Approval, BundleNumber, EntityRef, Reported, Session, Settlement, Timestamp};
use chaperone_store::RevokeTarget;
use chaperone_trail::{Acted, AppliedEffect, Event, SessionFacts};

pub use super::decided::applied;
use super::decided::facts;
pub use super::redaction::reported;
use super::{NotRecorded, TrailWriter};
use crate::admin::AdminError;
use crate::causes::causes;
use crate::count_text::count_text;

/// A session began.
pub const SESSION_OPENED: &str = "session.opened";
/// A session's end was moved.
pub const SESSION_RENEWED: &str = "session.renewed";
/// A session's task is done.
pub const SESSION_COMPLETED: &str = "session.completed";
/// Sessions lost their authority.
pub const SESSION_REVOKED: &str = "session.revoked";
/// Others noticed something of a session or a tree.
pub const SESSION_SIGNALLED: &str = "session.signalled";
/// A bundle was stored.
pub const BUNDLE_UPLOADED: &str = "bundle.uploaded";
/// A bundle decides from now on.
pub const BUNDLE_ACTIVATED: &str = "bundle.activated";
/// An earlier bundle decides again.
pub const BUNDLE_ROLLED_BACK: &str = "bundle.rolled_back";
/// What a bundle newly keeps was filled in.
pub const BUNDLE_BACKFILLED: &str = "bundle.backfilled";
/// A bundle decides beside the active one from now on, and nobody is answered by it.
pub const SHADOW_STARTED: &str = "shadow.started";
/// It does no more.
pub const SHADOW_STOPPED: &str = "shadow.stopped";
/// A bundle decides for a part of the sessions from now on.
pub const CANARY_STARTED: &str = "canary.started";
/// It decides for more of them.
pub const CANARY_WIDENED: &str = "canary.widened";
/// It does no more.
pub const CANARY_ABORTED: &str = "canary.aborted";
/// Entities were stored.
pub const ENTITIES_PUT: &str = "entities.put";
/// Entities were deleted.
pub const ENTITIES_DELETED: &str = "entities.deleted";
/// A challenge asks for an approval.
pub const APPROVAL_ASKED: &str = "approval.asked";
/// A person said yes.
pub const APPROVAL_APPROVED: &str = "approval.approved";
/// A person said no.
pub const APPROVAL_DENIED: &str = "approval.denied";
/// It was called off before anything was granted.
pub const APPROVAL_CANCELLED: &str = "approval.cancelled";
/// What it granted was taken back.
pub const APPROVAL_WITHDRAWN: &str = "approval.withdrawn";
/// An enforcement point told what became of an action that was allowed.
pub const OUTCOME_REPORTED: &str = "outcome.reported";

/// How long an act waits for its record.
const PATIENCE: Duration = Duration::from_secs(5);

/// An act of which nothing more is known than what it is and whose.
pub fn act<'a>(act: &'static str, by: &'a str) -> Acted<'a> {
    Acted {
        act: act.into(),
        by: by.into(),
        session: None,
        principal: None,
        decision: None,
        approval: None,
        bundle: None,
        effects: Vec::new(),
        note: "".into(),
    }
}

/// An act on a session.
pub fn on_session<'a>(
    name: &'static str,
    by: &'a str,
    session: &'a Session,
    ancestors: &'a [impl Borrow<Session>],
) -> Acted<'a> {
    Acted {
        session: Some(facts(session, ancestors)),
        principal: Some(Cow::Borrowed(&session.principal)),
        ..act(name, by)
    }
}

/// An act on an approval.
pub fn on_approval<'a>(name: &'static str, by: &'a str, approval: &'a Approval) -> Acted<'a> {
    let session = SessionFacts {
        id: approval.session,
        tree: approval.tree,
        owner: approval.owner.as_str().into(),
        task: approval.task.id.as_str().into(),
        ancestors: Vec::new(),
    };
    let effect = AppliedEffect { effect: "approval".into(), text: approval.step_up.as_str().into() };
    Acted {
        session: Some(session),
        principal: Some(Cow::Borrowed(&approval.principal)),
        decision: Some(approval.decision),
        approval: Some(approval.id),
        bundle: Some(approval.bundle),
        effects: vec![effect],
        ..act(name, by)
    }
}

/// An act on a bundle.
pub fn on_bundle<'a>(name: &'static str, by: &'a str, bundle: BundleNumber) -> Acted<'a> {
    Acted { bundle: Some(bundle), ..act(name, by) }
}

/// An act on entities: which of them.
pub fn on_entities<'a>(name: &'static str, by: &'a str, uids: impl Iterator<Item = &'a EntityRef>) -> Acted<'a> {
    let effects = uids.map(|uid| AppliedEffect { effect: "entity".into(), text: uid.to_string().into() });
    Acted { effects: effects.collect(), ..act(name, by) }
}

/// What a report told, and what came of it: `executed: settled`.
pub fn report_note(outcome: Reported, settlement: &Settlement) -> String {
    format!("{outcome}: {}", settlement.as_str())
}

/// What a report told, from the note of its record.
pub fn outcome_of(note: &str) -> Option<Reported> {
    note.split_once(": ").and_then(|(outcome, _)| Reported::parse(outcome))
}

/// The sessions that were revoked, and how many there were.
pub fn revoked(target: &RevokeTarget, count: u64) -> AppliedEffect<'static> {
    let target = match target {
        RevokeTarget::Session(id) => format!("session `{id}`"),
        RevokeTarget::Tree(id) => format!("tree `{id}`"),
        RevokeTarget::Principal(principal) => format!("principal `{principal}`"),
        RevokeTarget::Owner(owner) => format!("owner `{owner}`"),
        RevokeTarget::Task(task) => format!("task `{task}`"),
    };
    AppliedEffect {
        effect: "revoke".into(),
        text: format!("{target}: {}", count_text(count, "session", "sessions")).into(),
    }
}

impl TrailWriter {
    /// Refuses an act that gives authority while there could be no record of it. One that takes authority away is never held up.
    ///
    /// # Errors
    /// [`AdminError::TrailUnavailable`].
    pub fn require(&self) -> Result<(), AdminError> {
        if self.has_failed() { Err(AdminError::TrailUnavailable) } else { Ok(()) }
    }

    /// Appends an act of a decision whose own record follows.
    ///
    /// # Errors
    /// When there is no record of it.
    pub fn note(&self, at: Timestamp, acted: Acted<'_>) -> Result<(), NotRecorded> {
        self.append_act(at, &Event::Act(Box::new(acted))).map(drop)
    }

    /// Records an act that was done, before it is answered.
    ///
    /// # Errors
    /// [`AdminError::NotRecorded`]: the act stands all the same.
    pub async fn act(&self, at: Timestamp, acted: Acted<'_>) -> Result<(), AdminError> {
        let name = acted.act.clone().into_owned();
        let event = Event::Act(Box::new(acted));
        self.acted(at, &event, PATIENCE).await.map_err(|error| {
            let error = causes(&error);
            tracing::error!(act = name, error, "an act was done and is not on record");
            AdminError::NotRecorded { act: name }
        })
    }
}
