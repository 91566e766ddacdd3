//! The rows of `sessions`.

use std::collections::BTreeSet;
use std::time::Duration;

use chaperone_policy::{Binding, Ended, EndingAct, EntityRef, HandleHash, Scope, Session, SessionId, Task};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};
use uuid::Uuid;

use super::{corrupt, from_json, stored_number, to_json};
use crate::error::StoreError;
use crate::stored_time::StoredTime;

const TABLE: &str = "sessions";

/// A row of `sessions`, without the handle's hash.
#[derive(Debug)]
pub(crate) struct SessionRow {
    pub(crate) session_id: Uuid,
    pub(crate) tree_id: Uuid,
    pub(crate) parent_id: Option<Uuid>,
    pub(crate) depth: i32,
    pub(crate) principal_type: String,
    pub(crate) principal_id: String,
    pub(crate) owner: String,
    pub(crate) task_id: String,
    pub(crate) task_purpose: String,
    pub(crate) labels: String,
    pub(crate) scope: Option<String>,
    pub(crate) binding_spiffe_id: Option<String>,
    pub(crate) binding_certificate_sha256: Option<Vec<u8>>,
    pub(crate) binding_zones: Option<String>,
    pub(crate) opened_at: StoredTime,
    pub(crate) expires_at: StoredTime,
    pub(crate) idle_timeout_us: Option<i64>,
    pub(crate) last_used_at: StoredTime,
    pub(crate) ended_act: Option<String>,
    pub(crate) ended_at: Option<StoredTime>,
    pub(crate) ended_reason: Option<String>,
    pub(crate) ended_by: Option<String>,
    pub(crate) version: i64,
}

/// The columns of a [`SessionRow`].
macro_rules! session_columns {
    () => {
        "session_id, tree_id, parent_id, depth, principal_type, principal_id, owner, task_id, task_purpose, labels, scope, \
         binding_spiffe_id, binding_certificate_sha256, binding_zones, opened_at, expires_at, idle_timeout_us, last_used_at, \
         ended_act, ended_at, ended_reason, ended_by, version"
    };
}
pub(crate) use session_columns;

/// Binds a row's columns but its keys (id, tree, parent and depth), version and last use, in the order in which both stores
/// write them: 17 values.
macro_rules! bind_session {
    ($query:expr, $row:expr) => {
        $query
            .bind($row.principal_type)
            .bind($row.principal_id)
            .bind($row.owner)
            .bind($row.task_id)
            .bind($row.task_purpose)
            .bind($row.labels)
            .bind($row.scope)
            .bind($row.binding_spiffe_id)
            .bind($row.binding_certificate_sha256)
            .bind($row.opened_at)
            .bind($row.expires_at)
            .bind($row.idle_timeout_us)
            .bind($row.ended_act)
            .bind($row.ended_at)
            .bind($row.ended_reason)
            .bind($row.ended_by)
            .bind($row.binding_zones)
    };
}
pub(crate) use bind_session;

impl<'r, R> FromRow<'r, R> for SessionRow
where
    R: Row,
    &'static str: ColumnIndex<R>,
    Uuid: Decode<'r, R::Database> + Type<R::Database>,
    Option<Uuid>: Decode<'r, R::Database> + Type<R::Database>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    Option<Vec<u8>>: Decode<'r, R::Database> + Type<R::Database>,
    StoredTime: Decode<'r, R::Database> + Type<R::Database>,
    Option<StoredTime>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            session_id: row.try_get("session_id")?,
            tree_id: row.try_get("tree_id")?,
            parent_id: row.try_get("parent_id")?,
            depth: row.try_get("depth")?,
            principal_type: row.try_get("principal_type")?,
            principal_id: row.try_get("principal_id")?,
            owner: row.try_get("owner")?,
            task_id: row.try_get("task_id")?,
            task_purpose: row.try_get("task_purpose")?,
            labels: row.try_get("labels")?,
            scope: row.try_get("scope")?,
            binding_spiffe_id: row.try_get("binding_spiffe_id")?,
            binding_certificate_sha256: row.try_get("binding_certificate_sha256")?,
            binding_zones: row.try_get("binding_zones")?,
            opened_at: row.try_get("opened_at")?,
            expires_at: row.try_get("expires_at")?,
            idle_timeout_us: row.try_get("idle_timeout_us")?,
            last_used_at: row.try_get("last_used_at")?,
            ended_act: row.try_get("ended_act")?,
            ended_at: row.try_get("ended_at")?,
            ended_reason: row.try_get("ended_reason")?,
            ended_by: row.try_get("ended_by")?,
            version: row.try_get("version")?,
        })
    }
}

impl TryFrom<&Session> for SessionRow {
    type Error = StoreError;

