//! What mapping costs on every request.

#![allow(clippy::panic, reason = "a bench program: a panic is the report")]

use std::hint::black_box;

use chaperone_policy::mapping::{Connection, Headers, HttpRequest, Needs};
use chaperone_policy::{Bundle, BundleSource};
use criterion::{Criterion, criterion_group, criterion_main};

const ROUTES: usize = 100;

const SCHEMA: &str = "
    entity Agent; entity Document;
    action read appliesTo { principal: Agent, resource: Document, context: { request: { format?: String } } };
";
const POLICIES: &str = r#"@id("csv") permit (principal, action == Action::"read", resource)
    when { context.request has format && context.request.format == "csv" };"#;

fn bundle() -> Bundle {
    let route = |number| {
        format!(
            "[[route]]\nname = \"r{number}\"\npath = \"/service{number}/documents/{{id}}\"\naction = \"read\"\n\
             resource = {{ type = \"Document\", id = \"{{path.id}}\" }}\n\
             attributes = {{ format = {{ from = \"{{query.format}}\", optional = true }} }}\n"
        )
    };
    let mut source = BundleSource::default();
    source.files.insert("schema.cedarschema".into(), SCHEMA.into());
    source.files.insert("policies/main.cedar".into(), POLICIES.into());
    source.files.insert("mapping.toml".into(), (0..ROUTES).map(route).collect());
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
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
        body: &[],
        body_is_text: false,
        connection: Connection { source_address: "10.1.2.3", ..Connection::default() },
    }
}

fn map(c: &mut Criterion) {
    let bundle = bundle();
    let mapping = bundle.mapping();
    for (name, target) in [
        ("route", "/service99/documents/welcome?format=csv"),
        ("escaped", "/service99/documents/wel%20come?format=c%73v"),
        ("no_route", "/elsewhere/documents/welcome?format=csv"),
    ] {
        let request = request(target);
        c.bench_function(&format!("map_http_{name}"), |bench| {
            bench.iter(|| {
                let mut mapped = mapping.map_http(black_box(&request));
                black_box(mapped.as_mut().map(|mapped| mapped.read_attributes(Needs::Policies))).is_ok()
            });
        });
    }
    let request = request("/");
    c.bench_function("credential", |bench| bench.iter(|| mapping.credential(black_box(&request))));
}

criterion_group!(benches, map);
criterion_main!(benches);
