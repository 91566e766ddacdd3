//! How answers of the decision service are written: straight from the decision, without a message in between.

use bytes::{Buf as _, BufMut as _, Bytes};
use chaperone_api::chaperone::v1 as api;
use chaperone_policy::{Failure, Outcome, SessionId, Timestamp};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::wire::Writer;
use super::{convert, decision_effects};
use crate::pdp::{Answer, Challenged};

/// What is answered.
#[derive(Debug)]
pub enum Reply {
    /// A `CheckResponse`.
    Check(Box<Answer>),
    /// A `CheckBatchResponse`.
    Batch(Vec<Answer>),
    /// A `CheckStreamResponse`: the question's id, and what came of it.
    Stream(u64, Result<Box<Answer>, api::CheckFailure>),
    /// A `ReportResponse`. There are few of them beside checks, and nothing is gained by writing them by hand.
    Report(api::ReportResponse),
}

/// Hands questions over as they are, and writes replies.
#[derive(Debug, Default)]
pub struct DecisionCodec;

/// Writes replies.
#[derive(Debug, Default)]
pub struct ReplyEncoder {
    /// The reply that is written, where tonic sends it.
    reply: Writer,
    /// The last session's id, and its text: most replies speak of the session that the one before spoke of.
    session: Option<(SessionId, String)>,
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
        let mut writer = std::mem::take(&mut self.reply);
        writer.clear();
        self.write(&reply, &mut writer);
        buffer.put_slice(writer.bytes());
        self.reply = writer;
        Ok(())
    }
}

impl ReplyEncoder {
    /// Writes a reply behind others, with what stands before a message on a gRPC stream.
    pub(super) fn frame(&mut self, reply: &Reply, writer: &mut Writer) {
        writer.framed(|writer| self.write(reply, writer));
    }

    fn write(&mut self, reply: &Reply, writer: &mut Writer) {
        match reply {
            Reply::Check(answer) => self.write_decision(1, answer, writer),
            Reply::Batch(answers) => answers.iter().for_each(|answer| self.write_decision(1, answer, writer)),
            Reply::Report(response) => writer.fields(response),
            Reply::Stream(request_id, result) => {
                writer.varint(1, *request_id);
                match result {
                    Ok(answer) => self.write_decision(2, answer, writer),
                    Err(failure) => writer.encoded(3, failure),
                }
            }
        }
    }

    /// A `Decision`, as the field of this number. The order of its fields is prost's.
    fn write_decision(&mut self, field: u32, answer: &Answer, writer: &mut Writer) {
        let decision = &answer.decision;
        let outcome = match decision.outcome {
            Outcome::Allow => api::Outcome::Allow,
            Outcome::Deny => api::Outcome::Deny,
            Outcome::Challenge => api::Outcome::Challenge,
        };
        let session = answer.session.as_ref().map(|session| self.session_text(session.id));
        writer.message(field, |writer| {
            let mut uuid = uuid::Uuid::encode_buffer();
            writer.varint(1, u64::from(outcome as u32));
            writer.text(2, answer.id.as_uuid().hyphenated().encode_lower(&mut uuid));
            writer.text(3, decision.reason.code());
            writer.text(4, decision.sentence());
            for policy in &decision.policies {
                writer.message(5, |writer| {
                    writer.text(1, &policy.id);
                    writer.text(2, policy.reason.as_deref().unwrap_or_default());
                    writer.text(3, policy.failure.map(Failure::as_str).unwrap_or_default());
                });
            }
            writer.text(6, session.unwrap_or_default());
            writer.varint(7, answer.bundle.get());
            writer.message(8, |writer| write_timestamp(answer.at, writer));
            for effect in &decision.effects {
                decision_effects::write(9, effect, writer);
            }
            if !answer.challenge.is_empty() {
                writer.encoded(10, &challenge(&answer.challenge));
            }
            if let Some(until) = decision.report_until {
                writer.message(11, |writer| write_timestamp(until, writer));
            }
            if let Some(delegation) = &answer.delegation {
                writer.encoded(12, &convert::delegation_to_api(delegation));
            }
        });
    }

