//! Opening, renewing and ending sessions.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{
    Actor, BINDING_ZONES_MAX, Binding, DELEGATION_DEPTH_MAX, Delegation, Ended, EndingAct, EntityRef, Grant,
    LABELS_MAX, Life, NAME_BYTES_MAX, PURPOSE_BYTES_MAX, Scope, Session, SessionHandle, SessionId, Task, Timestamp,
    is_zone_name,
};
use chaperone_store::{RevokeTarget, SessionFilter, Store, StoreError, TreeLimits};
use chaperone_trail::Acted;

use super::{AdminError, CATCH_UP, CONFLICT_RETRIES};
use crate::clock::Clock;
use crate::replica::{Policies, Replica};
use crate::spiffe::parse_spiffe_id;
use crate::trail::{TrailWriter, acts};

/// What sessions may be like.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// How long a session lasts when nothing is said.
    pub default_lifetime: Duration,
    /// How long a session may last at the most.
    pub max_lifetime: Duration,
    /// Whether every session must be bound to its presenter.
    pub require_binding: bool,
    /// How many sessions a tree may have.
    pub tree: TreeLimits,
}

/// The session use cases.
#[derive(Clone, Debug)]
pub struct Sessions {
    pub(super) replica: Arc<Replica>,
    pub(super) clock: Clock,
    pub(super) trail: TrailWriter,
    limits: SessionLimits,
}

/// What is asked of a new session.
#[derive(Clone, Debug, Default)]
pub struct NewSession {
    /// Who acts; a child may leave it to its parent.
    pub principal: Option<EntityRef>,
    /// Who answers for it; a child may leave it to its parent.
    pub owner: Option<String>,
    /// What it is for.
    pub task: Task,
    /// The session to delegate from.
    pub parent: Option<SessionId>,
    /// What a token says of who acts for whom.
    pub act: Option<Actor>,
    /// What it may ever do.
    pub scope: NewScope,
    /// Its labels.
    pub labels: Vec<String>,
    /// What its presenter must show.
    pub binding: Binding,
    /// How long it lasts.
    pub lifetime: Option<Duration>,
    /// How long it may stay unused.
    pub idle_timeout: Option<Duration>,
}

/// The scope of a new session.
#[derive(Clone, Debug, Default)]
pub enum NewScope {
    /// All that the policies and the ancestors allow.
    #[default]
    Unrestricted,
    /// Cedar policies.
    Cedar(String),
    /// A short list.
    Grants(Vec<Grant>),
}

/// A session as it is seen from outside.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// Where it is in its life, its ancestors' ends included.
    pub state: SessionState,
    /// Who acts for whom; `None` where nobody acts for another.
    pub delegation: Option<Delegation>,
}

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionState {
    /// By its own record.
    Own(Life),
    /// It is active itself, but an ancestor has ended.
    AncestorEnded,
}

#[derive(Clone, Copy)]
enum Change<'a> {
    Renew(Duration),
    Complete(&'a str),
}

impl Sessions {
    /// Over one replica's store. What is done is recorded in `trail`.
    pub fn new(replica: Arc<Replica>, clock: Clock, trail: TrailWriter, limits: SessionLimits) -> Self {
        Self { replica, clock, trail, limits }
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        self.replica.store()
    }

    /// Opens a session. Its handle is returned this once.
    ///
    /// # Errors
    /// When a field is not as it must be, the parent has ended, the store fails, or the trail does: a session without a record may be open
    /// then, but nobody has its handle.
    pub async fn open(&self, new: NewSession, by: &str) -> Result<(SessionView, SessionHandle), AdminError> {
        self.trail.require()?;
        let now = self.clock.now();
        let ancestors = match new.parent {
            Some(id) => self.live_parent(id, now).await?,
            None => Vec::new(),
        };
        let id = self.clock.session_id();
        let act = new.act.clone();
        let session = self.compose(new, ancestors.first(), id, now)?;
        let delegation = delegation(&session, &ancestors);
        if let Some(act) = act {
            act.check(delegation.as_ref()).map_err(|error| AdminError::invalid(error.field, error.message))?;
        }
        let handle = SessionHandle::from_random(self.clock.random_32());
        self.store().open_session(&session, &handle.hash(), &self.limits.tree).await?;
        self.record_among(&ancestors, acts::SESSION_OPENED, by, &session, &session.task.purpose).await?;
        Ok((SessionView { session, state: SessionState::Own(Life::Active), delegation }, handle))
    }

    /// Records an act on a session, with its ancestors.
    pub(super) async fn record(
        &self,
        act: &'static str,
        by: &str,
        session: &Session,
        note: &str,
    ) -> Result<(), AdminError> {
        if self.trail.is_off() {
            return Ok(());
        }
        let ancestors = self.ancestors(session).await?;
        self.record_among(&ancestors, act, by, session, note).await
    }

