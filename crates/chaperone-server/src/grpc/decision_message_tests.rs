//! Reading in place against prost: for every input both say the same, or both refuse it.

use chaperone_api::chaperone::v1::payload::Content;
use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::super::wire::keep_last;
use super::*;

fn presenter(presenter: &api::Presenter) -> PresenterFields<'_> {
    PresenterFields {
        spiffe_id: &presenter.spiffe_id,
        certificate_sha256: &presenter.certificate_sha256,
        address: &presenter.address,
    }
}

fn action(action: &api::ActionRequest) -> ActionFields<'_> {
    let resource = action.resource.as_ref();
    let mut attributes: Vec<_> = action.attributes.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    keep_last(&mut attributes);
    ActionFields {
        action: &action.action,
        resource: resource.map(|entity| EntityFields { kind: &entity.r#type, id: &entity.id }),
        attributes,
    }
}

fn check(check: &api::CheckRequest) -> CheckQuestion<'_> {
    CheckQuestion {
        session_handle: &check.session_handle,
        presenter: check.presenter.as_ref().map(presenter),
        action: check.action.as_ref().map(action),
        consistency: check.consistency,
        payload: check.payload.as_ref().map(payload),
    }
}

fn payload(payload: &api::Payload) -> PayloadFields<'_> {
    let content = payload.content.as_ref().map(|content| match content {
        Content::Text(text) => PayloadContent::Text(text),
        Content::Arguments(arguments) => {
            PayloadContent::Arguments(arguments.values.iter().map(String::as_str).collect())
        }
        Content::Message(message) => PayloadContent::Message(message),
    });
    PayloadFields { decoder: &payload.decoder, content }
}

/// Whether both read a question of a stream; panics when they differ.
fn agree(bytes: &[u8]) -> bool {
    match (api::CheckStreamRequest::decode(bytes), StreamQuestion::read(bytes)) {
        (Ok(message), Ok(mut question)) => {
            question.check.action.iter_mut().for_each(|action| keep_last(&mut action.attributes));
            assert_eq!(question.request_id, message.request_id);
            assert_eq!(question.check, message.check.as_ref().map(check).unwrap_or_default());
            true
        }
        (Err(_), Err(Malformed)) => false,
        (theirs, ours) => panic!("prost reads {theirs:?}, in place {ours:?}"),
    }
}

/// As [`agree`], of a batch.
fn agree_on_batch(bytes: &[u8]) -> bool {
    match (api::CheckBatchRequest::decode(bytes), BatchQuestion::read(bytes)) {
        (Ok(message), Ok(mut question)) => {
            question.actions.iter_mut().for_each(|action| keep_last(&mut action.attributes));
            let expected = BatchQuestion {
                session_handle: &message.session_handle,
                presenter: message.presenter.as_ref().map(presenter),
                actions: message.actions.iter().map(action).collect(),
                consistency: message.consistency,
            };
            assert_eq!(question, expected);
            true
        }
        (Err(_), Err(Malformed)) => false,
        (theirs, ours) => panic!("prost reads {theirs:?}, in place {ours:?}"),
    }
}

fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof!["[a-c]{0,2}", "\\PC{0,4}"].boxed()
}

fn entity() -> impl Strategy<Value = api::EntityRef> {
    (text(), text()).prop_map(|(kind, id)| api::EntityRef { r#type: kind, id })
}

fn value() -> impl Strategy<Value = api::Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Kind::Bool),
        any::<i64>().prop_map(Kind::Long),
        text().prop_map(Kind::String),
        entity().prop_map(Kind::Entity),
        text().prop_map(Kind::Ip),
        text().prop_map(Kind::Decimal),
        text().prop_map(Kind::Datetime),
        text().prop_map(Kind::Duration),
    ];
    let value = option::of(leaf).prop_map(|kind| api::Value { kind });
    value.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|values| Kind::Set(api::ValueSet { values })),
            hash_map(text(), inner, 0..3).prop_map(|fields| Kind::Record(api::ValueRecord { fields })),
        ]
        .prop_map(|kind| api::Value { kind: Some(kind) })
    })
}

