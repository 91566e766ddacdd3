//! How answers of the decision service are written: straight from the decision, without a message in between.

use bytes::{Buf as _, BufMut, Bytes};
use chaperone_api::chaperone::v1 as api;
use chaperone_policy::{Failure, Outcome};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::{convert, decision_effects};
use crate::pdp::{Answer, Challenged};

/// What is answered.
#[derive(Debug)]
pub enum Reply {
    /// A `CheckResponse`.
    Check(Answer),
    /// A `CheckBatchResponse`.
    Batch(Vec<Answer>),
    /// A `CheckStreamResponse`: the question's id, and what came of it.
    Stream(u64, Result<Answer, api::CheckFailure>),
}

/// Hands questions over as they are, and writes replies.
#[derive(Debug, Default)]
pub struct DecisionCodec;

/// Writes replies.
#[derive(Debug, Default)]
pub struct ReplyEncoder {
    /// The decision that is written, before its length is known.
    decision: Vec<u8>,
}

impl Codec for DecisionCodec {
    type Encode = Reply;
    type Decode = Bytes;
    type Encoder = ReplyEncoder;
    type Decoder = QuestionDecoder;

    fn encoder(&mut self) -> ReplyEncoder {
        ReplyEncoder::default()
    }

    fn decoder(&mut self) -> QuestionDecoder {
        QuestionDecoder
    }
}

/// Hands questions over as they are: they are read where they stand.
#[derive(Debug)]
pub struct QuestionDecoder;

impl Decoder for QuestionDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

impl Encoder for ReplyEncoder {
    type Item = Reply;
    type Error = Status;

    fn encode(&mut self, reply: Reply, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        self.write(&reply, buffer);
        Ok(())
    }
}

