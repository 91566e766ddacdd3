//! Tests of bundles: an upload runs them, and they say what Envoy is answered.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use chaperone_api::chaperone::v1::{PolicyServiceUploadRequest, PolicyServiceValidateRequest};
use chaperone_e2e::admin::{self, Admin};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::Chaperone;
use chaperone_e2e::client::Request;
use chaperone_e2e::envoy::BodyOptions;
use chaperone_e2e::world::World;
use serde_json::json;
use tonic::{Code, Status};

/// A test of the documents bundle that expects this of a reader's request.
fn reading(expect: &str) -> String {
    format!(
        "tests:\n  - name: an agent reads\n    session: {{ principal: 'Agent::\"reader\"' }}\n    \
         request: {{ action: read, resource: 'Document::\"42\"' }}\n    expect: {expect}\n"
    )
}

async fn upload(admin: &Admin, bundle: &Bundle) -> Result<u64, Status> {
    let request = PolicyServiceUploadRequest { files: bundle.files(), ..PolicyServiceUploadRequest::default() };
    let response = admin.policies.clone().upload(request).await?;
    Ok(response.into_inner().bundle.expect("the bundle").number)
}

async fn embedded() -> (Chaperone, Admin) {
    let mut server = Chaperone::spawn("embedded::memory:", &[]);
    server.alive().await;
    let admin = server.administer().await;
    (server, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_whose_tests_fail_is_not_stored() {
    let (_server, admin) = embedded().await;
    let first = admin.push(&Bundle::documents()).await;
    let failing = Bundle::documents().with("tests/reading.yaml", reading("deny"));
    let refused = upload(&admin, &failing).await.expect_err("a test fails");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let request = PolicyServiceValidateRequest { files: failing.files() };
    let found = admin.policies.clone().validate(request).await.expect("it is looked at").into_inner();
    let [problem] = found.problems.as_slice() else { panic!("one problem: {found:?}") };
    assert_eq!((problem.code.as_str(), problem.file.as_str(), problem.line), ("test_failed", "tests/reading.yaml", 5));
    assert_eq!(problem.message, "an agent reads: the outcome: expected `deny`, found `allow`");
    assert!(problem.help.contains("by agents-read"), "{problem:?}");
    let unreadable = Bundle::documents().with("tests/reading.yaml", "tests: &a [*a]");
    assert_eq!(upload(&admin, &unreadable).await.expect_err("it is no test").code(), Code::InvalidArgument);
    // Nothing of that was stored, and what passes is; its tests are files like any other, and change its digest.
    let passing = Bundle::documents().with("tests/reading.yaml", reading("allow"));
    assert_eq!(upload(&admin, &passing).await.expect("its tests pass"), first + 1);
    let again = Bundle::documents().with("tests/reading.yaml", reading("{ outcome: allow }"));
    assert_eq!(upload(&admin, &again).await.expect("its tests pass"), first + 2);
}

/// Requests of one session, as Envoy gets them and as a test says them.
fn conversation() -> Vec<(Request, String)> {
    let get = |path: &str| (Request::get(path), format!("{{ http: {{ path: '{path}' }} }}"));
    let refund = |body: serde_json::Value| {
        let request = Request::new("POST", "/orders/1/refunds").header("content-type", "application/json");
        (request.body(body.to_string()), format!("{{ http: {{ path: /orders/1/refunds, json: {body} }} }}"))
    };
    let message = |form: &str| {
        let request = Request::new("POST", "/messages").header("content-type", "application/x-www-form-urlencoded");
        (request.body(form), format!("{{ http: {{ path: /messages, form: '{form}' }} }}"))
    };
    vec![
        get("/orders/1"),
        get("/orders/1?debug=1&debug=2"),
        get("/nothing"),
        refund(json!({ "amount": { "cents": 1250 }, "reason": "damaged", "items": ["mug"] })),
        refund(json!({ "amount": { "cents": 1250 }, "reason": "because", "items": ["mug"] })),
        refund(json!({ "amount": { "cents": "1250" }, "reason": "late", "items": ["mug"] })),
        refund(json!({ "amount": { "cents": 10_001 }, "reason": "damaged", "items": ["mug"] })),
        refund(json!({ "amount": { "cents": 10_000 }, "reason": "damaged", "items": ["mug"] })),
        refund(json!({ "amount": { "cents": 10_000 }, "reason": "late", "items": ["cup"] })),
        refund(json!({ "amount": { "cents": 5_000 }, "reason": "late", "items": ["cup"] })),
        message("to=ann%40example.org&text=hello"),
        message("to=ann%40example.org&to=eve%40example.org"),
        get("/customers/7"),
        message("to=ann%40example.org&text=hello"),
        message("to=support%40example.com&text=hello"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_envoy_is_answered_is_what_a_test_of_the_same_requests_says() {
    let builder = World::builder().body(BodyOptions::default()).bundle(Bundle::shipped("http-api"));
    let world = builder.check_timeout("5s").start().await;
    let handle = world.open(admin::principal("Agent", "support-bot")).await.handle;
    let mut test =
        String::from("session: { principal: 'Agent::\"support-bot\"' }\ntests:\n  - name: live\n    steps:\n");
    let mut codes = Vec::new();
    for (request, said) in conversation() {
        let response = world.send(request.session(&handle)).await;
        let code = if response.status == 200 { "permitted".to_owned() } else { response.code() };
        writeln!(test, "      - {{ request: {said}, expect: {{ reason: {code} }} }}")
            .expect("a string takes every text");
        codes.push(code);
    }
    for code in ["permitted", "no_permit", "forbidden", "undecodable", "step_up_required"] {
        assert!(codes.iter().any(|answered| answered == code), "{code} is not among {codes:?}");
    }
    let tested = Bundle::shipped("http-api").with("tests/live.yaml", test.clone());
    upload(&world.admin, &tested).await.unwrap_or_else(|status| panic!("{test}\n{status:?}"));
    let other = test.replacen("reason: permitted", "reason: no_permit", 1);
    upload(&world.admin, &tested.with("tests/live.yaml", other)).await.expect_err("that is not what was answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_policies_with_a_thousand_tests_are_uploaded_in_time() {
    const POLICIES: usize = 10_000;
    const TESTS: usize = 1_000;
    let (_server, admin) = embedded().await;
    let mut tests = String::from("tests:\n");
    for number in 0..TESTS {
        write!(
            tests,
            "  - name: agent {number} reads\n    session: {{ principal: 'Agent::\"agent-{number}\"' }}\n    \
             request: {{ action: read, resource: 'Document::\"1\"' }}\n    \
             expect: {{ outcome: allow, policies: [agents-read, agent-{number}-reads] }}\n"
        )
        .expect("a string takes every text");
    }
    let bundle = Bundle::many_policies(POLICIES).with("tests/many.yaml", tests);
    let started = Instant::now();
    upload(&admin, &bundle).await.expect("its tests pass");
    let took = started.elapsed();
    println!("{POLICIES} policies with {TESTS} tests: uploaded in {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}
