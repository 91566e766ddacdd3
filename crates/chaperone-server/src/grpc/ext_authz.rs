//! Envoy's `envoy.service.auth.v3.Authorization`: reads the request, asks, and builds the answer. It does not judge.

use std::sync::Arc;
use std::time::Duration;

use chaperone_api::envoy::config::core::v3::{Address, address, socket_address};
use chaperone_api::envoy::service::auth::v3::attribute_context::{self, Peer};
use chaperone_api::envoy::service::auth::v3::authorization_server::Authorization;
use chaperone_api::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use chaperone_policy::mapping::{Connection, Facts, Headers, HttpRequest, Mapped, Mapping, Mutations, OnFailure};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::ext_authz_answer::{allow, deny, no_decision};
use crate::no_decision::NoDecision;
use crate::pdp::{Claim, Consistency, Pdp, Protocol, Question};
use crate::presenter::{Certificate, Evidence};
use crate::telemetry::ParentContext;

/// Answers Envoy.
#[derive(Clone, Debug)]
pub struct ExtAuthz {
    pdp: Arc<Pdp>,
}

/// What the downstream traffic is, as far as its answer depends on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Traffic {
    /// HTTP, but not gRPC.
    Http,
    /// gRPC: Envoy turns the HTTP status of an answer into a gRPC status.
    Grpc,
    /// A TCP connection, from the network filter.
    Tcp,
}

impl ExtAuthz {
    /// An adapter over a PDP.
    pub fn new(pdp: Arc<Pdp>) -> Self {
        Self { pdp }
    }

    async fn answer(
        &self,
        attributes: &AttributeContext,
        timeout: Option<Duration>,
        parent: Option<ParentContext>,
    ) -> CheckResponse {
        let connection = connection(attributes);
        let evidence = evidence(attributes.source.as_ref());
        match attributes.request.as_ref().and_then(|request| request.http.as_ref()) {
            Some(http) => {
                let parent = traceparent(http).and_then(ParentContext::from_traceparent).or(parent);
                self.answer_http(&http_request(http, connection), evidence, timeout, parent).await
            }
            None => self.answer_tcp(&connection, evidence, timeout, parent).await,
        }
    }

    async fn answer_http(
        &self,
        http: &HttpRequest<'_>,
        evidence: Evidence<'_>,
        timeout: Option<Duration>,
        parent: Option<ParentContext>,
    ) -> CheckResponse {
        let traffic = if http.is_grpc() { Traffic::Grpc } else { Traffic::Http };
        let check = match self.pdp.begin(Protocol::ExtAuthz, timeout, parent) {
            Ok(check) => check,
            Err(failure) => return no_decision(failure, traffic, OnFailure::Deny),
        };
        let mapping = check.snapshot.bundle.mapping();
        let mapped = mapping.map_http(http);
        let on_failure = mapped.as_ref().map_or(OnFailure::Deny, |mapped| mapped.on_failure);
        let question = Question {
            claim: mapping.credential(http).into(),
            evidence,
            requests: mapped.as_ref().map(|mapped| mapped.requests.as_slice()).map_err(Clone::clone),
            consistency: Consistency::Bounded,
        };
        match check.decide(question).await {
            Ok(answer) => {
                let mutations = mapped.ok().and_then(|mapped| mutations(mapping, &mapped, http, &answer));
                match mutations {
                    Some(mutations) => allow(&answer, mutations),
                    None => deny(&answer, traffic),
                }
            }
            Err(failure) => no_decision(failure, traffic, on_failure),
        }
    }

    async fn answer_tcp(
        &self,
        connection: &Connection<'_>,
        evidence: Evidence<'_>,
        timeout: Option<Duration>,
        parent: Option<ParentContext>,
    ) -> CheckResponse {
        let check = match self.pdp.begin(Protocol::ExtAuthz, timeout, parent) {
            Ok(check) => check,
            Err(failure) => return no_decision(failure, Traffic::Tcp, OnFailure::Deny),
        };
        let mapped = check.snapshot.bundle.mapping().map_tcp(connection);
        let question = Question {
            claim: Claim::Absent,
            evidence,
            requests: mapped.as_ref().map(|mapped| mapped.requests.as_slice()).map_err(Clone::clone),
            consistency: Consistency::Bounded,
        };
        match check.decide(question).await {
            Ok(answer) if answer.is_allowed() => allow(&answer, Mutations::default()),
            Ok(answer) => deny(&answer, Traffic::Tcp),
            Err(failure) => no_decision(failure, Traffic::Tcp, OnFailure::Deny),
        }
    }
}

