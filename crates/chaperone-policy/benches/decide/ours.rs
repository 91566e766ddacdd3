//! Chaperone's own evaluator over the fixture.

use std::sync::Arc;
use std::time::Duration;

use chaperone_policy::{
    Attributes, Authority, Binding, Bundle, BundleSource, Decision, EntityRef, EntityStore, Presenter, Request, Scope,
    Session, SessionChain, SessionId, Task, Timestamp, Value, decide,
};

use crate::fixture;

/// All that one decision is made of.
pub struct Ours {
    /// The policies.
    pub bundle: Bundle,
    entities: EntityStore,
    request: Request,
    chain: SessionChain,
    presenter: Presenter<'static>,
}

impl Ours {
    /// With these policies.
    pub fn new(policies: &str) -> Self {
        let bundle = bundle(policies);
        let entities = bundle.entities(&[]).unwrap_or_else(|errors| panic!("{errors:?}"));
        let request = request(&bundle);
        Self { bundle, entities, request, chain: chain(), presenter: Presenter::default() }
    }

    /// Decides.
    pub fn decide(&self) -> Decision {
        let now = Timestamp::from_micros(fixture::AGE_S * 1_000_000);
        let Self { bundle, entities, request, chain, presenter } = self;
        decide(bundle, entities, request, Authority::Session(chain), presenter, now)
    }
}

fn bundle(policies: &str) -> Bundle {
    let mut source = BundleSource::default();
    for (path, content) in [
        ("schema.cedarschema", fixture::SCHEMA),
        ("entities.json", fixture::ENTITIES),
        ("policies/main.cedar", policies),
    ] {
        source.files.insert(path.into(), content.into());
    }
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn chain() -> SessionChain {
    let id: SessionId = fixture::SESSION_ID.parse().unwrap_or_else(|error| panic!("{error}"));
    let session = Session {
        id,
        tree: id,
        parent: None,
        depth: 0,
        principal: EntityRef::new("Agent", "reader"),
        owner: fixture::OWNER.into(),
        task: Task { id: fixture::TASK.0.into(), purpose: fixture::TASK.1.into() },
        labels: fixture::LABELS.map(str::to_owned).into(),
        scope: Scope::Unrestricted,
        binding: Binding::default(),
        opened_at: Timestamp::from_micros(0),
        expires_at: Timestamp::from_micros(i64::MAX),
        idle_timeout: Some(Duration::from_mins(15)),
        last_used_at: Timestamp::from_micros(0),
        ended: None,
        version: 1,
    };
    SessionChain::new(vec![Arc::new(session)]).unwrap_or_else(|| panic!("a whole chain"))
}

/// The request, from what a caller sends.
pub fn request(bundle: &Bundle) -> Request {
    let attributes = Attributes::from([
        ("format".into(), Value::String(fixture::FORMAT.into())),
        ("rows".into(), Value::Long(fixture::ROWS)),
        ("cost".into(), Value::Decimal(fixture::COST.into())),
        ("source_ip".into(), Value::Ip(fixture::SOURCE_IP.into())),
    ]);
    let resource = EntityRef::new("Document", "42");
    bundle.request("read", resource, attributes).unwrap_or_else(|error| panic!("{error}"))
}
