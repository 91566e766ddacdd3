//! The decision of a step, as the PDP makes it, and what it leaves of the session.

use std::rc::Rc;
use std::sync::Arc;

use chaperone_policy::mapping::{Caller, Facts, HttpRequest, Mutations};
use chaperone_policy::{
    Authority, Bundle, Decision, DecisionId, Effect, Ended, EndingAct, EntityRef, Level, Reason, Session, SessionChain,
    SessionHandle, Trace,
};

use super::asked::{Asked, HttpGiven};
use super::play::{Made, Play};
use super::world::PresenterGiven;
use crate::pdp::{self, Claim, Judgement, WORKLOAD, counts_as_use, denied};
use crate::presenter::{Address, Certificate, Evidence};

/// What presents the session of a test. No session of a server has it.
pub(super) const HANDLE: SessionHandle = SessionHandle::from_random([7; 32]);

impl Play {
    /// Decides, and goes on with what that leaves. What would change in an allowed request comes with it.
    pub(super) fn decide(
        &mut self,
        bundle: &Bundle,
        asked: &Asked,
        presenter: &PresenterGiven,
    ) -> (Made, Option<Mutations>) {
        let id = DecisionId::new(self.next_id());
        let address = presenter.address.map(|address| address.to_string()).unwrap_or_default();
        let evidence = Evidence {
            spiffe_id: presenter.spiffe_id.as_deref(),
            certificate: presenter.certificate_sha256.map_or(Certificate::Absent, Certificate::Sha256),
            address: if address.is_empty() { Address::Unknown } else { Address::Text(&address) },
        };
        let own = if self.chain.is_some() { Claim::Session(HANDLE.hash()) } else { Claim::Absent };
        let (judgement, actions, mutations) = match asked {
            Asked::Action(request) => {
                let mut request = (**request).clone();
                bundle.place_zone(&mut request, || evidence.address.ip());
                let asked = &mut pdp::Asked::Actions(std::slice::from_ref(&request));
                let judgement = self.judged(id, bundle, own, evidence, asked);
                (judgement, vec![request.action.clone()], None)
            }
            Asked::Payload { decoder, content } => {
                let caller = Caller { spiffe_id: evidence.spiffe_id, address: evidence.address.ip() };
                let mapping = bundle.mapping();
                let mut mapped = content.with(|payload| mapping.map_payload(decoder, payload, caller));
                let mut asked = pdp::Asked::of(&mut mapped);
                let judgement = self.judged(id, bundle, own, evidence, &mut asked);
                (judgement, actions(&asked), None)
            }
            Asked::Http(given) => self.decide_http(id, bundle, given, presenter, evidence),
        };
        let decision = judgement.decision.clone();
        self.go_on(judgement);
        (Made { step: None, id, at: self.now, actions, decision }, mutations)
    }

    fn decide_http(
        &self,
        id: DecisionId,
        bundle: &Bundle,
        given: &HttpGiven,
        presenter: &PresenterGiven,
        evidence: Evidence<'_>,
    ) -> (Judgement, Vec<EntityRef>, Option<Mutations>) {
        let address = match evidence.address {
            Address::Text(text) => text,
            Address::Unknown | Address::Peer(_) => "",
        };
        let http = given.message().request(given.connection(presenter, address));
        let mapping = bundle.mapping();
        let mut mapped = mapping.map_http(&http);
        let mut asked = pdp::Asked::of(&mut mapped);
        let judgement = self.judged(id, bundle, mapping.credential(&http).into(), evidence, &mut asked);
        let actions = actions(&asked);
        let mutations = mapped.ok().and_then(|mapped| self.mutations(id, bundle, &mapped, &http, &judgement, evidence));
        (judgement, actions, mutations)
    }

