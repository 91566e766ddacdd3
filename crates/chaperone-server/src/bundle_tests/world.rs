//! What a test begins with: the session with its ancestors, what is remembered of them, who presents it, and entities beside the bundle's.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{
    Binding, Bundle, Ended, EndingAct, Entity, EntityRef, Grant, Memory, Scope, Session, SessionChain, SessionId, Task,
    Timestamp,
};
use serde_json::{Value as Json, json as json_of};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::fields::{Fields, Read, duration, entity, list, text, texts};
use super::remembered;
use super::values::json;
use super::yaml::{Node, Scalar, Value};
use crate::cli::parse;
use crate::spiffe::parse_spiffe_id;

/// When tests begin that do not say when: 2026-01-01T00:00:00Z, a Thursday.
const BEGINS: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
/// How long a session lasts from the beginning of its test.
const LIFETIME: Duration = Duration::from_hours(1);
/// How many sessions a chain may have, as delegation allows.
const SESSIONS_MAX: usize = chaperone_policy::DELEGATION_DEPTH_MAX as usize + 1;
/// How many entities a file or a test may add.
const ENTITIES_MAX: usize = 1_000;
/// Who owns what a test does not say the owner of.
const OWNER: &str = "tester";

/// Who presents a session, as the enforcement point would report it.
#[derive(Clone, Debug, Default)]
pub struct PresenterGiven {
    /// The identity in its certificate.
    pub spiffe_id: Option<String>,
    /// SHA-256 of its certificate.
    pub certificate_sha256: Option<[u8; 32]>,
    /// Where it is.
    pub address: Option<IpAddr>,
}

/// When a test begins.
///
/// # Errors
/// For what is no time.
pub fn begins(node: Option<&Node>) -> Read<Timestamp> {
    let Some(node) = node else { return Ok(BEGINS) };
    let time = OffsetDateTime::parse(text(node)?, &Rfc3339);
    let time = time.map_err(|_| node.fault("this is a time, such as `2026-01-31T12:00:00Z`"))?;
    let micros = i64::try_from(time.unix_timestamp_nanos() / 1_000);
    micros.map(Timestamp::from_micros).map_err(|_| node.fault("this time is too far away"))
}

/// The session with its ancestors and their memories; `None` where the test has none.
///
/// # Errors
/// With what is wrong with one of them.
pub fn chain(
    session: Option<&Node>,
    state: Option<&Node>,
    bundle: &Bundle,
    at: Timestamp,
) -> Read<Option<SessionChain>> {
    let Some(node) = session.filter(|node| !node.is_null()) else {
        return match state {
            Some(state) => Err(state.fault("without a session nothing is remembered")),
            None => Ok(None),
        };
    };
    let mut opened: Vec<(Session, Memory)> = Vec::new();
    let mut next = Some(node);
    while let Some(node) = next {
        if opened.len() >= SESSIONS_MAX {
            return Err(node.fault(format!("a chain has at most {SESSIONS_MAX} sessions")));
        }
        let mut fields = Fields::of(node)?;
        next = fields.take("parent").filter(|parent| !parent.is_null());
        let memory = match fields.take("state") {
            Some(state) if opened.is_empty() => {
                return Err(state.fault("what is remembered of the session itself is `state.session`"));
            }
            Some(state) => remembered::memory(state, chaperone_policy::Level::Session, bundle, at)?,
            None => Memory::default(),
        };
        let session = session_of(fields, opened.last().map(|(child, _)| child), bundle, at)?;
        opened.push((session, memory));
    }
    let (sessions, mut memories): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
    let [own, tree, principal] = remembered::memories(state, bundle, at)?;
    if let Some(first) = memories.first_mut() {
        *first = own;
    }
    memories.extend([tree, principal]);
    let chain = SessionChain::new(linked(sessions));
    let chain = chain.and_then(|chain| chain.with_memories(memories.into_iter().map(Arc::new).collect()));
    chain.map(Some).ok_or_else(|| node.fault("two of these sessions have one id"))
}

/// One session, still without its place in the chain. What it does not say it has from the one that was delegated from it.
fn session_of(mut fields: Fields<'_>, child: Option<&Session>, bundle: &Bundle, at: Timestamp) -> Read<Session> {
    let ago = |time: Option<Duration>| at.minus(time.unwrap_or_default());
    let principal = entity(fields.require("principal")?)?;
    let owner = fields.read("owner", text)?.map(str::to_owned);
    let task = fields.read("task", task)?;
    let opened_at = fields.read("opened", duration)?.or_else(|| child.map(|child| at.since(child.opened_at)));
    let session = Session {
        id: fields.read("id", id)?.unwrap_or_else(|| numbered(child)),
        tree: SessionId::new(Uuid::nil()),
        parent: None,
        depth: 0,
        principal,
        owner: owner.or_else(|| child.map(|child| child.owner.clone())).unwrap_or_else(|| OWNER.to_owned()),
        task: task.or_else(|| child.map(|child| child.task.clone())).unwrap_or_default(),
        labels: strings(fields.read("labels", texts)?),
        scope: fields.read("scope", |node| scope(node, bundle))?.unwrap_or_default(),
        binding: fields.read("binding", binding)?.unwrap_or_default(),
        opened_at: ago(opened_at),
        expires_at: at.plus(fields.read("expires", duration)?.unwrap_or(LIFETIME)),
        idle_timeout: fields.read("idle_timeout", duration)?,
        last_used_at: ago(fields.read("used", duration)?),
        ended: fields.read("ended", |node| ended(node, at))?,
        version: 1,
    };
    fields.finish()?;
    Ok(session)
}

