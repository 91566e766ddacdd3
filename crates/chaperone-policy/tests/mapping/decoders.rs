//! Bodies, and what decoders tell of them.

use chaperone_policy::document::{Node, Object};
use chaperone_policy::mapping::{
    Caller, Connection, Headers, HttpRequest, Metadata, Needs, Payload, Recorded, Undecodable,
};
use chaperone_policy::{Bundle, BundleSource, EntityRef, Request, Value};

const SCHEMA: &str = "
    entity Agent; entity Tool; entity Order;
    type Address = { city: String, zip?: String };
    action send_email in [Chaperone::Action::\"net.egress\"] appliesTo { principal: Agent, resource: Tool, context: { request: {
        to: Set<String>, subject?: String, zone?: String,
    } } };
    action order appliesTo { principal: Agent, resource: Order, context: { request: {
        items: Set<Long>, amount: decimal, urgent?: Bool, to?: Address, who?: String, level?: Long,
    } } };
";

const MAPPING: &str = r#"
    [zones]
    office = ["10.0.0.0/8"]

    [decoder.crm]
    sql = { dialect = "postgres", database = "crm" }

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
    name = "script"
    path = "/script"
    decoder = "crm"

    [[route]]
    name = "mcp"
    path = "/mcp"
    decoder = "mail"

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
    who = { from = "{metadata:/envoy.filters.http.jwt_authn/payload/sub}", optional = true }
    level = { from = "{metadata:/envoy.filters.http.jwt_authn/payload/level}", optional = true }
"#;

fn source(mapping: &str) -> BundleSource {
    let mut source = BundleSource::default();
    source.files.insert("schema.cedarschema".into(), SCHEMA.into());
    source.files.insert("mapping.toml".into(), mapping.into());
    source.files.insert("policies/a.cedar".into(), "@id(\"a\") permit (principal, action, resource);".into());
    source
}

