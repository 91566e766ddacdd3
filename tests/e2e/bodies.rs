//! Bodies and metadata as a real Envoy sends them along: whole, cut, rewritten or not at all.

use std::net::SocketAddr;

use bytes::Bytes;
use chaperone_e2e::binaries::EnvoyVersion;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::client::{Request, Response};
use chaperone_e2e::envoy::BodyOptions;
use chaperone_e2e::world::{World, WorldBuilder};
use tokio::net::TcpStream;

const SCHEMA: &str = "
    entity Agent; entity Note;
    action note appliesTo { principal: Agent, resource: Note, context: { request: { text: String } } };
    action upload appliesTo { principal: Agent, resource: Note, context: { request: {} } };
    action report appliesTo { principal: Agent, resource: Note, context: { request: { team?: String } } };
";

const POLICIES: &str = "
    @id(\"notes\") permit (principal, action == Action::\"note\", resource) when { context.request.text != \"\" };
    @id(\"uploads\") permit (principal, action == Action::\"upload\", resource);
    @id(\"reports\") permit (principal, action == Action::\"report\", resource)
    when { context.request has team && context.request.team == \"docs\" };
    @id(\"queries\") permit (principal, action == Chaperone::Action::\"sql.select\", resource);
";

const MAPPING: &str = r#"
    [decoder.crm]
    sql = { dialect = "mysql", database = "crm" }

    [[route]]
    name = "note"
    path = "/notes"
    action = "note"
    resource = { type = "Note", id = "new" }
    attributes = { text = "{body:/text}" }

    [[route]]
    name = "upload"
    path = "/uploads"
    action = "upload"
    resource = { type = "Note", id = "new" }

    [[route]]
    name = "script"
    path = "/script"
    decoder = "crm"

    [[route]]
    name = "report"
    path = "/report"
    action = "report"
    resource = { type = "Note", id = "all" }
    attributes = { team = { from = "{metadata:/example.claims/team}", optional = true } }
"#;

/// What fits into the checks of most of these tests.
const LIMIT: usize = 1024;

fn builder() -> WorldBuilder {
    let bundle = Bundle::documents();
    let bundle = bundle.with("schema.cedarschema", SCHEMA).with("mapping.toml", MAPPING);
    let bundle = bundle.with("policies/documents.cedar", POLICIES).with("entities.json", "[]");
    World::builder().bundle(bundle).check_timeout("5s")
}

fn limited(partial: bool, as_bytes: bool) -> BodyOptions {
    BodyOptions { bytes_max: u32::try_from(LIMIT).expect("it fits"), partial, as_bytes, ..BodyOptions::default() }
}

fn note(body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", "/notes").header("content-type", "application/json").body(body)
}

fn script(body: impl Into<Vec<u8>>) -> Request {
    Request::new("POST", "/script").body(body)
}

/// A body of so many bytes that is JSON, and JSON without its last bytes, too.
fn padded(bytes: usize) -> Vec<u8> {
    let mut body = br#"{"text":"hello"}"#.to_vec();
    body.resize(bytes, b' ');
    body
}

/// A body without a length.
fn chunked(request: Request, chunks: &[&[u8]]) -> Request {
    let mut body = Vec::new();
    for chunk in chunks {
        body.extend(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend(*chunk);
        body.extend(b"\r\n");
    }
    body.extend(b"0\r\n\r\n");
    request.header("transfer-encoding", "chunked").raw_body(body)
}

#[track_caller]
fn assert_code(response: &Response, code: &str, what: &str) {
    let answered = if response.status == 200 { "permitted".to_owned() } else { response.code() };
    assert_eq!(answered, code, "{what}: {} {}", response.status, response.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_whole_bodies_are_decided_on() {
    for (version, as_bytes) in [(EnvoyVersion::V1_40, true), (EnvoyVersion::V1_40, false), (EnvoyVersion::V1_36, true)]
    {
        let world = builder().envoy(version).body(limited(true, as_bytes)).start().await;
        let handle = world.session().await.handle;
        let forged = |value: &str| note(padded(100)).header("x-envoy-auth-partial-body", value);
        let json = || Request::new("POST", "/notes").header("content-type", "application/json");
        for (what, request, code) in [
            ("whole", note(padded(100)), "permitted"),
            ("one byte below the limit", note(padded(LIMIT - 1)), "permitted"),
            ("cut", note(padded(LIMIT + 1)), "undecodable"),
            ("cut, where nobody reads it", Request::new("POST", "/uploads").body(padded(4 * LIMIT)), "permitted"),
            ("absent", json(), "undecodable"),
            ("empty", json().header("content-length", "0"), "undecodable"),
            ("compressed", note(padded(100)).header("content-encoding", "gzip"), "undecodable"),
            ("no JSON", note("text=hello"), "undecodable"),
            ("without a length", chunked(json(), &[&padded(100)]), "undecodable"),
            ("without a length, in pieces", chunked(json(), &[&padded(100), b"  "]), "undecodable"),
            ("without a length, and cut", chunked(json(), &[&padded(LIMIT), b"  "]), "undecodable"),
            ("what a client says of the cut: yes", forged("true"), "permitted"),
            ("what a client says of the cut: no", forged("false"), "permitted"),
            ("a lie of a client", note(padded(LIMIT + 1)).header("x-envoy-auth-partial-body", "false"), "undecodable"),
        ] {
            let response = world.send(request.session(&handle)).await;
            assert_code(&response, code, &format!("{version:?} {as_bytes}: {what}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_long_a_body_is_413_where_envoy_does_not_cut() {
    let world = builder().body(limited(false, true)).start().await;
    let handle = world.session().await.handle;
    assert_eq!(world.send(note(padded(LIMIT - 1)).session(&handle)).await.status, 200);
    assert_eq!(world.send(note(padded(2 * LIMIT)).session(&handle)).await.status, 413);
    let upload = Request::new("POST", "/uploads").body(padded(2 * LIMIT)).session(&handle);
    assert_eq!(world.send(upload).await.status, 413);
}

/// As text, Envoy writes `!` for each byte that is not UTF-8. To MySQL, `/*! … */` is code, and `/*\xff … */` is a comment.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_are_denied() {
    for version in [EnvoyVersion::V1_40, EnvoyVersion::V1_36] {
        for as_bytes in [true, false] {
            let world = builder().envoy(version).body(limited(true, as_bytes)).start().await;
            let handle = world.session().await.handle;
            for (what, request) in [
                ("a text", note(&b"{\"text\":\"hello\xff\"}"[..])),
                ("a script", script(&b"select 1 /*\xff from orders */"[..])),
                ("a name", note(&b"{\"text\":\"hello\",\"text\xff\":\"bye\"}"[..])),
            ] {
                let response = world.send(request.session(&handle)).await;
                assert_code(&response, "undecodable", &format!("{version:?} {as_bytes}: {what}"));
            }
        }
    }
}

/// The status of a request over HTTP/2, whose body comes in these frames.
async fn over_http2(envoy: SocketAddr, request: http::Request<()>, frames: &[Vec<u8>]) -> u16 {
    let stream = TcpStream::connect(envoy).await.expect("a connection");
    let (sender, mut connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let mut pings = connection.ping_pong().expect("it was not asked for before");
    let connection = tokio::spawn(connection);
    let mut sender = sender.ready().await.expect("a stream");
    let (response, mut body) = sender.send_request(request, false).expect("a request");
    let last = frames.len() - 1;
    for (place, frame) in frames.iter().enumerate() {
        // It may have been answered already.
        if body.send_data(Bytes::from(frame.clone()), place == last).is_err() {
            break;
        }
        // Each alone, so that Envoy sees the first before it knows of the next. The first ping may go before the frame, and the second
        // goes after it; Envoy answers in that order.
        for _ in 0..2 {
            pings.ping(h2::Ping::opaque()).await.expect("an answer to a ping");
        }
    }
    let status = response.await.expect("an answer").status().as_u16();
    connection.abort();
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn body_over_http2_is_whole_or_denied() {
    for version in [EnvoyVersion::V1_40, EnvoyVersion::V1_36] {
        let world = builder().envoy(version).body(limited(true, true)).start().await;
        let handle = world.session().await.handle;
        let request = || {
            http::Request::post("http://docs.example.com/notes")
                .header("x-chaperone-session", &handle)
                .header("content-type", "application/json")
        };
        let told = request().header("content-length", 100).body(()).expect("a request");
        assert_eq!(over_http2(world.envoy.http, told, &[padded(100)]).await, 200, "{version:?}");
        let told = request().header("content-length", 102).body(()).expect("a request");
        assert_eq!(over_http2(world.envoy.http, told, &[padded(100), b"  ".to_vec()]).await, 200, "{version:?}");
        // Envoy says of a first frame that fills its buffer that it is the whole body: without a length, nobody knows.
        for frames in [vec![padded(100)], vec![padded(LIMIT), b"  ".to_vec()]] {
            let plain = request().body(()).expect("a request");
            assert_eq!(over_http2(world.envoy.http, plain, &frames).await, 400, "{version:?}");
        }
        let told = request().header("content-length", LIMIT + 2).body(()).expect("a request");
        let status = over_http2(world.envoy.http, told, &[padded(LIMIT), b"  ".to_vec()]).await;
        assert_eq!(status, 400, "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_other_filters_is_read() {
    const FILTERS: &str = r#"- name: envoy.filters.http.header_to_metadata
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config
    request_rules:
      - header: x-team
        on_header_present: { metadata_namespace: example.claims, key: team, type: STRING }
        remove: true
"#;
    for version in [EnvoyVersion::V1_40, EnvoyVersion::V1_36] {
        let world = builder().envoy(version).before_check(FILTERS, &["example.claims"]).start().await;
        let handle = world.session().await.handle;
        let report = || Request::get("/report").session(&handle);
        assert_code(&world.send(report().header("x-team", "docs")).await, "permitted", "the team");
        assert_code(&world.send(report().header("x-team", "bank")).await, "no_permit", "another team");
        assert_code(&world.send(report()).await, "no_permit", "no team");
    }
    let world = builder().before_check(FILTERS, &["example.other"]).start().await;
    let handle = world.session().await.handle;
    let request = Request::get("/report").session(&handle).header("x-team", "docs");
    assert_code(&world.send(request).await, "no_permit", "a namespace that the check does not see");
}
