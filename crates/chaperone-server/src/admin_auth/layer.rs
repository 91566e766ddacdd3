//! The rules as a tower layer.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::{Layer, Service};

use super::{AdminAuth, Caller, Refusal};
use crate::listener::PeerInfo;

/// What is open to everybody.
const OPEN_PATHS: &str = "/grpc.health.v1.Health/";
/// Whose error codes these are (`google.rpc.ErrorInfo.domain`).
const ERROR_DOMAIN: &str = "chaperone";

/// A service that only lets in who may use the admin plane.
#[derive(Clone, Debug)]
pub struct AdminAuthService<S> {
    rules: AdminAuth,
    inner: S,
}

impl<S> Layer<S> for AdminAuth {
    type Service = AdminAuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AdminAuthService { rules: self.clone(), inner }
    }
}

impl<S, B> Service<Request<B>> for AdminAuthService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // What a client wrote never names the caller: only this layer does.
        request.extensions_mut().remove::<Caller>();
        if request.uri().path().starts_with(OPEN_PATHS) {
            return Either::Left(self.inner.call(request));
        }
        let peer = request.extensions().get::<PeerInfo>();
        match self.rules.authenticate(request.headers(), peer) {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            Err(refusal) => {
                let address = peer.map(|peer| peer.remote_addr.to_string());
                tracing::warn!(
                    rpc.path = request.uri().path(),
                    peer.address = address.as_deref(),
                    code = refusal.code(),
                    "a call to the admin plane was refused"
                );
                Either::Right(ready(Ok(status(refusal).into_http())))
            }
        }
    }
}

fn status(refusal: Refusal) -> Status {
    let details = ErrorDetails::with_error_info(refusal.code(), ERROR_DOMAIN, []);
    Status::with_error_details(Code::Unauthenticated, refusal.to_string(), details)
}
