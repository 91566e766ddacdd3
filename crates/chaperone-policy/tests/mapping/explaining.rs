//! What is told of a request.

use chaperone_policy::mapping::{Connection, Explanation, Headers, HttpRequest, Recorded, SessionFound, explain};
use chaperone_policy::{Bundle, BundleSource, Value};

const SCHEMA: &str = "
    entity Agent, Document;
    action export in [Chaperone::Action::\"data.export\"] appliesTo { principal: Agent, resource: Document, context: {
        request: { format: String, rows?: Long, agent?: String },
    } };
";

const MAPPING: &str = r#"
    [session]
    sources = ["header:x-session", "bearer"]

    [on_allow.set_headers]
    x-principal = "{principal.id} via {host}"
    x-trace = "{header.x-trace}"

    [on_allow.response_headers]
    x-decision = "{decision.id}"

    [trail]
    hashed = ["format"]

    [decoder.crm]
    sql = { dialect = "postgres", database = "crm" }

    [[route]]
    name = "query"
    path = "/query"
    decoder = "crm"

    [[route]]
    name = "export"
    path = "/documents/{id}/export"
    action = "export"
    resource = { type = "Document", id = "{path.id}" }
    [route.attributes]
    format = "{query.format}"
    rows = { from = "{query.rows}", optional = true }
    agent = { from = "{header.user-agent}", optional = true }
"#;

fn bundle() -> Bundle {
    let policies = "@id(\"a\") permit (principal, action == Action::\"export\", resource)
        when { context.request.format == \"csv\" };
        @id(\"b\") permit (principal, action in Chaperone::Action::\"data.read\", resource);";
    let files = [("schema.cedarschema", SCHEMA), ("mapping.toml", MAPPING), ("policies/a.cedar", policies)];
    let source = BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() };
    Bundle::compile(&source).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn explained(bundle: &Bundle, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Explanation {
    let length = ("content-length", body.len().to_string());
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let headers = headers.chain((!body.is_empty()).then_some((length.0, length.1.as_bytes())));
    let headers = Headers::new(headers.collect::<Vec<_>>());
    let (host, body, connection) = ("docs.example.com", body.as_bytes(), Connection::default());
    explain(
        bundle,
        &HttpRequest { method, host, scheme: "https", target, headers, body, connection, body_is_text: false },
    )
}

#[test]
fn route_action_attributes_records_and_changes_are_told() {
    let target = "/documents/7/export?format=csv";
    let headers = [("authorization", "Bearer chp_a"), ("user-agent", "curl")];
    let told = explained(&bundle(), "GET", target, &headers, "");
    assert_eq!(told.session, SessionFound::In("bearer".into()));
    assert_eq!((told.route.as_deref(), &told.decoder), (Some("export"), &None));
    let actions = told.actions.expect("it is decoded");
    let [action] = actions.as_slice() else { panic!("{actions:#?}") };
    assert_eq!(action.action.to_string(), "Action::\"export\"");
    assert_eq!(
        action.groups.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["Chaperone::Action::\"data.export\""]
    );
    assert_eq!(action.resource.to_string(), "Document::\"7\"");
    let attributes = action.attributes.iter();
    let attributes =
        attributes.map(|told| (told.name.as_str(), told.ty.as_str(), &told.value, told.is_read, told.recorded));
    let text = |text: &str| Some(Value::String(text.into()));
    assert_eq!(
        attributes.collect::<Vec<_>>(),
        [
            ("agent", "String", &text("curl"), false, Recorded::Dropped),
            ("format", "String", &text("csv"), true, Recorded::Hashed),
            ("rows", "Long", &None, false, Recorded::Kept),
        ]
    );
    let changes = told.changes.iter().map(|change| (change.kind, change.name.as_str(), change.value.as_deref()));
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [
            ("set_header", "x-principal", Some("{principal.id} via docs.example.com")),
            ("remove_header", "x-trace", None),
            ("response_header", "x-decision", Some("{decision.id}")),
            ("remove_header", "x-session", None),
            ("remove_header", "authorization", None),
        ]
    );
}

#[test]
fn what_cannot_be_read_is_told_with_the_route_that_it_was_for() {
    let bundle = bundle();
    let told = explained(&bundle, "POST", "/query", &[], "select 1 from");
    assert_eq!((told.session, told.route.as_deref()), (SessionFound::Absent, Some("query")));
    assert_eq!(told.decoder.expect("the route has one").kind, "sql");
    assert!(told.actions.is_err());
    let told = explained(&bundle, "GET", "/documents/7/export", &[], "");
    assert!(told.actions.expect_err("format is read").message.contains("{query.format}"));
    // Nobody reads it, unless a session's scope does.
    let told = explained(&bundle, "GET", "/documents/7/export?format=csv&rows=many", &[], "");
    assert!(told.actions.is_ok() && told.unread.expect("no number").message.contains("rows"));
    let told = explained(&bundle, "GET", "/a/../b", &[("x-session", "chp_a,chp_b")], "");
    assert_eq!((told.session, told.route), (SessionFound::Ambiguous, None));
    assert!(told.actions.is_err());
}

#[test]
fn every_action_of_a_decoder_is_told() {
    let told = explained(&bundle(), "POST", "/query", &[], "insert into audit select * from orders");
    let actions = told.actions.expect("it is decoded");
    let actions: Vec<_> = actions.iter().map(|told| format!("{} {}", told.action, told.resource)).collect();
    assert_eq!(actions.len(), 2, "{actions:#?}");
    let told = explained(&bundle(), "GET", "/elsewhere", &[], "");
    assert_eq!(told.actions.expect("it is decoded")[0].action.to_string(), "Chaperone::Action::\"http\"");
}
