//! Envoy's `envoy.service.auth.v3.Authorization`: reads the request, asks, and builds the answer. It does not judge.
//!
//! A check is always answered. A failed call would be an error to Envoy, and with `failure_mode_allow` an allow; so whatever goes wrong
//! on the way (bytes that are no protobuf, a message over the limit, a panic) leaves as an answer that says no.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chaperone_policy::mapping::{Connection, Facts, HttpRequest, Mapped, Mapping, Mutations, OnFailure};
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName};

use super::ext_authz_answer::{allow, deny, no_decision};
use super::ext_authz_message::Attributes;
use crate::no_decision::NoDecision;
use crate::pdp::{Answer, Asked, Claim, Consistency, Made, Pdp, Protocol, Question, Withheld};
use crate::presenter::Evidence;
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
    /// The method's path.
    pub const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";

    /// An adapter over a PDP.
    pub fn new(pdp: Arc<Pdp>) -> Self {
        Self { pdp }
    }

    /// Answers a check, whose message is still to arrive, with a `CheckResponse` as gRPC frames it.
    pub(super) fn check(
        &self,
        timeout: Option<Duration>,
        parent: Option<ParentContext>,
        message: impl Future<Output = Result<Bytes, NoDecision>> + Send,
    ) -> impl Future<Output = Bytes> + Send {
        // Many checks wait for their records at once. All that they keep meanwhile is what they send: what it took to get there is mostly done
        // at the first poll, and makes room for the next check's.
        let held = Box::pin(self.hold(timeout, parent, message));
        let answer = async {
            Ok(match held.await? {
                Held::Undecided(answer) => answer,
                Held::Decided { answer, traffic, on_failure } => match self.pdp.release(answer).await {
                    Ok(Made { inner, .. }) => inner,
                    Err(failure) => no_decision(failure, traffic, on_failure),
                },
            })
        };
        AssertUnwindSafe(answer).catch_unwind().map(|answer| {
            let failure = match answer {
                Ok(Ok(answer)) => return answer,
                Ok(Err(failure)) => failure,
                Err(_) => NoDecision::Internal,
            };
            self.pdp.refuse(failure, Protocol::ExtAuthz);
            no_decision(failure, Traffic::Http, OnFailure::Deny)
        })
    }

    async fn hold(
        &self,
        timeout: Option<Duration>,
        parent: Option<ParentContext>,
        message: impl Future<Output = Result<Bytes, NoDecision>>,
    ) -> Result<Held, NoDecision> {
        let message = message.await?;
        let mut attributes = Attributes::read(&message).ok().flatten().ok_or(NoDecision::Unreadable)?;
        let http = attributes.http.take();
        let connection = attributes.connection();
        let evidence = attributes.evidence();
        Ok(match http {
            Some(http) => self.hold_http(&http.into_request(connection), evidence, timeout, parent).await,
            None => self.hold_tcp(&connection, evidence, timeout, parent).await,
        })
    }

    async fn hold_http(
        &self,
        http: &HttpRequest<'_>,
        evidence: Evidence<'_>,
        timeout: Option<Duration>,
        parent: Option<ParentContext>,
    ) -> Held {
        let parent = traceparent(http).and_then(ParentContext::from_traceparent).or(parent);
        let traffic = if http.is_grpc() { Traffic::Grpc } else { Traffic::Http };
        let mut check = match self.pdp.begin(Protocol::ExtAuthz, timeout, parent) {
            Ok(check) => check,
            Err(failure) => return Held::Undecided(no_decision(failure, traffic, OnFailure::Deny)),
        };
        let claim = check.snapshot.bundle.mapping().credential(http).into();
        check.assign(claim).await;
        let mapping = check.snapshot.bundle.mapping();
        let mut mapped = mapping.map_http(http);
        let on_failure = mapped.as_ref().map_or(OnFailure::Deny, |mapped| mapped.on_failure);
        let question = Question { claim, evidence, asked: Asked::of(&mut mapped), consistency: Consistency::Bounded };
        let answer = check.decide_withheld(question).await.map(|answer| {
            let mutations = mapped.ok().and_then(|mapped| mutations(mapping, &mapped, http, &answer));
            match mutations {
                Some(mutations) => allow(&answer, &mutations),
                None => deny(&answer, traffic),
            }
        });
        Held::Decided { answer, traffic, on_failure }
    }

    async fn hold_tcp(
        &self,
        connection: &Connection<'_>,
        evidence: Evidence<'_>,
        timeout: Option<Duration>,
        parent: Option<ParentContext>,
    ) -> Held {
        let check = match self.pdp.begin(Protocol::ExtAuthz, timeout, parent) {
            Ok(check) => check,
            Err(failure) => return Held::Undecided(no_decision(failure, Traffic::Tcp, OnFailure::Deny)),
        };
        let mut mapped = check.snapshot.bundle.mapping().map_tcp(connection);
        let question = Question {
            claim: Claim::Absent,
            evidence,
            asked: Asked::of(&mut mapped),
            consistency: Consistency::Bounded,
        };
        let answer = check.decide_withheld(question).await.map(|answer| {
            if answer.is_allowed() { allow(&answer, &Mutations::default()) } else { deny(&answer, Traffic::Tcp) }
        });
        Held::Decided { answer, traffic: Traffic::Tcp, on_failure: OnFailure::Deny }
    }
}

/// What is sent, as gRPC frames it, before it may be.
enum Held {
    /// There was nothing to decide with, and so there is nothing to wait for.
    Undecided(Bytes),
    /// What was decided; and what its place is taken by when that must not be told.
    Decided { answer: Withheld<Made<Bytes>>, traffic: Traffic, on_failure: OnFailure },
}

/// What to change for an allowed request; `None` when it is not allowed.
fn mutations(mapping: &Mapping, mapped: &Mapped<'_>, http: &HttpRequest<'_>, answer: &Answer) -> Option<Mutations> {
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

/// The client's trace, as the proxy joined it.
fn traceparent<'a>(http: &HttpRequest<'a>) -> Option<&'a str> {
    std::str::from_utf8(http.headers.all("traceparent").next()?).ok()
}

/// The caller's deadline (gRPC over HTTP/2, `grpc-timeout`); `None` when there is none that can be read.
pub(super) fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    static NAME: HeaderName = HeaderName::from_static("grpc-timeout");
    let text = headers.get(&NAME)?.to_str().ok()?;
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
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().expect("a header value"));
            grpc_timeout(&headers)
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