    fn try_from(session: &Session) -> Result<Self, StoreError> {
        let ended = session.ended.as_ref();
        Ok(Self {
            session_id: session.id.as_uuid(),
            tree_id: session.tree.as_uuid(),
            parent_id: session.parent.map(SessionId::as_uuid),
            depth: i32::try_from(session.depth).map_err(|error| corrupt(TABLE, session.id, error))?,
            principal_type: session.principal.kind.to_string(),
            principal_id: session.principal.id.to_string(),
            owner: session.owner.clone(),
            task_id: session.task.id.clone(),
            task_purpose: session.task.purpose.clone(),
            labels: to_json(TABLE, "labels", &session.labels)?,
            scope: session.scope.source().map(str::to_owned),
            binding_spiffe_id: session.binding.spiffe_id.clone(),
            binding_certificate_sha256: session.binding.certificate_sha256.map(|hash| hash.to_vec()),
            binding_zones: match &session.binding.zones {
                zones if zones.is_empty() => None,
                zones => Some(to_json(TABLE, "binding_zones", zones)?),
            },
            opened_at: StoredTime(session.opened_at),
            expires_at: StoredTime(session.expires_at),
            // Whole microseconds, rounded down: times are whole, so that a fraction never decided anything.
            idle_timeout_us: session.idle_timeout.map(|limit| i64::try_from(limit.as_micros()).unwrap_or(i64::MAX)),
            last_used_at: StoredTime(session.last_used_at),
            ended_act: ended.map(|ended| act_name(ended.by_act).to_owned()),
            ended_at: ended.map(|ended| StoredTime(ended.at)),
            ended_reason: ended.map(|ended| ended.reason.clone()),
            ended_by: ended.map(|ended| ended.by.clone()),
            version: stored_number(session.version),
        })
    }
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let id = SessionId::new(row.session_id);
        let broken = |message: String| corrupt(TABLE, id, message);
        let scope = match &row.scope {
            None => Scope::Unrestricted,
            Some(source) => Scope::parse(source).map_err(|error| broken(error.to_string()))?,
        };
        let certificate_sha256 = row
            .binding_certificate_sha256
            .map(|bytes| bytes.try_into().map_err(|_| broken("the certificate's hash is not 32 bytes".to_owned())))
            .transpose()?;
        let zones = match &row.binding_zones {
            None => BTreeSet::new(),
            Some(zones) => from_json(TABLE, &id.to_string(), zones)?,
        };
        let idle_timeout = row
            .idle_timeout_us
            .map(|micros| u64::try_from(micros).map(Duration::from_micros).map_err(|error| broken(error.to_string())))
            .transpose()?;
        let ended = match (row.ended_act, row.ended_at, row.ended_reason, row.ended_by) {
            (None, None, None, None) => None,
            (Some(act), Some(at), Some(reason), Some(by)) => {
                let by_act = act_named(&act).ok_or_else(|| broken(format!("`{act}` is no act")))?;
                Some(Ended { by_act, at: at.0, reason, by })
            }
            _ => return Err(broken("its end is half there".to_owned())),
        };
        Ok(Self {
            id,
            tree: SessionId::new(row.tree_id),
            parent: row.parent_id.map(SessionId::new),
            depth: u32::try_from(row.depth).map_err(|error| broken(error.to_string()))?,
            principal: EntityRef::new(row.principal_type, row.principal_id),
            owner: row.owner,
            task: Task { id: row.task_id, purpose: row.task_purpose },
            labels: from_json(TABLE, &id.to_string(), &row.labels)?,
            scope,
            binding: Binding { spiffe_id: row.binding_spiffe_id, certificate_sha256, zones },
            opened_at: row.opened_at.0,
            expires_at: row.expires_at.0,
            idle_timeout,
            last_used_at: row.last_used_at.0,
            ended,
            version: u64::try_from(row.version).map_err(|error| broken(error.to_string()))?,
        })
    }
}

/// How an act is written in `ended_act`.
pub(crate) const fn act_name(act: EndingAct) -> &'static str {
    match act {
        EndingAct::Completed => "completed",
        EndingAct::Revoked => "revoked",
    }
}

fn act_named(name: &str) -> Option<EndingAct> {
    [EndingAct::Completed, EndingAct::Revoked].into_iter().find(|act| act_name(*act) == name)
}

/// A session with its ancestors, unless one is missing.
///
/// # Errors
/// [`StoreError::Corrupt`] when the last one is not a root: an ancestor that is left out is one whose revocation is not seen.
pub(crate) fn whole_chain(rows: Vec<SessionRow>) -> Result<Vec<Session>, StoreError> {
    let chain: Vec<Session> = rows.into_iter().map(Session::try_from).collect::<Result<_, _>>()?;
    match chain.last() {
        Some(Session { id, parent: Some(parent), .. }) => {
            Err(corrupt(TABLE, id, format!("its parent `{parent}` is not in its tree")))
        }
        Some(_) | None => Ok(chain),
    }
}

/// The bytes of a handle's hash.
pub(crate) fn stored_hash(handle: &HandleHash) -> Vec<u8> {
    handle.as_bytes().to_vec()
}
