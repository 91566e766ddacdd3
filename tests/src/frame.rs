//! The check that benches send: what Envoy sends for a realistic request.

use chaperone_api::envoy::config::core::v3::address::Address as AddressKind;
use chaperone_api::envoy::config::core::v3::socket_address::PortSpecifier;
use chaperone_api::envoy::config::core::v3::{Address, HeaderMap, HeaderValue, SocketAddress};
use chaperone_api::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use chaperone_api::envoy::service::auth::v3::{AttributeContext, CheckRequest};

/// The SPIFFE ID of the caller.
pub const CALLER: &str = "spiffe://example.org/ns/agents/sa/reader";

/// A GET with 15 headers, a session handle, a SPIFFE principal and context extensions: 1 to 1.5 KB, as the shipped Envoy configuration encodes
/// it.
pub fn check(handle: &str, path: &str) -> CheckRequest {
    // The token of the upstream's own login: Chaperone does not read it here, yet has to carry it.
    let authorization = format!("Bearer eyJhbGciOiJFUzI1NiJ9.{}.{}", "e".repeat(280), "s".repeat(86));
    // No `traceparent`: a sampled one would have every check traced, whatever the server's own ratio is.
    let headers = [
        (":authority", "docs.example.com"),
        (":method", "GET"),
        (":path", path),
        (":scheme", "https"),
        ("accept", "application/json, text/plain;q=0.9, */*;q=0.8"),
        ("accept-encoding", "gzip, deflate, br"),
        ("accept-language", "en-GB,en;q=0.9"),
        ("authorization", &authorization),
        ("cache-control", "no-cache"),
        ("user-agent", "document-agent/2.4 (linux; x86_64) http-client/1.12"),
        ("x-chaperone-session", handle),
        ("x-envoy-internal", "true"),
        ("x-forwarded-for", "10.12.7.41"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "7b1f4d7e-63f1-9c1e-a6b1-2c6a0d4f4c11"),
    ];
    let headers = headers.into_iter().map(|(key, value)| HeaderValue {
        key: key.to_owned(),
        value: String::new(),
        raw_value: value.as_bytes().to_vec().into(),
    });
    let http = HttpRequest {
        id: "13845034521098127764".to_owned(),
        method: "GET".to_owned(),
        path: path.to_owned(),
        host: "docs.example.com".to_owned(),
        scheme: "https".to_owned(),
        protocol: "HTTP/2".to_owned(),
        header_map: Some(HeaderMap { headers: headers.collect() }),
        ..Default::default()
    };
    let source =
        Peer { address: Some(address("10.12.7.41", 51_212)), principal: CALLER.to_owned(), ..Default::default() };
    let destination = Peer {
        address: Some(address("10.12.3.8", 8443)),
        principal: "spiffe://example.org/ns/edge/sa/gateway".to_owned(),
        ..Default::default()
    };
    let attributes = AttributeContext {
        source: Some(source),
        destination: Some(destination),
        request: Some(Request {
            time: Some(prost_types::Timestamp { seconds: 1_790_000_000, nanos: 123_456_000 }),
            http: Some(http),
        }),
        context_extensions: [("gateway", "edge"), ("environment", "bench")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        ..Default::default()
    };
    CheckRequest { attributes: Some(attributes) }
}

/// The HTTP request inside a check.
pub fn http_of(check: &mut CheckRequest) -> &mut HttpRequest {
    let request = check.attributes.as_mut().and_then(|attributes| attributes.request.as_mut());
    request.and_then(|request| request.http.as_mut()).expect("the check is of an HTTP request")
}

/// A message as gRPC frames it: a byte that says "not compressed", four for the length, the message.
pub fn frame(message: &impl prost::Message) -> Vec<u8> {
    let length = u32::try_from(message.encoded_len()).expect("a check is small");
    [&[0][..], &length.to_be_bytes(), &message.encode_to_vec()].concat()
}

fn address(ip: &str, port: u32) -> Address {
    let socket = SocketAddress {
        address: ip.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..Default::default()
    };
    Address { address: Some(AddressKind::SocketAddress(socket)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_is_of_the_size_that_figures_refer_to() {
        let handle = format!("chp_{}", "A".repeat(48));
        let length = frame(&check(&handle, "/documents/42")).len();
        assert!((1000..1500).contains(&length), "{length} bytes");
    }
}
