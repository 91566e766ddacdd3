//! `chaperone.v1.ApprovalService`.

use std::num::NonZeroU32;
use std::sync::Arc;

use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::approval_service_server::ApprovalService;
use chaperone_policy::{Approval, ApprovalId, ApprovalScope, ApprovalState, Closing, Timestamp, Vote};
use chaperone_store::ApprovalFilter;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::convert::{self, invalid};
use super::watch::{Watch, watch};
use crate::admin::AdminError;
use crate::admin::approvals::{Answerer, Approvals, Yes};
use crate::admin_auth::Caller;
use crate::replica::Replica;

/// Serves approvals.
#[derive(Clone, Debug)]
pub struct ApprovalApi {
    approvals: Approvals,
    replica: Arc<Replica>,
    stop: CancellationToken,
}

impl ApprovalApi {
    /// Watches end when `stop` is cancelled, so that they do not hold up a drain.
    pub fn new(approvals: Approvals, replica: Arc<Replica>, stop: CancellationToken) -> Self {
        Self { approvals, replica, stop }
    }

    fn to_api(&self, approval: &Approval) -> api::Approval {
        approval_to_api(approval, self.approvals.now())
    }

    async fn close(
        &self,
        closing: Closing,
        id: &str,
        answerer: Result<Answerer, AdminError>,
    ) -> Result<Option<api::Approval>, AdminError> {
        let closed = self.approvals.close(approval_id(id)?, closing, &answerer?).await?;
        Ok(Some(self.to_api(&closed)))
    }
}

#[tonic::async_trait]
impl ApprovalService for ApprovalApi {
    type WatchStream = Watch<api::ApprovalServiceWatchResponse>;

    async fn get(
        &self,
        request: Request<api::ApprovalServiceGetRequest>,
    ) -> Result<Response<api::ApprovalServiceGetResponse>, Status> {
        let approval = self.approvals.get(approval_id(&request.into_inner().approval_id)?).await?;
        Ok(Response::new(api::ApprovalServiceGetResponse { approval: Some(self.to_api(&approval)) }))
    }

    async fn list(
        &self,
        request: Request<api::ApprovalServiceListRequest>,
    ) -> Result<Response<api::ApprovalServiceListResponse>, Status> {
        let request = request.into_inner();
        let filter = filter(request.filter.unwrap_or_default(), self.approvals.now())?;
        let page_size = convert::page_size(request.page_size)?;
        let limit = convert::read_limit(page_size);
        let mut page = self.approvals.list(&filter, convert::page_token(&request.page_token)?, limit).await?;
        let next_page_token = convert::next_page_token(&mut page, page_size, |approval| approval.id.to_string());
        let approvals = page.iter().map(|approval| self.to_api(approval)).collect();
        Ok(Response::new(api::ApprovalServiceListResponse { approvals, next_page_token }))
    }

    async fn watch(
        &self,
        request: Request<api::ApprovalServiceWatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let asked = request.into_inner().filter.unwrap_or_default();
        let filter = filter(asked, self.approvals.now())?;
        let changes = self.replica.watch_approvals();
        let approvals = self.approvals.clone();
        let read = move |id| {
            let (approvals, filter) = (approvals.clone(), filter.clone());
            async move {
                let (approval, now) = (approvals.get(id).await?, approvals.now());
                Ok(matches(&filter, &approval, now)
                    .then(|| api::ApprovalServiceWatchResponse { approval: Some(approval_to_api(&approval, now)) }))
            }
        };
        Ok(Response::new(watch("approvals", changes, self.stop.clone(), read)))
    }

