//! Reading in place against prost: for every input both say the same, or both refuse it.

use chaperone_api::envoy::config::core::v3::{
    self as core, HeaderMap, HeaderValue, Metadata, Pipe, SocketAddress, address, socket_address,
};
use chaperone_api::envoy::service::auth::v3::attribute_context::{self, HttpRequest, Request, TlsSession};
use chaperone_api::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Timestamp, Value};

use chaperone_policy::document::{Node, Object};
use chaperone_policy::mapping::Metadata as _;

use super::*;

/// What prost reads, in this module's terms.
fn reference(message: &CheckRequest) -> Option<Attributes<'_>> {
    let attributes = message.attributes.as_ref()?;
    let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
    let mut context_extensions: Vec<_> = texts(&attributes.context_extensions).collect();
    context_extensions.sort_unstable();
    Some(Attributes {
        source: peer(attributes.source.as_ref()),
        destination: peer(attributes.destination.as_ref()),
        http: http.map(reference_http),
        sni: attributes.tls_session.as_ref().map_or("", |tls| &tls.sni),
        context_extensions,
        metadata: FilterMetadata::default(),
    })
}

fn reference_http(http: &HttpRequest) -> Http<'_> {
    let mut joined: Vec<_> = texts(&http.headers).map(|(name, value)| (name, value.as_bytes())).collect();
    joined.sort_unstable();
    let listed = http.header_map.iter().flat_map(|map| &map.headers).map(|header| {
        let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
        (header.key.as_str(), value)
    });
    Http {
        method: &http.method,
        host: &http.host,
        scheme: &http.scheme,
        path: &http.path,
        joined,
        listed: listed.collect(),
        body: &http.body,
        raw_body: &http.raw_body,
    }
}

fn reference_metadata(message: &CheckRequest) -> Node {
    let metadata = message.attributes.as_ref().and_then(|attributes| attributes.metadata_context.as_ref());
    let namespaces = metadata.iter().flat_map(|metadata| &metadata.filter_metadata);
    object(namespaces.map(|(name, fields)| (name, reference_struct(fields))))
}

fn object<'m>(members: impl Iterator<Item = (&'m String, Node)>) -> Node {
    let members = members.map(|(name, node)| (name.into(), node)).collect();
    Node::Object(Object::new(members).expect("a map has each name once"))
}

fn reference_struct(fields: &Struct) -> Node {
    object(fields.fields.iter().map(|(name, value)| (name, reference_value(value))))
}

fn reference_value(value: &Value) -> Node {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Node::Null,
        Some(Kind::NumberValue(number)) => Node::Number(number.to_string().into()),
        Some(Kind::StringValue(text)) => Node::Text(text.into()),
        Some(Kind::BoolValue(value)) => Node::Bool(*value),
        Some(Kind::StructValue(fields)) => reference_struct(fields),
        Some(Kind::ListValue(list)) => Node::List(list.values.iter().map(reference_value).collect()),
    }
}

fn texts(map: &std::collections::HashMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn peer(peer: Option<&attribute_context::Peer>) -> Peer<'_> {
    let Some(peer) = peer else { return Peer::default() };
    let address = match peer.address.as_ref().and_then(|address| address.address.as_ref()) {
        Some(address::Address::SocketAddress(socket)) => {
            let port = match socket.port_specifier {
                Some(socket_address::PortSpecifier::PortValue(port)) => port,
                Some(socket_address::PortSpecifier::NamedPort(_)) | None => 0,
            };
            Address::Socket { host: &socket.address, port }
        }
        Some(address::Address::Pipe(_) | address::Address::EnvoyInternalAddress(_)) | None => Address::Unknown,
    };
    Peer { address, principal: &peer.principal, certificate: &peer.certificate }
}

/// Whether both read it; panics when they differ.
fn agree(bytes: &[u8]) -> bool {
    match (CheckRequest::decode(bytes), Attributes::read(bytes)) {
        (Ok(message), Ok(mut attributes)) => {
            let metadata = attributes.as_mut().map(|attributes| std::mem::take(&mut attributes.metadata));
            assert_eq!(attributes, reference(&message));
            // It may hold numbers that JSON does not have.
            if let Ok(metadata) = metadata.unwrap_or_default().read() {
                assert_eq!(metadata, reference_metadata(&message));
            }
            true
        }
        (Err(_), Err(Malformed)) => false,
        (theirs, ours) => panic!("prost reads {theirs:?}, in place {ours:?}"),
    }
}

fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof!["[a-z-]{0,6}", "\\PC{0,4}"].boxed()
}

fn struct_value() -> impl Strategy<Value = Struct> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Kind::BoolValue),
        (-9.0..9.0).prop_map(Kind::NumberValue),
        text().prop_map(Kind::StringValue),
        Just(Kind::NullValue(0)),
    ];
    let value = leaf.prop_recursive(3, 8, 3, |inner| {
        let values = vec(option::of(inner).prop_map(|kind| Value { kind }), 0..3);
        prop_oneof![
            values.clone().prop_map(|values| Kind::ListValue(ListValue { values })),
            vec((text(), values), 0..3).prop_map(|fields| {
                let field = |(name, mut values): (String, Vec<Value>)| Some((name, values.pop()?));
                Kind::StructValue(Struct { fields: fields.into_iter().filter_map(field).collect() })
            }),
        ]
    });
    vec((text(), value), 0..3).prop_map(|fields| Struct {
        fields: fields.into_iter().map(|(name, kind)| (name, Value { kind: Some(kind) })).collect(),
    })
}

prop_compose! {
    fn metadata()(
        filter_metadata in hash_map(text(), struct_value(), 0..3),
        typed_filter_metadata in hash_map(text(), (text(), vec(any::<u8>(), 0..4)), 0..2),
    ) -> Metadata {
        let any = |(type_url, value)| prost_types::Any { type_url, value };
        let typed_filter_metadata =
            typed_filter_metadata.into_iter().map(|(name, content)| (name, any(content))).collect();
        Metadata { filter_metadata, typed_filter_metadata }
    }
}

fn socket() -> impl Strategy<Value = SocketAddress> {
    let port = prop_oneof![
        any::<u32>().prop_map(socket_address::PortSpecifier::PortValue),
        text().prop_map(socket_address::PortSpecifier::NamedPort),
    ];
    (0..3, text(), option::of(port)).prop_map(|(protocol, address, port_specifier)| SocketAddress {
        protocol,
        address,
        port_specifier,
    })
}

prop_compose! {
    fn any_peer()(
        address in option::of(option::of(prop_oneof![
            3 => socket().prop_map(address::Address::SocketAddress),
            1 => text().prop_map(|path| address::Address::Pipe(Pipe { path })),
            1 => text().prop_map(|server_listener_name| {
                address::Address::EnvoyInternalAddress(core::EnvoyInternalAddress { server_listener_name })
            }),
        ])),
        service in text(),
        labels in hash_map(text(), text(), 0..2),
        principal in text(),
        certificate in text(),
    ) -> attribute_context::Peer {
        let address = address.map(|address| core::Address { address });
        attribute_context::Peer { address, service, labels, principal, certificate }
    }
}

prop_compose! {
    fn http()(
        [id, method, path, host, scheme, query, fragment, protocol, body] in proptest::array::uniform9(text()),
        headers in hash_map(text(), text(), 0..4),
        size in any::<i64>(),
        raw_body in vec(any::<u8>(), 0..4),
        header_map in option::of(vec((text(), text(), vec(any::<u8>(), 0..4)), 0..4)),
    ) -> HttpRequest {
        let header = |(key, value, raw_value): (_, _, Vec<u8>)| HeaderValue { key, value, raw_value: raw_value.into() };
        let header_map =
            header_map.map(|headers| HeaderMap { headers: headers.into_iter().map(header).collect() });
        HttpRequest {
            id, method, headers, path, host, scheme, query, fragment, size, protocol, body,
            raw_body: raw_body.into(), header_map,
        }
    }
}

prop_compose! {
    fn attribute_context()(
        source in option::of(any_peer().boxed()),
        destination in option::of(any_peer().boxed()),
        time in option::of((any::<i64>(), any::<i32>())),
        request in option::of(option::of(http().boxed())),
        context_extensions in hash_map(text(), text(), 0..3),
        metadata_context in option::of(metadata().boxed()),
        sni in option::of(text()),
        route_metadata_context in option::of(metadata().boxed()),
    ) -> AttributeContext {
        let time = time.map(|(seconds, nanos)| Timestamp { seconds, nanos });
        AttributeContext {
            source, destination, context_extensions, metadata_context, route_metadata_context,
            request: request.map(|http| Request { time, http }),
            tls_session: sni.map(|sni| TlsSession { sni }),
        }
    }
}

