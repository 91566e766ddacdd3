//! `chaperone.v1.PolicyService`.

use std::collections::BTreeMap;

use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::policy_service_server::PolicyService;
use chaperone_policy::{BundleNumber, BundleSource, DiffChange, DiffPart, Difference};
use chaperone_store::{BundleActivation, BundleInfo, ReplicaReport};
use tonic::{Request, Response, Status};

use super::analysis::analysis_to_api;
use super::convert::{self, invalid};
use super::status::problem_to_api;
use crate::admin::AdminError;
use crate::admin::backfill::Backfilled;
use crate::admin::bundles::{Bundles, Consent};

/// Serves bundle administration.
#[derive(Clone, Debug)]
pub struct PolicyApi {
    bundles: Bundles,
}

impl PolicyApi {
    /// An adapter over the use cases.
    pub fn new(bundles: Bundles) -> Self {
        Self { bundles }
    }
}

#[tonic::async_trait]
impl PolicyService for PolicyApi {
    async fn upload(
        &self,
        request: Request<api::PolicyServiceUploadRequest>,
    ) -> Result<Response<api::PolicyServiceUploadResponse>, Status> {
        let by = convert::who(&request);
        let request = request.into_inner();
        let source = bundle_source(request.files)?;
        let (mut info, created) = self.bundles.upload(source, request.message.clone(), &request.signature, &by).await?;
        let mut filled = None;
        if request.activate {
            let consent = Consent { allow_expansion: request.allow_expansion, skip_backfill: request.skip_backfill };
            (info, filled) = self.bundles.activate(info.number, None, request.message, consent, &by).await?;
        }
        let (bundle, backfill) = (Some(bundle_to_api(&info)), filled.map(backfill_to_api));
        Ok(Response::new(api::PolicyServiceUploadResponse { bundle, created, backfill }))
    }

    async fn validate(
        &self,
        request: Request<api::PolicyServiceValidateRequest>,
    ) -> Result<Response<api::PolicyServiceValidateResponse>, Status> {
        let source = bundle_source(request.into_inner().files)?;
        let digest = source.digest();
        let response = match self.bundles.validate(source).await {
            Ok(policy_count) => api::PolicyServiceValidateResponse { problems: Vec::new(), digest, policy_count },
            Err(AdminError::Problems(problems)) => api::PolicyServiceValidateResponse {
                problems: problems.iter().map(problem_to_api).collect(),
                digest,
                policy_count: 0,
            },
            Err(error) => return Err(error.into()),
        };
        Ok(Response::new(response))
    }

    async fn activate(
        &self,
        request: Request<api::PolicyServiceActivateRequest>,
    ) -> Result<Response<api::PolicyServiceActivateResponse>, Status> {
        let by = convert::who(&request);
        let request = request.into_inner();
        if request.number == 0 {
            return Err(invalid("number", "is required").into());
        }
        let expected = request.expected_active.map(BundleNumber::new);
        let number = BundleNumber::new(request.number);
        let consent = Consent { allow_expansion: request.allow_expansion, skip_backfill: request.skip_backfill };
        let (info, filled) = self.bundles.activate(number, expected, request.message, consent, &by).await?;
        let (bundle, backfill) = (Some(bundle_to_api(&info)), filled.map(backfill_to_api));
        Ok(Response::new(api::PolicyServiceActivateResponse { bundle, backfill }))
    }

    async fn rollback(
        &self,
        request: Request<api::PolicyServiceRollbackRequest>,
    ) -> Result<Response<api::PolicyServiceRollbackResponse>, Status> {
        let by = convert::who(&request);
        let request = request.into_inner();
        let number = (request.number != 0).then(|| BundleNumber::new(request.number));
        let expected = request.expected_active.map(BundleNumber::new);
        let (info, previous) =
            self.bundles.roll_back(number, expected, request.message, request.allow_expansion, &by).await?;
        Ok(Response::new(api::PolicyServiceRollbackResponse {
            bundle: Some(bundle_to_api(&info)),
            previous_number: previous.get(),
        }))
    }

