//! `chaperone.v1.DecisionService` as tonic serves it: what the generated server does, with a codec that writes answers as they are.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use chaperone_api::chaperone::v1::decision_service_server::SERVICE_NAME;
use futures_util::stream;
use http::{Request, Response};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::{Status, Streaming};
use tower::{Service, service_fn};

use super::decision_codec::{DecisionCodec, Reply};
use super::decisions::Decisions;
use super::questions::Questions;

/// The service.
#[derive(Clone, Debug)]
pub struct DecisionServer {
    decisions: Decisions,
    message_bytes_max: usize,
}

impl DecisionServer {
    /// Of these decisions. Questions may have so many bytes.
    pub fn new(decisions: Decisions, message_bytes_max: usize) -> Self {
        Self { decisions, message_bytes_max }
    }

    fn grpc(&self) -> Grpc<DecisionCodec> {
        Grpc::new(DecisionCodec).apply_max_message_size_config(Some(self.message_bytes_max), None)
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let decisions = &self.decisions;
        match request.uri().path() {
            "/chaperone.v1.DecisionService/Check" => {
                self.grpc().unary(service_fn(|request| decisions.check(request)), request).await
            }
            "/chaperone.v1.DecisionService/CheckBatch" => {
                self.grpc().unary(service_fn(|request| decisions.check_batch(request)), request).await
            }
            "/chaperone.v1.DecisionService/Report" => {
                self.grpc().unary(service_fn(|request| decisions.report(request)), request).await
            }
            "/chaperone.v1.DecisionService/CheckStream" => {
                let (head, body) = request.into_parts();
                let mut questions = Some(Questions::new(body, self.message_bytes_max));
                let mut answers = None;
                // Tonic looks at the head alone.
                let check_stream = |call: tonic::Request<Streaming<Bytes>>| {
                    let questions = questions.take();
                    answers = questions.map(|questions| decisions.check_stream(call.map(|_| questions)));
                    std::future::ready(Ok(tonic::Response::new(stream::empty::<Result<Reply, Status>>())))
                };
                let head = Request::from_parts(head, Body::empty());
                let response = self.grpc().streaming(service_fn(check_stream), head).await;
                // What tonic refuses has no answers.
                match answers {
                    Some(answers) => response.map(|_| Body::new(answers)),
                    None => response,
                }
            }
            _ => Status::unimplemented("this service has no such method").into_http(),
        }
    }
}

impl NamedService for DecisionServer {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<Request<Body>> for DecisionServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.clone().answer(request);
        Box::pin(async { Ok(answer.await) })
    }
}
