//! Trees of sessions: who acts for whom, and how broad a tree may be.

use std::collections::HashMap;

use chaperone_api::chaperone::v1::{Actor, Delegation, SessionServiceGetRequest, SessionServiceOpenRequest};
use chaperone_e2e::admin::{self, Admin, Opened};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::client::Request;
use chaperone_e2e::direct::{Direct, read};
use chaperone_e2e::otlp::Otlp;
use chaperone_e2e::world::World;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// An `act` claim, the current actor first.
fn act(subs: &[&str]) -> Option<Actor> {
    let nest = |act: Option<Actor>, sub: &&str| {
        Some(Actor { sub: (*sub).to_owned(), iss: String::new(), act: act.map(Box::new) })
    };
    subs.iter().rev().fold(None, nest)
}

fn child(parent: &Opened, agent: &str, subs: &[&str]) -> SessionServiceOpenRequest {
    SessionServiceOpenRequest {
        principal: Some(admin::entity("Agent", agent)),
        act: act(subs),
        ..admin::child_of(&parent.session)
    }
}

async fn refused(admin: &Admin, request: SessionServiceOpenRequest) -> Status {
    admin.sessions.clone().open(request).await.expect_err("it is refused")
}

/// The field that is at fault.
fn field(status: &Status) -> String {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    status.get_details_bad_request().expect("a field").field_violations[0].field.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn chain_is_shown_as_the_act_claim_in_sessions_answers_and_spans() {
    let otlp = Otlp::start().await;
    let endpoint = format!("--telemetry-otlp-endpoint=http://{}", otlp.address);
    let world = World::builder().serve(&[&endpoint, "--telemetry-sample-ratio=1"]).start().await;
    let root = world.session().await;
    assert_eq!(root.session.delegation, None);
    let planner = world.open(child(&root, "planner", &["planner"])).await;
    let worker = world.open(child(&planner, "worker", &["Agent::\"worker\"", "planner"])).await;
    let expected = Some(Delegation {
        sub: "Agent::\"reader\"".to_owned(),
        act: act(&["Agent::\"worker\"", "Agent::\"planner\""]),
    });
    assert_eq!(worker.session.delegation, expected);
    let get = SessionServiceGetRequest { session_id: worker.session.id.clone() };
    let got = world.admin.sessions.clone().get(get).await.expect("it is there").into_inner();
    assert_eq!(got.session.expect("a session").delegation, expected);

    let caller = Direct::to(&world.replicas[0]).await;
    let decision = caller.check(read("42", &worker.handle)).await.expect("a decision");
    assert_eq!((decision.code.as_str(), decision.delegation), ("permitted", expected));
    assert_eq!(caller.check(read("42", &root.handle)).await.expect("a decision").delegation, None);
    let id = worker.session.id.clone();
    let span = otlp.span("the worker's span", |span| span.attributes.get("chaperone.session.id") == Some(&id)).await;
    assert_eq!(span.attributes["chaperone.session.subject"], "Agent::\"reader\"");
    let actors = &span.attributes["chaperone.session.actors"];
    assert!(actors.find("worker") < actors.find("planner") && actors.contains("planner"), "{actors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn act_claim_that_tells_of_other_actors_is_refused() {
    let world = World::start().await;
    let root = world.session().await;
    let planner = world.open(child(&root, "planner", &[])).await;
    for (request, expected) in [
        (SessionServiceOpenRequest { act: act(&["reader"]), ..admin::agent("reader") }, "act"),
        (child(&root, "planner", &["worker"]), "act.sub"),
        (child(&planner, "worker", &["worker"]), "act.act"),
        (child(&planner, "worker", &["planner", "worker"]), "act.sub"),
        (child(&planner, "worker", &["worker", "other"]), "act.act.sub"),
        (child(&planner, "worker", &["worker", "planner", "reader"]), "act.act.act"),
        (child(&planner, "worker", &["worker", ""]), "act.act.sub"),
        (child(&planner, "worker", &["User::\"worker\"", "planner"]), "act.sub"),
        // Narrowing its own authority makes nobody an actor.
        (child(&root, "reader", &["reader"]), "act"),
    ] {
        assert_eq!(field(&refused(&world.admin, request.clone()).await), expected, "{request:?}");
    }
    let alone = world.open(child(&planner, "planner", &["planner"])).await;
    assert_eq!(alone.session.delegation_depth, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_read_who_acts_in_the_chain() {
    let policy = "@id(\"not-through-the-planner\")\nforbid (principal, action == Action::\"read\", resource)\n\
                  when { context.session.chain.contains(\"Agent::\\\"planner\\\"\") };\n";
    let world = World::builder().bundle(Bundle::documents().with("policies/chain.cedar", policy)).start().await;
    let root = world.session().await;
    let planner = world.open(child(&root, "planner", &[])).await;
    let worker = world.open(child(&planner, "worker", &[])).await;
    let beside = world.open(child(&root, "worker", &[])).await;
    for (session, code) in [(&root, ""), (&planner, "forbidden"), (&worker, "forbidden"), (&beside, "")] {
        assert_eq!(world.send(Request::get("/documents/42").session(&session.handle)).await.code(), code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tree_is_no_broader_than_configured_whichever_replica_opens() {
    let options = ["--sessions-children-max=3", "--sessions-tree-max=5"];
    let world = World::builder().replicas(2).serve(&options).start().await;
    let root = world.session().await;
    let admins = [world.replicas[0].administer().await, world.replicas[1].administer().await];
    let openings = (0..12).map(|number| {
        let (admin, request) = (admins[number % 2].clone(), admin::child_of(&root.session));
        tokio::spawn(async move { admin.sessions.clone().open(request).await })
    });
    let (mut opened, mut reasons) = (Vec::new(), HashMap::new());
    for opening in openings.collect::<Vec<_>>() {
        match opening.await.expect("it ends") {
            Ok(response) => opened.push(response.into_inner().session.expect("a session")),
            Err(status) => {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                *reasons.entry(status.get_details_error_info().expect("a reason").reason).or_insert(0) += 1;
            }
        }
    }
    assert_eq!((opened.len(), reasons), (3, HashMap::from([("too_many_children".to_owned(), 9)])));
    world.admin.open(admin::child_of(&opened[0])).await;
    let status = refused(&world.admin, admin::child_of(&opened[1])).await;
    let reason = status.get_details_error_info().expect("a reason").reason;
    assert_eq!((status.code(), reason.as_str()), (Code::ResourceExhausted, "too_many_sessions"));
    // With a session, those below it end, and make room for as many.
    world.admin.revoke(&opened[0].id).await;
    world.admin.open(admin::child_of(&opened[1])).await;
}
