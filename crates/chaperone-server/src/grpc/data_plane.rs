//! The data plane's calls. Envoy's check is read and answered here, without tonic in between; everything else is tonic's.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::poll_immediate;
use http::{Request, Response};
use http_body::{Body, Frame};
use tonic::Status;
use tonic::service::Routes;
use tower::Service as _;

use super::convert::parent_context;
use super::ext_authz::{ExtAuthz, grpc_timeout};
use super::unary::{self, UnaryBody};
use crate::listener::PeerInfo;
use crate::no_decision::NoDecision;

/// The services of the data plane.
#[derive(Debug)]
pub struct DataPlane {
    /// Answers checks.
    pub checks: ExtAuthz,
    /// Answers everything else.
    pub routes: Routes,
    /// How large the message of a check may be.
    pub message_bytes_max: usize,
    /// How long the message of a check may take to arrive where the caller names no deadline.
    pub default_deadline: Duration,
}

impl DataPlane {
    /// Answers a call of `peer`.
    pub fn call<'a, B>(
        &'a self,
        request: Request<B>,
        peer: &'a PeerInfo,
    ) -> impl Future<Output = Response<DataBody>> + Send + use<'a, B>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        if request.uri().path() == ExtAuthz::CHECK {
            let (head, body) = request.into_parts();
            let (timeout, parent) = (grpc_timeout(&head.headers), parent_context(&head.headers));
            // It takes the call's head with it when it is done.
            let message = async move {
                let mut message = pin!(unary::read_message(&head.headers, body, self.message_bytes_max));
                // It is mostly there by now, and then nobody needs a clock.
                let message = match poll_immediate(message.as_mut()).await {
                    Some(message) => Ok(message),
                    None => tokio::time::timeout(timeout.unwrap_or(self.default_deadline), message).await,
                };
                message.map_err(|_| NoDecision::Deadline)?.map_err(|_| NoDecision::Unreadable)
            };
            let answer = self.checks.check(timeout, parent, message);
            answer.map(|answer| unary::answer(answer).map(DataBody::Check)).left_future()
        } else {
            // Boxed, so that it does not make the state of a check larger.
            Box::pin(self.call_routes(request, peer)).map(|answer| answer.map(DataBody::Tonic)).right_future()
        }
    }

    /// What tonic's own server would do.
    async fn call_routes<B>(&self, mut request: Request<B>, peer: &PeerInfo) -> Response<tonic::body::Body>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        request.extensions_mut().insert(peer.clone());
        let limit = grpc_timeout(request.headers()).unwrap_or(Duration::MAX);
        let call = AssertUnwindSafe(self.routes.clone().call(request)).catch_unwind();
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(_)) => Status::internal("an internal error was caught").into_http(),
            Err(_) => Status::cancelled("the caller's deadline has passed").into_http(),
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub enum DataBody {
    /// Of a check.
    Check(UnaryBody),
    /// Of any other call.
    Tonic(tonic::body::Body),
}

