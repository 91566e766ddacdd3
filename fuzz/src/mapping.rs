//! HTTP requests against a bundle with routes, templates and every decoder.

use std::sync::LazyLock;

use chaperone_policy::mapping::{Connection, Headers, HttpRequest, Needs, Undecodable};
use chaperone_policy::{Bundle, BundleSource, Request};

use crate::message::Message;
use crate::{Target, table};

/// HTTP requests to be mapped.
pub const TARGET: Target = Target { name: "mapping", check, seeds };

const SCHEMA: &str = "
    entity Agent; entity Tool; entity Order; entity Page;
    type Address = { city: String, zip?: String };
    action send_email in [Chaperone::Action::\"net.egress\"] appliesTo { principal: Agent, resource: Tool, context: { request: {
        to: Set<String>, subject?: String, zone?: String,
    } } };
    action order appliesTo { principal: Agent, resource: Order, context: { request: {
        items: Set<Long>, amount: decimal, urgent?: Bool, to?: Address, at?: datetime, within?: duration, from?: ipaddr,
    } } };
    action read appliesTo { principal: Agent, resource: Page, context: { request: { q?: String, n?: Long, h?: String } } };
";

const MAPPING: &str = r#"
    [session]
    sources = ["header:x-chaperone-session", "bearer"]

    [decoder.crm]
    sql = { dialect = "postgres", database = "crm" }
    [decoder.run]
    shell = { host = "bastion" }
    [decoder.agent]
    a2a = { agent = "travel" }
    [decoder.kube]
    kubernetes = { cluster = "prod" }
    [decoder.review]
    kubernetes_review = { cluster = "prod" }
    [decoder.mail]
    mcp = { server = "mail" }
    [[decoder.mail.operation]]
    when = { action = "tools/call", tool = "send_email" }
    action = "send_email"
    resource = { type = "Tool", id = "mail/{fact.tool}" }
    attributes = { to = "{arguments:/to}", subject = { from = "{arguments:/subject}", optional = true } }

    [[route]]
    name = "query"
    path = "/query"
    decoder = "crm"
    input = "{body:/sql}"
    [[route]]
    name = "command"
    path = "/run/{host}"
    decoder = "run"
    input = "{query.c}"
    [[route]]
    name = "mcp"
    path = "/mcp"
    decoder = "mail"
    [[route]]
    name = "a2a"
    path = "/a2a"
    decoder = "agent"
    [[route]]
    name = "api"
    path = "/api/{rest*}"
    decoder = "kube"
    [[route]]
    name = "apis"
    path = "/apis/{rest*}"
    decoder = "kube"
    [[route]]
    name = "review"
    path = "/review"
    decoder = "review"
    [[route]]
    name = "order"
    path = "/orders/{id}"
    action = "order"
    resource = { type = "Order", id = "{path.id}" }
    [route.attributes]
    items = "{body:/items}"
    amount = "{body:/amount}"
    urgent = { from = "{body:/urgent}", optional = true }
    to = { from = "{body:/to}", optional = true }
    at = { from = "{body:/at}", optional = true }
    within = { from = "{body:/within}", optional = true }
    from = { from = "{header.x-from}", optional = true }
    [[route]]
    name = "page"
    path = "/{x}/{rest*}"
    host = "*.example.com"
    action = "read"
    resource = { type = "Page", id = "{path.x} {path.rest} {host}" }
    [route.attributes]
    q = { from = "{query.q}", optional = true }
    n = { from = "{query.n}", optional = true }
    h = { from = "{header.x-h}", optional = true }
"#;

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| {
    let mut source = BundleSource::default();
    source.files.insert("schema.cedarschema".into(), SCHEMA.into());
    source.files.insert("mapping.toml".into(), MAPPING.into());
    source.files.insert("policies/a.cedar".into(), "@id(\"a\") permit (principal, action, resource);".into());
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
});

