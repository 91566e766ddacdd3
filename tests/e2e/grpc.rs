//! gRPC: traffic through Envoy, and Chaperone's own decision service.

use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
use chaperone_api::chaperone::v1::{
    ActionRequest, CheckBatchRequest, CheckRequest, CheckStreamRequest, Consistency, Outcome, check_stream_response,
};
use chaperone_e2e::admin::{entity, member};
use chaperone_e2e::client;
use chaperone_e2e::world::World;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

async fn check_health(world: &World, handle: Option<&str>) -> Result<(), Status> {
    let mut request = Request::new(HealthCheckRequest::default());
    if let Some(handle) = handle {
        request.metadata_mut().insert("x-chaperone-session", handle.parse().expect("a handle is ASCII"));
    }
    HealthClient::new(client::channel(world.envoy.http).await).check(request).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn permitted_call_reaches_the_grpc_upstream() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    check_health(&world, Some(&handle)).await.expect("the call is allowed");
    assert_eq!(world.grpc_upstream.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_call_is_permission_denied_and_never_retryable() {
    let world = World::start().await;
    // Unknown, absent, and known but not permitted: to HTTP 401, 401 and 403; to gRPC all the same.
    for handle in [Some("chp_unknown"), None] {
        let status = check_health(&world, handle).await.expect_err("the call is denied");
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    }
    let handle = world.session().await.handle;
    let mut request = Request::new(HealthCheckRequest::default());
    request.metadata_mut().insert("x-chaperone-session", handle.parse().expect("a handle is ASCII"));
    let status =
        HealthClient::new(client::channel(world.envoy.http).await).watch(request).await.expect_err("not permitted");
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert_eq!(world.grpc_upstream.count(), 0);
}

fn export(rows: i64) -> ActionRequest {
    ActionRequest {
        action: "export".to_owned(),
        resource: Some(entity("Document", "42")),
        attributes: [("format".to_owned(), member("csv")), ("rows".to_owned(), member(rows))].into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn direct_check_decides_and_explains() {
    let world = World::start().await;
    let opened = world.session().await;
    let mut client = DecisionServiceClient::new(world.replicas[0].data_channel().await);
    let mut check = async |rows| {
        let request =
            CheckRequest { session_handle: opened.handle.clone(), action: Some(export(rows)), ..Default::default() };
        client.check(request).await.expect("a decision").into_inner().decision.expect("a decision")
    };
    let decision = check(10).await;
    assert_eq!((decision.outcome(), decision.code.as_str()), (Outcome::Allow, "permitted"));
    assert_eq!(decision.policies[0].id, "agents-export-small");
    assert_eq!(decision.session_id, opened.session.id);
    let decision = check(1000).await;
    assert_eq!((decision.outcome(), decision.code.as_str()), (Outcome::Deny, "no_permit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_answers_in_order_and_stream_by_id() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let mut client = DecisionServiceClient::new(world.replicas[0].data_channel().await);
    let expected = |rows: i64| if rows <= 100 { Outcome::Allow } else { Outcome::Deny };
    let rows: Vec<i64> = (0..200).collect();
    let batch = CheckBatchRequest {
        session_handle: handle.clone(),
        actions: rows.iter().map(|&rows| export(rows)).collect(),
        ..Default::default()
    };
    let decisions = client.check_batch(batch).await.expect("decisions").into_inner().decisions;
    let outcomes: Vec<Outcome> = decisions.iter().map(chaperone_api::chaperone::v1::Decision::outcome).collect();
    assert_eq!(outcomes, rows.iter().map(|&rows| expected(rows)).collect::<Vec<_>>());

    let requests = rows.clone().into_iter().map(move |rows| CheckStreamRequest {
        request_id: u64::try_from(rows).expect("not negative"),
        check: Some(CheckRequest { session_handle: handle.clone(), action: Some(export(rows)), ..Default::default() }),
    });
    let mut answers = client.check_stream(tokio_stream::iter(requests)).await.expect("a stream").into_inner();
    let mut seen = vec![None; rows.len()];
    while let Some(answer) = answers.message().await.expect("an answer") {
        let Some(check_stream_response::Result::Decision(decision)) = answer.result.clone() else {
            panic!("{answer:?}")
        };
        let place = &mut seen[usize::try_from(answer.request_id).expect("an id that was sent")];
        assert!(place.replace(decision.outcome()).is_none(), "one answer for {}", answer.request_id);
    }
    assert_eq!(seen, rows.iter().map(|&rows| Some(expected(rows))).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_of_a_stream_that_waits_for_the_store_holds_up_no_other() {
    let options = ["--data-default-deadline", "25s", "--store-timeout", "25s", "--feed-max-staleness", "60s"];
    let world = World::builder().serve(&options).start().await;
    let handle = world.session().await.handle;
    let mut client = DecisionServiceClient::new(world.replicas[0].data_channel().await);
    let check = |consistency: Consistency| CheckRequest {
        session_handle: handle.clone(),
        action: Some(export(10)),
        consistency: consistency.into(),
        ..Default::default()
    };
    // Revoking waits until the replica has applied every change, and so also that the first session was opened: from its next check on it
    // stays in memory.
    world.admin.revoke(&world.session().await.session.id).await;
    client.check(check(Consistency::Bounded)).await.expect("a decision");
    let lock = world.database.lock_table("sessions").await;
    let asked =
        [(1, Consistency::Strict), (2, Consistency::Bounded), (3, Consistency::Strict), (4, Consistency::Bounded)]
            .map(|(request_id, consistency)| CheckStreamRequest { request_id, check: Some(check(consistency)) });
    let mut answers = client.check_stream(tokio_stream::iter(asked)).await.expect("a stream").into_inner();
    let mut next = async || {
        let answer = answers.message().await.expect("an answer").expect("the stream goes on");
        assert!(matches!(answer.result, Some(check_stream_response::Result::Decision(_))), "{answer:?}");
        answer.request_id
    };
    assert_eq!([next().await, next().await], [2, 4]);
    drop(lock);
    let mut waited = [next().await, next().await];
    waited.sort_unstable();
    assert_eq!(waited, [1, 3]);
    assert!(answers.message().await.expect("the end").is_none(), "the questions have ended, and all are answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn question_of_a_stream_that_is_not_as_it_must_be_fails_alone() {
    let world = World::start().await;
    let handle = world.session().await.handle;
    let mut client = DecisionServiceClient::new(world.replicas[0].data_channel().await);
    let unknown = ActionRequest { action: "no such action".to_owned(), ..export(10) };
    let untyped = ActionRequest { attributes: [("rows".to_owned(), member("many"))].into(), ..export(10) };
    let actions = [Some(export(10)), None, Some(unknown), Some(export(10)), Some(untyped), Some(export(10))];
    let asked = actions.into_iter().zip(0..).map(|(action, request_id)| CheckStreamRequest {
        request_id,
        check: Some(CheckRequest { session_handle: handle.clone(), action, ..Default::default() }),
    });
    let asked: Vec<_> = asked.collect();
    let mut answers = client.check_stream(tokio_stream::iter(asked)).await.expect("a stream").into_inner();
    let mut seen = std::collections::BTreeMap::new();
    while let Some(answer) = answers.message().await.expect("an answer") {
        let failed_with = match answer.result.expect("a result") {
            check_stream_response::Result::Decision(_) => None,
            check_stream_response::Result::Failure(failure) => Some(failure.status_code),
        };
        assert!(seen.insert(answer.request_id, failed_with).is_none(), "one answer for {}", answer.request_id);
    }
    let invalid = Some(i32::from(Code::InvalidArgument));
    assert_eq!(seen.into_values().collect::<Vec<_>>(), [None, invalid, invalid, None, invalid, None]);
}