#[tonic::async_trait]
impl Authorization for ExtAuthz {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let timeout = grpc_timeout(request.metadata());
        let parent = super::convert::parent_context(request.metadata());
        let attributes = request.into_inner().attributes;
        let response = match &attributes {
            Some(attributes) => self.answer(attributes, timeout, parent).await,
            None => {
                self.pdp.refuse(NoDecision::Unreadable, Protocol::ExtAuthz);
                no_decision(NoDecision::Unreadable, Traffic::Http, OnFailure::Deny)
            }
        };
        Ok(Response::new(response))
    }
}

/// What to change for an allowed request; `None` when it is not allowed.
fn mutations(
    mapping: &Mapping,
    mapped: &Mapped,
    http: &HttpRequest<'_>,
    answer: &crate::pdp::Answer,
) -> Option<Mutations> {
    let principal = answer.principal.as_ref().filter(|_| answer.is_allowed())?;
    let facts = Facts {
        decision_id: answer.id,
        decision: &answer.decision,
        bundle: answer.bundle,
        principal,
        session: answer.session.as_deref(),
    };
    Some(mapping.mutations(mapped, http, &facts))
}

fn http_request<'a>(http: &'a attribute_context::HttpRequest, connection: Connection<'a>) -> HttpRequest<'a> {
    HttpRequest {
        method: &http.method,
        host: &http.host,
        scheme: &http.scheme,
        target: &http.path,
        headers: headers(http),
        connection,
    }
}

/// Both of Envoy's encodings: joined strings, or with `encode_raw_headers` a list of bytes.
fn headers(http: &attribute_context::HttpRequest) -> Headers<'_> {
    let joined = http.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let listed = http.header_map.iter().flat_map(|map| &map.headers).map(|header| {
        let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
        (header.key.as_str(), value)
    });
    Headers::new(joined.chain(listed))
}

fn traceparent(http: &attribute_context::HttpRequest) -> Option<&str> {
    let joined = http.headers.get("traceparent").map(String::as_str);
    joined.or_else(|| {
        let headers = &http.header_map.as_ref()?.headers;
        let header = headers.iter().find(|header| header.key == "traceparent")?;
        if header.raw_value.is_empty() { Some(&header.value) } else { std::str::from_utf8(&header.raw_value).ok() }
    })
}

fn connection(attributes: &AttributeContext) -> Connection<'_> {
    let source = attributes.source.as_ref();
    let (source_address, _) = socket(source.and_then(|peer| peer.address.as_ref()));
    let destination = attributes.destination.as_ref().and_then(|peer| peer.address.as_ref());
    let (destination_address, destination_port) = socket(destination);
    Connection {
        source_address,
        destination_address,
        destination_port,
        sni: attributes.tls_session.as_ref().map_or("", |tls| &tls.sni),
        peer_spiffe_id: source.and_then(|peer| crate::spiffe::parse_spiffe_id(&peer.principal)).unwrap_or_default(),
        context_extensions: attributes
            .context_extensions
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
    }
}

fn socket(address: Option<&Address>) -> (&str, u32) {
    match address.and_then(|address| address.address.as_ref()) {
        Some(address::Address::SocketAddress(socket)) => {
            let port = match socket.port_specifier {
                Some(socket_address::PortSpecifier::PortValue(port)) => port,
                Some(socket_address::PortSpecifier::NamedPort(_)) | None => 0,
            };
            (&socket.address, port)
        }
        Some(address::Address::Pipe(_) | address::Address::EnvoyInternalAddress(_)) | None => ("", 0),
    }
}

fn evidence(source: Option<&Peer>) -> Evidence<'_> {
    let Some(peer) = source else { return Evidence::default() };
    let certificate = match peer.certificate.as_str() {
        "" => Certificate::Absent,
        pem => Certificate::UrlEncodedPem(pem),
    };
    Evidence { principal: &peer.principal, certificate }
}

/// The caller's deadline (gRPC over HTTP/2, `grpc-timeout`); `None` when there is none that can be read.
pub(super) fn grpc_timeout(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.len() > 8 || !number.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.saturating_mul(3600))),
        "M" => Some(Duration::from_secs(number.saturating_mul(60))),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeout_is_read_in_every_unit_and_only_as_specified() {
        let read = |text: &str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().expect("a header value"));
            grpc_timeout(&metadata)
        };
        assert_eq!(read("200m"), Some(Duration::from_millis(200)));
        assert_eq!(read("5000u"), Some(Duration::from_millis(5)));
        assert_eq!(read("1S"), Some(Duration::from_secs(1)));
        assert_eq!(read("7n"), Some(Duration::from_nanos(7)));
        assert_eq!(read("2M"), Some(Duration::from_mins(2)));
        assert_eq!(read("1H"), Some(Duration::from_hours(1)));
        for bad in ["", "m", "10", "-1m", "123456789m", "1x"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