fn check(data: &[u8]) {
    let Some(Message { method, target, headers, body }) = Message::read(data) else { return };
    let host = headers.iter().find(|(name, _)| *name == "host").and_then(|(_, host)| std::str::from_utf8(host).ok());
    let request = HttpRequest {
        method,
        host: host.unwrap_or("api.example.com"),
        target,
        headers: Headers::new(headers.iter().copied()),
        body,
        connection: Connection { source_address: "10.0.0.1", ..Connection::default() },
        ..HttpRequest::default()
    };
    let _ = BUNDLE.mapping().credential(&request);
    let result = map(&request);
    assert_eq!(map(&request), result, "it says something else the second time");
    match result {
        Ok(requests) => {
            assert!(!requests.is_empty(), "it is mapped to nothing");
            requests.iter().for_each(check_shape);
        }
        Err(undecodable) => {
            assert!(!undecodable.message.contains("s3cret"), "{undecodable}");
        }
    }
}

fn map(request: &HttpRequest<'_>) -> Result<Vec<Request>, Undecodable> {
    let mut mapped = BUNDLE.mapping().map_http(request)?;
    mapped.read_attributes(Needs::All)?;
    Ok(mapped.requests)
}

/// A request is one that the schema has.
fn check_shape(request: &Request) {
    assert!(!request.resource.id.is_empty(), "a resource without an id");
    let shape = BUNDLE.shapes().get(&request.action);
    let shape = shape.unwrap_or_else(|| panic!("the schema does not have {}", request.action));
    assert!(shape.resources.contains(&request.resource.kind), "{} on {}", request.action, request.resource.kind);
    let mut found = 0;
    for (name, value) in BUNDLE.attributes(request) {
        let field = &shape.attributes[name];
        found += usize::from(field.required);
        field.ty.check(&value, &name).unwrap_or_else(|error| panic!("{}: {error}", request.action));
    }
    let required = shape.attributes.values().filter(|field| field.required).count();
    assert_eq!(found, required, "{} lacks attributes", request.action);
}

fn seeds() -> Vec<Vec<u8>> {
    const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
    let mut seeds = Vec::new();
    for script in table::sql("postgres").iter().step_by(4) {
        let body = serde_json::json!({ "sql": script }).to_string();
        seeds.push(Message::write("POST /query", JSON, body.as_bytes()));
    }
    for line in table::shell().iter().step_by(4) {
        let escaped = percent_encoding::utf8_percent_encode(line, percent_encoding::NON_ALPHANUMERIC);
        seeds.push(Message::write(&format!("GET /run/a?c={escaped}"), NONE, b""));
    }
    for (files, target) in
        [(["mcp/methods.toml", "mcp/headers.toml"].as_slice(), "/mcp"), (&["a2a/requests.toml"], "/a2a")]
    {
        for message in table::messages(files) {
            let mut line = message.splitn(2, |byte| *byte == b'\n');
            let method = line.next().unwrap_or_default();
            seeds.push([method, b" ", target.as_bytes(), b"\n", line.next().unwrap_or_default()].concat());
        }
    }
    for ask in (crate::kubernetes::TARGET.seeds)().iter().step_by(2) {
        match ask.first() {
            Some(b'{') => seeds.push(Message::write("POST /review", JSON, ask)),
            _ => seeds.push([ask.as_slice(), b"\n\n"].concat()),
        }
    }
    let order = br#"{"items": [1, 2], "amount": 12.5, "urgent": true, "to": {"city": "Bern"}, "at": "2026-01-31", "within": "1h"}"#;
    seeds.push(Message::write(
        "POST /orders/7",
        [("content-type", "application/json"), ("x-from", "10.0.0.0/8")],
        order,
    ));
    let form = [("content-type", "application/x-www-form-urlencoded"), ("content-length", "20")];
    seeds.push(Message::write("POST /orders/7", form, b"items=1&amount=12.50"));
    for target in ["/a/b?q=1&n=2", "/a/%2e%2e/b;x?q=%41#f", "/a//b/?n=-1", "*", "http://a/b", "/a/b?q=1&q=2"] {
        let headers = [("host", "docs.example.com:443"), ("x-h", "1"), ("authorization", "Bearer abc")];
        seeds.push(Message::write(&format!("GET {target}"), headers, b""));
    }
    seeds
}

const NONE: [(&str, &str); 0] = [];