    fn session_text(&mut self, id: SessionId) -> &str {
        let (last, text) = self.session.get_or_insert_with(|| (id, id.to_string()));
        if *last != id {
            (*last, *text) = (id, id.to_string());
        }
        text
    }
}

/// The fields of a `Timestamp`.
fn write_timestamp(at: Timestamp, writer: &mut Writer) {
    let prost_types::Timestamp { seconds, nanos } = convert::timestamp_to_api(at);
    // As protobuf has negative numbers: those before 1970. What is less than a second never is.
    writer.varint(1, seconds.cast_unsigned());
    writer.varint(2, u64::from(nanos.unsigned_abs()));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chaperone_policy::{
        Alert, Amount, ApprovalId, BundleNumber, Change, Decision, DecisionId, Deferred, Delegation, DeterminingPolicy,
        Effect, EntityRef, FactType, Level, MemoryName, Reason, Reported, Severity, Timestamp, Value, Wait,
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
        let deferred = prop_oneof![
            name.prop_map(|label| Deferred::Label(label.into())),
            (name, 0..i64::MAX).prop_map(move |(name, amount)| Deferred::Reserved(
                memory_name(&name),
                Amount::Whole(amount),
                None
            )),
            (name, name).prop_map(move |(name, fact)| Deferred::CountFact(
                memory_name(&name),
                fact.into(),
                FactType::Long
            )),
        ];
        let on = prop_oneof![Just(Reported::Executed), Just(Reported::Failed)];
        let effect = prop_oneof![
            (level.clone(), on, deferred).prop_map(|(level, on, what)| Effect::Await(Wait { on, level, what })),
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
        let delegation = proptest::collection::vec("[ab]", 0..5).prop_map(|ids| {
            let principals: Vec<_> = ids.into_iter().map(|id| EntityRef::new("Agent", id)).collect();
            Delegation::of(&principals).map(Arc::new)
        });
        (decision, any::<u128>(), any::<u64>(), any::<i64>(), delegation).prop_map(
            |((outcome, policies, detail, effects), id, bundle, at, delegation)| {
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
                    decision: Decision {
                        outcome,
                        reason,
                        policies,
                        detail,
                        effects,
                        step_ups: Box::default(),
                        report_until: Some(Timestamp::from_micros(at)).filter(|_| bundle % 2 == 0),
                    },
                    challenge,
                    principal: None,
                    session: None,
                    delegation,
                    ancestors: Box::default(),
                    bundle: BundleNumber::new(bundle),
                    at: Timestamp::from_micros(at),
                    read: crate::pdp::Read::default(),
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
            report_until: answer.decision.report_until.map(convert::timestamp_to_api),
            delegation: answer.delegation.as_deref().map(convert::delegation_to_api),
        }
    }

    fn written(encoder: &mut ReplyEncoder, reply: &Reply) -> Vec<u8> {
        let mut writer = Writer::default();
        encoder.write(reply, &mut writer);
        writer.bytes().to_vec()
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
                let reply = Reply::Stream(request_id, Ok(Box::new(answer)));
                let result = Some(api::check_stream_response::Result::Decision(decision.clone()));
                let expected = api::CheckStreamResponse { request_id, result }.encode_to_vec();
                prop_assert_eq!(written(&mut encoder, &reply), expected);
                let Reply::Stream(_, Ok(answer)) = reply else { return Ok(()) };
                let reply = Reply::Check(answer);
                let expected = api::CheckResponse { decision: Some(decision) }.encode_to_vec();
                prop_assert_eq!(written(&mut encoder, &reply), expected);
                let Reply::Check(answer) = reply else { return Ok(()) };
                ones.push(*answer);
            }
            prop_assert_eq!(written(&mut encoder, &Reply::Batch(ones)), batch.encode_to_vec());
        }
    }
}