/// Sessions with their parents, trees and depths; each is followed by its parent.
fn linked(sessions: Vec<Session>) -> Vec<Arc<Session>> {
    let Some(tree) = sessions.last().map(|root| root.id) else { return Vec::new() };
    let parents: Vec<_> = sessions.iter().skip(1).map(|parent| Some(parent.id)).chain([None]).collect();
    let depths = (0..sessions.len()).rev().map(|depth| u32::try_from(depth).unwrap_or(u32::MAX));
    let placed = sessions.into_iter().zip(parents).zip(depths);
    placed.map(|((session, parent), depth)| Arc::new(Session { tree, parent, depth, ..session })).collect()
}

/// Ids that look like any other, and are the same at every run.
fn numbered(child: Option<&Session>) -> SessionId {
    const FIRST: u128 = 0x0190_a000_0000_7000_8000_0000_0000_0001;
    SessionId::new(child.map_or(Uuid::from_u128(FIRST), |child| Uuid::from_u128(child.id.as_uuid().as_u128() + 1)))
}

fn id(node: &Node) -> Read<SessionId> {
    text(node)?.parse().map_err(|error: chaperone_policy::ParseIdError| node.fault(error.to_string()))
}

fn strings(texts: Option<Vec<&str>>) -> BTreeSet<String> {
    texts.into_iter().flatten().map(str::to_owned).collect()
}

fn task(node: &Node) -> Read<Task> {
    let mut fields = Fields::of(node)?;
    let id = fields.read("id", text)?.unwrap_or_default().to_owned();
    let purpose = fields.read("purpose", text)?.unwrap_or_default().to_owned();
    fields.finish()?;
    Ok(Task { id, purpose })
}

/// Cedar's text, or a list of what it covers.
fn scope(node: &Node, bundle: &Bundle) -> Read<Scope> {
    let scope = match &node.value {
        Value::List(grants) => {
            let grants = grants.iter().map(grant).collect::<Read<Vec<_>>>()?;
            Scope::from_grants(&grants, bundle)
        }
        Value::Scalar { .. } | Value::Map(_) => Scope::parse(text(node)?),
    };
    scope.map_err(|error| node.fault(error.to_string()))
}

fn grant(node: &Node) -> Read<Grant> {
    let mut fields = Fields::of(node)?;
    let actions = fields.read("actions", texts)?.unwrap_or_default().into_iter().map(str::to_owned).collect();
    let resources =
        fields.read("resources", |node| list(node)?.iter().map(entity).collect::<Read<Vec<EntityRef>>>())?;
    fields.finish()?;
    Ok(Grant { actions, resources: resources.unwrap_or_default() })
}

fn binding(node: &Node) -> Read<Binding> {
    let mut fields = Fields::of(node)?;
    let binding = Binding {
        spiffe_id: fields.read("spiffe_id", spiffe_id)?,
        certificate_sha256: fields.read("certificate_sha256", digest)?,
        zones: strings(fields.read("zones", texts)?),
    };
    fields.finish()?;
    Ok(binding)
}

/// Who presents a session.
///
/// # Errors
/// With what is wrong.
pub fn presenter(node: &Node) -> Read<PresenterGiven> {
    let mut fields = Fields::of(node)?;
    let presenter = PresenterGiven {
        spiffe_id: fields.read("spiffe_id", spiffe_id)?,
        certificate_sha256: fields.read("certificate_sha256", digest)?,
        address: fields.read("address", address)?,
    };
    fields.finish()?;
    Ok(presenter)
}

fn address(node: &Node) -> Read<IpAddr> {
    text(node)?.parse().map_err(|_| node.fault("this is an IP address"))
}

fn spiffe_id(node: &Node) -> Read<String> {
    let id = parse_spiffe_id(text(node)?).map(str::to_owned);
    id.ok_or_else(|| node.fault("this is a SPIFFE ID, such as `spiffe://example.org/ci`"))
}

fn digest(node: &Node) -> Read<[u8; 32]> {
    let digest = parse::fingerprint(text(node)?).and_then(|bytes| bytes.into_bytes().try_into().ok());
    digest.ok_or_else(|| node.fault("this is 64 hexadecimal digits"))
}

fn ended(node: &Node, at: Timestamp) -> Read<Ended> {
    let by_act = match text(node)? {
        "completed" => EndingAct::Completed,
        "revoked" => EndingAct::Revoked,
        _ => return Err(node.fault("this is `completed` or `revoked`")),
    };
    Ok(Ended { by_act, at, reason: String::new(), by: OWNER.to_owned() })
}

/// Entities, as `entities.json` has them; a `uid` may be a text, and `attrs` and `parents` may be left out.
///
/// # Errors
/// With what the schema does not allow.
pub fn entities(node: &Node, bundle: &Bundle) -> Read<Vec<Entity>> {
    let one = |node: &Node| {
        let Json::Object(mut fields) = json(node)? else { return Err(node.fault("this is an entity: a map")) };
        if let Some(uid) = node.get("uid").filter(|uid| matches!(uid.scalar(), Some(Scalar::Text(_)))) {
            let EntityRef { kind, id } = entity(uid)?;
            fields.insert("uid".to_owned(), json_of!({ "type": kind.as_str(), "id": id.as_str() }));
        }
        fields.entry("attrs").or_insert_with(|| json_of!({}));
        fields.entry("parents").or_insert_with(|| json_of!([]));
        bundle.read_entity(&Json::Object(fields).to_string()).map_err(|message| node.fault(message))
    };
    match list(node)? {
        given if given.len() <= ENTITIES_MAX => given.iter().map(one).collect(),
        _ => Err(node.fault(format!("there are more than {ENTITIES_MAX} entities"))),
    }
}
