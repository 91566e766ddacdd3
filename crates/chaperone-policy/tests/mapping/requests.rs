//! Which route takes a request, what it becomes, and what is refused.

use chaperone_policy::mapping::{Connection, HttpRequest, OnFailure};
use chaperone_policy::{EntityRef, Value};

use crate::fixture::{
    self, from_peer, get, get_with, map, map_tcp, mapping, no_mapping, reading, request, resource, route, route_of,
};

#[test]
fn capture_becomes_the_resource() {
    let mapping = reading("/documents/{id}", "{path.id}", "");
    let mapped = map(&mapping, &get("/documents/welcome")).expect("it maps");
    assert_eq!(mapped.route.as_deref(), Some("route"));
    assert_eq!(mapped.requests.len(), 1);
    assert_eq!(mapped.requests[0].action, EntityRef::new("Action", "read"));
    assert_eq!(mapped.requests[0].resource, EntityRef::new("Document", "welcome"));
    assert_eq!(resource(&map(&mapping, &get("/documents/a%20b"))), Ok("Document::\"a b\"".into()));
}

#[test]
fn first_matching_route_in_file_order_wins() {
    let text = [
        route("any-first", "/{kind}/special", "{path.kind}", ""),
        route("literal", "/documents/{id}", "{path.id}", ""),
        route("rest", "/{all*}", "{path.all}", ""),
    ];
    let mapping = mapping(&text.concat());
    for (target, name, id) in [
        ("/documents/special", "any-first", "documents"),
        ("/documents/other", "literal", "other"),
        ("/documents/a/b", "rest", "documents/a/b"),
        ("/x", "rest", "x"),
    ] {
        let mapped = map(&mapping, &get(target));
        assert_eq!(route_of(&mapped), Some(name), "{target}");
        assert_eq!(resource(&mapped), Ok(format!("Document::\"{id}\"")));
    }
}

#[test]
fn route_does_several_things_at_once() {
    let also = r#"
        [[route.also]]
        action = "export"
        resource = { type = "Document", id = "{query.to}" }
        attributes = { format = { from = "{query.format}", default = "csv" }, rows = { from = "{query.rows}", default = "100" } }
    "#;
    let mapping = reading("/documents/{id}/copy", "{path.id}", also);
    let copied = |target: &str| map(&mapping, &get(target)).map(|mapped| mapped.requests);
    let of = |format: &str, rows| {
        let attributes = [("format", Value::String(format.into())), ("rows", Value::Long(rows))];
        let read = request("read", ("Document", "a"), []);
        Ok(vec![read, request("export", ("Document", "b"), attributes)])
    };
    assert_eq!(copied("/documents/a/copy?to=b"), of("csv", 100), "by default");
    assert_eq!(copied("/documents/a/copy?to=b&format=pdf&rows=7"), of("pdf", 7));
    assert_eq!(copied("/documents/a/copy?to=b&format="), of("", 100), "what is there is not absent");
    for undecodable in ["/documents/a/copy", "/documents/a/copy?to=b&rows=many", "/documents/a/copy?to=b&rows=1&rows=2"]
    {
        assert!(copied(undecodable).is_err(), "{undecodable}");
    }
}

#[test]
fn trailing_slash_is_another_path() {
    let mapping = reading("/documents/{rest*}", "{path.rest}", "");
    assert_eq!(route_of(&map(&mapping, &get("/documents/a/"))), None);
    assert_eq!(route_of(&map(&mapping, &get("/documents/"))), None);
    let mapping = reading("/documents/", "all", "");
    assert_eq!(route_of(&map(&mapping, &get("/documents/"))), Some("route"));
    assert_eq!(route_of(&map(&mapping, &get("/documents"))), None);
}