    async fn record_among(
        &self,
        ancestors: &[Session],
        act: &'static str,
        by: &str,
        session: &Session,
        note: &str,
    ) -> Result<(), AdminError> {
        let acted = Acted { note: note.into(), ..acts::on_session(act, by, session, ancestors) };
        self.trail.act(self.clock.now(), acted).await
    }

    fn compose(
        &self,
        new: NewSession,
        parent: Option<&Session>,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Session, AdminError> {
        let principal = match (new.principal, parent) {
            (Some(principal), _) => principal,
            (None, Some(parent)) => parent.principal.clone(),
            (None, None) => return Err(AdminError::invalid("principal", "is required for a session without a parent")),
        };
        let owner = match (new.owner, parent) {
            (Some(owner), _) => owner,
            (None, Some(parent)) => parent.owner.clone(),
            (None, None) => return Err(AdminError::invalid("owner", "is required for a session without a parent")),
        };
        check_entity("principal", &principal)?;
        check_length("owner", &owner, 1, NAME_BYTES_MAX)?;
        check_length("task.id", &new.task.id, 0, NAME_BYTES_MAX)?;
        check_length("task.purpose", &new.task.purpose, 0, PURPOSE_BYTES_MAX)?;
        self.check_binding(&new.binding)?;
        let lifetime = self.check_lifetime(new.lifetime)?;
        if new.idle_timeout.is_some_and(|limit| limit.is_zero()) {
            return Err(AdminError::invalid("idle_timeout", "must be longer than zero; leave it out for none"));
        }
        let latest = parent.map_or(Timestamp::from_micros(i64::MAX), |parent| parent.expires_at);
        Ok(Session {
            id,
            tree: parent.map_or(id, |parent| parent.tree),
            parent: parent.map(|parent| parent.id),
            depth: parent.map_or(0, |parent| parent.depth + 1),
            principal,
            owner,
            task: new.task,
            labels: check_labels(new.labels)?,
            scope: self.scope(new.scope)?,
            binding: new.binding,
            opened_at: now,
            expires_at: now.plus(lifetime).min(latest),
            idle_timeout: new.idle_timeout,
            last_used_at: now,
            ended: None,
            version: 1,
        })
    }

    /// A session that can be delegated from, and then its ancestors, its root last.
    async fn live_parent(&self, id: SessionId, now: Timestamp) -> Result<Vec<Session>, AdminError> {
        let parent = self.store().session(id).await?.ok_or_else(|| AdminError::no_session(id))?;
        if parent.depth >= DELEGATION_DEPTH_MAX {
            let message = format!("a delegation may be at most {DELEGATION_DEPTH_MAX} deep");
            return Err(AdminError::invalid("parent_id", message));
        }
        let ancestors = self.ancestors(&parent).await?;
        match state(&parent, &ancestors, now) {
            SessionState::Own(Life::Active) => Ok(std::iter::once(parent).chain(ancestors).collect()),
            SessionState::Own(_) | SessionState::AncestorEnded => Err(AdminError::Precondition {
                code: "session_ended",
                message: format!("session `{id}` has ended and cannot be delegated from"),
            }),
        }
    }

    /// A scope, checked against the active bundle where there is one.
    fn scope(&self, new: NewScope) -> Result<Scope, AdminError> {
        let invalid = |message: String| AdminError::invalid("scope", message);
        let policies = self.replica.policies();
        let snapshot = match &**policies {
            Policies::Active(snapshot) => Some(snapshot),
            Policies::None | Policies::Unusable(_) => None,
        };
        let scope = match new {
            NewScope::Unrestricted => return Ok(Scope::Unrestricted),
            NewScope::Cedar(text) => Scope::parse(&text).map_err(|error| invalid(error.to_string()))?,
            NewScope::Grants(grants) => {
                let snapshot = snapshot.ok_or_else(|| AdminError::Precondition {
                    code: "no_bundle",
                    message: "no bundle is active, so the actions of a scope are not known".into(),
                })?;
                Scope::from_grants(&grants, &snapshot.bundle).map_err(|error| invalid(error.to_string()))?
            }
        };
        if let Some(snapshot) = snapshot {
            snapshot.bundle.check_scope(&scope).map_err(|problems| {
                let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
                invalid(texts.join("\n"))
            })?;
        }
        Ok(scope)
    }

    fn check_binding(&self, binding: &Binding) -> Result<(), AdminError> {
        if let Some(id) = &binding.spiffe_id
            && parse_spiffe_id(id).is_none()
        {
            return Err(AdminError::invalid("binding.spiffe_id", format!("`{id}` is not a SPIFFE ID")));
        }
        self.check_zones(&binding.zones)?;
        if self.limits.require_binding && *binding == Binding::default() {
            return Err(AdminError::invalid("binding", "is required by this server's configuration"));
        }
        Ok(())
    }

    /// Zones, checked against the active bundle where there is one: a misspelt name would never be met.
    fn check_zones(&self, zones: &BTreeSet<String>) -> Result<(), AdminError> {
        let invalid = |message: String| Err(AdminError::invalid("binding.zones", message));
        if zones.len() > BINDING_ZONES_MAX {
            return invalid(format!("there may be at most {BINDING_ZONES_MAX}"));
        }
        if let Some(name) = zones.iter().find(|name| !is_zone_name(name)) {
            return invalid(format!("`{name}` is not the name of a zone"));
        }
        let policies = self.replica.policies();
        let Policies::Active(snapshot) = &**policies else { return Ok(()) };
        let declared = snapshot.bundle.mapping().zones();
        match zones.iter().find(|name| !declared.declares(name)) {
            Some(name) => invalid(format!("the active bundle declares no zone `{name}`")),
            None => Ok(()),
        }
    }

    fn check_lifetime(&self, lifetime: Option<Duration>) -> Result<Duration, AdminError> {
        let lifetime = lifetime.unwrap_or(self.limits.default_lifetime);
        if lifetime.is_zero() || lifetime > self.limits.max_lifetime {
            let message = format!("must be longer than zero and at most {} s", self.limits.max_lifetime.as_secs());
            return Err(AdminError::invalid("lifetime", message));
        }
        Ok(lifetime)
    }

    /// One session.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn get(&self, id: SessionId) -> Result<SessionView, AdminError> {
        let session = self.store().session(id).await?.ok_or_else(|| AdminError::no_session(id))?;
        self.view(session).await
    }

