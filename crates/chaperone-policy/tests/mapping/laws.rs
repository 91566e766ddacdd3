//! What holds for every request.

use std::fmt::Write as _;

use chaperone_policy::mapping::{Connection, Headers, HttpRequest, Mapping};
use proptest::prelude::*;

use crate::fixture::{get, map, map_tcp, mapping, no_mapping, route, shapes};

/// A mapping that reads everything that can be read.
fn greedy() -> Mapping {
    let text = [
        "[session]\nsources = [\"header:x-chaperone-session\", \"bearer\"]\n".to_owned(),
        route("conditions", "/a/{x}", "{path.x}", "headers = { x-h = \"1\" }\nquery = { q = \"*\" }"),
        route("host", "/{x}/b", "{path.x}{host}{query.q}{header.x-h}", "host = \"*.com\""),
        route("rest", "/{x}/{rest*}", "{path.x} {path.rest}", ""),
    ];
    mapping(&text.concat())
}

/// Targets that are likely to be near the edge of what is accepted.
fn targets() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/"),
        Just("a"),
        Just("b"),
        Just("."),
        Just(".."),
        Just("%2e"),
        Just("%2F"),
        Just("%5c"),
        Just("%25"),
        Just("%41"),
        Just("%c3%a4"),
        Just("%ff"),
        Just("%00"),
        Just(";"),
        Just("\\"),
        Just("?"),
        Just("#"),
        Just("q=1"),
        Just("&"),
        Just("+"),
        Just("%"),
        Just("ä"),
        Just(" "),
        Just("x"),
    ];
    prop_oneof![
        3 => prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat())),
        1 => any::<String>(),
    ]
}

/// Segments as a server would read them.
fn segments() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-z .?#&+=~ä🦀\"%-]{1,6}", 1..5)
}

/// One spelling of a path: each character is escaped, or left as it is where that is allowed.
fn encode(segments: &[String], escape_all: bool) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        for byte in segment.bytes() {
            let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'~' | b'+' | b'=' | b'&');
            if plain && (!escape_all || byte == b'.') {
                path.push(char::from(byte));
            } else {
                write!(path, "%{byte:02X}").expect("a String takes everything");
            }
        }
    }
    path
}