    async fn approve(
        &self,
        request: Request<api::ApprovalServiceApproveRequest>,
    ) -> Result<Response<api::ApprovalServiceApproveResponse>, Status> {
        let caller = caller(&request);
        let request = request.into_inner();
        let scope = match api::ApprovalScope::try_from(request.scope) {
            Ok(api::ApprovalScope::Unspecified | api::ApprovalScope::Session) => ApprovalScope::Session,
            Ok(api::ApprovalScope::Tree) => ApprovalScope::Tree,
            Err(_) => return Err(invalid("scope", "is not known").into()),
        };
        let duration = convert::duration("duration", request.duration)?;
        if duration.is_some_and(|duration| duration.is_zero()) {
            return Err(invalid("duration", "must be longer than zero").into());
        }
        let yes = Yes { duration, uses: NonZeroU32::new(request.uses).unwrap_or(NonZeroU32::MIN), scope };
        let answerer = answerer(caller, &request.by, request.comment)?;
        let approved = self.approvals.approve(approval_id(&request.approval_id)?, &answerer, yes).await?;
        Ok(Response::new(api::ApprovalServiceApproveResponse { approval: Some(self.to_api(&approved)) }))
    }

    async fn deny(
        &self,
        request: Request<api::ApprovalServiceDenyRequest>,
    ) -> Result<Response<api::ApprovalServiceDenyResponse>, Status> {
        let caller = caller(&request);
        let api::ApprovalServiceDenyRequest { approval_id, by, comment } = request.into_inner();
        let approval = self.close(Closing::Deny, &approval_id, answerer(caller, &by, comment)).await?;
        Ok(Response::new(api::ApprovalServiceDenyResponse { approval }))
    }

    async fn cancel(
        &self,
        request: Request<api::ApprovalServiceCancelRequest>,
    ) -> Result<Response<api::ApprovalServiceCancelResponse>, Status> {
        let caller = caller(&request);
        let api::ApprovalServiceCancelRequest { approval_id, by, comment } = request.into_inner();
        let approval = self.close(Closing::Cancel, &approval_id, answerer(caller, &by, comment)).await?;
        Ok(Response::new(api::ApprovalServiceCancelResponse { approval }))
    }
}

fn caller<T>(request: &Request<T>) -> Option<Caller> {
    request.extensions().get::<Caller>().cloned()
}

/// Who answers: whom a certificate names, or whom a caller without a name of its own says.
fn answerer(caller: Option<Caller>, by: &str, comment: String) -> Result<Answerer, AdminError> {
    // Without the layer that authenticates there is no caller, and nobody is believed.
    let caller = caller.ok_or_else(|| invalid("by", "the caller is not known"))?;
    let via = caller.name.to_string();
    let by = by.trim();
    if caller.is_named {
        if !by.is_empty() && by != via {
            return Err(invalid("by", format!("the certificate says `{via}`; leave this out")));
        }
        return Ok(Answerer { by: via.clone(), via, comment });
    }
    if by.is_empty() {
        return Err(invalid("by", "is required: the admin plane's credentials do not say who you are"));
    }
    Ok(Answerer { by: by.to_owned(), via, comment })
}

fn approval_id(text: &str) -> Result<ApprovalId, AdminError> {
    text.parse().map_err(|_| invalid("approval_id", "must be a UUID"))
}

fn filter(filter: api::ApprovalFilter, now: Timestamp) -> Result<ApprovalFilter, AdminError> {
    let state = match api::ApprovalState::try_from(filter.state) {
        Ok(api::ApprovalState::Unspecified) => None,
        Ok(api::ApprovalState::Pending) => Some(ApprovalState::Pending),
        Ok(api::ApprovalState::Approved) => Some(ApprovalState::Approved),
        Ok(api::ApprovalState::Denied) => Some(ApprovalState::Denied),
        Ok(api::ApprovalState::Cancelled) => Some(ApprovalState::Cancelled),
        Ok(api::ApprovalState::Expired) => Some(ApprovalState::Expired),
        Err(_) => return Err(invalid("filter.state", "is not known")),
    };
    let session = convert::non_empty(filter.session_id)
        .map(|id| id.parse().map_err(|_| invalid("filter.session_id", "must be a UUID")));
    Ok(ApprovalFilter {
        state: state.map(|state| (state, now)),
        session: session.transpose()?,
        principal: filter.principal.map(|it| convert::entity_ref("filter.principal", Some(it))).transpose()?,
    })
}