fn bundle() -> Bundle {
    Bundle::compile(&source(MAPPING)).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// A POST of a body, with its length where the headers do not say another one.
fn post<'a>(target: &'a str, headers: &[(&'a str, &'a str)], body: &'a str) -> HttpRequest<'a> {
    let is_told = body.is_empty() || headers.iter().any(|(name, _)| *name == "content-length");
    let length = (!is_told).then(|| ("content-length", &*body.len().to_string().leak()));
    without_length(target, &headers.iter().copied().chain(length).collect::<Vec<_>>(), body)
}

fn without_length<'a>(target: &'a str, headers: &[(&'a str, &'a str)], body: &'a str) -> HttpRequest<'a> {
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    HttpRequest {
        method: "POST",
        host: "api.example.com",
        scheme: "https",
        target,
        headers: Headers::new(headers),
        body: body.as_bytes(),
        ..HttpRequest::default()
    }
}

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn map(bundle: &Bundle, request: &HttpRequest<'_>) -> Result<Vec<Request>, Undecodable> {
    let mut mapped = bundle.mapping().map_http(request)?;
    mapped.read_attributes(Needs::All)?;
    Ok(mapped.requests)
}

/// What a request comes to: each action with its resource.
fn done(bundle: &Bundle, request: &HttpRequest<'_>) -> Result<Vec<String>, String> {
    let requests = map(bundle, request).map_err(|undecodable| undecodable.message)?;
    Ok(requests.iter().map(|request| format!("{} {}", request.action, request.resource)).collect())
}

fn attribute(bundle: &Bundle, request: &Request, name: &str) -> Option<Value> {
    bundle.attributes(request).find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn texts<const COUNT: usize>(texts: [&str; COUNT]) -> Value {
    Value::Set(texts.iter().map(|text| Value::String((*text).into())).collect())
}

#[test]
fn every_operation_of_a_script_is_an_action_of_its_own() {
    let bundle = bundle();
    let body = r#"{"sql": "insert into audit select * from orders; drop table temp"}"#;
    let found = done(&bundle, &post("/query", &JSON, body)).expect("it is decoded");
    for wanted in [
        "Chaperone::Action::\"sql.insert\" Chaperone::SqlTable::\"crm/audit\"",
        "Chaperone::Action::\"sql.select\" Chaperone::SqlTable::\"crm/orders\"",
        "Chaperone::Action::\"sql.drop table\" Chaperone::SqlTable::\"crm/temp\"",
    ] {
        assert!(found.iter().any(|found| found == wanted), "{wanted}: {found:#?}");
    }
    assert_eq!(done(&bundle, &post("/script", &[], "select 1 from orders")).expect("the body alone").len(), 1);
}

#[test]
fn facts_are_attributes() {
    let bundle = bundle();
    let requests = map(&bundle, &post("/script", &[], "delete from orders")).expect("it is decoded");
    let request = &requests[0];
    assert_eq!(attribute(&bundle, request, "decoder"), Some(Value::String("crm".into())));
    assert_eq!(attribute(&bundle, request, "object"), Some(Value::String("crm/orders".into())));
    assert_eq!(attribute(&bundle, request, "unbounded"), Some(Value::Bool(true)));
    assert_eq!(attribute(&bundle, request, "tables_written"), Some(texts(["orders"])));
}

#[test]
fn operation_is_an_action_of_the_bundle_where_the_mapping_says_so() {
    let bundle = bundle();
    let call = |tool: &str, arguments: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
        )
    };
    let body = call("send_email", r#"{"to":["ann@example.org","bob@example.org"],"body":"secret"}"#);
    let requests = map(&bundle, &post("/mcp", &JSON, &body)).expect("it is decoded");
    assert_eq!(requests[0].action.to_string(), "Action::\"send_email\"");
    assert_eq!(requests[0].resource.to_string(), "Tool::\"mail/send_email\"");
    let to = attribute(&bundle, &requests[0], "to");
    assert_eq!(to, Some(texts(["ann@example.org", "bob@example.org"])));
    assert_eq!(attribute(&bundle, &requests[0], "subject"), None);
    // Of another type than the schema says.
    let body = call("send_email", r#"{"to":"ann@example.org"}"#);
    assert!(done(&bundle, &post("/mcp", &JSON, &body)).expect_err("no list").contains("`to`"));
    let body = call("delete_email", "{}");
    let other = "Chaperone::Action::\"mcp.tools/call\" Chaperone::McpTool::\"mail/delete_email\"";
    assert_eq!(done(&bundle, &post("/mcp", &JSON, &body)), Ok(vec![other.to_owned()]));
}

#[test]
fn body_that_is_not_whole_is_denied() {
    let bundle = bundle();
    let body = "select 1 from orders";
    let denied = |headers: &[(&str, &str)], body: &str| {
        done(&bundle, &post("/script", headers, body)).expect_err(&format!("{headers:?}"))
    };
    assert!(done(&bundle, &post("/script", &[("content-length", "20")], body)).is_ok());
    assert!(done(&bundle, &post("/script", &[("x-envoy-auth-partial-body", "false")], body)).is_ok());
    for headers in [
        [("x-envoy-auth-partial-body", "true")].as_slice(),
        &[("x-envoy-auth-partial-body", "")],
        &[("x-envoy-auth-partial-body", "false"), ("x-envoy-auth-partial-body", "true")],
        &[("content-encoding", "gzip")],
        &[("content-length", "21")],
        &[("content-length", "+20")],
        &[("content-length", "20"), ("content-length", "0")],
    ] {
        denied(headers, body);
    }
    assert!(denied(&[], "").contains("did not send the body"));
    let unknown = done(&bundle, &without_length("/script", &[], body)).expect_err("more may follow");
    assert!(unknown.contains("does not tell the length"), "{unknown}");
    assert!(done(&bundle, &without_length("/script", &[("transfer-encoding", "chunked")], body)).is_err());
    assert!(denied(&[("content-length", "5")], "").contains("did not send the body"));
    let get = HttpRequest { method: "GET", ..post("/mcp", &[("accept", "text/event-stream")], "") };
    assert!(done(&bundle, &get).is_ok(), "a request without a body has all of it");
}

#[test]
fn replaced_bytes_are_denied() {
    let bundle = bundle();
    let script = |body| HttpRequest { body_is_text: true, ..post("/script", &[], body) };
    assert!(done(&bundle, &script("select 1 from orders")).is_ok());
    let replaced = "select 1 /*! from secrets */";
    assert!(done(&bundle, &script(replaced)).expect_err("a byte may have been replaced").contains("as text"));
    assert!(done(&bundle, &post("/script", &[], "select '!' from orders")).is_ok());
}

#[test]
fn values_of_a_body_have_the_types_of_the_schema() {
    let bundle = bundle();
    let body = r#"{"items": [1, 2, 2], "amount": 12.5, "urgent": true, "to": {"city": "Bern", "more": 1}}"#;
    let request = map(&bundle, &post("/orders/7", &JSON, body)).expect("it is decoded").remove(0);
    assert_eq!(attribute(&bundle, &request, "items"), Some(Value::Set(vec![Value::Long(1), Value::Long(2)])));
    assert_eq!(attribute(&bundle, &request, "amount"), Some(Value::Decimal("12.5000".into())));
    assert_eq!(attribute(&bundle, &request, "urgent"), Some(Value::Bool(true)));
    let city = [("city".into(), Value::String("Bern".into()))].into();
    assert_eq!(attribute(&bundle, &request, "to"), Some(Value::Record(city)));
    let whole = map(&bundle, &post("/orders/7", &JSON, r#"{"items": [], "amount": 12}"#)).expect("it is decoded");
    assert_eq!(attribute(&bundle, &whole[0], "amount"), Some(Value::Decimal("12.0000".into())));
    for body in [
        r#"{"items": ["1"], "amount": 1}"#,
        r#"{"items": [1.0], "amount": 1}"#,
        r#"{"items": [1], "amount": 1e2}"#,
        r#"{"items": [1], "amount": 0.00001}"#,
        r#"{"items": [1], "amount": 1, "urgent": "true"}"#,
        r#"{"items": [1], "amount": 1, "to": {"zip": "1"}}"#,
        r#"{"items": [1], "amount": 1, "amount": 1}"#,
        r#"{"items": [1]}"#,
        r#"{"items": null, "amount": 1}"#,
    ] {
        assert!(done(&bundle, &post("/orders/7", &JSON, body)).is_err(), "{body}");
    }
}

#[derive(Debug)]
struct Claims(&'static str, i64);

impl Metadata for Claims {
    fn read(&self) -> Result<Node, Undecodable> {
        let object = |members| Node::Object(Object::new(members).expect("each name once"));
        let claims =
            vec![("sub".into(), Node::Text(self.0.into())), ("level".into(), Node::Number(self.1.to_string().into()))];
        let filter = object(vec![("payload".into(), object(claims))]);
        Ok(object(vec![("envoy.filters.http.jwt_authn".into(), filter)]))
    }
}

#[test]
fn metadata_of_the_proxy_is_read_by_pointers() {
    let bundle = bundle();
    let claims = Claims("ann", 3);
    let connection = Connection { metadata: Some(&claims), ..Connection::default() };
    let plain = post("/orders/7", &JSON, r#"{"items": [], "amount": 1}"#);
    let request = map(&bundle, &HttpRequest { connection, ..plain.clone() }).expect("it is decoded").remove(0);
    assert_eq!(attribute(&bundle, &request, "who"), Some(Value::String("ann".into())));
    assert_eq!(attribute(&bundle, &request, "level"), Some(Value::Long(3)));
    let request = map(&bundle, &plain).expect("it is decoded").remove(0);
    assert_eq!(attribute(&bundle, &request, "who"), None);
}

#[test]
fn direct_callers_name_the_decoder() {
    let bundle = bundle();
    let caller = Caller { spiffe_id: Some("spiffe://example.org/ci"), address: "10.0.0.7".parse().ok() };
    let map = |decoder, payload| bundle.mapping().map_payload(decoder, payload, caller);
    let mut mapped = map("crm", Payload::Text("select 1 from orders")).expect("it is decoded");
    mapped.read_attributes(Needs::All).expect("they are read");
    assert_eq!(mapped.requests.len(), 1);
    let of = |name| attribute(&bundle, &mapped.requests[0], name);
    assert_eq!(of("decoder"), Some(Value::String("crm".into())));
    assert_eq!(of("peer"), Some(Value::String("spiffe://example.org/ci".into())));
    assert_eq!(of("source_ip"), Some(Value::Ip("10.0.0.7/32".into())));
    assert_eq!(of("zone"), Some(Value::String("office".into())));
    assert!(map("crm", Payload::Message(b"{}")).is_err());
    assert!(map("crm", Payload::Text("")).is_err(), "nothing is asked for");
    assert!(map("unknown", Payload::Text("select 1")).is_err() && !bundle.mapping().has_decoder("unknown"));
}

#[test]
fn classes_of_the_bundle_move_actions_to_other_groups() {
    let classes = "[classes.sql]\n\"pg_sleep()\" = [\"privileged\"]\nselect = [\"data.read\", \"data.export\"]\n";
    let mut source = source(&format!("{MAPPING}\n{classes}"));
    let policies = "@id(\"a\") permit (principal, action in Chaperone::Action::\"data.export\", resource);
        @id(\"b\") forbid (principal, action == Chaperone::Action::\"sql.pg_sleep()\", resource);";
    source.files.insert("policies/a.cedar".into(), policies.into());
    let bundle = Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let found = done(&bundle, &post("/script", &[], "select pg_sleep(9) from orders")).expect("it is decoded");
    assert!(found.iter().any(|found| found.starts_with("Chaperone::Action::\"sql.pg_sleep()\"")), "{found:#?}");
}

/// What a client wrote word by word may hold a password.
#[test]
fn what_comes_of_bodies_is_on_record_only_where_the_mapping_says_so() {
    let recorded = |mapping: &str, action: &str, attribute: &str| {
        let bundle = Bundle::compile(&source(mapping)).unwrap_or_else(|problems| panic!("{problems:#?}"));
        bundle.mapping().recorded(&EntityRef::action(action), attribute)
    };
    let shell = format!("{MAPPING}\n[decoder.host]\nshell = {{ host = \"web-1\" }}\n");
    for (action, attribute, form) in [
        ("order", "items", Recorded::Dropped),
        ("order", "who", Recorded::Kept),
        ("send_email", "to", Recorded::Dropped),
        ("Chaperone::Action::\"shell.curl\"", "command", Recorded::Dropped),
        ("Chaperone::Action::\"shell.curl\"", "program", Recorded::Kept),
        ("Chaperone::Action::\"sql.select\"", "tables_read", Recorded::Kept),
    ] {
        assert_eq!(recorded(&shell, action, attribute), form, "{action} {attribute}");
    }
    let named = format!("{shell}\n[trail]\nkept = [\"command\"]\nhashed = [\"to\"]\n");
    assert_eq!(recorded(&named, "Chaperone::Action::\"shell.curl\"", "command"), Recorded::Kept);
    assert_eq!(recorded(&named, "send_email", "to"), Recorded::Hashed);
}

#[test]
fn mistakes_about_decoders_are_placed() {
    for (from, to, code) in [
        ("decoder = \"mail\"", "decoder = \"nobody\"", "mapping_decoder"),
        ("dialect = \"postgres\"", "dialect = \"cobol\"", "mapping_decoder"),
        ("dialect = \"postgres\", ", "", "mapping_missing_key"),
        ("mcp = { server = \"mail\" }", "mcp = { server = \"mail\" }\nshell = {}", "mapping_decoder"),
        ("mcp = { server = \"mail\" }", "perl = {}", "mapping_decoder"),
        ("tool = \"send_email\"", "tools = \"send_email\"", "mapping_operation"),
        ("{ action = \"tools/call\", tool = \"send_email\" }", "{}", "mapping_operation"),
        ("{fact.tool}", "{fact.tools}", "mapping_template"),
        ("{arguments:/to}", "{arguments:to}", "mapping_template"),
        ("{body:/items}", "{body:items}", "mapping_template"),
        ("{body:/items}", "{body:/items}, more", "mapping_attribute_type"),
        ("name = \"mcp\"", "name = \"mcp\"\ninput = \"{body}\"", "mapping_decoder"),
        ("name = \"order\"", "name = \"order\"\ninput = \"{body}\"", "mapping_decoder"),
        ("[decoder.crm]", "[classes.sql]\nselect = [\"data.reed\"]\n[decoder.crm]", "mapping_classes"),
        ("[decoder.crm]", "[classes.perl]\n[decoder.crm]", "mapping_unknown_key"),
    ] {
        let text = MAPPING.replacen(from, to, 1);
        assert_ne!(text, MAPPING, "{from}");
        let problems = Bundle::compile(&source(&text)).expect_err(to);
        assert!(problems.iter().any(|problem| problem.code == code), "{to}: {problems:#?}");
    }
}