    /// Sessions, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        filter: &SessionFilter,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionView>, AdminError> {
        let mut views = Vec::new();
        for session in self.store().sessions(filter, before, limit).await? {
            views.push(self.view(session).await?);
        }
        Ok(views)
    }

    /// Moves a live session's end.
    ///
    /// # Errors
    /// When there is none, it or an ancestor has ended, or the store or the trail fails.
    pub async fn renew(&self, id: SessionId, lifetime: Duration, by: &str) -> Result<SessionView, AdminError> {
        self.trail.require()?;
        let lifetime = self.check_lifetime(Some(lifetime))?;
        self.change(id, Change::Renew(lifetime), by).await
    }

    /// Ends a session whose task is done.
    ///
    /// # Errors
    /// When there is none, it has ended already, or the store or the trail fails.
    pub async fn complete(&self, id: SessionId, reason: &str, by: &str) -> Result<SessionView, AdminError> {
        check_length("reason", reason, 0, NAME_BYTES_MAX)?;
        self.change(id, Change::Complete(reason), by).await
    }

    async fn change(&self, id: SessionId, change: Change<'_>, by: &str) -> Result<SessionView, AdminError> {
        for _ in 0..CONFLICT_RETRIES {
            let session = self.store().session(id).await?.ok_or_else(|| AdminError::no_session(id))?;
            let now = self.clock.now();
            let changed = match change {
                Change::Renew(lifetime) => {
                    let latest = match session.parent {
                        Some(parent) => self.live_parent(parent, now).await?.first().map(|parent| parent.expires_at),
                        None => None,
                    };
                    let expires_at = now.plus(lifetime);
                    session.renew(latest.map_or(expires_at, |latest| expires_at.min(latest)), now)?
                }
                Change::Complete(reason) => session.complete(reason.to_owned(), by.to_owned(), now)?,
            };
            match self.store().save_session(&changed).await {
                Ok(saved) => {
                    let (act, note) = match change {
                        Change::Renew(_) => (acts::SESSION_RENEWED, format!("until {}", saved.expires_at)),
                        Change::Complete(reason) => (acts::SESSION_COMPLETED, reason.to_owned()),
                    };
                    self.record(act, by, &saved, &note).await?;
                    self.replica.catch_up(CATCH_UP).await;
                    return self.view(saved).await;
                }
                Err(StoreError::SessionConflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(AdminError::Store(StoreError::SessionConflict { id }))
    }

    /// Withdraws the authority of every session that `target` names. Says how many there were.
    ///
    /// # Errors
    /// When a named session does not exist, or the store or the trail fails: where only the trail does, they are revoked.
    pub async fn revoke(&self, target: &RevokeTarget, reason: &str, by: &str) -> Result<u64, AdminError> {
        check_length("reason", reason, 0, NAME_BYTES_MAX)?;
        let ended =
            Ended { by_act: EndingAct::Revoked, at: self.clock.now(), reason: reason.to_owned(), by: by.to_owned() };
        let count = self.store().revoke_sessions(target, &ended).await?;
        // It takes effect whatever becomes of its record.
        let (recorded, ()) = tokio::join!(self.record_revoked(target, count, &ended), self.replica.catch_up(CATCH_UP));
        recorded?;
        Ok(count)
    }

    async fn record_revoked(&self, target: &RevokeTarget, count: u64, ended: &Ended) -> Result<(), AdminError> {
        let Ended { reason, by, at, .. } = ended;
        if let RevokeTarget::Session(id) | RevokeTarget::Tree(id) = target
            && let Some(session) = self.store().session(*id).await?
        {
            return self.record(acts::SESSION_REVOKED, by, &session, reason).await;
        }
        let principal = match target {
            RevokeTarget::Principal(principal) => Some(Cow::Borrowed(principal)),
            RevokeTarget::Session(_) | RevokeTarget::Tree(_) | RevokeTarget::Owner(_) | RevokeTarget::Task(_) => None,
        };
        let effects = vec![acts::revoked(target, count)];
        let acted = Acted { principal, effects, note: reason.into(), ..acts::act(acts::SESSION_REVOKED, by) };
        self.trail.act(*at, acted).await
    }

    async fn view(&self, session: Session) -> Result<SessionView, AdminError> {
        let ancestors = self.ancestors(&session).await?;
        let (state, delegation) = (state(&session, &ancestors, self.clock.now()), delegation(&session, &ancestors));
        Ok(SessionView { session, state, delegation })
    }

    /// A session's ancestors, its parent first and its root last.
    pub(super) async fn ancestors(&self, session: &Session) -> Result<Vec<Session>, AdminError> {
        ancestors(&**self.store(), session).await
    }
}

/// As the store has them, its parent first and its root last.
pub(super) async fn ancestors(store: &dyn Store, session: &Session) -> Result<Vec<Session>, AdminError> {
    let (mut ancestors, mut next) = (Vec::new(), session.parent);
    while let Some(id) = next {
        let ancestor = store.session(id).await?.ok_or_else(|| AdminError::no_session(id))?;
        next = ancestor.parent;
        ancestors.push(ancestor);
    }
    Ok(ancestors)
}

fn state(session: &Session, ancestors: &[Session], now: Timestamp) -> SessionState {
    let own = session.life(now);
    let has_ended = |ancestor: &Session| ancestor.life(now) != Life::Active;
    if own == Life::Active && ancestors.iter().any(has_ended) {
        return SessionState::AncestorEnded;
    }
    SessionState::Own(own)
}

fn delegation(session: &Session, ancestors: &[Session]) -> Option<Delegation> {
    Delegation::of(std::iter::once(session).chain(ancestors).map(|session| &session.principal))
}

pub(super) fn check_length(field: &str, text: &str, min: usize, max: usize) -> Result<(), AdminError> {
    if text.len() < min || text.len() > max {
        return Err(AdminError::invalid(field, format!("must have {min} to {max} bytes, not {}", text.len())));
    }
    // PostgreSQL cannot keep it.
    if text.contains('\0') {
        return Err(AdminError::invalid(field, "must not contain NUL"));
    }
    Ok(())
}

pub(super) fn check_entity(field: &str, entity: &EntityRef) -> Result<(), AdminError> {
    check_length(&format!("{field}.type"), &entity.kind, 1, NAME_BYTES_MAX)?;
    check_length(&format!("{field}.id"), &entity.id, 1, PURPOSE_BYTES_MAX)?;
    let is_identifier = |part: &str| {
        part.bytes().next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
    };
    if !entity.kind.split("::").all(is_identifier) {
        return Err(AdminError::invalid(format!("{field}.type"), format!("`{}` is not an entity type", entity.kind)));
    }
    Ok(())
}

fn check_labels(labels: Vec<String>) -> Result<BTreeSet<String>, AdminError> {
    for label in &labels {
        let is_valid = label.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_.".contains(&c));
        if !is_valid || label.is_empty() || label.len() > NAME_BYTES_MAX {
            return Err(AdminError::invalid("labels", format!("`{label}` is not made of a-z, 0-9, `-`, `_` and `.`")));
        }
    }
    let labels: BTreeSet<_> = labels.into_iter().collect();
    if labels.len() > LABELS_MAX {
        return Err(AdminError::invalid("labels", format!("there may be at most {LABELS_MAX}")));
    }
    Ok(labels)
}
