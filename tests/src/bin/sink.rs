//! A collector that takes spans and forgets them: `sink ADDRESS:PORT`. What benches send their traces to.

#![allow(clippy::expect_used, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::{Request, Response, Status};

struct Sink;

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        _: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address: SocketAddr =
        std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: sink ADDRESS:PORT");
    tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Sink))
        .serve(address)
        .await
        .expect("the address is free");
}