    async fn list(
        &self,
        request: Request<api::PolicyServiceListRequest>,
    ) -> Result<Response<api::PolicyServiceListResponse>, Status> {
        let request = request.into_inner();
        let page_size = convert::page_size(request.page_size)?;
        let limit = convert::read_limit(page_size);
        let before = convert::page_token(&request.page_token)?.map(BundleNumber::new);
        let mut infos = self.bundles.list(before, limit).await?;
        let next_page_token = convert::next_page_token(&mut infos, page_size, |info| info.number.to_string());
        let bundles = infos.iter().map(bundle_to_api).collect();
        Ok(Response::new(api::PolicyServiceListResponse { bundles, next_page_token }))
    }

    async fn history(
        &self,
        request: Request<api::PolicyServiceHistoryRequest>,
    ) -> Result<Response<api::PolicyServiceHistoryResponse>, Status> {
        let request = request.into_inner();
        let page_size = convert::page_size(request.page_size)?;
        let before = convert::page_token(&request.page_token)?;
        let mut kept = self.bundles.history(before, convert::read_limit(page_size)).await?;
        let next_page_token = convert::next_page_token(&mut kept, page_size, |act| act.position.to_string());
        let activations = kept.into_iter().map(activation_to_api).collect();
        Ok(Response::new(api::PolicyServiceHistoryResponse { activations, next_page_token }))
    }

    async fn diff(
        &self,
        request: Request<api::PolicyServiceDiffRequest>,
    ) -> Result<Response<api::PolicyServiceDiffResponse>, Status> {
        let request = request.into_inner();
        let number = |number: u64| (number != 0).then(|| BundleNumber::new(number));
        let (from, to) = (number(request.from_number), number(request.to_number));
        let compared = self.bundles.diff(from, to, request.analyze).await?;
        Ok(Response::new(api::PolicyServiceDiffResponse {
            from: Some(bundle_to_api(&compared.from)),
            to: Some(bundle_to_api(&compared.to)),
            differences: compared.diff.differences.into_iter().map(difference_to_api).collect(),
            text: compared.text,
            analysis: compared.analysis.as_ref().map(analysis_to_api),
        }))
    }

    async fn rollout(
        &self,
        _: Request<api::PolicyServiceRolloutRequest>,
    ) -> Result<Response<api::PolicyServiceRolloutResponse>, Status> {
        let (active, replicas) = self.bundles.rollout().await?;
        Ok(Response::new(api::PolicyServiceRolloutResponse {
            active_number: active.map_or(0, BundleNumber::get),
            replicas: replicas.into_iter().map(replica_to_api).collect(),
        }))
    }

    async fn get(
        &self,
        request: Request<api::PolicyServiceGetRequest>,
    ) -> Result<Response<api::PolicyServiceGetResponse>, Status> {
        let number = request.into_inner().number;
        let number = (number != 0).then(|| BundleNumber::new(number));
        let stored = self.bundles.get(number).await?;
        let files = stored.source.files.into_iter().map(|(path, content)| api::BundleFile { path, content }).collect();
        Ok(Response::new(api::PolicyServiceGetResponse { bundle: Some(bundle_to_api(&stored.info)), files }))
    }
}

fn bundle_source(files: Vec<api::BundleFile>) -> Result<BundleSource, AdminError> {
    if files.is_empty() {
        return Err(invalid("files", "must have at least one file"));
    }
    let mut by_path = BTreeMap::new();
    for file in files {
        if by_path.contains_key(&file.path) {
            return Err(invalid("files", format!("`{}` is there twice", file.path)));
        }
        by_path.insert(file.path, file.content);
    }
    Ok(BundleSource { files: by_path })
}

fn difference_to_api(difference: Difference) -> api::Difference {
    use api::difference::{Change, Part};
    let change = match difference.change() {
        DiffChange::Added => Change::Added,
        DiffChange::Removed => Change::Removed,
        DiffChange::Changed => Change::Changed,
    };
    let part = match difference.part {
        DiffPart::Policy => Part::Policy,
        DiffPart::EntityType => Part::EntityType,
        DiffPart::Action => Part::Action,
        DiffPart::CommonType => Part::CommonType,
        DiffPart::Mapping => Part::Mapping,
        DiffPart::File => Part::File,
    };
    api::Difference {
        part: part.into(),
        name: difference.name,
        change: change.into(),
        before: difference.before,
        after: difference.after,
    }
}

