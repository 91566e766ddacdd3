//! The data plane's calls. Envoy's check is read and answered here, without tonic in between; everything else is tonic's.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body::{Body, Frame};
use tonic::Status;
use tonic::service::Routes;
use tower::Service as _;

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
    pub async fn call<B>(&self, request: Request<B>, peer: &PeerInfo) -> Response<DataBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<tonic::codegen::StdError>,
    {
        if request.uri().path() == ExtAuthz::CHECK {
            let (head, body) = request.into_parts();
            let message = async {
                let limit = grpc_timeout(&head.headers).unwrap_or(self.default_deadline);
                let message = unary::read_message(&head.headers, body, self.message_bytes_max);
                match tokio::time::timeout(limit, message).await {
                    Ok(message) => message.map_err(|_| NoDecision::Unreadable),
                    Err(_) => Err(NoDecision::Deadline),
                }
            };
            unary::answer(self.checks.check(&head.headers, message).await).map(DataBody::Check)
        } else {
            // Boxed, so that it does not make the state of a check larger.
            Box::pin(self.call_routes(request, peer)).await.map(DataBody::Tonic)
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