fn any_action() -> impl Strategy<Value = api::ActionRequest> {
    (text(), option::of(entity()), hash_map(text(), value(), 0..4))
        .prop_map(|(action, resource, attributes)| api::ActionRequest { action, resource, attributes })
}

fn any_presenter() -> impl Strategy<Value = api::Presenter> {
    (text(), vec(any::<u8>(), 0..4), text()).prop_map(|(spiffe_id, certificate_sha256, address)| api::Presenter {
        spiffe_id,
        certificate_sha256,
        address,
    })
}

fn any_payload() -> impl Strategy<Value = api::Payload> {
    let content = prop_oneof![
        text().prop_map(Content::Text),
        vec(text(), 0..4).prop_map(|values| Content::Arguments(api::Arguments { values })),
        vec(any::<u8>(), 0..4).prop_map(Content::Message),
    ];
    (text(), option::of(content)).prop_map(|(decoder, content)| api::Payload { decoder, content })
}

prop_compose! {
    fn any_check()(
        session_handle in text(),
        presenter in option::of(any_presenter()),
        action in option::of(any_action()),
        consistency in prop_oneof![0..3, any::<i32>()],
        payload in option::of(any_payload()),
    ) -> api::CheckRequest {
        api::CheckRequest { session_handle, presenter, action, consistency, payload }
    }
}

fn question() -> impl Strategy<Value = api::CheckStreamRequest> {
    (any::<u64>(), option::of(any_check()))
        .prop_map(|(request_id, check)| api::CheckStreamRequest { request_id, check })
}

prop_compose! {
    fn batch()(
        session_handle in text(),
        presenter in option::of(any_presenter()),
        actions in vec(any_action(), 0..4),
        consistency in prop_oneof![0..3, any::<i32>()],
    ) -> api::CheckBatchRequest {
        api::CheckBatchRequest { session_handle, presenter, actions, consistency }
    }
}

fn nested(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut bytes);
    encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// Fields of any number and any wire type that a question may have, in any order.
fn wild_fields() -> impl Strategy<Value = Vec<u8>> {
    let field = (1_u32..12, 0_usize..7, any::<u64>(), vec(any::<u8>(), 0..6), "[a-b]{0,2}");
    let field = field.prop_map(|(number, form, varint, bytes, text)| {
        let mut field = Vec::new();
        match form {
            0 | 1 => {
                encode_key(number, WireType::Varint, &mut field);
                encode_varint(varint, &mut field);
            }
            2 => {
                encode_key(number, WireType::SixtyFourBit, &mut field);
                field.extend_from_slice(&varint.to_le_bytes());
            }
            3 => {
                encode_key(number, WireType::StartGroup, &mut field);
                encode_key(number, WireType::EndGroup, &mut field);
            }
            4 => field = nested(number, &bytes),
            _ => field = nested(number, text.as_bytes()),
        }
        field
    });
    vec(field, 0..4).prop_map(|fields| fields.concat())
}