fn matches(filter: &ApprovalFilter, approval: &Approval, now: Timestamp) -> bool {
    filter.state.is_none_or(|(state, _)| state == approval.state(now))
        && filter.session.is_none_or(|session| session == approval.session)
        && filter.principal.as_ref().is_none_or(|principal| *principal == approval.principal)
}

fn vote_to_api(vote: &Vote) -> api::ApprovalVote {
    api::ApprovalVote {
        by: vote.by.clone(),
        via: vote.via.clone(),
        at: Some(convert::timestamp_to_api(vote.at)),
        comment: vote.comment.clone(),
    }
}

fn approval_to_api(approval: &Approval, now: Timestamp) -> api::Approval {
    let state = match approval.state(now) {
        ApprovalState::Pending => api::ApprovalState::Pending,
        ApprovalState::Approved => api::ApprovalState::Approved,
        ApprovalState::Denied => api::ApprovalState::Denied,
        ApprovalState::Cancelled => api::ApprovalState::Cancelled,
        ApprovalState::Expired => api::ApprovalState::Expired,
    };
    let scope = approval.terms.map_or(api::ApprovalScope::Unspecified, |terms| match terms.scope {
        ApprovalScope::Session => api::ApprovalScope::Session,
        ApprovalScope::Tree => api::ApprovalScope::Tree,
    });
    let attributes = approval.attributes.iter();
    let granted_until = approval.decided.as_ref().and_then(|decided| decided.granted_until);
    let withdrawn = approval.decided.as_ref().and_then(|decided| decided.withdrawn);
    api::Approval {
        id: approval.id.to_string(),
        state: state.into(),
        step_up: approval.step_up.to_string(),
        session_id: approval.session.to_string(),
        tree_id: approval.tree.to_string(),
        principal: Some(convert::entity_ref_to_api(&approval.principal)),
        owner: approval.owner.clone(),
        task_id: approval.task.id.clone(),
        task_purpose: approval.task.purpose.clone(),
        action: approval.action.to_string(),
        resource: Some(convert::entity_ref_to_api(&approval.resource)),
        attributes: attributes.map(|(name, value)| (name.to_string(), convert::value_to_api(value))).collect(),
        attributes_digest: approval.digest.to_string(),
        reason: approval.reason.clone(),
        policies: approval.policies.iter().map(ToString::to_string).collect(),
        bundle_number: approval.bundle.get(),
        decision_id: approval.decision.to_string(),
        requested_at: Some(convert::timestamp_to_api(approval.requested_at)),
        expires_at: Some(convert::timestamp_to_api(approval.expires_at)),
        approvers_needed: approval.approvers,
        max_duration: Some(convert::duration_to_api(approval.max_duration())),
        votes: approval.votes.iter().map(vote_to_api).collect(),
        scope: scope.into(),
        uses: approval.terms.map_or(0, |terms| terms.uses.get()),
        granted_until: granted_until.map(convert::timestamp_to_api),
        decided: approval.decided.as_ref().map(|decided| vote_to_api(&decided.vote)),
        withdrawn_uses: withdrawn.map_or(0, NonZeroU32::get),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(name: &str, is_named: bool, by: &str) -> Result<(String, String), String> {
        let caller = Caller { name: name.into(), is_named };
        answerer(Some(caller), by, String::new())
            .map(|answerer| (answerer.by, answerer.via))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn certificate_names_the_approver_and_a_token_must_say_for_whom_it_speaks() {
        let pair = |by: &str, via: &str| Ok((by.to_owned(), via.to_owned()));
        assert_eq!(by("spiffe://x/ann", true, ""), pair("spiffe://x/ann", "spiffe://x/ann"));
        assert_eq!(by("spiffe://x/ann", true, "spiffe://x/ann"), pair("spiffe://x/ann", "spiffe://x/ann"));
        assert!(by("spiffe://x/ann", true, "bob").is_err());
        assert_eq!(by("token", false, " bob "), pair("bob", "token"));
        assert!(by("token", false, " ").is_err());
        assert_eq!(by("token", true, ""), pair("token", "token"), "a certificate may have this name");
        assert!(answerer(None, "bob", String::new()).is_err());
    }
}