impl ReplyEncoder {
    /// Writes a reply behind others, with what stands before a message on a gRPC stream: whether it is compressed, and its length.
    pub(super) fn frame(&mut self, reply: &Reply, buffer: &mut Vec<u8>) {
        let prefix = buffer.len();
        buffer.extend_from_slice(&[0; 5]);
        let start = buffer.len();
        self.write(reply, buffer);
        // An answer is far from 4 GiB; were it not, the caller would get a message that it cannot read.
        let length = u32::try_from(buffer.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = buffer.get_mut(prefix + 1..start) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    fn write(&mut self, reply: &Reply, buffer: &mut impl BufMut) {
        match reply {
            Reply::Check(answer) => self.write_decision(1, answer, buffer),
            Reply::Batch(answers) => answers.iter().for_each(|answer| self.write_decision(1, answer, buffer)),
            Reply::Stream(request_id, result) => {
                number(1, *request_id, buffer);
                match result {
                    Ok(answer) => self.write_decision(2, answer, buffer),
                    Err(failure) => prost::encoding::message::encode(3, failure, buffer),
                }
            }
        }
    }

    /// A `Decision`, as the field of this number. The order of its fields is prost's.
    fn write_decision(&mut self, field: u32, answer: &Answer, buffer: &mut impl BufMut) {
        let written = &mut self.decision;
        written.clear();
        let decision = &answer.decision;
        let outcome = match decision.outcome {
            Outcome::Allow => api::Outcome::Allow,
            Outcome::Deny => api::Outcome::Deny,
            Outcome::Challenge => api::Outcome::Challenge,
        };
        let mut uuid = uuid::Uuid::encode_buffer();
        number(1, u64::from(outcome as u32), written);
        text(2, answer.id.as_uuid().hyphenated().encode_lower(&mut uuid), written);
        text(3, decision.reason.code(), written);
        text(4, decision.sentence(), written);
        for policy in &decision.policies {
            let reason = policy.reason.as_deref().unwrap_or_default();
            let failure = policy.failure.map(Failure::as_str).unwrap_or_default();
            let length = text_length(&policy.id) + text_length(reason) + text_length(failure);
            encode_key(5, WireType::LengthDelimited, written);
            encode_varint(length as u64, written);
            text(1, &policy.id, written);
            text(2, reason, written);
            text(3, failure, written);
        }
        if let Some(session) = &answer.session {
            text(6, session.id.as_uuid().hyphenated().encode_lower(&mut uuid), written);
        }
        number(7, answer.bundle.get(), written);
        prost::encoding::message::encode(8, &convert::timestamp_to_api(answer.at), written);
        for effect in &decision.effects {
            decision_effects::write(9, effect, written);
        }
        if !answer.challenge.is_empty() {
            prost::encoding::message::encode(10, &challenge(&answer.challenge), written);
        }
        encode_key(field, WireType::LengthDelimited, buffer);
        encode_varint(written.len() as u64, buffer);
        buffer.put_slice(written);
    }
}

/// What a challenge asks for. Few answers have one.
fn challenge(challenge: &[Challenged]) -> api::Challenge {
    let step_up = |wanted: &Challenged| api::StepUp {
        name: wanted.step_up.clone(),
        approval_id: wanted.approval.to_string(),
        action: wanted.action.to_string(),
        resource: Some(convert::entity_ref_to_api(&wanted.resource)),
        expires_at: Some(convert::timestamp_to_api(wanted.expires_at)),
        acr_values: wanted.acr_values.clone(),
    };
    api::Challenge { step_ups: challenge.iter().map(step_up).collect() }
}

/// A number; zero is not written.
pub(super) fn number(field: u32, value: u64, buffer: &mut impl BufMut) {
    if value != 0 {
        encode_key(field, WireType::Varint, buffer);
        encode_varint(value, buffer);
    }
}

/// A text; an empty one is not written.
pub(super) fn text(field: u32, text: &str, buffer: &mut impl BufMut) {
    if !text.is_empty() {
        encode_key(field, WireType::LengthDelimited, buffer);
        encode_varint(text.len() as u64, buffer);
        buffer.put_slice(text.as_bytes());
    }
}

/// How long a text is as a field whose number is below 16.
pub(super) fn text_length(text: &str) -> usize {
    if text.is_empty() { 0 } else { 1 + encoded_len_varint(text.len() as u64) + text.len() }
}

#[cfg(test)]
mod tests {
    use chaperone_policy::{
        Alert, Amount, ApprovalId, BundleNumber, Change, Decision, DecisionId, DeterminingPolicy, Effect, EntityRef,
        Level, MemoryName, Reason, Severity, Timestamp, Value,
    };
    use proptest::prelude::*;
    use prost::Message as _;
    use uuid::Uuid;

    use super::*;

    fn effects() -> impl Strategy<Value = Vec<Effect>> {
        let level = prop_oneof![Just(Level::Session), Just(Level::Tree), Just(Level::Principal)];
        let name = "[a-z]{1,60}";
        let memory_name = |name: &str| MemoryName::parse(name).expect("a name");
        let change = prop_oneof![
            name.prop_map(|label| Change::Label(label.into())),
            (name, 0..i64::MAX)
                .prop_map(move |(name, amount)| Change::Count(memory_name(&name), Amount::Whole(amount))),
            (name, "\\PC{0,600}")
                .prop_map(move |(name, text)| Change::Remember(memory_name(&name), Value::String(text.into()))),
            (-100..=100_i8).prop_map(Change::Risk),
        ];
        let effect = prop_oneof![
            (level.clone(), change).prop_map(|(level, change)| Effect::Remember(level, change)),
            level.prop_map(|level| Effect::Revoke { level, policy: "p".into() }),
            name.prop_map(|name| Effect::Alert(Alert {
                name: name.into(),
                severity: Severity::High,
                policy: "p".into()
            })),
        ];
        proptest::collection::vec(effect, 0..4)
    }

    fn answers() -> impl Strategy<Value = Answer> {
        let failure = proptest::option::of(Just(Failure::Overflow));
        let policy = ("[a-z]{1,20}", proptest::option::of("\\PC{0,200}"), failure);
        let policy = policy.prop_map(|(id, reason, failure)| DeterminingPolicy { id: id.into(), reason, failure });
        let policies = proptest::collection::vec(policy, 0..4);
        let decision = (0..3_u8, policies, proptest::option::of("\\PC{0,40}"), effects());
        (decision, any::<u128>(), any::<u64>(), any::<i64>()).prop_map(
            |((outcome, policies, detail, effects), id, bundle, at)| {
                let (outcome, reason) = match outcome {
                    0 => (Outcome::Allow, Reason::Permitted),
                    1 => (Outcome::Deny, Reason::Forbidden),
                    _ => (Outcome::Challenge, Reason::StepUpRequired),
                };
                let wanted = Challenged {
                    step_up: "mfa".into(),
                    approval: ApprovalId::new(Uuid::from_u128(id)),
                    action: EntityRef::action("read"),
                    resource: EntityRef::new("Document", "1"),
                    expires_at: Timestamp::from_micros(at),
                    acr_values: vec!["mfa".to_owned()],
                };
                let challenge = if outcome == Outcome::Challenge { [wanted].into() } else { Box::default() };
                Answer {
                    id: DecisionId::new(Uuid::from_u128(id)),
                    decision: Decision { outcome, reason, policies, detail, effects, step_ups: Box::default() },
                    challenge,
                    principal: None,
                    session: None,
                    ancestors: Box::default(),
                    bundle: BundleNumber::new(bundle),
                    at: Timestamp::from_micros(at),
                }
            },
        )
    }

    /// What the API says an answer is.
    fn decision(answer: &Answer) -> api::Decision {
        let policy = |policy: &DeterminingPolicy| api::DeterminingPolicy {
            id: policy.id.to_string(),
            reason: policy.reason.clone().unwrap_or_default(),
            failure: policy.failure.map(Failure::as_str).unwrap_or_default().to_owned(),
        };
        let outcome = match answer.decision.outcome {
            Outcome::Allow => api::Outcome::Allow,
            Outcome::Deny => api::Outcome::Deny,
            Outcome::Challenge => api::Outcome::Challenge,
        };
        api::Decision {
            outcome: i32::from(outcome),
            decision_id: answer.id.to_string(),
            code: answer.decision.reason.code().to_owned(),
            reason: answer.decision.sentence().to_owned(),
            policies: answer.decision.policies.iter().map(policy).collect(),
            session_id: String::new(),
            bundle_number: answer.bundle.get(),
            decided_at: Some(convert::timestamp_to_api(answer.at)),
            effects: answer.decision.effects.iter().map(decision_effects::effect_to_api).collect(),
            challenge: (!answer.challenge.is_empty()).then(|| challenge(&answer.challenge)),
        }
    }

    fn written(encoder: &mut ReplyEncoder, reply: &Reply) -> Vec<u8> {
        let mut bytes = Vec::new();
        encoder.write(reply, &mut bytes);
        bytes
    }

    proptest! {
        /// To the last byte, with one encoder after the other reply.
        #[test]
        fn replies_are_written_as_prost_writes_them(
            answers in proptest::collection::vec(answers(), 1..4),
            request_id: u64,
            message in "\\PC{0,200}",
        ) {
            let mut encoder = ReplyEncoder::default();
            let batch = api::CheckBatchResponse { decisions: answers.iter().map(decision).collect() };
            let failure = api::CheckFailure { status_code: 14, code: "stale".to_owned(), message };
            let failed = api::CheckStreamResponse {
                request_id,
                result: Some(api::check_stream_response::Result::Failure(failure.clone())),
            };
            prop_assert_eq!(written(&mut encoder, &Reply::Stream(request_id, Err(failure))), failed.encode_to_vec());
            let mut ones = Vec::new();
            for answer in answers {
                let decision = decision(&answer);
                let reply = Reply::Stream(request_id, Ok(answer));
                let result = Some(api::check_stream_response::Result::Decision(decision.clone()));
                let expected = api::CheckStreamResponse { request_id, result }.encode_to_vec();
                prop_assert_eq!(written(&mut encoder, &reply), expected);
                let Reply::Stream(_, Ok(answer)) = reply else { return Ok(()) };
                let reply = Reply::Check(answer);
                let expected = api::CheckResponse { decision: Some(decision) }.encode_to_vec();
                prop_assert_eq!(written(&mut encoder, &reply), expected);
                let Reply::Check(answer) = reply else { return Ok(()) };
                ones.push(answer);
            }
            prop_assert_eq!(written(&mut encoder, &Reply::Batch(ones)), batch.encode_to_vec());
        }
    }
}
