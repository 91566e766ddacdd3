//! Sessions, without what presents them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{StateError, hex, json};
use crate::ids::SessionId;
use crate::scope::Scope;
use crate::session::{Binding, Ended, EndingAct, Session, Task};
use crate::timestamp::Timestamp;
use crate::value::EntityRef;

/// A session as decisions read it. There is nothing in it that presents it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SessionState<'a> {
    id: SessionId,
    tree: SessionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<SessionId>,
    depth: u32,
    principal: Cow<'a, EntityRef>,
    owner: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    task: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    purpose: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_empty")]
    labels: Cow<'a, BTreeSet<String>>,
    /// Cedar; absent when it is unrestricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spiffe_id: Option<Cow<'a, str>>,
    #[serde(default, with = "hex", skip_serializing_if = "Option::is_none")]
    certificate_sha256: Option<[u8; 32]>,
    #[serde(default, skip_serializing_if = "is_empty")]
    zones: Cow<'a, BTreeSet<String>>,
    opened_at: Timestamp,
    expires_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_timeout_us: Option<u64>,
    last_used_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<EndedState<'a>>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct EndedState<'a> {
    act: EndedBy,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    reason: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    by: Cow<'a, str>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum EndedBy {
    Completed,
    Revoked,
}

#[expect(clippy::ptr_arg, reason = "serde hands over a reference to the field")]
fn is_empty(names: &Cow<'_, BTreeSet<String>>) -> bool {
    names.is_empty()
}

impl<'a> SessionState<'a> {
    /// Of a session.
    pub fn of(session: &'a Session) -> Self {
        Self {
            id: session.id,
            tree: session.tree,
            parent: session.parent,
            depth: session.depth,
            principal: Cow::Borrowed(&session.principal),
            owner: session.owner.as_str().into(),
            task: session.task.id.as_str().into(),
            purpose: session.task.purpose.as_str().into(),
            labels: Cow::Borrowed(&session.labels),
            scope: session.scope.source().map(Cow::Borrowed),
            spiffe_id: session.binding.spiffe_id.as_deref().map(Cow::Borrowed),
            certificate_sha256: session.binding.certificate_sha256,
            zones: Cow::Borrowed(&session.binding.zones),
            opened_at: session.opened_at,
            expires_at: session.expires_at,
            idle_timeout_us: session.idle_timeout.map(|limit| u64::try_from(limit.as_micros()).unwrap_or(u64::MAX)),
            last_used_at: session.last_used_at,
            ended: session.ended.as_ref().map(|ended| EndedState {
                act: match ended.by_act {
                    EndingAct::Completed => EndedBy::Completed,
                    EndingAct::Revoked => EndedBy::Revoked,
                },
                at: ended.at,
                reason: ended.reason.as_str().into(),
                by: ended.by.as_str().into(),
            }),
        }
    }

    /// The text.
    pub fn text(&self) -> String {
        json(self)
    }

    /// From a text.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &'a str) -> Result<Self, StateError> {
        serde_json::from_str(text).map_err(|error| StateError::new("session", &error))
    }

    /// The Cedar text of its scope; `None` when it is unrestricted.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The session, with the scope that [`scope`](Self::scope) parses to: many sessions share one.
    pub fn into_session(self, scope: Scope) -> Session {
        Session {
            id: self.id,
            tree: self.tree,
            parent: self.parent,
            depth: self.depth,
            principal: self.principal.into_owned(),
            owner: self.owner.into_owned(),
            task: Task { id: self.task.into_owned(), purpose: self.purpose.into_owned() },
            labels: self.labels.into_owned(),
            scope,
            binding: Binding {
                spiffe_id: self.spiffe_id.map(Cow::into_owned),
                certificate_sha256: self.certificate_sha256,
                zones: self.zones.into_owned(),
            },
            opened_at: self.opened_at,
            expires_at: self.expires_at,
            idle_timeout: self.idle_timeout_us.map(Duration::from_micros),
            last_used_at: self.last_used_at,
            ended: self.ended.map(|ended| Ended {
                by_act: match ended.act {
                    EndedBy::Completed => EndingAct::Completed,
                    EndedBy::Revoked => EndingAct::Revoked,
                },
                at: ended.at,
                reason: ended.reason.into_owned(),
                by: ended.by.into_owned(),
            }),
            // No decision reads it.
            version: 1,
        }
    }
}
