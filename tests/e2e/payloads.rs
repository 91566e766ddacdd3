//! What direct callers are about to do, in its own language: a decoder of the bundle's mapping says which actions it is.

use chaperone_api::chaperone::v1::payload::Content;
use chaperone_api::chaperone::v1::{
    Arguments, CheckRequest, CheckStreamRequest, Consistency, Decision, Outcome, Payload, Presenter,
    check_stream_response,
};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::cli;
use chaperone_e2e::direct::{Direct, read};
use chaperone_e2e::world::World;
use tonic::Code;

fn bundle() -> Bundle {
    let decoders = "[zones]\noffice = [\"10.0.0.0/8\"]\n\n\
                    [decoder.crm]\nsql = { dialect = \"postgres\", database = \"crm\" }\n\n\
                    [decoder.host]\nshell = {}\n\n[decoder.desk]\nmcp = { server = \"desk\" }\n\n[on_allow]";
    let policies = "@id(\"agents-query\")\n\
                    permit (principal is Agent, action == Chaperone::Action::\"sql.select\", resource)\n\
                    when { context.request.object != \"crm/salaries\" };\n\
                    @id(\"office-deletes\")\n\
                    permit (principal is Agent, action == Chaperone::Action::\"sql.delete\", resource)\n\
                    when { context.request has zone && context.request.zone == \"office\" };\n\
                    @id(\"agents-look\")\n\
                    permit (principal is Agent, action in [Chaperone::Action::\"shell.tail\", Chaperone::Action::\"mcp.tools/list\"], resource);\n";
    Bundle::documents().replacing("mapping.toml", "[on_allow]", decoders).with("policies/payloads.cedar", policies)
}

fn text(text: &str) -> Content {
    Content::Text(text.to_owned())
}

fn message(method: &str, params: &str) -> Content {
    let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    Content::Message(message.into_bytes())
}

fn question(handle: &str, decoder: &str, content: Content) -> CheckRequest {
    let payload = Some(Payload { decoder: decoder.to_owned(), content: Some(content) });
    CheckRequest { action: None, payload, ..read("42", handle) }
}

fn code(decision: &Decision) -> &str {
    assert_eq!(decision.outcome() == Outcome::Allow, decision.code == "permitted", "{decision:?}");
    &decision.code
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_of_a_payload_must_be_allowed() {
    let world = World::builder().bundle(bundle()).start().await;
    let handle = world.session().await.handle;
    let caller = Direct::to(&world.replicas[0]).await;
    let arguments = |values: &[&str]| {
        Content::Arguments(Arguments { values: values.iter().map(|value| (*value).to_owned()).collect() })
    };
    for (decoder, content, expected) in [
        ("crm", text("select 1 from orders"), "permitted"),
        ("crm", text("select 1 from orders; select 2 from customers"), "permitted"),
        ("crm", text("select 1 from orders, salaries"), "no_permit"),
        ("crm", text("select 1 from orders; drop table orders"), "no_permit"),
        ("crm", text("select 1 from"), "undecodable"),
        ("crm", text(""), "undecodable"),
        ("crm", Content::Message(b"{}".to_vec()), "undecodable"),
        ("crm", arguments(&["select", "1"]), "undecodable"),
        ("host", arguments(&["tail", "-n", "5", "app.log"]), "permitted"),
        ("host", arguments(&["rm", "app.log"]), "no_permit"),
        ("host", arguments(&["sh", "-c", "tail app.log; rm app.log"]), "no_permit"),
        ("host", arguments(&[]), "undecodable"),
        ("host", text("tail app.log | tail -n 5"), "permitted"),
        ("host", text("tail app.log; rm app.log"), "no_permit"),
        ("desk", message("tools/list", "{}"), "permitted"),
        ("desk", message("tools/call", r#"{"name":"send_mail","arguments":{}}"#), "no_permit"),
        ("desk", Content::Message(b"{".to_vec()), "undecodable"),
        ("desk", text("tools/list"), "undecodable"),
    ] {
        let shown = format!("{content:?}");
        for consistency in [Consistency::Bounded, Consistency::Strict] {
            let question = question(&handle, decoder, content.clone());
            let question = CheckRequest { consistency: consistency.into(), ..question };
            let decision = caller.check(question.clone()).await.unwrap_or_else(|status| panic!("{shown}: {status:?}"));
            assert_eq!(code(&decision), expected, "{shown}: {decision:?}");
            let asked = tokio_stream::iter([CheckStreamRequest { request_id: 7, check: Some(question) }]);
            let mut answers = caller.client().check_stream(asked).await.expect("a stream").into_inner();
            let answer = answers.message().await.expect("an answer").expect("one");
            let Some(check_stream_response::Result::Decision(decision)) = answer.result else { panic!("{answer:?}") };
            assert_eq!(code(&decision), expected, "{shown} on a stream: {decision:?}");
        }
    }

    // Where the presenter is.
    let from = |address: &str| {
        let presenter = Some(Presenter { address: address.to_owned(), ..Presenter::default() });
        CheckRequest { presenter, ..question(&handle, "crm", text("delete from orders where id = 7")) }
    };
    assert_eq!(code(&caller.check(from("10.0.0.7")).await.expect("a decision")), "permitted");
    assert_eq!(code(&caller.check(from("192.0.2.7")).await.expect("a decision")), "no_permit");

    // What is no question.
    let both = CheckRequest { payload: question(&handle, "crm", text("a")).payload, ..read("42", &handle) };
    let neither = CheckRequest { action: None, ..read("42", &handle) };
    let empty = CheckRequest { payload: Some(Payload { decoder: "crm".into(), content: None }), ..neither.clone() };
    for (question, field) in [
        (both, "payload"),
        (neither, "action"),
        (empty, "payload"),
        (question(&handle, "crn", text("select 1")), "payload.decoder"),
    ] {
        let status = caller.check(question).await.expect_err(field);
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        let fields = tonic_types::StatusExt::get_details_bad_request(&status).expect("details").field_violations;
        assert_eq!(fields.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>(), [field]);
    }

    // From the command line.
    let data = format!("http://{}", world.replicas[0].data);
    let check = |arguments: &[&str]| cli::run(&[&["check", "--data", &data, "--session", &handle], arguments].concat());
    let allowed = check(&["--decoder", "crm", "--text", "select 1 from orders"]);
    assert_eq!(
        (allowed.code, allowed.stdout.starts_with("ALLOW what the decoder crm reads")),
        (0, true),
        "{allowed:?}"
    );
    assert_eq!(check(&["--decoder", "crm", "--text", "drop table orders"]).code, 1);
    assert_eq!(check(&["--decoder", "crm", "--", "drop", "table"]).code, 1);
}