    /// What would change in a request, where it is allowed.
    fn mutations(
        &self,
        id: DecisionId,
        bundle: &Bundle,
        mapped: &chaperone_policy::mapping::Mapped<'_>,
        http: &HttpRequest<'_>,
        judgement: &Judgement,
        evidence: Evidence<'_>,
    ) -> Option<Mutations> {
        let decision = &judgement.decision;
        if decision.outcome != chaperone_policy::Outcome::Allow {
            return None;
        }
        let presents = Claim::from(bundle.mapping().credential(http));
        let session = self.chain.as_ref().map(|chain| &**chain.session()).filter(|_| presents != Claim::Absent);
        let peer = evidence.spiffe_id.map(|id| EntityRef::new(WORKLOAD, id));
        let principal = session.map(|session| &session.principal).or(peer.as_ref())?;
        let facts = Facts { decision_id: id, decision, bundle: self.snapshot.number, principal, session };
        Some(bundle.mapping().mutations(mapped, http, &facts))
    }

    /// Decides what is claimed to be asked for, as a check does that finds all in memory.
    fn judged(
        &self,
        id: DecisionId,
        bundle: &Bundle,
        claim: Claim,
        evidence: Evidence<'_>,
        asked: &mut pdp::Asked<'_, '_>,
    ) -> Judgement {
        let nobody = |reason| Judgement::from(Decision::deny(reason));
        let peer;
        let authority = match (claim, &self.chain) {
            (Claim::Session(hash), Some(chain)) if hash == HANDLE.hash() => Authority::Session(chain),
            (Claim::Session(_) | Claim::NoHandle, _) => return nobody(Reason::SessionUnknown),
            (Claim::Ambiguous, _) => return nobody(Reason::Undecodable),
            (Claim::Absent, _) => match evidence.spiffe_id.filter(|_| bundle.mapping().allows_peer()) {
                Some(id) => {
                    peer = EntityRef::new(WORKLOAD, id);
                    Authority::Principal(&peer)
                }
                None => return nobody(Reason::Unauthenticated),
            },
        };
        let presenter = match authority.session() {
            Some(session) => evidence.presenter(&session.binding),
            None => evidence.peer(),
        };
        let trace = self.coverage.as_ref().map(|coverage| Trace::covering(Rc::clone(coverage))).unwrap_or_default();
        match asked.read(|| bundle.needs(authority)) {
            Ok(requests) => self.judge.decide(id, &self.snapshot, authority, &presenter, requests, self.now, &trace),
            Err(undecodable) => denied(undecodable),
        }
    }

    /// Goes on with the session as the decision leaves it: what it remembers, that it was used, and whether it was revoked.
    fn go_on(&mut self, judgement: Judgement) {
        let Judgement { decision, after, .. } = judgement;
        let Some(chain) = after.or_else(|| self.chain.take()) else { return };
        let used = counts_as_use(decision.reason);
        let revoked: Vec<Level> = decision.effects.iter().filter_map(revoked).collect();
        let sessions = chain.iter().map(|session| {
            let mut next = Session::clone(session);
            if used {
                next.last_used_at = next.last_used_at.max(self.now);
            }
            if next.ended.is_none() && revoked.iter().any(|level| reaches(*level, session, &chain)) {
                let (by_act, reason, by) = (EndingAct::Revoked, String::new(), String::new());
                next.ended = Some(Ended { by_act, at: self.now, reason, by });
            }
            Arc::new(next)
        });
        let memories = chain.memories().cloned().collect();
        let next = SessionChain::new(sessions.collect()).and_then(|next| next.with_memories(memories));
        self.chain = next.or(Some(chain));
    }
}

fn actions(asked: &pdp::Asked<'_, '_>) -> Vec<EntityRef> {
    asked.actions().iter().map(|request| request.action.clone()).collect()
}

fn revoked(effect: &Effect) -> Option<Level> {
    match effect {
        Effect::Revoke { level, .. } => Some(*level),
        Effect::Remember(..) | Effect::Await(_) | Effect::Alert(_) => None,
    }
}

/// Whether a revocation of the session at this level ends one of its chain, too.
fn reaches(level: Level, session: &Session, chain: &SessionChain) -> bool {
    match level {
        Level::Session => session.id == chain.session().id,
        Level::Tree => true,
        Level::Principal => session.principal == chain.session().principal,
    }
}
