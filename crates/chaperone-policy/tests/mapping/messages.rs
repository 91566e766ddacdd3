//! gRPC messages, read by the descriptors of the bundle.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chaperone_policy::mapping::{Headers, HttpRequest, Needs, Undecodable};
use chaperone_policy::{Bundle, BundleSource, Problem, Value};

const SCHEMA: &str = "entity Agent; entity Account;
    action transfer appliesTo { principal: Agent, resource: Account, context: { request: {
        to: String, units: Long, note?: String } } };";
const MAPPING: &str = r#"
    [[route]]
    name = "transfer"
    path = "/ledger.v1.Ledger/Transfer"
    action = "transfer"
    resource = { type = "Account", id = "{body:/from}" }
    attributes = { to = "{body:/to}", units = "{body:/amount/units}", note = { from = "{body:/note}", optional = true } }

    [[route]]
    name = "others"
    path = "/ledger.v1.Ledger/{method}"
    action = "transfer"
    resource = { type = "Account", id = "{body:/account}" }
    attributes = { to = "{path.method}", units = "1" }
"#;
const DESCRIPTORS: &[u8] = include_bytes!("../../../../deploy/samples/grpc-service/descriptors.binpb");
const TRANSFER: &str = "/ledger.v1.Ledger/Transfer";

fn compile(mapping: &str, descriptors: Option<String>) -> Result<Bundle, Vec<Problem>> {
    let policy = "@id(\"a\") permit (principal, action, resource);";
    let files = [("schema.cedarschema", SCHEMA), ("mapping.toml", mapping), ("policies/a.cedar", policy)];
    let mut source = BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() };
    source.files.extend(descriptors.map(|text| ("descriptors.binpb".to_owned(), text)));
    Bundle::compile(&source)
}

fn bundle() -> Bundle {
    compile(MAPPING, Some(STANDARD.encode(DESCRIPTORS))).expect("valid")
}

fn text(number: u8, text: &str) -> Vec<u8> {
    bytes(number, text.as_bytes())
}

fn bytes(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("short");
    assert!(length < 128);
    [&[number << 3 | 2, length], bytes].concat()
}

/// From `treasury` to `rent`.
fn transfer(units: u8) -> Vec<u8> {
    [text(1, "treasury"), text(2, "rent"), bytes(3, &[2 << 3, units])].concat()
}