impl Body for DataBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match self.get_mut() {
            Self::Check(body) => Pin::new(body).poll_frame(cx).map_err(|never: Infallible| match never {}),
            Self::Tonic(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Check(body) => body.is_end_stream(),
            Self::Tonic(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            // Of unknown length, as gRPC's bodies are.
            Self::Check(_) => http_body::SizeHint::default(),
            Self::Tonic(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chaperone_api::envoy::service::auth::v3::attribute_context::{self, HttpRequest};
    use chaperone_api::envoy::service::auth::v3::check_response::HttpResponse;
    use chaperone_api::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
    use chaperone_policy::{MemoryLimits, Timestamp};
    use chaperone_store::EmbeddedStore;
    use http_body_util::{BodyExt as _, Full, StreamBody};
    use prost::Message as _;

    use super::*;
    use crate::clock::Clock;
    use crate::config::OnTokenReuse;
    use crate::evaluator::Evaluator;
    use crate::pdp::{Judge, Pdp};
    use crate::recorder::Recorder;
    use crate::replica::{Replica, StalenessLimits};
    use crate::telemetry::{DecisionSpans, Metrics};

    const BYTES_MAX: usize = 1024;

    /// Over a replica that has loaded nothing.
    async fn plane() -> DataPlane {
        let store = Arc::new(EmbeddedStore::open(None).await.expect("a store in memory"));
        let limits = StalenessLimits { max: Duration::from_secs(1), grace: Duration::ZERO };
        let replica = Arc::new(Replica::new(store, 10, limits));
        let clock = Clock::manual(Timestamp::from_micros(1_800_000_000_000_000));
        let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
        let recorder = Recorder::new(metrics, DecisionSpans::disabled(), clock.clone());
        let default_deadline = Duration::from_secs(10);
        let judge = Judge {
            evaluator: Evaluator::Compiled,
            limits: MemoryLimits::default(),
            on_token_reuse: OnTokenReuse::Deny,
        };
        let pdp = Arc::new(Pdp::new(clock, replica, recorder, judge, 1, default_deadline));
        DataPlane {
            checks: ExtAuthz::new(pdp),
            routes: Routes::default().prepare(),
            message_bytes_max: BYTES_MAX,
            default_deadline,
        }
    }

    fn peer() -> PeerInfo {
        PeerInfo { remote_addr: ([127, 0, 0, 1], 1).into(), identity: None }
    }

    fn frame(flag: u8, message: &[u8]) -> Bytes {
        let length = u32::try_from(message.len()).expect("it is short");
        [&[flag][..], &length.to_be_bytes(), message].concat().into()
    }

    /// The status that Envoy gives a client that is denied, with the reason's code.
    async fn denial<B>(body: B) -> (i32, String)
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        let request = Request::builder().uri(ExtAuthz::CHECK).header("grpc-timeout", "50m").body(body);
        let response = plane().await.call(request.expect("a request"), &peer()).await;
        assert_eq!(response.status(), 200);
        let answered = response.into_body().collect().await.expect("it is whole");
        assert_eq!(answered.trailers().expect("trailers")["grpc-status"], "0", "a failed call could be an allow");
        let answer = CheckResponse::decode(answered.to_bytes().split_off(5)).expect("an answer");
        assert_ne!(answer.status.expect("a status").code, 0, "a zero would allow");
        let Some(HttpResponse::DeniedResponse(denied)) = answer.http_response else { panic!("no denial") };
        let body: serde_json::Value = serde_json::from_str(&denied.body).expect("JSON");
        (denied.status.expect("a status").code, body["code"].as_str().expect("a code").to_owned())
    }

    async fn denial_of(frame: Bytes) -> (i32, String) {
        denial(Full::new(frame)).await
    }

    #[tokio::test]
    async fn call_that_is_no_check_is_a_denial() {
        let unreadable = (503, "unreadable".to_owned());
        assert_eq!(denial_of(Bytes::new()).await, unreadable, "nothing");
        assert_eq!(denial_of(frame(0, b"\xff\xff\xff\xff")).await, unreadable, "no protobuf");
        assert_eq!(denial_of(frame(0, &[0; BYTES_MAX + 1])).await, unreadable, "too long");
        assert_eq!(denial_of(frame(0, &CheckRequest::default().encode_to_vec())).await, unreadable, "no attributes");
        let request = Some(attribute_context::Request { http: Some(HttpRequest::default()), time: None });
        let attributes = Some(AttributeContext { request, ..AttributeContext::default() });
        let check = CheckRequest { attributes }.encode_to_vec();
        assert_eq!(denial_of(frame(1, &check)).await, unreadable, "compressed");
        assert_eq!(denial_of(frame(0, &check)).await, (503, "no_bundle".to_owned()), "a check");
    }

    #[tokio::test]
    async fn message_that_does_not_come_is_a_denial_at_the_deadline() {
        let never = StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>());
        assert_eq!(denial(never).await, (503, "deadline".to_owned()));
    }

    #[tokio::test]
    async fn panic_is_a_denial() {
        struct Defect;
        impl Body for Defect {
            type Data = Bytes;
            type Error = Infallible;
            fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
                // A panic that is not told.
                std::panic::resume_unwind(Box::new(()))
            }
        }
        assert_eq!(denial(Defect).await, (503, "internal".to_owned()));
    }

    #[tokio::test]
    async fn unknown_method_is_tonics_to_refuse() {
        let request = Request::builder().uri("/chaperone.v1.NoSuchService/Check").body(Full::new(Bytes::new()));
        let response = plane().await.call(request.expect("a request"), &peer()).await;
        assert_eq!(response.headers()["grpc-status"], "12");
    }
}
