//! Two releases of Envoy: what each makes of `append` and `append_action`, and whether Chaperone's answers mean the same to both.

use chaperone_api::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use chaperone_api::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
use chaperone_api::envoy::service::auth::v3::{CheckResponse, OkHttpResponse};
use chaperone_api::google::rpc;
use chaperone_e2e::binaries::EnvoyVersion;
use chaperone_e2e::client::Request;
use chaperone_e2e::envoy::{Envoy, EnvoyOptions};
use chaperone_e2e::pki::Pki;
use chaperone_e2e::stub::Stub;
use chaperone_e2e::upstream::{Upstream, received};
use chaperone_e2e::world::World;

/// What the upstream gets of `x-a: client` when the answer has `x-a: answer` with these two fields.
async fn upstream_gets(version: EnvoyVersion, append: Option<bool>, action: HeaderAppendAction) -> String {
    let (http, grpc, tcp) = (Upstream::http().await, Upstream::grpc().await, Upstream::tcp().await);
    let stub = Stub::start(move |_| {
        let header = HeaderValue { key: "x-a".to_owned(), value: "answer".to_owned(), ..Default::default() };
        let option =
            HeaderValueOption { header: Some(header), append, append_action: action.into(), keep_empty_value: false };
        let ok = OkHttpResponse { headers: vec![option], ..Default::default() };
        Ok(CheckResponse {
            status: Some(rpc::Status::default()),
            http_response: Some(HttpResponse::OkResponse(ok)),
            dynamic_metadata: None,
        })
    })
    .await;
    let mut options = EnvoyOptions::new(vec![stub.address], http.address, grpc.address, tcp.address);
    options.version = version;
    let envoy = Envoy::start(&options, &Pki::new()).await;
    let response = Request::get("/").header("x-a", "client").send(envoy.http).await;
    assert_eq!(response.status, 200, "{}", response.text());
    received(&response.json(), "x-a").join(",")
}

/// The two combinations that every release reads alike, and so the only ones that Chaperone sends.
#[tokio::test(flavor = "multi_thread")]
async fn append_and_action_that_agree_mean_the_same_to_both_releases() {
    for version in [EnvoyVersion::V1_40, EnvoyVersion::V1_36] {
        let overwritten = upstream_gets(version, Some(false), HeaderAppendAction::OverwriteIfExistsOrAdd).await;
        assert_eq!(overwritten, "answer", "{version:?}");
        let appended = upstream_gets(version, Some(true), HeaderAppendAction::AppendIfExistsOrAdd).await;
        assert_eq!(appended, "client,answer", "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chaperones_answers_mean_the_same_to_both_releases() {
    for version in [EnvoyVersion::V1_40, EnvoyVersion::V1_36] {
        let world = World::builder().envoy(version).start().await;
        let handle = world.session().await.handle;
        let request = Request::get("/documents/42?debug=1")
            .session(&handle)
            .header("x-principal", "forged")
            .header("x-seen-by", "client");
        let response = world.send(request).await;
        assert_eq!(response.status, 200, "{version:?}: {}", response.text());
        let echo = response.json();
        assert_eq!(received(&echo, "x-principal"), ["reader"], "{version:?}");
        assert_eq!(received(&echo, "x-seen-by").join(","), "client,chaperone", "{version:?}");
        assert_eq!(echo["target"], "/documents/42?tenant=team-docs", "{version:?}");
        let denied = world.send(Request::get("/documents/42/export?format=mail").session(&handle)).await;
        assert_eq!((denied.status, denied.code().as_str()), (403, "forbidden"), "{version:?}");
    }
}