fn check_request() -> impl Strategy<Value = CheckRequest> {
    // Boxed: they are larger than a test's stack likes.
    option::weighted(0.95, attribute_context().boxed()).prop_map(|attributes| CheckRequest { attributes }).boxed()
}

/// A message from a field's number and its content, as protobuf nests them.
fn nested(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut bytes);
    encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// Fields without regard to any schema: numbers near those that are known, every wire type, groups, and things inside each other.
fn wild_fields() -> impl Strategy<Value = Vec<u8>> {
    fn field(number: u32, wire_type: WireType, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_key(number, wire_type, &mut bytes);
        bytes.extend_from_slice(content);
        bytes
    }
    let varint = any::<u64>().prop_map(|value| {
        let mut bytes = Vec::new();
        encode_varint(value, &mut bytes);
        bytes
    });
    let leaf = prop_oneof![
        1 => (1..15_u32, varint).prop_map(|(number, content)| field(number, WireType::Varint, &content)),
        1 => (1..15_u32, any::<[u8; 4]>()).prop_map(|(number, content)| field(number, WireType::ThirtyTwoBit, &content)),
        1 => (1..15_u32, any::<[u8; 8]>()).prop_map(|(number, content)| field(number, WireType::SixtyFourBit, &content)),
        12 => (1..15_u32, text()).prop_map(|(number, content)| nested(number, content.as_bytes())),
    ];
    let fields = leaf.prop_recursive(7, 40, 5, |inner| {
        let inner = vec(inner, 0..5).prop_map(|fields| fields.concat());
        prop_oneof![
            8 => (prop_oneof![1..3_u32, Just(4), 1..15_u32], inner.clone())
                .prop_map(|(number, content)| nested(number, &content)),
            1 => (1..40_u32, inner).prop_map(|(number, content)| {
                [field(number, WireType::StartGroup, &content), field(number, WireType::EndGroup, &[])].concat()
            }),
        ]
    });
    vec(fields, 0..4).prop_map(|fields| fields.concat())
}

