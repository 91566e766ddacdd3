//! A decision with all that it was made from, to be made again by a candidate.

use std::collections::BTreeSet;
use std::sync::Arc;

use chaperone_policy::mapping::Needs;
use chaperone_policy::{
    Authority, Decision, DecisionId, EntityRef, Looked, Presenter, Reason, Request, SessionChain, Timestamp, Trace,
};

use super::is_comparable;
use crate::differences::Verdict;
use crate::pdp::{Answer, Judge, Judgement, Protocol, WORKLOAD};
use crate::recorder::Subject;
use crate::replica::{RecalledChain, Snapshot, Trial};

/// A decision with all that it was made from.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) id: DecisionId,
    pub(super) at: Timestamp,
    pub(super) trial: Arc<Trial>,
    /// What decided.
    active: Arc<Snapshot>,
    protocol: Protocol,
    requests: Vec<Request>,
    pub(super) subject: Of,
    presenter: Presenter<'static>,
    decision: Decision,
}

/// On whose authority.
#[derive(Debug)]
pub(super) enum Of {
    Session(Arc<RecalledChain>),
    Peer(EntityRef),
    Nobody,
}

/// What both decide.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) active: Verdict,
    pub(super) candidate: Verdict,
    /// The chain as each would leave it; `None` where nothing changes.
    pub(super) active_after: Option<SessionChain>,
    pub(super) candidate_after: Option<SessionChain>,
}

/// Why it cannot be told what the candidate decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Untold {
    /// It looks at an attribute of the request that was not read, because no active policy does.
    AttributeUnread,
    /// What was asked is none that its schema allows.
    Unfit,
    /// A defect was caught.
    Defect,
}

impl Untold {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::AttributeUnread, Self::Unfit, Self::Defect];

    /// Its stable code, as in a replay.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::AttributeUnread => "attribute_unread",
            Self::Unfit => "unfit",
            Self::Defect => "defect",
        }
    }
}

impl Sample {
    /// Of a decision that was recorded. `None` where no bundle could decide it otherwise.
    pub(super) fn of(trial: &Arc<Trial>, answer: &Answer, subject: &Subject<'_>) -> Option<Self> {
        if !is_comparable(answer.decision.reason) || subject.requests.is_empty() {
            return None;
        }
        let of = match (&answer.session, &answer.read.chain, &subject.presenter.spiffe_id) {
            (Some(_), Some(chain), _) => Of::Session(Arc::clone(chain)),
            (Some(_), None, _) => return None,
            (None, _, Some(id)) => Of::Peer(EntityRef::new(WORKLOAD, &**id)),
            (None, _, None) => Of::Nobody,
        };
        Some(Self {
            id: answer.id,
            at: answer.at,
            trial: Arc::clone(trial),
            active: Arc::clone(subject.snapshot),
            protocol: subject.protocol,
            requests: subject.requests.to_vec(),
            subject: of,
            presenter: subject.presenter.clone().into_owned(),
            decision: answer.decision.clone(),
        })
    }

    /// What was asked for first.
    pub(super) fn asked(&self) -> Option<&Request> {
        self.requests.first()
    }

    /// Decides again by both: by the active bundle on `chain`, as it did; by the candidate on `own`, the chain as it would be if the
    /// candidate had decided all along.
    pub(super) fn compare(
        &self,
        judge: &Judge,
        chain: Option<&SessionChain>,
        own: Option<&SessionChain>,
    ) -> Result<Compared, Untold> {
        let Ok(candidate) = &self.trial.policies else { return Err(Untold::Unfit) };
        let (requests, snapshot) = (self.requests_for(candidate)?, candidate);
        let trace = Trace::of_all();
        let judged = self.judge(judge, snapshot, own, &requests, &trace);
        let (_, looked) = trace.into_parts();
        self.check_read(chain, &looked)?;
        let again = self.judge(judge, &self.active, chain, &self.requests, &Trace::default());
        Ok(Compared {
            active: Verdict::of(&self.decision),
            candidate: Verdict::of(&judged.decision),
            active_after: again.after,
            candidate_after: judged.after,
        })
    }

    /// What was asked for, as the candidate's schema has it.
    fn requests_for(&self, candidate: &Snapshot) -> Result<Vec<Request>, Untold> {
        let requests = self.requests.iter().map(|request| {
            let attributes: Vec<_> = self.active.bundle.attributes(request).collect();
            candidate.bundle.request_as_read(&request.action, &request.resource, &attributes, &[] as &[&str])
        });
        requests.collect::<Result<_, _>>().map_err(|_| Untold::Unfit)
    }

    fn judge(
        &self,
        judge: &Judge,
        snapshot: &Arc<Snapshot>,
        chain: Option<&SessionChain>,
        requests: &[Request],
        trace: &Trace,
    ) -> Judgement {
        let authority = match (&self.subject, chain) {
            (_, Some(chain)) => Authority::Session(chain),
            (Of::Peer(principal), None) if snapshot.bundle.mapping().allows_peer() => Authority::Principal(principal),
            // Without a session nobody is anybody where the mapping lets no peer act for itself.
            (Of::Session(_) | Of::Peer(_) | Of::Nobody, None) => {
                return Decision::deny(Reason::Unauthenticated).into();
            }
        };
        judge.decide(self.id, snapshot, authority, &self.presenter, requests, self.at, trace)
    }

    /// Who asks directly tells all attributes; of what Envoy asks, only those were read that were needed.
    fn check_read(&self, chain: Option<&SessionChain>, looked: &BTreeSet<Looked>) -> Result<(), Untold> {
        let authority = match (chain, &self.subject) {
            (Some(chain), _) => Authority::Session(chain),
            (None, Of::Peer(principal)) => Authority::Principal(principal),
            (None, Of::Session(_) | Of::Nobody) => return Ok(()),
        };
        if self.protocol != Protocol::ExtAuthz || self.active.bundle.needs(authority) == Needs::All {
            return Ok(());
        }
        // Of nobody's request none is read.
        let is_read = |name: &str| self.decision.reason != Reason::Unauthenticated && self.active.bundle.reads(name);
        let is_unread = looked.iter().any(|looked| match looked {
            Looked::NoAttribute(_, name) => !is_read(name),
            Looked::Attributes(_) => true,
            Looked::Attribute(..) | Looked::Grants(_) | Looked::EntityAttribute(..) | Looked::Set(..) => false,
        });
        if is_unread { Err(Untold::AttributeUnread) } else { Ok(()) }
    }
}