proptest! {
    #[test]
    fn mapping_is_total(
        target in targets(),
        method in prop_oneof![Just("GET".to_owned()), Just("POST".to_owned()), any::<String>()],
        host in prop_oneof![Just("docs.example.com".to_owned()), any::<String>()],
        scheme in any::<String>(),
        headers in prop::collection::vec(
            (prop_oneof![Just("x-h".to_owned()), Just("authorization".to_owned()), Just("content-type".to_owned()), any::<String>()],
             any::<Vec<u8>>()), 0..6),
        address in any::<String>(),
        port in any::<u32>(),
        sni in any::<String>(),
    ) {
        let mapping = greedy();
        let connection = Connection {
            metadata: None,
            source_address: &address,
            destination_address: &address,
            destination_port: port,
            sni: &sni,
            peer_spiffe_id: &sni,
            context_extensions: vec![(&address, &sni)],
        };
        let request = HttpRequest {
            body: &[],
            body_is_text: false,
            method: &method,
            host: &host,
            scheme: &scheme,
            target: &target,
            headers: Headers::new(headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))),
            connection: connection.clone(),
        };
        let _ = mapping.credential(&request);
        let _ = map_tcp(&mapping, &connection);
        if let Ok(mapped) = map(&mapping, &request) {
            prop_assert_eq!(mapped.requests.len(), 1);
        }
    }

    #[test]
    fn parsing_a_mapping_is_total(text in "([\\[\\]a-z_.=\"{}*/, \\n]|route|path|session|on_allow){0,80}") {
        let _ = Mapping::parse(&text, shapes(), None);
        let _ = Mapping::check_syntax(&text);
    }

    /// However a path is spelled, whoever is accepted gets the same route and the same captures.
    #[test]
    fn accepted_path_has_one_reading(segments in segments()) {
        let text = route("rest", "/{first}/{rest*}", "{path.first}|{path.rest}", "");
        let mapping = mapping(&text);
        let (plain, escaped) = (encode(&segments, false), encode(&segments, true));
        let read = |target: &str| {
            map(&mapping, &get(target)).map(|mapped| (mapped.route.clone(), mapped.requests))
        };
        let (plain, escaped) = (read(&plain), read(&escaped));
        prop_assert_eq!(plain.is_ok(), escaped.is_ok());
        if let (Ok(plain), Ok(escaped)) = (plain, escaped) {
            prop_assert_eq!(&plain, &escaped);
            let id = match segments.as_slice() {
                [first, rest @ ..] if !rest.is_empty() => format!("{first}|{}", rest.join("/")),
                all => format!("docs.example.com/{}", all.join("/")),
            };
            prop_assert_eq!(&*plain.1[0].resource.id, &*id);
        }
    }

    /// Reading what was read, written down again, changes nothing.
    #[test]
    fn normal_form_is_stable(target in targets()) {
        let path_of = |target: &str| {
            let mapped = map(&no_mapping(), &HttpRequest { host: "", ..get(target) }).ok()?;
            Some(mapped.requests.first()?.resource.id.to_string())
        };
        let path = target.split('?').next().unwrap_or_default();
        if let Some(read) = path_of(path) {
            let segments: Vec<String> = read.split('/').skip(1).map(String::from).collect();
            prop_assert_eq!(path_of(&encode(&segments, false)), Some(read));
        }
    }

    #[test]
    fn path_with_two_readings_is_never_accepted(
        before in "(/[a-z]{1,4}){0,3}",
        trap in prop_oneof![
            Just("/.."), Just("/."), Just("/%2e%2e"), Just("/%2E."), Just("/.%2e"), Just("//"), Just("/a%2fb"), Just("/a%2F"), Just("/a%5c"),
            Just("/a\\"), Just("/a;b"), Just("/..;"), Just("/a#"), Just("/%"), Just("/%4"), Just("/%zz"), Just("/%00"), Just("/%1f"), Just("/%7F"),
            Just("/%ff"), Just("/%c0%af"), Just("/%252f"), Just("/%252e"), Just("/ä"), Just("/a b"), Just("/\u{7f}"),
        ],
        after in "(/[a-z]{1,4}){0,3}",
    ) {
        let target = format!("{before}{trap}{after}");
        // `//` at the very end of `before` and `after` is the trap itself.
        prop_assert!(map(&greedy(), &get(&target)).is_err(), "{}", target);
    }

    /// A route that is refused as shadowed would never have matched.
    #[test]
    fn shadowed_route_never_matches(
        earlier in patterns(),
        later in patterns(),
        requests in prop::collection::vec(requests(), 1..24),
    ) {
        let text = [route("earlier", &earlier.0, "x", &earlier.1), route("later", &later.0, "x", &later.1)].concat();
        let shadowed = match Mapping::parse(&text, shapes(), None) {
            Ok(_) => false,
            Err(problems) => problems.iter().any(|problem| problem.code == "route_shadowed"),
        };
        if shadowed {
            let (earlier, later) = (mapping(&route("e", &earlier.0, "x", &earlier.1)), mapping(&route("l", &later.0, "x", &later.1)));
            for (method, host, target, header) in &requests {
                let headers = header.map(|value: &str| ("x-m", value.as_bytes()));
                let request = HttpRequest {
            body: &[], body_is_text: false, method, host, headers: Headers::new(headers), ..get(target) };
                let matches = |mapping: &Mapping| {
                    map(mapping, &request).map_or(true, |mapped| mapped.route.is_some())
                };
                prop_assert!(!matches(&later) || matches(&earlier), "{:?}", request);
            }
        }
    }
}

/// A path template, and more keys of a route.
fn patterns() -> impl Strategy<Value = (String, String)> {
    let path = prop_oneof![
        Just("/"),
        Just("/a"),
        Just("/a/"),
        Just("/{x}"),
        Just("/a/b"),
        Just("/a/{y}"),
        Just("/{x}/b"),
        Just("/{x}/{y}"),
        Just("/{x*}"),
        Just("/a/{x*}"),
    ];
    let methods = prop_oneof![Just(""), Just("methods = [\"GET\"]\n"), Just("methods = [\"GET\", \"POST\"]\n")];
    let host = prop_oneof![Just(""), Just("host = \"a.b.c\"\n"), Just("host = \"*.b.c\"\n"), Just("host = \"*.c\"\n")];
    let query = prop_oneof![Just(""), Just("query = { q = \"1\" }\n"), Just("query = { q = \"*\" }\n")];
    let header = prop_oneof![Just(""), Just("headers = { x-m = \"1\" }\n"), Just("headers = { x-m = \"*\" }\n")];
    (path, methods, host, query, header)
        .prop_map(|(path, methods, host, query, header)| (path.to_owned(), [methods, host, query, header].concat()))
}

type Wire = (&'static str, &'static str, String, Option<&'static str>);

fn requests() -> impl Strategy<Value = Wire> {
    let path = prop_oneof![
        Just("/"),
        Just("/a"),
        Just("/a/"),
        Just("/c"),
        Just("/a/b"),
        Just("/c/b"),
        Just("/a/b/c"),
        Just("/a/b/")
    ];
    let query = prop_oneof![Just(""), Just("?q=1"), Just("?q=2"), Just("?q"), Just("?q=1&q=2")];
    (
        prop_oneof![Just("GET"), Just("POST"), Just("PUT")],
        prop_oneof![Just("a.b.c"), Just("x.b.c"), Just("b.c"), Just("c"), Just("")],
        (path, query).prop_map(|(path, query)| format!("{path}{query}")),
        prop_oneof![Just(None), Just(Some("1")), Just(Some("2")), Just(Some("1,2"))],
    )
}
