//! `chaperone.v1.PolicyService` as tonic serves it: what the generated server does, but that a bundle's files are counted before any of them is
//! read. A file of two bytes takes fifty in memory, so that the limit of messages alone would let far more in than it says.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf as _;
use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::policy_service_server::{PolicyService as _, PolicyServiceServer, SERVICE_NAME};
use chaperone_policy::{BundleSource, Problem};
use http::{Request, Response};
use prost::Message;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::server::{Grpc, NamedService};
use tonic_prost::ProstEncoder;
use tower::{Service, service_fn};

use super::policies::PolicyApi;
use super::status::problem_to_api;
use super::wire::{Fields, Malformed};
use crate::admin::AdminError;

/// The field of a bundle's files, in every request that has them.
const FILES: u32 = 1;

/// The service.
#[derive(Clone, Debug)]
pub struct PolicyServer {
    policies: PolicyApi,
    generated: PolicyServiceServer<PolicyApi>,
    message_bytes_max: usize,
}

/// A request with a bundle's files; or that they are too many, and so were not read.
type Counted<T> = Result<T, Vec<Problem>>;

impl PolicyServer {
    /// Over this adapter. Requests may have so many bytes.
    pub fn new(policies: PolicyApi, message_bytes_max: usize) -> Self {
        let generated = PolicyServiceServer::new(policies.clone()).max_decoding_message_size(message_bytes_max);
        Self { policies, generated, message_bytes_max }
    }

    fn grpc<T, U>(&self) -> Grpc<BundleCodec<T, U>>
    where
        T: Message + 'static,
        U: Message + Default + 'static,
    {
        Grpc::new(BundleCodec(PhantomData)).apply_max_message_size_config(Some(self.message_bytes_max), None)
    }

    async fn upload(
        &self,
        request: tonic::Request<Counted<api::PolicyServiceUploadRequest>>,
    ) -> Result<tonic::Response<api::PolicyServiceUploadResponse>, Status> {
        match counted(request) {
            Ok(request) => self.policies.upload(request).await,
            Err(problems) => Err(AdminError::Problems(problems).into()),
        }
    }

    async fn validate(
        &self,
        request: tonic::Request<Counted<api::PolicyServiceValidateRequest>>,
    ) -> Result<tonic::Response<api::PolicyServiceValidateResponse>, Status> {
        match counted(request) {
            Ok(request) => self.policies.validate(request).await,
            Err(problems) => Ok(tonic::Response::new(api::PolicyServiceValidateResponse {
                problems: problems.iter().map(problem_to_api).collect(),
                ..api::PolicyServiceValidateResponse::default()
            })),
        }
    }

    async fn answer(mut self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        Ok(match request.uri().path() {
            "/chaperone.v1.PolicyService/Upload" => {
                self.grpc().unary(service_fn(|request| self.upload(request)), request).await
            }
            "/chaperone.v1.PolicyService/Validate" => {
                self.grpc().unary(service_fn(|request| self.validate(request)), request).await
            }
            _ => self.generated.call(request).await?,
        })
    }
}

impl NamedService for PolicyServer {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<Request<Body>> for PolicyServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

fn counted<T>(request: tonic::Request<Counted<T>>) -> Counted<tonic::Request<T>> {
    let (metadata, extensions, message) = request.into_parts();
    Ok(tonic::Request::from_parts(metadata, extensions, message?))
}

/// Reads requests that have a bundle's files, and writes responses.
#[derive(Debug)]
struct BundleCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Codec for BundleCodec<T, U>
where
    T: Message + 'static,
    U: Message + Default + 'static,
{
    type Encode = T;
    type Decode = Counted<U>;
    type Encoder = ProstEncoder<T>;
    type Decoder = BundleDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> BundleDecoder<U> {
        BundleDecoder(PhantomData)
    }
}

/// Counts a bundle's files before it reads them.
#[derive(Debug)]
struct BundleDecoder<U>(PhantomData<U>);

impl<U: Message + Default + 'static> Decoder for BundleDecoder<U> {
    type Item = Counted<U>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Counted<U>>, Status> {
        read(&buffer.copy_to_bytes(buffer.remaining())).map(Some)
    }
}

fn read<U: Message + Default>(message: &[u8]) -> Result<Counted<U>, Status> {
    if let Some(problem) = BundleSource::count_problem(file_count(message)) {
        return Ok(Err(vec![problem]));
    }
    // As the generated server tells it.
    U::decode(message).map(Ok).map_err(|error| Status::internal(error.to_string()))
}