/// These fields as a value, at two depths.
fn as_value(fields: &[u8]) -> Vec<u8> {
    let entry = |value: &[u8]| [nested(1, b"a"), nested(2, value)].concat();
    let question = |value: &[u8]| nested(2, &nested(3, &nested(3, &entry(value))));
    [question(fields), question(&nested(5, &nested(1, fields))), question(&nested(6, &nested(1, &entry(fields))))]
        .concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn message_is_read_as_it_was_written(question in question(), batch in batch()) {
        prop_assert!(agree(&question.encode_to_vec()));
        prop_assert!(agree_on_batch(&batch.encode_to_vec()));
    }

    /// A later part adds to an earlier one, or replaces it, at every depth: the last of a scalar and of a map's key counts.
    #[test]
    fn parts_are_merged(first in question(), second in question(), batches in [batch(), batch()]) {
        prop_assert!(agree(&[first.encode_to_vec(), second.encode_to_vec()].concat()));
        let checks = [first, second].map(|question| question.check.unwrap_or_default());
        prop_assert!(agree(&nested(2, &checks.each_ref().map(prost::Message::encode_to_vec).concat())));
        let actions = checks.each_ref().map(|check| check.action.clone().unwrap_or_default().encode_to_vec()).concat();
        prop_assert!(agree(&nested(2, &nested(3, &actions))));
        let payloads = checks.map(|check| check.payload.unwrap_or_default().encode_to_vec()).concat();
        prop_assert!(agree(&nested(2, &nested(5, &payloads))));
        prop_assert!(agree_on_batch(&batches.map(|batch| batch.encode_to_vec()).concat()));
    }

    /// Also within the `oneof` of a value.
    #[test]
    fn parts_of_a_value_are_merged(first in value(), second in value()) {
        let [first, second] = [first.encode_to_vec(), second.encode_to_vec()];
        prop_assert!(agree(&as_value(&[&first[..], &second].concat())));
        let entry = [nested(1, b"a"), nested(2, &first), nested(2, &second)].concat();
        prop_assert!(agree(&nested(2, &nested(3, &nested(3, &entry)))));
    }

    /// Fields in any order, that are unknown, of another type, twice there or in groups.
    #[test]
    fn wild_fields_are_read_or_refused_alike(fields in wild_fields(), more in wild_fields()) {
        agree(&fields);
        agree_on_batch(&fields);
        agree(&nested(2, &fields));
        agree(&nested(2, &nested(2, &fields)));
        agree(&nested(2, &nested(3, &[fields.clone(), more.clone()].concat())));
        agree(&nested(2, &nested(3, &nested(2, &fields))));
        agree(&nested(2, &nested(3, &nested(3, &fields))));
        agree(&nested(2, &nested(5, &[fields.clone(), more.clone()].concat())));
        agree(&nested(2, &nested(5, &[nested(3, &fields), nested(3, &more)].concat())));
        agree(&as_value(&fields));
        agree(&as_value(&[nested(4, &fields), nested(4, &more)].concat()));
        agree_on_batch(&nested(3, &[fields, more].concat()));
    }

    /// What breaks off is refused, unless it breaks off between two fields.
    #[test]
    fn truncated_message_is_read_or_refused_alike(question in question()) {
        let bytes = question.encode_to_vec();
        for length in 0..bytes.len() {
            agree(&bytes[..length]);
        }
    }

    #[test]
    fn changed_message_is_read_or_refused_alike(
        question in question(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = question.encode_to_vec();
        for (at, byte) in changes.into_iter().take(bytes.len()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            agree(&bytes);
        }
    }

    #[test]
    fn noise_is_read_or_refused_alike(bytes in vec(any::<u8>(), 0..40)) {
        agree(&bytes);
        agree_on_batch(&bytes);
    }
}

#[test]
fn truncated_text_is_refused() {
    let check = api::CheckRequest { session_handle: "handle".to_owned(), ..Default::default() };
    let bytes = api::CheckStreamRequest { request_id: 7, check: Some(check) }.encode_to_vec();
    assert!(agree(&bytes));
    assert!(agree(&bytes[..2]), "only the id is there");
    for length in 3..bytes.len() {
        assert!(!agree(&bytes[..length]), "{length} bytes");
    }
}

#[test]
fn nesting_is_limited_alike() {
    let set = |depth| (0..depth).fold(nested(3, b"end"), |inner, _| nested(5, &nested(1, &inner)));
    let record = |depth| {
        (0..depth)
            .fold(nested(3, b"end"), |inner, _| nested(6, &nested(1, &[nested(1, b"a"), nested(2, &inner)].concat())))
    };
    let question = |value: Vec<u8>| nested(2, &nested(3, &nested(3, &nested(2, &value))));
    let mut outcomes = std::collections::HashSet::new();
    for depth in 0..60 {
        outcomes.insert((0, agree(&question(set(depth)))));
        outcomes.insert((1, agree(&question(record(depth)))));
    }
    assert_eq!(outcomes.len(), 4, "each of them is read while it is shallow, and refused once it is deep");
}

#[test]
fn many_attributes_are_read_in_time() {
    // A search through all earlier ones for each would take minutes.
    let mut action = api::ActionRequest::default();
    for number in 0..200_000 {
        action.attributes.insert(format!("a{number}"), api::Value::default());
    }
    let check = Some(api::CheckRequest { action: Some(action), ..Default::default() });
    assert!(agree(&api::CheckStreamRequest { request_id: 1, check }.encode_to_vec()));
}
