//! What the tests of decisions share: a small bundle, sessions and requests.

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::expect_used, clippy::panic, reason = "a fixture that cannot be built fails the test")]

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chaperone_policy::{
    Attributes, Authority, Binding, Bundle, BundleSource, Decision, Ended, EndingAct, Entity, EntityRef, EntityStore,
    Presenter, Request, Scope, Session, SessionChain, SessionId, Task, Timestamp, Value, decide,
};

/// When every session is opened.
pub const OPENED: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
/// How long a session lasts.
pub const LIFETIME: Duration = Duration::from_hours(1);

pub const SCHEMA: &str = r#"
entity Team;
entity Agent in [Team] = { suspended?: Bool };
entity Folder in [Folder];
entity Document in [Folder] = { owner: String, sensitivity?: String };
action read in [Chaperone::Action::"data.read"] appliesTo {
  principal: [Agent, Chaperone::Workload], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, request: {} } };
action export in [Chaperone::Action::"data.export"] appliesTo {
  principal: [Agent], resource: [Document],
  context: { session: Chaperone::Session, tree: Chaperone::Tree, request: { format: String, rows?: Long } } };
action delete appliesTo { principal: [Agent], resource: [Document], context: { request: {} } };
"#;

/// A bundle of these policies.
pub fn bundle(policies: &str) -> Bundle {
    let mut source = BundleSource::default();
    source.files.insert("schema.cedarschema".into(), SCHEMA.into());
    source.files.insert("policies/main.cedar".into(), policies.into());
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

pub fn agent() -> EntityRef {
    EntityRef::new("Agent", "reporter")
}

pub fn entity(kind: &str, id: &str, attributes: &[(&str, Value)], parents: &[(&str, &str)]) -> Entity {
    Entity {
        uid: EntityRef::new(kind, id),
        attributes: attributes.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
        tags: Attributes::new(),
        parents: parents.iter().map(|(kind, id)| EntityRef::new(*kind, *id)).collect(),
    }
}

/// The agent in its team, and three documents: `1` and `pii` in a folder, `2` elsewhere.
pub fn entities(bundle: &Bundle) -> EntityStore {
    let owner = |name: &str| ("owner", Value::String(name.into()));
    let pii = ("sensitivity", Value::String("pii".into()));
    let all = [
        entity("Team", "research", &[], &[]),
        entity("Agent", "reporter", &[], &[("Team", "research")]),
        entity("Folder", "open", &[], &[("Folder", "all")]),
        entity("Folder", "all", &[], &[]),
        entity("Document", "1", &[owner("ann")], &[("Folder", "open")]),
        entity("Document", "2", &[owner("bob")], &[]),
        entity("Document", "pii", &[owner("ann"), pii], &[("Folder", "open")]),
    ];
    bundle.entities(&all).expect("valid entities")
}

/// An id of a session for a small number.
pub fn session_id(number: u8) -> SessionId {
    format!("0190a000-0000-7000-8000-0000000000{number:02x}").parse().expect("a UUID")
}

/// A session of the agent, which is the root of its tree.
pub fn root() -> Session {
    Session {
        id: session_id(1),
        tree: session_id(1),
        parent: None,
        depth: 0,
        principal: agent(),
        owner: "ann@example.com".into(),
        task: Task { id: "T-1".into(), purpose: "weekly report".into() },
        labels: BTreeSet::new(),
        scope: Scope::Unrestricted,
        binding: Binding::default(),
        opened_at: OPENED,
        expires_at: OPENED.plus(LIFETIME),
        idle_timeout: None,
        last_used_at: OPENED,
        ended: None,
        version: 1,
    }
}

/// A session delegated from `parent`.
pub fn child(parent: &Session) -> Session {
    let depth = parent.depth + 1;
    let id = session_id(u8::try_from(depth).expect("small") + 1);
    Session {
        id,
        parent: Some(parent.id),
        depth,
        scope: Scope::Unrestricted,
        labels: BTreeSet::new(),
        ..parent.clone()
    }
}

/// The chain of sessions given from the root down.
pub fn chain(from_root: impl IntoIterator<Item = Session>) -> SessionChain {
    let mut sessions: Vec<_> = from_root.into_iter().map(Arc::new).collect();
    sessions.reverse();
    SessionChain::new(sessions).expect("a whole chain")
}

/// The same session, ended.
pub fn ended(session: Session, by_act: EndingAct, reason: &str) -> Session {
    let ended = Ended { by_act, at: OPENED, reason: reason.into(), by: "ann@example.com".into() };
    Session { ended: Some(ended), ..session }
}

pub fn read(document: &str) -> Request {
    request("read", document, Attributes::new())
}

pub fn export(document: &str, format: &str) -> Request {
    request("export", document, Attributes::from([("format".into(), Value::String(format.into()))]))
}

/// Every bundle of this schema has the same requests.
fn request(action: &str, document: &str, attributes: Attributes) -> Request {
    static ANY: LazyLock<Bundle> = LazyLock::new(|| bundle("@id(\"any\") permit (principal, action, resource);"));
    let request = ANY.request(action, EntityRef::new("Document", document), attributes);
    request.unwrap_or_else(|error| panic!("{error}"))
}

/// Decides with the usual entities, as the session's own presenter, one minute after it was opened.
pub fn decide_in(bundle: &Bundle, chain: &SessionChain, request: &Request) -> Decision {
    let now = OPENED.plus(Duration::from_mins(1));
    decide(bundle, &entities(bundle), request, Authority::Session(chain), &Presenter::default(), now)
}
