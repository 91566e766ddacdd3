//! Support agents of a shop.

use chaperone_e2e::client::Request;

use super::{Step, json, run, world};

fn refund(order: u32, cents: i64, reason: &str) -> Request {
    let body = serde_json::json!({ "amount": { "cents": cents }, "reason": reason, "items": ["mug"] });
    json(&format!("/orders/{order}/refunds"), body.to_string())
}

fn message(to: &str) -> Request {
    let form = format!("to={to}&text=hello+there");
    Request::new("POST", "/messages").header("content-type", "application/x-www-form-urlencoded").body(form)
}

#[tokio::test(flavor = "multi_thread")]
async fn support_bot_refunds_within_its_limits() {
    let world = world("http-api").await;
    let bare = |body: &str| json("/orders/1/refunds", body);
    let steps = [
        Step("an order", Request::get("/orders/1"), "permitted"),
        Step("a refund", refund(1, 1250, "damaged"), "permitted"),
        Step("for no good reason", refund(1, 1250, "because"), "no_permit"),
        Step("of nothing", refund(1, 0, "late"), "no_permit"),
        Step("of less than nothing", refund(1, -1250, "late"), "no_permit"),
        Step("for no items", bare(r#"{"amount":{"cents":1},"reason":"late","items":[]}"#), "no_permit"),
        Step("of a text", bare(r#"{"amount":{"cents":"1"},"reason":"late","items":["a"]}"#), "undecodable"),
        Step(
            "twice the amount",
            bare(r#"{"amount":{"cents":1,"cents":2},"reason":"late","items":["a"]}"#),
            "undecodable",
        ),
        Step("without an amount", bare(r#"{"reason":"late","items":["a"]}"#), "undecodable"),
        Step("no JSON", bare("cents=1250"), "undecodable"),
        Step("a large one", refund(1, 10_001, "damaged"), "step_up_required"),
        Step("the largest without a person", refund(2, 10_000, "damaged"), "permitted"),
        Step("and again", refund(3, 10_000, "damaged"), "permitted"),
        Step("beyond the budget of the day", refund(4, 3_751, "damaged"), "forbidden"),
        Step("the rest of it", refund(4, 3_750, "damaged"), "permitted"),
        Step("one cent more", refund(4, 1, "damaged"), "forbidden"),
        Step("what no route names", Request::new("DELETE", "/orders/1"), "no_permit"),
    ];
    run(&world, "Agent::support-bot", steps).await;
    // The budget is the principal's, in whatever session.
    run(&world, "Agent::support-bot", [Step("in another session", refund(5, 1, "late"), "forbidden")]).await;
    let steps =
        [Step("an order", Request::get("/orders/1"), "no_permit"), Step("a refund", refund(1, 1, "late"), "no_permit")];
    run(&world, "Agent::report-bot", steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_page_closes_the_way_out() {
    let world = world("http-api").await;
    let steps = [
        Step("a message", message("ann%40example.org"), "permitted"),
        Step("two recipients", message("ann%40example.org&to=eve%40example.net"), "undecodable"),
        Step("a customer's page", Request::get("/customers/7"), "permitted"),
        Step("a message after it", message("ann%40example.org"), "forbidden"),
        Step("to the team itself", message("support%40example.com"), "permitted"),
    ];
    run(&world, "Agent::support-bot", steps).await;
    run(&world, "Agent::support-bot", [Step("in another session", message("ann%40example.org"), "permitted")]).await;
}
