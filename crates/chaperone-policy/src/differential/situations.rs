//! Random sessions and requests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;

use super::chance::Chance;
use super::memories;
use super::sample::Compiled;
use super::values;
use super::world::{RequestKind, World};
use crate::bundle::Bundle;
use crate::decide::Authority;
use crate::ids::SessionId;
use crate::mapping::Needs;
use crate::request::{Presenter, Request};
use crate::session::{Binding, Ended, EndingAct, Session, SessionChain, Task};
use crate::timestamp::Timestamp;
use crate::value::{Attributes, EntityRef};

const OPENED: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const LIFETIME: Duration = Duration::from_hours(1);
/// What policies read in sessions: some of it is also in their literals.
pub(super) const TEXTS: [&str; 5] = ["", "a", "b", "user:x", "ab"];

/// On whose authority, what, and when.
#[derive(Clone, Debug)]
pub(super) struct Situation {
    /// The session, where there is one.
    pub(super) chain: Option<SessionChain>,
    /// Who acts without one.
    pub(super) principal: EntityRef,
    /// What is asked.
    pub(super) action: EntityRef,
    /// Of what.
    pub(super) resource: EntityRef,
    /// With what.
    pub(super) attributes: Attributes,
    /// Who presents the session.
    pub(super) presenter: Presenter<'static>,
    /// When.
    pub(super) now: Timestamp,
}

impl Situation {
    /// Any situation.
    pub(super) fn new(chance: &mut Chance, world: &World, compiled: &Compiled) -> Self {
        let RequestKind { action, principal, resource } = chance.choose(&world.kinds_of_request).clone();
        let action = if chance.percent(90) { &world.actions[action] } else { chance.choose(&world.actions) };
        // Few ask for what the action does not apply to.
        let mut kind = |kind: String| if chance.percent(96) { kind } else { chance.choose(&world.kinds).clone() };
        let (principal, resource) = (kind(principal), kind(resource));
        let principal = world.entity(chance, &principal);
        let (resource, attributes) = (world.entity(chance, &resource), values::record(chance, world, &action.request));
        let action = world.action_ref(&action.id);
        let now = OPENED.plus(Duration::from_secs(if chance.percent(2) { 4_000 } else { chance.below(60) as u64 }));
        let chain = chance.percent(70).then(|| {
            let chain = chain(chance, world, compiled, &principal);
            if chance.percent(85) { memories::remembered(chance, world, &chain, now) } else { chain }
        });
        let presenter =
            Presenter { spiffe_id: chance.percent(95).then(|| "spiffe://x/y".into()), ..Presenter::default() };
        Self { chain, principal, action, resource, attributes, presenter, now }
    }

    /// The request with every attribute. A bundle takes only resources that the action applies to.
    pub(super) fn whole_request(&self, bundle: &Bundle) -> Request {
        let fitting = EntityRef::new(bundle.shapes()[&self.action].resources[0].clone(), "any");
        let name = format!("{}::\"{}\"", self.action.kind, self.action.id);
        let request = bundle.request(&name, fitting, self.attributes.clone());
        request.expect("attributes of the right types").on(self.resource.clone())
    }

    /// The request as the mapping makes it: without the attributes that no policy reads.
    pub(super) fn request(&self, bundle: &Bundle) -> Request {
        let whole = self.whole_request(bundle);
        if bundle.needs(self.authority()) == Needs::All {
            return whole;
        }
        let shape = &bundle.shapes()[&self.action];
        let mut request = Request::of(whole.action.clone(), self.resource.clone(), shape);
        let is_read = |name: &&SmolStr| bundle.policies().read(name, bundle.schema().symbols());
        for name in self.attributes.keys().filter(is_read) {
            if let Some((place, value)) = shape.place(name).and_then(|place| Some((place, whole.value(place)?))) {
                request.set(place, value.clone());
            }
        }
        request
    }

    /// As a decision takes it.
    pub(super) fn authority(&self) -> Authority<'_> {
        self.chain.as_ref().map_or(Authority::Principal(&self.principal), Authority::Session)
    }
}

fn chain(chance: &mut Chance, world: &World, compiled: &Compiled, principal: &EntityRef) -> SessionChain {
    let count = *chance.choose(&[1, 1, 1, 2, 3]);
    let mut sessions: Vec<Arc<Session>> = Vec::new();
    for depth in 0..count {
        let is_last = depth + 1 == count;
        let principal = if is_last { principal.clone() } else { world.entity(chance, &principal.kind) };
        sessions.push(Arc::new(session(chance, compiled, principal, u32::try_from(depth).expect("small"))));
    }
    sessions.reverse();
    SessionChain::new(sessions).expect("a whole chain")
}

fn session(chance: &mut Chance, compiled: &Compiled, principal: EntityRef, depth: u32) -> Session {
    let id = |number: u32| -> SessionId {
        format!("0190a000-0000-7000-8000-0000000000{number:02x}").parse().expect("a UUID")
    };
    let text = |chance: &mut Chance| (*chance.choose(&TEXTS)).to_owned();
    let labels: BTreeSet<String> = (0..chance.below(3)).map(|_| text(chance)).collect();
    let ended = chance.percent(1).then(|| Ended {
        by_act: if chance.percent(50) { EndingAct::Revoked } else { EndingAct::Completed },
        at: OPENED,
        reason: text(chance),
        by: text(chance),
    });
    let scope = if chance.percent(85) { &compiled.scopes[0] } else { chance.choose(&compiled.scopes) };
    Session {
        id: id(depth),
        tree: id(0),
        parent: depth.checked_sub(1).map(id),
        depth,
        principal,
        owner: text(chance),
        task: Task { id: text(chance), purpose: text(chance) },
        labels,
        scope: scope.clone(),
        binding: Binding { spiffe_id: chance.percent(20).then(|| "spiffe://x/y".to_owned()), ..Binding::default() },
        opened_at: OPENED,
        expires_at: OPENED.plus(LIFETIME),
        idle_timeout: None,
        last_used_at: OPENED.plus(Duration::from_secs(chance.below(3) as u64)),
        ended,
        version: 1,
    }
}
