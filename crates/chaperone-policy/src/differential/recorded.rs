//! Decisions made from what records have of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::bundle::Bundle;
use crate::compiled::Trace;
use crate::decide::{Authority, decide_traced};
use crate::decision::Decision;
use crate::effects::Level;
use crate::entities::EntityStore;
use crate::recorded::{EntityState, MemoryState, SessionState};
use crate::request::{Presenter, Request};
use crate::scope::Scope;
use crate::session::SessionChain;
use crate::timestamp::Timestamp;
use crate::value::{EntityRef, Value};

/// As [`decide`](crate::decide), of nothing but the texts that records have of everything that the decision read.
pub(super) fn decide_from_records(
    bundle: &Bundle,
    entities: &EntityStore,
    request: &Request,
    authority: Authority<'_>,
    presenter: &Presenter,
    now: Timestamp,
) -> Decision {
    let trace = Trace::default();
    decide_traced(bundle, entities, request, authority, presenter, now, &trace);
    let principals = authority.sessions().map(|session| session.principal.clone());
    let mut uids: BTreeSet<EntityRef> = principals.chain(trace.into_entities()).collect();
    uids.extend([authority.principal().clone(), request.resource.clone()]);
    let texts: Vec<String> =
        uids.iter().filter_map(|uid| entities.stated(bundle, uid)).map(|entity| entity.text()).collect();
    let states: Vec<_> = texts.iter().map(|text| EntityState::parse(text).expect("a state")).collect();
    let entities = bundle.entities_as_read(&states).expect("entities of this schema");
    let attributes: Vec<(&str, Value)> = bundle.attributes(request).collect();
    let mut again =
        bundle.request_as_read(&request.action, &request.resource, &attributes, &[""; 0]).expect("its attributes");
    if request.shape().is_none() {
        again = Request::new(request.action.clone(), request.resource.clone());
    }
    let chain = match authority {
        Authority::Session(chain) => Some(chain_from_records(bundle, chain)),
        Authority::Principal(_) => None,
    };
    let authority = chain.as_ref().map_or(authority, Authority::Session);
    decide_traced(bundle, &entities, &again, authority, presenter, now, &Trace::of_all())
}

fn chain_from_records(bundle: &Bundle, chain: &SessionChain) -> SessionChain {
    let sessions = chain.iter().map(|session| {
        let text = SessionState::of(session).text();
        let state = SessionState::parse(&text).expect("a state");
        let scope = state.scope().map_or(Scope::Unrestricted, |scope| Scope::parse(scope).expect("a scope"));
        Arc::new(state.into_session(scope))
    });
    let sessions: Vec<_> = sessions.collect();
    let levels = std::iter::repeat_n(Level::Session, sessions.len()).chain([Level::Tree, Level::Principal]);
    let memories = chain.memories().zip(levels).map(|(memory, level)| {
        let text = MemoryState::of(memory, level, bundle).map(|state| state.text());
        let read = text.map(|text| MemoryState::parse(&text).expect("a state").into_memory());
        Arc::new(read.unwrap_or_default())
    });
    SessionChain::new(sessions).and_then(|read| read.with_memories(memories.collect())).expect("a whole chain")
}
