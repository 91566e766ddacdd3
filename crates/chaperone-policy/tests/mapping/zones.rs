//! Network zones: what `[zones]` may say, and what requests have of it.

use chaperone_policy::Value;
use chaperone_policy::mapping::{Connection, Mapping};

use crate::fixture::{self, get, map, map_tcp, mapping, shapes};

const ZONES: &str = "[zones]\noffice = [\"10.0.0.0/8\", \"fd00::/8\"]\nlab = [\"10.1.2.0/24\"]\n";
const ROUTE: &str =
    "[[route]]\nname = \"r\"\npath = \"/r\"\naction = \"enter\"\nresource = { type = \"Document\", id = \"1\" }\n";

fn zone(name: &str) -> Value {
    Value::String(name.into())
}

#[test]
fn request_has_the_zone_that_its_source_address_is_in() {
    let (zoned, plain) = (mapping(&format!("{ZONES}{ROUTE}")), mapping(ROUTE));
    for (address, expected) in [
        ("10.9.9.9", Some("office")),
        ("10.1.2.3", Some("lab")),
        ("::ffff:10.1.2.3", Some("lab")),
        ("fd00::1", Some("office")),
        ("192.0.2.1", None),
        ("/run/envoy.sock", None),
        ("", None),
    ] {
        let mut request = get("/r");
        request.connection.source_address = address;
        let routed =
            |zone: Option<Value>| [fixture::request("enter", ("Document", "1"), zone.map(|zone| ("zone", zone)))];
        assert_eq!(map(&zoned, &request).expect("it maps").requests, routed(expected.map(zone)), "{address}");
        assert_eq!(map(&plain, &request).expect("it maps").requests, routed(None), "{address}");
    }
}

#[test]
fn generic_actions_have_the_zone_too() {
    let zoned = mapping(ZONES);
    let connection = Connection {
        source_address: "10.1.2.3",
        destination_address: "10.0.0.9",
        destination_port: 5432,
        ..Connection::default()
    };
    let text = |text: &str| Value::String(text.into());
    let peer = [("source_ip", Value::Ip("10.1.2.3".into())), ("zone", zone("lab"))];
    let tcp = [("destination_port", Value::Long(5432)), ("sni", text(""))].into_iter().chain(peer.clone());
    let expected = fixture::request("Chaperone::Action::\"tcp\"", ("Chaperone::Listener", "10.0.0.9:5432"), tcp);
    assert_eq!(map_tcp(&zoned, &connection).expect("it maps").requests, [expected]);

    let mut request = get("/x");
    request.connection = connection;
    let http = [("method", "GET"), ("scheme", "https"), ("host", "docs.example.com"), ("path", "/x"), ("query", "")];
    let http = http.map(|(name, value)| (name, text(value))).into_iter().chain(peer);
    let expected = fixture::request("Chaperone::Action::\"http\"", ("Chaperone::Endpoint", "docs.example.com/x"), http);
    assert_eq!(map(&zoned, &request).expect("it maps").requests, [expected]);
}

#[test]
fn route_that_says_what_zone_is_keeps_its_word() {
    let zoned = mapping(&format!("{ZONES}{ROUTE}attributes = {{ zone = \"{{method}}\" }}\n"));
    let mut request = get("/r");
    request.connection.source_address = "10.1.2.3";
    let expected = fixture::request("enter", ("Document", "1"), [("zone", zone("GET"))]);
    assert_eq!(map(&zoned, &request).expect("it maps").requests, [expected]);
}

#[test]
fn what_could_be_two_zones_or_none_is_refused_with_its_place() {
    for (line, code, column, message) in [
        ("a = [\"10.0.0.1/8\"]", "mapping_zone", 6, "has bits behind its prefix; write `10.0.0.0/8`"),
        ("a = [\"10.0.0.0/8\"]\nb = [\"10.0.0.0/8\"]", "mapping_zone", 6, "is there already, in the zone `a`"),
        ("a = [\"::1\", \"::1/128\"]", "mapping_zone", 13, "is there already, in the zone `a`"),
        ("a = [\"office\"]", "mapping_zone", 6, "is not a range of addresses"),
        ("a = [\"::ffff:10.0.0.0/104\"]", "mapping_zone", 6, "is IPv4 within IPv6"),
        ("a = []", "mapping_zone", 5, "has no range of addresses"),
        ("A = [\"::1\"]", "mapping_zone", 1, "`A` is not the name of a zone"),
        ("a = \"::1\"", "mapping_type", 5, "must be an array of strings"),
    ] {
        let problems = Mapping::parse(&format!("[zones]\n{line}\n"), shapes(), None).expect_err(line);
        let [problem] = &problems[..] else { panic!("one problem: {problems:#?}") };
        let last = 2 + u32::try_from(line.matches('\n').count()).expect("few");
        assert_eq!((problem.code, problem.line, problem.column), (code, last, column), "{line}");
        assert!(problem.message.contains(message), "{line}: {}", problem.message);
    }
}

#[test]
fn zones_and_their_ranges_are_bounded() {
    let many = |count: usize| (0..count).map(|number| format!("z{number} = [\"10.0.{number}.0/24\"]\n"));
    assert!(Mapping::parse(&format!("[zones]\n{}", many(64).collect::<String>()), shapes(), None).is_ok());
    let problems = Mapping::parse(&format!("[zones]\n{}", many(65).collect::<String>()), shapes(), None);
    assert_eq!(problems.expect_err("too many")[0].code, "mapping_limit");
    let ranges = |count: u32| {
        let ranges = (0..count).map(|number| format!("\"10.{}.{}.0/24\"", number / 256, number % 256));
        Mapping::parse(&format!("[zones]\na = [{}]", ranges.collect::<Vec<_>>().join(",")), shapes(), None)
    };
    assert!(ranges(1_000).is_ok());
    assert_eq!(ranges(1_001).expect_err("too many")[0].code, "mapping_limit");
}