/// How many files a message has, as far as it can be read: reading it comes no further, either.
fn file_count(message: &[u8]) -> usize {
    let (mut fields, mut count) = (Fields::new(message), 0);
    let mut next = || -> Result<Option<u32>, Malformed> {
        let Some((number, wire_type)) = fields.next()? else { return Ok(None) };
        fields.skip(number, wire_type)?;
        Ok(Some(number))
    };
    while let Ok(Some(number)) = next() {
        count += usize::from(number == FILES);
    }
    count
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, Bytes};
    use chaperone_policy::BUNDLE_FILES_MAX;
    use http_body_util::{BodyExt as _, Full};
    use prost::DecodeError;
    use prost::encoding::{DecodeContext, WireType};

    use super::*;
    use crate::grpc::policies::tests::policies;

    /// As small as a file can be: no path, and no content.
    const EMPTY_FILE: [u8; 2] = [0x0a, 0x00];
    const BYTES_MAX: usize = 16 * 1024 * 1024;

    /// A message of which nothing may be read.
    #[derive(Debug, Default)]
    struct Unread;

    impl Message for Unread {
        fn encode_raw(&self, _: &mut impl BufMut) {}

        fn merge_field(
            &mut self,
            _: u32,
            _: WireType,
            _: &mut impl bytes::Buf,
            _: DecodeContext,
        ) -> Result<(), DecodeError> {
            panic!("it was read")
        }

        fn encoded_len(&self) -> usize {
            0
        }

        fn clear(&mut self) {}
    }

    fn upload(count: usize) -> Vec<u8> {
        let file = |number| api::BundleFile { path: format!("policies/{number}.cedar"), content: String::new() };
        let files = (0..count).map(file).collect();
        api::PolicyServiceUploadRequest { files, message: "many".to_owned(), ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn files_are_counted_before_any_is_read() {
        let millions = EMPTY_FILE.repeat(BYTES_MAX / EMPTY_FILE.len());
        let Ok(Err(problems)) = read::<Unread>(&millions) else { panic!("it is refused") };
        assert_eq!(problems[0].code, "too_many_files");
        // What cannot be read behind them changes nothing.
        assert!(matches!(read::<Unread>(&[&millions[..4_000], b"\xff"].concat()), Ok(Err(_))));
    }

    #[test]
    fn problem_is_the_one_that_the_bundle_has() {
        let count = BUNDLE_FILES_MAX + 1;
        let files = (0..count).map(|number| (format!("policies/{number}.cedar"), String::new())).collect();
        let problems = BundleSource { files }.check_limits().expect_err("they are too many");
        assert_eq!(read::<api::PolicyServiceUploadRequest>(&upload(count)).expect("it is a message"), Err(problems));
    }

    #[test]
    fn as_many_as_a_bundle_may_have_are_read() {
        let message = upload(BUNDLE_FILES_MAX);
        let read = read::<api::PolicyServiceUploadRequest>(&message).expect("it is a message").expect("they are read");
        assert_eq!((read.files.len(), read.message.as_str()), (BUNDLE_FILES_MAX, "many"));
        assert_eq!(read.encode_to_vec(), message);
    }

    #[test]
    fn message_that_cannot_be_read_is_none() {
        for message in [&b"\x0a\xff\xff\xff\xff\x0f"[..], b"\xff", b"\x08\x01", b"\x0b", b"\x0a\x03\x12\x01\xff"] {
            let status = read::<api::PolicyServiceUploadRequest>(message).expect_err("it is no message");
            assert_eq!(status.code(), tonic::Code::Internal, "{message:?}");
        }
    }

    /// What came of a call: the message that answers it, or its status.
    async fn call<T: Message + Default>(method: &str, message: &[u8]) -> Result<T, Status> {
        let length = u32::try_from(message.len()).expect("it fits").to_be_bytes();
        let frame = Full::new(Bytes::from([&[0][..], &length, message].concat()));
        let request = Request::post(format!("/chaperone.v1.PolicyService/{method}"));
        let request = request.header("content-type", "application/grpc").body(Body::new(frame)).expect("a request");
        let mut server = PolicyServer::new(policies().await, BYTES_MAX);
        let (head, body) = server.call(request).await.expect("it answers").into_parts();
        let body = body.collect().await.expect("it is whole");
        let status = Status::from_header_map(body.trailers().unwrap_or(&head.headers)).expect("a status");
        match status.code() {
            tonic::Code::Ok => Ok(T::decode(&body.to_bytes()[5..]).expect("a message")),
            _ => Err(status),
        }
    }

    #[tokio::test]
    async fn upload_of_too_many_files_is_refused_as_any_with_problems_and_validating_tells_them() {
        let message = upload(BUNDLE_FILES_MAX + 1);
        let refused = call::<api::PolicyServiceUploadResponse>("Upload", &message).await.expect_err("it is refused");
        let problem = BundleSource::count_problem(BUNDLE_FILES_MAX + 1).expect("they are too many");
        let expected = Status::from(AdminError::Problems(vec![problem.clone()]));
        assert_eq!((refused.code(), refused.message()), (expected.code(), expected.message()));
        assert_eq!(refused.details(), expected.details());
        let told = call::<api::PolicyServiceValidateResponse>("Validate", &message).await.expect("it is told");
        assert_eq!(told.problems, [problem_to_api(&problem)]);
    }

    #[tokio::test]
    async fn everything_else_is_answered_as_ever() {
        let told = call::<api::PolicyServiceValidateResponse>("Validate", &upload(2)).await.expect("it is told");
        assert!(!told.digest.is_empty(), "{told:?}");
        let status = call::<api::PolicyServiceUploadResponse>("Upload", &[]).await.expect_err("it has no files");
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
        assert_eq!(call::<api::PolicyServiceListResponse>("List", &[]).await.expect("a page").bundles, []);
        let status = call::<api::PolicyServiceListResponse>("Unknown", &[]).await.expect_err("there is no such method");
        assert_eq!(status.code(), tonic::Code::Unimplemented, "{status:?}");
    }
}
