//! What it costs to tell a request to the Kubernetes API apart.

#![allow(clippy::unwrap_used, reason = "a bench program: a panic is the report")]

use std::borrow::Cow;
use std::hint::black_box;

use chaperone_decode::Classes;
use chaperone_decode::kubernetes::{ApiRequest, Options, decode, review};
use criterion::{Criterion, criterion_group, criterion_main};

const REVIEW: &[u8] = br#"{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/v1","metadata":{"creationTimestamp":null},
    "spec":{"resourceAttributes":{"namespace":"shop","verb":"list","group":"apps","version":"v1","resource":"deployments"},
    "user":"jane","groups":["developers","system:authenticated"]},"status":{"allowed":false}}"#;

fn decoding(criterion: &mut Criterion) {
    let classes = Classes::built_in().unwrap();
    let options = Options { cluster: "prod".into() };
    let parameter = |name: &'static str, value: &'static str| (Cow::Borrowed(name), Cow::Borrowed(value));
    let get = ApiRequest {
        method: "GET",
        path: &["apis", "apps", "v1", "namespaces", "shop", "deployments", "web"],
        query: &[],
        upgrade: false,
    };
    let exec = ApiRequest {
        method: "POST",
        path: &["api", "v1", "namespaces", "shop", "pods", "web-0", "exec"],
        query: &[
            parameter("command", "sh"),
            parameter("command", "-c"),
            parameter("command", "ls /"),
            parameter("stdout", "true"),
        ],
        upgrade: true,
    };
    let health = ApiRequest { path: &["livez", "ping"], ..get };
    for (name, request) in [("get", get), ("exec", exec), ("path", health)] {
        criterion.bench_function(&format!("kubernetes/{name}"), |bencher| {
            bencher.iter(|| decode(black_box(&request), &options, &classes).unwrap());
        });
    }
    criterion.bench_function("kubernetes/review", |bencher| {
        bencher.iter(|| review(black_box(REVIEW), &options, &classes).unwrap());
    });
}

criterion_group!(benches, decoding);
criterion_main!(benches);