#[test]
fn method_and_host_limit_a_route() {
    let mapping = reading("/a", "a", "methods = [\"GET\", \"HEAD\"]\nhost = \"*.Example.com\"");
    assert_eq!(route_of(&map(&mapping, &get("/a"))), Some("route"));
    let elsewhere = [
        HttpRequest { method: "POST", ..get("/a") },
        HttpRequest { method: "", ..get("/a") },
        HttpRequest { host: "example.com", ..get("/a") },
        HttpRequest { host: "", ..get("/a") },
    ];
    for request in elsewhere {
        assert_eq!(route_of(&map(&mapping, &request)), None, "{request:?}");
    }
    let same = HttpRequest { host: "DOCS.example.com.:8443", ..get("/a") };
    assert_eq!(route_of(&map(&mapping, &same)), Some("route"));
}

#[test]
fn conditions_ask_for_one_value() {
    let mapping = reading("/a", "a", "headers = { x-mode = \"bulk\" }\nquery = { format = \"csv\", page = \"*\" }");
    let map = |target, headers: &[(&'static str, &'static [u8])]| {
        let mapped = map(&mapping, &get_with(target, headers));
        mapped.map(|mapped| mapped.route.is_some()).map_err(|error| error.message)
    };
    let bulk: &[(&str, &[u8])] = &[("X-Mode", b"bulk")];
    assert_eq!(map("/a?format=csv&page=", bulk), Ok(true));
    assert_eq!(map("/a?f%6Frmat=c%73v&page", bulk), Ok(true));
    assert_eq!(map("/a?format=csv", bulk), Ok(false));
    assert_eq!(map("/a?format=CSV&page=1", bulk), Ok(false));
    assert_eq!(map("/a?format=csv&page=1", &[]), Ok(false));
    assert_eq!(map("/a?format=csv&page=1", &[("x-mode", b"single")]), Ok(false));
    for (target, headers) in [
        ("/a?format=csv&page=1&format=csv", bulk),
        ("/a?format=csv&page=1&page=2", bulk),
        ("/a?format=csv&page=1", &[("x-mode", b"bulk" as &[u8]), ("x-mode", b"single")]),
        ("/a?format=csv&page=1", &[("x-mode", b"single, bulk" as &[u8])]),
    ] {
        let message = map(target, headers).expect_err(target);
        assert!(message.contains("more than once"), "{message}");
    }
}

