//! The load of direct callers: `stream DATA_ADDRESS HANDLES STREAMS IN_FLIGHT CHECKS` opens so many streams, of callers that each have a session
//! of those whose handles are in the file `HANDLES`, as `frame` writes them; keeps so many checks in flight on each until so many are answered
//! in all, and prints one line of JSON.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chaperone_api::chaperone::v1::{ActionRequest, CheckRequest, Outcome, Presenter};
use chaperone_e2e::{admin, client, frame, load};
use http::uri::PathAndQuery;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{IntoStreamingRequest as _, codec};
use tonic_prost::ProstCodec;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A `CheckStreamRequest` of which the question is encoded already: a client that costs more than the server has it wait.
#[derive(Clone, PartialEq, prost::Message)]
struct Asked {
    #[prost(uint64, tag = "1")]
    request_id: u64,
    #[prost(bytes = "bytes", tag = "2")]
    check: Bytes,
}

/// What is read of a `CheckStreamResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct Told {
    #[prost(uint64, tag = "1")]
    request_id: u64,
    #[prost(message, optional, tag = "2")]
    decision: Option<Decided>,
}

/// What is read of a `Decision`.
#[derive(Clone, PartialEq, prost::Message)]
struct Decided {
    #[prost(enumeration = "Outcome", tag = "1")]
    outcome: i32,
}

const PATH: &str = "/chaperone.v1.DecisionService/CheckStream";
const USAGE: &str = "usage: stream DATA_ADDRESS HANDLES STREAMS IN_FLIGHT CHECKS";

// One thread, so that the server has the other cores to itself.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, handles, streams, in_flight, checks] = arguments.as_slice() else { panic!("{USAGE}") };
    let address: SocketAddr = address.parse().expect(USAGE);
    let [streams, in_flight, checks] = [streams, in_flight, checks].map(|text| text.parse::<usize>().expect(USAGE));
    let (streams, in_flight) = (streams.max(1), in_flight.max(1));
    let handles = std::fs::read_to_string(handles).expect("the handles can be read");
    let questions: Vec<Bytes> = handles.lines().map(|handle| question(handle).encode_to_vec().into()).collect();
    let mut clients = Vec::new();
    for _ in 0..streams {
        // A connection each: streams of one connection share its window and its lock.
        clients.push(Grpc::new(client::channel(address).await));
    }
    let began = Instant::now();
    let callers = clients.into_iter().zip(questions.iter().cycle());
    let callers = callers
        .map(|(client, question)| tokio::spawn(call(client, question.clone(), in_flight, checks.div_ceil(streams))));
    let mut latencies: Vec<Duration> = Vec::with_capacity(checks);
    for caller in callers.collect::<Vec<_>>() {
        latencies.extend(caller.await.expect("the caller runs"));
    }
    load::report(latencies, began.elapsed());
}

/// What `frame` asks over the other door: the same action, of a session of the same kind.
fn question(handle: &str) -> CheckRequest {
    let action = ActionRequest {
        action: "read".to_owned(),
        resource: Some(admin::entity("Document", "42")),
        ..Default::default()
    };
    let presenter = Presenter { spiffe_id: frame::CALLER.to_owned(), ..Default::default() };
    CheckRequest {
        session_handle: handle.to_owned(),
        presenter: Some(presenter),
        action: Some(action),
        ..Default::default()
    }
}

/// Asks `checks` times, and returns how long each answer took.
async fn call(mut client: Grpc<Channel>, question: Bytes, in_flight: usize, checks: usize) -> Vec<Duration> {
    let (send, questions) = mpsc::unbounded_channel();
    let ask = |number: usize| {
        let request_id = u64::try_from(number).expect("a number fits");
        send.send(Asked { request_id, check: question.clone() }).expect("the stream is open");
        Instant::now()
    };
    let mut asked_at: Vec<Instant> = (0..in_flight.min(checks)).map(&ask).collect();
    client.ready().await.expect("the server answers");
    let questions = UnboundedReceiverStream::new(questions).into_streaming_request();
    let answers = client.streaming(questions, PathAndQuery::from_static(PATH), ProstCodec::default()).await;
    let mut answers: codec::Streaming<Told> = answers.expect("a stream").into_inner();
    let mut latencies = Vec::with_capacity(checks);
    while latencies.len() < checks {
        let answer = answers.message().await.expect("an answer").expect("the stream goes on");
        let decision = answer.decision.expect("a decision");
        assert_eq!(decision.outcome(), Outcome::Allow);
        let number = usize::try_from(answer.request_id).expect("a number fits");
        latencies.push(asked_at.get(number).expect("it was asked").elapsed());
        if asked_at.len() < checks {
            asked_at.push(ask(asked_at.len()));
        }
    }
    latencies
}