/// A message as a call carries it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// The resource and the attributes of a call.
fn read(
    bundle: &Bundle,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<(String, Vec<(String, Value)>), Undecodable> {
    let headers = Headers::new(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
    let request = HttpRequest { method: "POST", target, headers, body, ..HttpRequest::default() };
    let mut mapped = bundle.mapping().map_http(&request)?;
    mapped.read_attributes(Needs::All)?;
    let attributes = bundle.attributes(&mapped.requests[0]).map(|(name, value)| (name.to_owned(), value));
    Ok((mapped.requests[0].resource.to_string(), attributes.collect()))
}

#[test]
fn fields_are_attributes() {
    let bundle = bundle();
    let string = |name: &str, value: &str| (name.to_owned(), Value::String(value.into()));
    let (resource, attributes) = read(&bundle, TRANSFER, &[GRPC], &framed(&transfer(80))).expect("it is read");
    assert_eq!(resource, "Account::\"treasury\"");
    let units = ("units".to_owned(), Value::Long(80));
    // A text that was not sent is empty: in proto3 nobody can tell the two apart.
    assert_eq!(attributes, [string("note", ""), string("to", "rent"), units.clone()]);
    let with_note = framed(&[transfer(80), text(4, "for May")].concat());
    let types = ("content-type", "application/grpc+proto");
    let (_, attributes) = read(&bundle, TRANSFER, &[types], &with_note).expect("it is read");
    assert_eq!(attributes, [string("note", "for May"), string("to", "rent"), units]);
    // The method that the path says, whatever the route.
    let body = framed(&text(1, "petty cash"));
    let (resource, _) = read(&bundle, "/ledger.v1.Ledger/GetBalance", &[GRPC], &body).expect("it is read");
    assert_eq!(resource, "Account::\"petty cash\"");
}

/// A path, headers, a body, and what is wrong with them.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], &'a str);

#[test]
fn message_that_is_not_certain_is_denied() {
    let bundle = bundle();
    let whole = framed(&transfer(80));
    let two = [whole.clone(), whole.clone()].concat();
    let compressed = [&[1], whole.get(1..).expect("a head")].concat();
    let unknown = framed(&[transfer(80), text(9, "more")].concat());
    let twice = framed(&[transfer(80), text(2, "other")].concat());
    let no_amount = framed(&[text(1, "treasury"), text(2, "rent")].concat());
    let cut = whole.get(..whole.len() - 1).expect("a part");
    let partial = ("x-envoy-auth-partial-body", "true");
    let json = ("content-type", "application/grpc+json");
    let cases: [Case<'_>; 14] = [
        (TRANSFER, &[GRPC], cut, "exactly one message"),
        (TRANSFER, &[GRPC], &two, "exactly one message"),
        (TRANSFER, &[GRPC], &compressed, "compressed"),
        (TRANSFER, &[GRPC], &unknown, "field 9"),
        (TRANSFER, &[GRPC], &twice, "twice"),
        (TRANSFER, &[GRPC], &no_amount, "absent"),
        (TRANSFER, &[GRPC], &[], "did not send the body"),
        (TRANSFER, &[GRPC, partial], &whole, "only a part"),
        (TRANSFER, &[GRPC, ("content-length", "1000")], &whole, "cut"),
        (TRANSFER, &[GRPC, GRPC], &whole, "more than once"),
        (TRANSFER, &[json], &whole, "format"),
        (TRANSFER, &[("content-type", "application/grpc;charset=utf-8")], &whole, "format"),
        ("/ledger.v1.Ledger/%54ransfer", &[GRPC], &whole, "no descriptor"),
        ("/ledger.v1.Ledger/Close", &[GRPC], &whole, "no descriptor"),
    ];
    for (target, headers, body, why) in cases {
        let undecodable = read(&bundle, target, headers, body).expect_err(why);
        assert!(undecodable.message.contains(why), "{why}: {undecodable}");
    }
    let blind = compile(MAPPING, None).expect("valid");
    let undecodable = read(&blind, TRANSFER, &[GRPC], &whole).expect_err("there are no descriptors");
    assert!(undecodable.message.contains("no descriptor"), "{undecodable}");
}

#[test]
fn pointer_that_leads_nowhere_is_refused_at_its_place() {
    for (from, to, why) in [
        ("{body:/to}", "{body:/too}", "`ledger.v1.TransferRequest` has no field `too`"),
        ("{body:/amount/units}", "{body:/amount/cents}", "`ledger.v1.Money` has no field `cents`"),
        ("{body:/to}", "{body:/to/0}", "no message"),
    ] {
        let problems = compile(&MAPPING.replacen(from, to, 1), Some(STANDARD.encode(DESCRIPTORS))).expect_err(to);
        let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
        assert!(problem.message.contains(why), "{problem:#?}");
        assert_eq!((problem.code, problem.line > 1), ("mapping_template", true));
    }
    // Without descriptors nobody knows better.
    assert!(compile(&MAPPING.replacen("{body:/to}", "{body:/too}", 1), None).is_ok());
}

#[test]
fn descriptors_that_are_none_are_refused() {
    for text in [
        "not Base64!".to_owned(),
        STANDARD.encode(b"no descriptors"),
        STANDARD.encode(DESCRIPTORS.get(..40).expect("a part")),
    ] {
        let problems = compile(MAPPING, Some(text)).expect_err("it is none");
        let found: Vec<_> = problems.iter().map(|problem| (problem.file.as_str(), problem.code)).collect();
        assert_eq!(found, [("descriptors.binpb", "descriptors_invalid")]);
    }
}
