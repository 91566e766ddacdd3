//! `chaperone.v1.RolloutService`.

use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::rollout_service_server::RolloutService;
use chaperone_policy::BundleNumber;
use chaperone_store::{Candidate, Share};
use tonic::{Request, Response, Status};

use super::canary::{self, canary_to_api};
use super::convert::{self, invalid};
use crate::admin::AdminError;
use crate::admin::rollouts::Rollouts;
use crate::differences::{Example, Group, GroupKey, Kind, Verdict};
use crate::shadow::{ShadowReport, ShadowState};

/// Serves rollouts.
#[derive(Clone, Debug)]
pub struct RolloutApi {
    rollouts: Rollouts,
}

impl RolloutApi {
    /// An adapter over the use cases.
    pub fn new(rollouts: Rollouts) -> Self {
        Self { rollouts }
    }
}

#[tonic::async_trait]
impl RolloutService for RolloutApi {
    async fn start_shadow(
        &self,
        request: Request<api::RolloutServiceStartShadowRequest>,
    ) -> Result<Response<api::RolloutServiceStartShadowResponse>, Status> {
        let by = convert::caller(&request);
        let request = request.into_inner();
        let (number, share) = (number(request.number)?, request.share_ppm.map_or(Ok(Share::ALL), canary::share)?);
        let candidate = self.rollouts.start_shadow(number, share, request.message, &by).await?;
        Ok(Response::new(api::RolloutServiceStartShadowResponse { shadow: Some(shadow_to_api(&candidate)) }))
    }

    async fn stop_shadow(
        &self,
        request: Request<api::RolloutServiceStopShadowRequest>,
    ) -> Result<Response<api::RolloutServiceStopShadowResponse>, Status> {
        let by = convert::caller(&request);
        self.rollouts.stop_shadow(request.into_inner().message, &by).await?;
        Ok(Response::new(api::RolloutServiceStopShadowResponse {}))
    }

    async fn get_shadow(
        &self,
        _: Request<api::RolloutServiceGetShadowRequest>,
    ) -> Result<Response<api::RolloutServiceGetShadowResponse>, Status> {
        Ok(Response::new(report_to_api(&self.rollouts.shadow()?)))
    }

    async fn start_canary(
        &self,
        request: Request<api::RolloutServiceStartCanaryRequest>,
    ) -> Result<Response<api::RolloutServiceStartCanaryResponse>, Status> {
        let by = convert::who(&request);
        let request = request.into_inner();
        let (number, scope) = (number(request.number)?, canary::scope(request.share_ppm, request.label)?);
        let status = self.rollouts.start_canary(number, scope, request.message, request.allow_expansion, &by).await?;
        Ok(Response::new(api::RolloutServiceStartCanaryResponse { canary: Some(canary_to_api(status)) }))
    }

    async fn widen_canary(
        &self,
        request: Request<api::RolloutServiceWidenCanaryRequest>,
    ) -> Result<Response<api::RolloutServiceWidenCanaryResponse>, Status> {
        let by = convert::who(&request);
        let request = request.into_inner();
        let (share, allow) = (canary::share(request.share_ppm)?, request.allow_expansion);
        let status = self.rollouts.widen_canary(share, request.message, allow, &by).await?;
        Ok(Response::new(api::RolloutServiceWidenCanaryResponse { canary: Some(canary_to_api(status)) }))
    }

    async fn promote_canary(
        &self,
        request: Request<api::RolloutServicePromoteCanaryRequest>,
    ) -> Result<Response<api::RolloutServicePromoteCanaryResponse>, Status> {
        let by = convert::who(&request);
        let request = request.into_inner();
        let number = self.rollouts.promote_canary(request.message, request.allow_expansion, &by).await?.get();
        Ok(Response::new(api::RolloutServicePromoteCanaryResponse { number }))
    }

    async fn abort_canary(
        &self,
        request: Request<api::RolloutServiceAbortCanaryRequest>,
    ) -> Result<Response<api::RolloutServiceAbortCanaryResponse>, Status> {
        let by = convert::caller(&request);
        let number = self.rollouts.abort_canary(&request.into_inner().message, &by).await?.get();
        Ok(Response::new(api::RolloutServiceAbortCanaryResponse { number }))
    }

    async fn get_canary(
        &self,
        _: Request<api::RolloutServiceGetCanaryRequest>,
    ) -> Result<Response<api::RolloutServiceGetCanaryResponse>, Status> {
        let canary = Some(canary_to_api(self.rollouts.canary().await?));
        Ok(Response::new(api::RolloutServiceGetCanaryResponse { canary }))
    }
}

fn number(number: u64) -> Result<BundleNumber, AdminError> {
    if number == 0 {
        return Err(invalid("number", "is required"));
    }
    Ok(BundleNumber::new(number))
}

fn shadow_to_api(candidate: &Candidate) -> api::Shadow {
    api::Shadow {
        number: candidate.number.get(),
        share_ppm: candidate.share.millionths(),
        message: candidate.message.clone(),
        started_by: candidate.started_by.clone(),
        started_at: Some(convert::timestamp_to_api(candidate.started_at)),
    }
}

fn report_to_api(report: &ShadowReport) -> api::RolloutServiceGetShadowResponse {
    api::RolloutServiceGetShadowResponse {
        shadow: report.candidate.as_ref().map(shadow_to_api),
        problem: match &report.state {
            ShadowState::Comparing => String::new(),
            ShadowState::Unusable(problem) => problem.clone(),
        },
        compared_count: report.compared_count,
        difference_count: report.groups.total(),
        groups: report.groups.iter().map(group_to_api).collect(),
        untold: report.untold.iter().map(|(code, count)| ((*code).to_owned(), *count)).collect(),
        dropped_count: report.dropped_count,
    }
}

fn group_to_api((key, group): (&GroupKey, &Group)) -> api::DifferenceGroup {
    use api::difference_group::Kind as ApiKind;
    let kind = match key.kind {
        Kind::NewlyAllowed => ApiKind::NewlyAllowed,
        Kind::NewlyDenied => ApiKind::NewlyDenied,
        Kind::NewlyChallenged => ApiKind::NewlyChallenged,
        Kind::ChangedEffects => ApiKind::ChangedEffects,
        Kind::ChangedReason => ApiKind::ChangedReason,
    };
    api::DifferenceGroup {
        kind: kind.into(),
        action: key.action.as_ref().map(convert::entity_ref_to_api),
        policy_ids: key.policies.clone(),
        count: group.count,
        examples: group.examples.iter().map(example_to_api).collect(),
    }
}

fn example_to_api(example: &Example) -> api::DifferenceExample {
    api::DifferenceExample {
        decision_id: example.id.to_string(),
        decided_at: Some(convert::timestamp_to_api(example.at)),
        resource: example.resource.as_ref().map(convert::entity_ref_to_api),
        active: Some(verdict_to_api(&example.active)),
        candidate: Some(verdict_to_api(&example.candidate)),
    }
}

fn verdict_to_api(verdict: &Verdict) -> api::ComparedVerdict {
    let policies = verdict.policies.iter().cloned();
    api::ComparedVerdict {
        outcome: verdict.outcome.clone(),
        code: verdict.code.clone(),
        policies: policies
            .map(|(id, failure)| api::ComparedPolicy { id, failure: failure.unwrap_or_default() })
            .collect(),
        effects: verdict.effects.clone(),
    }
}
