//! Streams of questions, as bytes, to a replica that has loaded nothing: every question that can be read is answered, by a failure.

use std::time::Duration;

use chaperone_api::chaperone::v1::check_stream_response::Result as Answered;
use chaperone_policy::{MemoryLimits, Timestamp};
use chaperone_store::EmbeddedStore;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody};
use prost::Message as _;

use super::*;
use crate::clock::Clock;
use crate::config::OnTokenReuse;
use crate::evaluator::Evaluator;
use crate::pdp::Judge;
use crate::recorder::Recorder;
use crate::replica::{Replica, StalenessLimits};
use crate::telemetry::{DecisionSpans, Metrics};

const BYTES_MAX: usize = 1024;

async fn answers<B>(body: B) -> Answers
where
    B: Body<Data = Bytes, Error = Status> + Send + 'static,
{
    let store = Arc::new(EmbeddedStore::open(None).await.expect("a store in memory"));
    let limits = StalenessLimits { max: Duration::from_secs(1), grace: Duration::ZERO };
    let replica = Arc::new(Replica::new(store, 10, limits));
    let clock = Clock::manual(Timestamp::from_micros(1_800_000_000_000_000));
    let metrics = Arc::new(Metrics::new("test").expect("they can be made"));
    let recorder = Recorder::new(metrics, DecisionSpans::disabled(), clock.clone());
    let judge =
        Judge { evaluator: Evaluator::Compiled, limits: MemoryLimits::default(), on_token_reuse: OnTokenReuse::Deny };
    let pdp = Pdp::new(clock, replica, recorder, judge, 1, Duration::from_secs(10));
    let call = Call::of(&tonic::Request::new(()));
    let questions = Questions::new(tonic::body::Body::new(body), BYTES_MAX);
    Answers::new(Arc::new(pdp), Shutdown::default(), call, questions)
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("it is short");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

fn question(request_id: u64) -> Vec<u8> {
    framed(&api::CheckStreamRequest { request_id, check: Some(api::CheckRequest::default()) }.encode_to_vec())
}

/// The ids of the questions that were answered, each by `no_bundle`, and the status at the end with its message.
async fn outcome(sent: Vec<u8>) -> (Vec<u64>, i32, String) {
    let body = Full::new(Bytes::from(sent)).map_err(|never| match never {});
    let collected = answers(body).await.collect().await.expect("the body is whole");
    let trailers = collected.trailers().cloned().expect("trailers");
    let text = |name: &str| trailers.get(name).map_or("", |value| value.to_str().expect("ASCII")).to_owned();
    let (mut rest, mut ids) = (collected.to_bytes(), Vec::new());
    while !rest.is_empty() {
        let prefix = rest.split_to(5);
        assert_eq!(prefix[0], 0, "not compressed");
        let length = u32::from_be_bytes(prefix[1..].try_into().expect("four bytes"));
        let answer = api::CheckStreamResponse::decode(rest.split_to(length as usize)).expect("an answer");
        let Some(Answered::Failure(failure)) = answer.result else { panic!("{answer:?}") };
        assert_eq!(failure.code, "no_bundle");
        ids.push(answer.request_id);
    }
    (ids, text("grpc-status").parse().expect("a number"), text("grpc-message"))
}

#[tokio::test]
async fn every_question_is_answered_and_the_end_is_good() {
    assert_eq!(outcome(Vec::new()).await, (Vec::new(), 0, String::new()));
    let ids: Vec<u64> = (0..500).collect();
    let sent = ids.iter().flat_map(|id| question(*id)).collect();
    assert_eq!(outcome(sent).await, (ids, 0, String::new()), "in more than one frame");
}

#[tokio::test]
async fn malformed_question_ends_the_stream_as_prost_refuses_it() {
    let truncated = question(3).len() - 1;
    let unknown_check = framed(b"\x12\x05ab");
    for malformed in [framed(b"\xff\xff\xff\xff"), framed(b"\x12\x03\x0a\x01\xff"), unknown_check] {
        let expected = api::CheckStreamRequest::decode(&malformed[5..]).expect_err("it is malformed").to_string();
        let (ids, status, message) = outcome([question(1), question(2), malformed, question(3)].concat()).await;
        assert_eq!((ids, status), (vec![1, 2], 13));
        let message = percent_encoding::percent_decode_str(&message).decode_utf8().expect("text");
        assert_eq!(message, expected);
    }
    let (ids, status, _) = outcome([&question(1)[..], &question(3)[..truncated]].concat()).await;
    assert_eq!((ids, status), (vec![1], 13), "it breaks off");
    let (ids, status, _) = outcome([question(1), framed(&[0; BYTES_MAX + 1]), question(3)].concat()).await;
    assert_eq!((ids, status), (vec![1], 11), "it is too long");
    let compressed = [&[1], &question(2)[1..]].concat();
    let (ids, status, _) = outcome([question(1), compressed, question(3)].concat()).await;
    assert_eq!((ids, status), (vec![1], 13), "it is compressed");
}

#[tokio::test]
async fn answers_leave_as_soon_as_there_are_no_more_questions_for_now() {
    let first = stream::iter([Ok::<_, Status>(Frame::data(Bytes::from([question(7), question(8)].concat())))]);
    let body = StreamBody::new(first.chain(stream::pending()));
    let mut answers = answers(body).await;
    let frame = answers.frame().await.expect("a frame").expect("it is good").into_data().expect("data");
    let one = 5 + u32::from_be_bytes(frame[1..5].try_into().expect("four bytes")) as usize;
    assert_eq!(frame.len(), 2 * one, "both in one frame");
    assert!(futures_util::FutureExt::now_or_never(answers.frame()).is_none(), "the stream goes on");
}