/// One change of some bytes.
#[derive(Clone, Debug)]
enum Mutation {
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (place(), any::<u8>()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        place().prop_map(Mutation::Remove),
        place().prop_map(Mutation::Cut),
        (place(), place()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
    ]
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match mutation {
        Mutation::Set(at, byte) => bytes[at.index(length)] = *byte,
        Mutation::Insert(at, byte) => bytes.insert(at.index(length), *byte),
        Mutation::Remove(at) => drop(bytes.remove(at.index(length))),
        Mutation::Cut(at) => bytes.truncate(at.index(length)),
        Mutation::Repeat(from, to) => {
            let (from, to) = (from.index(length), to.index(length));
            bytes.extend_from_within(from.min(to)..from.max(to));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// A message that prost has written says here what it says there.
    #[test]
    fn message_is_read_as_it_was_written(message in check_request()) {
        prop_assert!(agree(&message.encode_to_vec()));
    }

    /// A later part adds to an earlier one, or replaces it, at every depth.
    #[test]
    fn parts_are_merged(first in check_request(), second in check_request()) {
        let mut bytes = first.encode_to_vec();
        bytes.extend(second.encode_to_vec());
        prop_assert!(agree(&bytes));
        let contexts = [first, second].map(|message| message.attributes.unwrap_or_default().encode_to_vec());
        prop_assert!(agree(&nested(1, &contexts.concat())));
    }

    #[test]
    fn parts_of_a_request_are_merged(first in http().boxed(), second in http().boxed()) {
        let parts = [first.encode_to_vec(), second.encode_to_vec()];
        let [one, other] = [nested(2, &parts[0]), nested(2, &parts[1])];
        prop_assert!(agree(&nested(1, &nested(4, &nested(2, &parts.concat())))));
        prop_assert!(agree(&nested(1, &nested(4, &[&one[..], &other].concat()))));
        prop_assert!(agree(&nested(1, &[nested(4, &one), nested(4, &other)].concat())));
    }

    #[test]
    fn parts_of_an_address_are_merged(first in any_peer().boxed(), second in any_peer().boxed()) {
        let [one, other] = [first, second].map(|peer| peer.address.unwrap_or_default().encode_to_vec());
        prop_assert!(agree(&nested(1, &nested(1, &[nested(1, &one), nested(1, &other)].concat()))));
        prop_assert!(agree(&nested(1, &nested(1, &nested(1, &[one, other].concat())))));
    }

    /// Fields that are unknown, of another type, twice there or in groups.
    #[test]
    fn wild_fields_are_read_or_refused_alike(fields in wild_fields(), more in wild_fields()) {
        agree(&fields);
        agree(&nested(1, &fields));
        agree(&nested(1, &nested(4, &nested(2, &[fields.clone(), more.clone()].concat()))));
        agree(&nested(1, &nested(1, &[fields.clone(), more.clone()].concat())));
        agree(&nested(1, &nested(11, &[fields, more].concat())));
    }

    /// A message with some of its bytes changed, lost or repeated.
    #[test]
    fn damaged_message_is_read_or_refused_alike(message in check_request(), mutations in vec(mutation(), 1..4)) {
        let mut bytes = message.encode_to_vec();
        for mutation in &mutations {
            mutate(&mut bytes, mutation);
            agree(&bytes);
        }
    }

    #[test]
    fn noise_is_read_or_refused_alike(bytes in vec(any::<u8>(), 0..40)) {
        agree(&bytes);
    }
}

/// Else the property over them would say little.
#[test]
fn wild_fields_are_neither_all_good_nor_all_bad() {
    let mut runner = TestRunner::deterministic();
    let strategy = wild_fields();
    let is_read = |_: &usize| {
        let fields = strategy.new_tree(&mut runner).expect("it makes one").current();
        agree(&nested(1, &nested(4, &nested(2, &fields))))
    };
    let read = (0..300).filter(is_read).count();
    assert!((60..240).contains(&read), "{read} of 300 are read");
}

#[test]
fn nesting_is_limited_alike() {
    let group = |number: u32, depth: usize| {
        let (mut start, mut end) = (Vec::new(), Vec::new());
        encode_key(number, WireType::StartGroup, &mut start);
        encode_key(number, WireType::EndGroup, &mut end);
        [start.repeat(depth), end.repeat(depth)].concat()
    };
    let list = |depth| (0..depth).fold(nested(3, b"end"), |inner, _| nested(6, &nested(1, &inner)));
    let structs = |depth| (0..depth).fold(nested(3, b"end"), |inner, _| nested(5, &nested(1, &nested(2, &inner))));
    let unknown_at_the_end = |depth| (0..depth).fold(nested(9, b"end"), |inner, _| nested(6, &nested(1, &inner)));
    let metadata = |value: Vec<u8>| nested(1, &nested(11, &nested(1, &nested(2, &nested(1, &nested(2, &value))))));
    let mut outcomes = std::collections::HashSet::new();
    for depth in 0..120 {
        outcomes.insert((0, agree(&group(7, depth))));
        outcomes.insert((1, agree(&nested(1, &group(7, depth)))));
        outcomes.insert((2, agree(&metadata(list(depth)))));
        outcomes.insert((3, agree(&metadata(structs(depth)))));
        outcomes.insert((4, agree(&metadata(unknown_at_the_end(depth)))));
    }
    assert_eq!(outcomes.len(), 10, "each of them is read while it is shallow, and refused once it is deep");
}

#[test]
fn entry_of_a_map_is_read_whatever_its_wire_type() {
    let entry = [nested(1, b"name"), nested(2, b"value")].concat();
    for wire_type in [WireType::Varint, WireType::SixtyFourBit, WireType::StartGroup, WireType::EndGroup] {
        let mut bytes = Vec::new();
        encode_key(10, wire_type, &mut bytes);
        encode_varint(entry.len() as u64, &mut bytes);
        bytes.extend_from_slice(&entry);
        assert!(agree(&nested(1, &bytes)), "{wire_type:?}");
    }
}

#[test]
fn many_joined_headers_are_read_in_time() {
    // A search through all earlier ones for each would take minutes.
    let mut http = HttpRequest::default();
    for number in 0..200_000 {
        http.headers.insert(format!("x-{number}"), String::new());
    }
    let request = Some(Request { http: Some(http), time: None });
    let attributes = Some(AttributeContext { request, ..Default::default() });
    assert!(agree(&CheckRequest { attributes }.encode_to_vec()));
}
