//! Turns every failed ext_authz call into a denial.
//!
//! A call can fail before it reaches our code (bytes that are no protobuf, a message over the limit) or by a panic in it. To Envoy a
//! failed call is an error, and with `failure_mode_allow` an allow; so it must leave as an answer that says no.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use tonic::body::Body;
use tower::{Layer, Service};

use super::ext_authz::Traffic;
use super::ext_authz_answer::no_decision;
use crate::no_decision::NoDecision;
use crate::pdp::{Pdp, Protocol};

const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

/// Wraps the data plane's services.
#[derive(Clone, Debug)]
pub struct FailClosedLayer {
    pdp: Arc<Pdp>,
}

impl FailClosedLayer {
    /// Notes what it catches at `pdp`.
    pub fn new(pdp: Arc<Pdp>) -> Self {
        Self { pdp }
    }
}

impl<S> Layer<S> for FailClosedLayer {
    type Service = FailClosed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FailClosed { inner, pdp: Arc::clone(&self.pdp) }
    }
}

/// The wrapped services.
#[derive(Clone, Debug)]
pub struct FailClosed<S> {
    inner: S,
    pdp: Arc<Pdp>,
}

impl<S> Service<Request<Body>> for FailClosed<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let is_check = request.uri().path() == CHECK;
        let pdp = Arc::clone(&self.pdp);
        let call = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        Box::pin(async move {
            let failure = match call.await {
                Ok(Ok(response)) if !is_check || !has_failed(&response) => return Ok(response),
                Ok(Ok(_)) => NoDecision::Unreadable,
                Ok(Err(never)) => match never {},
                Err(_) => NoDecision::Internal,
            };
            if !is_check {
                return Ok(tonic::Status::internal("an internal error was caught").into_http());
            }
            pdp.refuse(failure, Protocol::ExtAuthz);
            Ok(denial(failure))
        })
    }
}

/// A unary call that failed has its status in the headers; one that succeeded has it in the trailers.
fn has_failed(response: &Response<Body>) -> bool {
    response.headers().get("grpc-status").is_some_and(|status| status != "0")
}

fn denial(failure: NoDecision) -> Response<Body> {
    let message = no_decision(failure, Traffic::Http, chaperone_policy::mapping::OnFailure::Deny).encode_to_vec();
    // gRPC's length-prefixed message: not compressed, then the length in four bytes.
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or_default());
    frame.put_slice(&message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::<Bytes>::new(frame.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