#[test]
fn attributes_are_converted_to_their_types_or_the_request_is_refused() {
    let text = "[[route]]
name = \"probe\"
path = \"/a\"
action = \"probe\"
resource = { type = \"Document\", id = \"{peer}\" }
[route.attributes]
text = \"{method} {scheme} {host} {{}}\"
number = { from = \"{query.n}\", optional = true }
flag = \"true\"
address = \"{source_ip}\"
amount = { from = \"{header.x-amount}\", optional = true }
day = { from = \"{extension.day}\", optional = true }
";
    let mapping = mapping(text);
    let request = |target| HttpRequest { connection: from_peer("spiffe://example.org/a"), ..get(target) };
    let mapped = map(&mapping, &request("/a?n=7")).expect("it maps");
    let document = ("Document", "spiffe://example.org/a");
    let text = ("text", Value::String("GET https docs.example.com {}".into()));
    let flag = ("flag", Value::Bool(true));
    let address = ("address", Value::Ip("10.1.2.3".into()));
    let expected = [text.clone(), ("number", Value::Long(7)), flag.clone(), address.clone()];
    assert_eq!(mapped.requests, [fixture::request("probe", document, expected)]);

    let mut extended = request("/a");
    extended.connection.context_extensions = vec![("day", "2026-01-31"), ("other", "")];
    let mapped = map(&mapping, &extended).expect("it maps");
    let expected = [text, flag, address, ("day", Value::Datetime("2026-01-31".into()))];
    assert_eq!(mapped.requests, [fixture::request("probe", document, expected)]);

    for target in ["/a?n=", "/a?n=07", "/a?n=secret", "/a?n=99999999999999999999"] {
        let error = map(&mapping, &request(target)).expect_err(target);
        assert_eq!(error.message, "the attribute `number` must be a 64-bit decimal integer");
    }
    assert_eq!(
        map(&mapping, &request("/a?n=1&n=1")).map(|_| ()).expect_err("twice").message,
        "`{query.n}` is there more than once, or is no text"
    );
    assert_eq!(map(&mapping, &get("/a")).map(|_| ()).expect_err("no peer").message, "`{peer}` is absent");
}

#[test]
fn header_with_two_readings_is_refused_where_a_template_reads_it() {
    let mapping = reading("/a", "{header.x-id}", "");
    let resource_of = |headers: &[(&'static str, &'static [u8])]| resource(&map(&mapping, &get_with("/a", headers)));
    assert_eq!(resource_of(&[("x-id", b"7")]), Ok("Document::\"7\"".into()));
    assert_eq!(resource_of(&[]), Err("`{header.x-id}` is absent".into()));
    assert_eq!(resource_of(&[("x-id", b"")]), Err("the resource's id is empty".into()));
    let ambiguous: [&[(&str, &[u8])]; 3] =
        [&[("x-id", b"7"), ("x-id", b"7")], &[("x-id", b"7,8")], &[("x-id", b"\xff")]];
    for headers in ambiguous {
        assert_eq!(resource_of(headers), Err("`{header.x-id}` is there more than once, or is no text".into()));
    }
    // Nobody reads it on another path.
    assert!(map(&mapping, &get_with("/b", ambiguous[0])).is_ok());
}

#[test]
fn request_without_route_is_the_generic_http_action() {
    let mut request = get("/a%20b/c?x=%20y");
    request.host = "Docs.Example.com:443";
    request.connection = from_peer("spiffe://example.org/a");
    let mapped = map(&no_mapping(), &request).expect("it maps");
    assert_eq!((mapped.route, mapped.on_failure), (None, OnFailure::Deny));
    let expected = [
        ("host", Value::String("docs.example.com".into())),
        ("method", Value::String("GET".into())),
        ("path", Value::String("/a b/c".into())),
        ("peer", Value::String("spiffe://example.org/a".into())),
        ("query", Value::String("x=%20y".into())),
        ("scheme", Value::String("https".into())),
        ("source_ip", Value::Ip("10.1.2.3".into())),
    ];
    let endpoint = ("Chaperone::Endpoint", "docs.example.com/a b/c");
    assert_eq!(mapped.requests, [fixture::request("Chaperone::Action::\"http\"", endpoint, expected)]);
}

#[test]
fn absent_fields_are_empty_in_the_generic_action() {
    let request = HttpRequest { target: "/a", ..HttpRequest::default() };
    let mapped = map(&no_mapping(), &request).expect("it maps");
    let empty = || Value::String("".into());
    let path = Value::String("/a".into());
    let expected = [("method", empty()), ("scheme", empty()), ("host", empty()), ("query", empty()), ("path", path)];
    let endpoint = ("Chaperone::Endpoint", "/a");
    assert_eq!(mapped.requests, [fixture::request("Chaperone::Action::\"http\"", endpoint, expected)]);
}

#[test]
fn options_of_the_server_is_the_only_target_without_a_slash() {
    let options = HttpRequest { method: "OPTIONS", ..get("*") };
    let mapping = reading("/{all*}", "{path.all}", "");
    assert_eq!(resource(&map(&mapping, &options)), Ok("Chaperone::Endpoint::\"docs.example.com*\"".into()));
    assert_eq!(map(&mapping, &get("*")).map(|_| ()).expect_err("GET *").message, "the path does not start with `/`");
}

#[test]
fn grpc_request_is_its_method() {
    let grpc = |content_type: &'static str, target| {
        let request = get_with(target, &[("content-type", content_type.as_bytes())]);
        resource(&map(&no_mapping(), &HttpRequest { method: "POST", ..request }))
    };
    for content_type in ["application/grpc", "application/grpc+proto", "Application/gRPC; x=y"] {
        assert_eq!(grpc(content_type, "/pkg.Docs/Get"), Ok("Chaperone::Method::\"pkg.Docs/Get\"".into()));
    }
    for content_type in ["application/grpc-web", "application/grpc-web+proto", "application/json", ""] {
        assert_eq!(
            grpc(content_type, "/pkg.Docs/Get"),
            Ok("Chaperone::Endpoint::\"docs.example.com/pkg.Docs/Get\"".into())
        );
    }
    for target in ["/", "/pkg.Docs", "/pkg.Docs/", "/pkg.Docs/Get/More", "/pkg.Docs/G%65t"] {
        assert!(grpc("application/grpc", target).is_err(), "{target}");
    }
    assert!(grpc("application/json,application/grpc", "/pkg.Docs/Get").is_err());
}

#[test]
fn route_takes_grpc_requests_by_their_path() {
    let mapping = reading("/pkg.Docs/{method}", "{path.method}", "");
    let request = get_with("/pkg.Docs/Get", &[("content-type", b"application/grpc")]);
    assert_eq!(route_of(&map(&mapping, &HttpRequest { method: "POST", ..request })), Some("route"));
}

#[test]
fn connection_is_the_generic_tcp_action() {
    let connection = Connection {
        destination_address: "10.0.0.9",
        destination_port: 5432,
        sni: "DB.example.com",
        ..from_peer("spiffe://example.org/a")
    };
    let mapped = map_tcp(&no_mapping(), &connection).expect("it maps");
    let expected = [
        ("destination_port", Value::Long(5432)),
        ("sni", Value::String("db.example.com".into())),
        ("peer", Value::String("spiffe://example.org/a".into())),
        ("source_ip", Value::Ip("10.1.2.3".into())),
    ];
    let listener = ("Chaperone::Listener", "10.0.0.9:5432");
    assert_eq!(mapped.requests, [fixture::request("Chaperone::Action::\"tcp\"", listener, expected)]);

    let v6 = Connection { destination_address: "2001:db8::1", ..connection.clone() };
    assert_eq!(resource(&map_tcp(&no_mapping(), &v6)), Ok("Chaperone::Listener::\"[2001:db8::1]:5432\"".into()));
    for broken in [
        Connection { destination_address: "", ..connection.clone() },
        Connection { destination_port: 0, ..connection.clone() },
        Connection { destination_port: 70_000, ..connection.clone() },
        Connection { sni: "a b", ..connection.clone() },
    ] {
        assert!(map_tcp(&no_mapping(), &broken).is_err(), "{broken:?}");
    }
}

#[test]
fn peer_inside_ipv6_is_seen_as_ipv4() {
    let mut request = get("/a");
    request.connection.source_address = "::ffff:10.1.2.3";
    let mapped = map(&no_mapping(), &request).expect("it maps");
    let expected = |more: Option<(&'static str, Value)>| {
        let text = |text: &str| Value::String(text.into());
        let mut attributes =
            vec![("method", text("GET")), ("scheme", text("https")), ("host", text("docs.example.com"))];
        attributes.extend([("query", text("")), ("path", text("/a"))].into_iter().chain(more));
        let endpoint = ("Chaperone::Endpoint", "docs.example.com/a");
        [fixture::request("Chaperone::Action::\"http\"", endpoint, attributes)]
    };
    assert_eq!(mapped.requests, expected(Some(("source_ip", Value::Ip("10.1.2.3".into())))));
    request.connection.source_address = "/run/proxy.sock";
    let mapped = map(&no_mapping(), &request).expect("it maps");
    assert_eq!(mapped.requests, expected(None));
}

#[test]
fn request_with_two_readings_is_refused_on_every_path() {
    let mapping = reading("/documents/{rest*}", "{path.rest}", "");
    let targets = [
        "",
        "documents/a",
        "//documents/a",
        "/documents//a",
        "/documents/../admin",
        "/documents/..",
        "/documents/%2e%2e/admin",
        "/documents/.%2E/admin",
        "/documents/a%2fb",
        "/documents/a%5Cb",
        "/documents/a\\b",
        "/documents/a;v=1",
        "/documents/a#b",
        "/documents/%",
        "/documents/%g0",
        "/documents/%00",
        "/documents/%0a",
        "/documents/%ff",
        "/documents/%252e%252e",
        "/documents/ä",
        "/documents/a b",
        "/documents/a?x=%zz",
        "/documents/a?x=%ff",
        "/documents/a?x=1;y=2",
        "/documents/a?x#y",
        "http://docs.example.com/documents/a",
    ];
    for target in targets {
        assert!(map(&mapping, &get(target)).is_err(), "{target:?}");
        assert!(map(&no_mapping(), &get(target)).is_err(), "{target:?} without a route");
    }
}

#[test]
fn host_that_is_told_twice_must_be_the_same() {
    let mapping = no_mapping();
    let only_header = HttpRequest { host: "", ..get_with("/a", &[("host", b"Docs.example.com")]) };
    let endpoint = "Chaperone::Endpoint::\"docs.example.com/a\"";
    assert_eq!(resource(&map(&mapping, &only_header)), Ok(endpoint.into()));
    assert!(map(&mapping, &get_with("/a", &[("host", b"docs.example.com:443")])).is_ok());
    assert!(map(&mapping, &get_with("/a", &[("host", b"admin.example.com")])).is_err());
    assert!(map(&mapping, &get_with("/a", &[("Host", b"\xff")])).is_err());
}

#[test]
fn method_in_lower_case_is_refused() {
    for method in ["get", "Get", "GE T", "GET\n", "GÉT"] {
        assert!(map(&no_mapping(), &HttpRequest { method, ..get("/a") }).is_err(), "{method}");
    }
}

#[test]
fn size_is_bounded() {
    let mapping = no_mapping();
    let headers: Vec<(&str, &[u8])> = vec![("x-a", b"1"); 1_001];
    assert!(map(&mapping, &get_with("/a", &headers[..1_000])).is_ok());
    assert!(map(&mapping, &get_with("/a", &headers)).is_err());
    for target in [
        format!("/a?{}", "x".repeat(16 * 1024)),
        format!("/a?{}", "x&".repeat(256)),
        "/a".repeat(129),
        format!("/{}", "a".repeat(1_024)),
    ] {
        assert!(map(&mapping, &get(&target)).is_err(), "{} bytes", target.len());
    }
}

#[test]
fn semicolons_pass_where_the_mapping_allows_them() {
    let text = format!("[http]\nsemicolons = true\n{}", route("r", "/a/{id}", "{path.id}", ""));
    let mapping = mapping(&text);
    assert_eq!(resource(&map(&mapping, &get("/a/b;v=1"))), Ok("Document::\"b;v=1\"".into()));
    assert!(map(&mapping, &get("/a/..;/b")).is_err());
}

#[test]
fn route_says_what_being_unable_to_decide_looks_like() {
    let mapping = reading("/a", "a", "on_failure = \"error\"");
    assert_eq!(map(&mapping, &get("/a")).expect("it maps").on_failure, OnFailure::Error);
    assert_eq!(map(&mapping, &get("/b")).expect("it maps").on_failure, OnFailure::Deny);
}

#[test]
fn action_of_a_namespace_is_written_out() {
    let text = "[[route]]
name = \"tune\"
path = \"/tune\"
action = 'Docs::Action::\"tune\"'
resource = { type = \"Docs::Dial\", id = \"all\" }
";
    let mapped = map(&mapping(text), &get("/tune")).expect("it maps");
    assert_eq!(mapped.requests[0].action, EntityRef::new("Docs::Action", "tune"));
}
