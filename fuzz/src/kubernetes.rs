//! Requests to the Kubernetes API, such as `WS GET /api/v1/pods?watch=1`, and reviews by its server, which begin with `{`.

use std::borrow::Cow;

use chaperone_decode::document::Document;
use chaperone_decode::kubernetes::{ApiRequest, Options, decode, review};
use chaperone_decode::{Decoder, Operation, Undecodable};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::sql::CLASSES;
use crate::{Target, law, table};

/// Requests to the Kubernetes API, and reviews by its server.
pub const TARGET: Target = Target { name: "kubernetes", check, seeds };

fn options() -> Options {
    Options { cluster: "prod".into() }
}

pub(crate) fn reviewed(body: &[u8]) -> Result<Vec<Operation>, Undecodable> {
    review(body, &options(), &CLASSES)
}

fn check(data: &[u8]) {
    if data.starts_with(b"{") {
        let result = reviewed(data);
        law::told(Decoder::Kubernetes, &CLASSES, result.as_ref());
        assert_eq!(reviewed(data), result, "it says something else the second time");
        if result.is_ok() {
            Document::json(data).expect("what is reviewed is JSON");
        }
    } else if let Ok(line) = std::str::from_utf8(data) {
        check_request(line);
    }
}

fn check_request(line: &str) {
    let (upgrade, line) = line.strip_prefix("WS ").map_or((false, line), |line| (true, line));
    let Some((method, target)) = line.split_once(" /") else { return };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Some(segments) = path.split('/').map(decoded).collect::<Option<Vec<_>>>() else { return };
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decoded(name)?, Cow::Owned(decoded(&value.replace('+', " "))?.into_owned())))
    });
    let Some(query) = pairs.collect::<Option<Vec<_>>>() else { return };
    let path: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let request = ApiRequest { method, path: &path, query: &query, upgrade };
    let result = decode(&request, &options(), &CLASSES);
    law::told(Decoder::Kubernetes, &CLASSES, result.as_ref());
    assert_eq!(decode(&request, &options(), &CLASSES), result, "it says something else the second time");
    // Ids are made of parts between slashes; no text of the client's makes a part more.
    for operation in result.unwrap_or_default().iter().filter(|operation| operation.resource.kind == "Object") {
        let id = &operation.resource.id;
        assert_eq!(id.split('/').count(), 5, "parts");
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/%._:@-".contains(&byte)), "{id}");
    }
}

fn decoded(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

#[derive(Deserialize)]
struct Requests {
    request: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    ask: String,
}

#[derive(Deserialize)]
struct Reviews {
    review: Vec<Review>,
}

#[derive(Deserialize)]
struct Review {
    spec: Option<String>,
    body: Option<String>,
}

fn seeds() -> Vec<Vec<u8>> {
    let requests = table::toml::<Requests>("kubernetes/requests.toml").request;
    let reviews = table::toml::<Reviews>("kubernetes/reviews.toml").review;
    let reviews = reviews.into_iter().filter_map(|Review { spec, body }| {
        let whole = |spec: String| {
            format!(r#"{{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{spec}}}"#)
        };
        body.or_else(|| spec.map(whole))
    });
    requests.into_iter().map(|request| request.ask).chain(reviews).map(String::into_bytes).collect()
}
