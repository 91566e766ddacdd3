//! What mapping costs on every request.

use std::hint::black_box;

use chaperone_policy::mapping::{Connection, Headers, HttpRequest, Mapping};
use chaperone_policy::{ActionShape, EntityRef, Field, Fields, Shapes, Type};
use criterion::{Criterion, criterion_group, criterion_main};

const ROUTES: usize = 100;

fn shapes() -> Shapes {
    let attributes = Fields::from([("format".into(), Field { ty: Type::String, required: false })]);
    let shape = ActionShape { principals: vec!["Agent".into()], resources: vec!["Document".into()], attributes };
    Shapes::from([(EntityRef::new("Action", "read"), shape)])
}

fn mapping() -> Mapping {
    let route = |number| {
        format!(
            "[[route]]\nname = \"r{number}\"\npath = \"/service{number}/documents/{{id}}\"\naction = \"read\"\n\
             resource = {{ type = \"Document\", id = \"{{path.id}}\" }}\n\
             attributes = {{ format = {{ from = \"{{query.format}}\", optional = true }} }}\n"
        )
    };
    let text: String = (0..ROUTES).map(route).collect();
    Mapping::parse(&text, &shapes()).unwrap_or_default()
}

fn request(target: &str) -> HttpRequest<'_> {
    let names = ["accept", "accept-encoding", "user-agent", "x-request-id", "x-forwarded-proto", "x-envoy-internal"];
    let mut headers: Vec<(&str, &[u8])> =
        names.iter().cycle().take(24).map(|name| (*name, &b"some value"[..])).collect();
    headers.push(("x-chaperone-session", b"chp_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
    HttpRequest {
        method: "GET",
        host: "docs.example.com",
        scheme: "https",
        target,
        headers: Headers::new(headers),
        connection: Connection { source_address: "10.1.2.3", ..Connection::default() },
    }
}

fn map(c: &mut Criterion) {
    let mapping = mapping();
    for (name, target) in [
        ("route", "/service99/documents/welcome?format=csv"),
        ("escaped", "/service99/documents/wel%20come?format=c%73v"),
        ("no_route", "/elsewhere/documents/welcome?format=csv"),
    ] {
        let request = request(target);
        c.bench_function(&format!("map_http_{name}"), |bench| bench.iter(|| mapping.map_http(black_box(&request))));
    }
    let request = request("/");
    c.bench_function("credential", |bench| bench.iter(|| mapping.credential(black_box(&request))));
}

criterion_group!(benches, map);
criterion_main!(benches);
