//! The floor that benches compare with: an ext_authz server that does nothing, built the usual way.

#![allow(clippy::expect_used, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;

use chaperone_api::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
use chaperone_api::envoy::service::auth::v3::{CheckRequest, CheckResponse, OkHttpResponse};
use chaperone_api::google::rpc;
use tonic::{Request, Response, Status};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct AlwaysOk;

#[tonic::async_trait]
impl Authorization for AlwaysOk {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        // Decoded by now; kept until here so that the work cannot be left out.
        std::hint::black_box(request.into_inner());
        let status = Some(rpc::Status::default());
        let http_response = Some(HttpResponse::OkResponse(OkHttpResponse::default()));
        Ok(Response::new(CheckResponse { status, http_response, dynamic_metadata: None }))
    }
}

#[tokio::main]
async fn main() {
    let address: SocketAddr =
        std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: floor ADDRESS:PORT");
    tonic::transport::Server::builder()
        .add_service(AuthorizationServer::new(AlwaysOk))
        .serve(address)
        .await
        .expect("the address is free");
}