fn backfill_to_api(filled: Backfilled) -> api::Backfill {
    let (untold_count, untold_code) = filled.untold.map_or((0, ""), |untold| (untold.count, untold.why.code()));
    api::Backfill {
        names: filled.names,
        since: filled.since.map(convert::timestamp_to_api),
        decision_count: filled.decision_count,
        untold_count,
        untold_code: untold_code.to_owned(),
        memory_count: filled.memory_count,
        full_count: filled.full_count,
    }
}

fn replica_to_api(report: ReplicaReport) -> api::ReplicaStatus {
    api::ReplicaStatus {
        replica: report.replica,
        version: report.version,
        number: report.bundle.map_or(0, BundleNumber::get),
        unusable: report.is_unusable,
        seen_at: Some(convert::timestamp_to_api(report.seen_at)),
    }
}

fn activation_to_api(activation: BundleActivation) -> api::Activation {
    api::Activation {
        number: activation.number.get(),
        previous_number: activation.previous.map_or(0, BundleNumber::get),
        rollback: activation.is_rollback,
        message: activation.message,
        activated_by: activation.activated_by,
        activated_at: Some(convert::timestamp_to_api(activation.activated_at)),
    }
}

fn bundle_to_api(info: &BundleInfo) -> api::Bundle {
    api::Bundle {
        number: info.number.get(),
        digest: info.digest.clone(),
        message: info.message.clone(),
        uploaded_by: info.uploaded_by.clone(),
        uploaded_at: Some(convert::timestamp_to_api(info.uploaded_at)),
        active: info.active,
        policy_count: info.policy_count,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use chaperone_api::chaperone::v1::analysis::Conclusion;
    use chaperone_policy::Timestamp;
    use chaperone_store::EmbeddedStore;

    use super::*;
    use crate::analyzer::{Analyzer, SERVER_LIMITS};
    use crate::clock::Clock;
    use crate::replica::{Replica, StalenessLimits};
    use crate::trail::TrailWriter;

    const SCHEMA: &str = r"
entity Agent;
entity Document;
action read appliesTo { principal: Agent, resource: Document, context: { request: {} } };
";

    /// Over a store in memory, on a server that has no solver.
    pub(in crate::grpc) async fn policies() -> PolicyApi {
        let store = Arc::new(EmbeddedStore::open(None).await.expect("a store in memory"));
        let limits = StalenessLimits { max: Duration::from_secs(1), grace: Duration::ZERO };
        let replica = Arc::new(Replica::new(store, 10, limits));
        let clock = Clock::manual(Timestamp::from_micros(1_800_000_000_000_000));
        let analyzer = Analyzer::new(Some(PathBuf::from("/nowhere/cvc5")), SERVER_LIMITS);
        PolicyApi::new(Bundles::new(replica, clock, TrailWriter::off()).with_analyzer(analyzer))
    }

    async fn uploaded(policies: &PolicyApi, policy: &str) -> u64 {
        let files = [("schema.cedarschema", SCHEMA), ("policies/main.cedar", policy)];
        let files = files.map(|(path, content)| api::BundleFile { path: path.to_owned(), content: content.to_owned() });
        let request = api::PolicyServiceUploadRequest { files: files.to_vec(), ..Default::default() };
        let response = policies.upload(Request::new(request)).await.expect("it is taken").into_inner();
        response.bundle.expect("the bundle").number
    }

    #[tokio::test]
    async fn server_without_a_solver_says_so_and_tells_the_differences_all_the_same() {
        let policies = policies().await;
        let from_number = uploaded(&policies, "@id(\"no\") forbid (principal, action, resource);").await;
        let to_number = uploaded(&policies, "@id(\"yes\") permit (principal, action, resource);").await;
        let diff = async |analyze| {
            let request = api::PolicyServiceDiffRequest { from_number, to_number, analyze };
            policies.diff(Request::new(request)).await.expect("it is compared").into_inner()
        };
        let analyzed = diff(true).await;
        assert_eq!(analyzed.differences.len(), 2, "{analyzed:?}");
        let analysis = analyzed.analysis.expect("it was asked for");
        assert_eq!((analysis.conclusion(), analysis.findings.len()), (Conclusion::Unavailable, 0), "{analysis:?}");
        assert!(analysis.problem.contains("there is no solver"), "{analysis:?}");
        assert_eq!(diff(false).await.analysis, None);
    }
}
