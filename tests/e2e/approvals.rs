//! Step-ups and approvals: an export of personal data waits for a person, through Envoy and on several replicas.

use std::collections::HashMap;

use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{
    ActionRequest, ApprovalServiceApproveRequest, CheckRequest, Decision, Outcome, SessionServiceOpenRequest, Value,
};
use chaperone_e2e::admin::{self, entity};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::cli::{self, Finished};
use chaperone_e2e::client::{Request, Response};
use chaperone_e2e::direct::Direct;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use serde_json::Value as Json;
use tokio::task::JoinSet;
use tonic::Code;

const POLICIES: &str = "@id(\"mark-pii\")\n@observe\n@label(\"tree:pii\")\n\
    permit (principal, action == Action::\"read\", resource == Document::\"7\");\n\n\
    @id(\"no-egress-after-pii\")\n@reason(\"this session has read personal data\")\n@stepup(\"data-protection\")\n\
    forbid (principal, action == Action::\"export\", resource)\nwhen { context.tree.labels.contains(\"pii\") };\n";

fn bundle(manifest: &str) -> Bundle {
    Bundle::documents().with("policies/approvals.cedar", POLICIES).with("bundle.toml", manifest)
}

async fn world(replicas: usize, manifest: &str) -> World {
    World::builder().replicas(replicas).bundle(bundle(manifest)).check_timeout("5s").start().await
}

/// A session that has read personal data.
async fn reader_of_pii(world: &World) -> String {
    let handle = world.session().await.handle;
    assert_eq!(world.send(Request::get("/documents/7").session(&handle)).await.status, 200);
    handle
}

async fn export(world: &World, handle: &str, document: &str, rows: u32) -> Response {
    world.send(Request::get(format!("/documents/{document}/export?format=csv&rows={rows}")).session(handle)).await
}

/// The one approval that a challenge names.
fn asked(response: &Response) -> String {
    assert_eq!((response.status, response.code().as_str()), (403, "step_up_required"), "{}", response.text());
    let problem = response.json();
    let approvals = problem["approvals"].as_array().expect("approvals");
    assert_eq!(approvals.len(), 1, "{problem}");
    assert_eq!(approvals[0]["step_up"], "data-protection", "{problem}");
    approvals[0]["approval"].as_str().expect("an id").to_owned()
}

fn approval(replica: &Chaperone, arguments: &[&str]) -> Finished {
    let (admin, token) = (format!("http://{}", replica.admin), chaperone::admin_token_file());
    let (command, rest) = arguments.split_first().expect("a command");
    let mut all = vec!["approval", command, "--admin", &admin, "--token-file", &token, "--output", "json"];
    all.extend(rest);
    cli::run(&all)
}

fn done(replica: &Chaperone, arguments: &[&str]) -> Json {
    let finished = approval(replica, arguments);
    assert_eq!(finished.code, 0, "{finished:?}");
    serde_json::from_str(&finished.stdout).expect("JSON")
}

fn refused(replica: &Chaperone, arguments: &[&str], why: &str) {
    let finished = approval(replica, arguments);
    assert_ne!(finished.code, 0, "{finished:?}");
    assert!(finished.stderr.contains(why), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn approved_export_goes_ahead_once_and_nothing_else_does() {
    let world = world(1, "").await;
    let replica = &world.replicas[0];
    let handle = reader_of_pii(&world).await;
    let id = asked(&export(&world, &handle, "42", 5).await);
    // Who asks again asks for the same.
    for _ in 0..5 {
        assert_eq!(asked(&export(&world, &handle, "42", 5).await), id);
    }
    let pending = done(replica, &["list"]);
    assert_eq!(pending.as_array().map(Vec::len), Some(1), "{pending}");
    let shown = done(replica, &["show", &id]);
    assert_eq!((&shown["attributes"]["rows"], &shown["attributes"]["format"]), (&5.into(), &"csv".into()), "{shown}");
    assert_eq!((&shown["state"], &shown["owner"]), (&"pending".into(), &"team-docs".into()), "{shown}");
    assert_eq!(shown["reason"], "this session has read personal data");

    // The requester says nothing to it, whatever the spelling; and somebody must be named.
    for by in ["reader", "Agent::\"reader\"", "Team-Docs"] {
        refused(replica, &["approve", &id, "--by", by], "may not approve");
    }
    refused(replica, &["approve", &id], "by");
    let approved = done(replica, &["approve", &id, "--by", "bob", "--comment", "for the auditor"]);
    assert_eq!((&approved["state"], &approved["uses"]), (&"approved".into(), &1.into()), "{approved}");
    assert_eq!((&approved["votes"][0]["by"], &approved["votes"][0]["via"]), (&"bob".into(), &"token".into()));
    // Saying it again changes nothing; another answer comes too late.
    assert_eq!(done(replica, &["approve", &id, "--by", "bob"])["votes"].as_array().map(Vec::len), Some(1));
    refused(replica, &["deny", &id, "--by", "cat"], "approved already");

    // Another resource, other attributes and another session are not what was approved.
    let others = [
        asked(&export(&world, &handle, "43", 5).await),
        asked(&export(&world, &handle, "42", 6).await),
        asked(&export(&world, &reader_of_pii(&world).await, "42", 5).await),
    ];
    assert!(!others.contains(&id));
    let allowed = export(&world, &handle, "42", 5).await;
    assert_eq!(allowed.status, 200, "{}", allowed.text());
    let again = asked(&export(&world, &handle, "42", 5).await);
    assert_ne!(again, id, "it is used up, and asked for anew");
    assert_eq!(done(replica, &["list"]).as_array().map(Vec::len), Some(4));
    assert_eq!(done(replica, &["list", "--state", "approved"]).as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_approval_leaves_the_challenge_and_is_asked_for_anew() {
    let world = world(1, "").await;
    let replica = &world.replicas[0];
    let handle = reader_of_pii(&world).await;
    for command in ["deny", "cancel"] {
        let id = asked(&export(&world, &handle, "42", 5).await);
        let closed = done(replica, &[command, &id, "--by", "bob", "--comment", "not today"]);
        assert_eq!(closed["decided"]["comment"], "not today", "{closed}");
        refused(replica, &["approve", &id, "--by", "cat"], "already");
        assert_ne!(asked(&export(&world, &handle, "42", 5).await), id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_above_the_requester_approves_and_all_of_them_must_be_live() {
    let manifests = ["", "[step_up.data-protection]\nowner_may_approve = true\n"];
    for (manifest, owner_may) in manifests.into_iter().zip([false, true]) {
        let world = world(1, manifest).await;
        let replica = &world.replicas[0];
        let root = world.open(SessionServiceOpenRequest { owner: "ann".to_owned(), ..admin::agent("planner") }).await;
        let child = SessionServiceOpenRequest { owner: "bob".to_owned(), ..admin::child_of(&root.session) };
        let child = world.open(SessionServiceOpenRequest { principal: Some(entity("Agent", "worker")), ..child }).await;
        let leaf = SessionServiceOpenRequest { owner: "cat".to_owned(), ..admin::child_of(&child.session) };
        let leaf = world.open(SessionServiceOpenRequest { principal: Some(entity("Agent", "reader")), ..leaf }).await;
        assert_eq!(world.send(Request::get("/documents/7").session(&leaf.handle)).await.status, 200);
        let id = asked(&export(&world, &leaf.handle, "42", 5).await);
        for by in ["reader", "Agent::\"worker\"", "PLANNER"] {
            refused(replica, &["approve", &id, "--by", by], "may not approve");
        }
        for by in ["cat", "bob", "Ann"] {
            if owner_may {
                done(replica, &["approve", &id, "--by", by]);
                break;
            }
            refused(replica, &["approve", &id, "--by", by], "may not approve");
        }
        // For another export; then one above it ends.
        let id = asked(&export(&world, &leaf.handle, "43", 5).await);
        world.admin.revoke(&root.session.id).await;
        refused(replica, &["approve", &id, "--by", "dan"], "and session");
        let mut approvals = world.admin.approvals.clone();
        let request = ApprovalServiceApproveRequest { approval_id: id, by: "dan".to_owned(), ..Default::default() };
        let status = approvals.approve(request).await.expect_err("an ancestor has ended");
        let has_reason = String::from_utf8_lossy(status.details()).contains("ancestor_ended");
        assert!(status.code() == Code::FailedPrecondition && has_reason, "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_grant_is_challenged_again_on_every_replica() {
    let world = world(2, "").await;
    let [one, two] = [&world.replicas[0], &world.replicas[1]];
    let handle = reader_of_pii(&world).await;
    let id = asked(&export(&world, &handle, "42", 5).await);
    done(one, &["approve", &id, "--by", "bob", "--uses", "3"]);
    assert_eq!(export(&world, &handle, "42", 5).await.status, 200);
    let withdrawn = done(two, &["cancel", &id, "--by", "cat", "--comment", "a mistake"]);
    assert_eq!((&withdrawn["state"], &withdrawn["withdrawn_uses"]), (&"cancelled".into(), &2.into()), "{withdrawn}");
    assert_eq!((&withdrawn["decided"]["by"], &withdrawn["votes"][0]["by"]), (&"cat".into(), &"bob".into()));
    assert_eq!(withdrawn["granted_until"], Json::Null);
    // Again, it is as it is; nobody approves it any more.
    assert_eq!(done(one, &["cancel", &id, "--by", "dan"])["decided"]["by"], "cat");
    refused(one, &["approve", &id, "--by", "dan"], "cancelled already");
    let table = cli::run(&[
        "approval",
        "show",
        &id,
        "--admin",
        &format!("http://{}", one.admin),
        "--token-file",
        &chaperone::admin_token_file(),
    ]);
    assert!(table.stdout.contains("2 of 3 uses"), "{table:?}");
    // The replica that was told asks again at once, the other when it has read the feed.
    let request = question(&handle);
    assert_eq!(decide(&Direct::to(two).await, request.clone()).await.outcome(), Outcome::Challenge);
    let other = Direct::to(one).await;
    wait::until("the withdrawal reaches the other replica", async || {
        (decide(&other, request.clone()).await.outcome() == Outcome::Challenge).then_some(())
    })
    .await;

    // What is used up cannot be taken back.
    let handle = reader_of_pii(&world).await;
    let id = asked(&export(&world, &handle, "42", 5).await);
    done(one, &["approve", &id, "--by", "bob"]);
    assert_eq!(export(&world, &handle, "42", 5).await.status, 200);
    refused(one, &["cancel", &id, "--by", "cat"], "nothing is left to withdraw");
    let mut metrics = String::new();
    for replica in [one, two] {
        metrics += &Request::get("/metrics").send(replica.http).await.text();
    }
    for series in
        ["chaperone_approvals_total{event=\"withdrawn\"} 1", "chaperone_approvals_total{event=\"approved\"} 2"]
    {
        assert!(metrics.contains(series), "{series}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_must_approve_and_the_narrowest_terms_count() {
    let world = world(2, "[step_up.data-protection]\napprovers = 2\nmax_duration = \"10m\"\n").await;
    let handle = reader_of_pii(&world).await;
    let id = asked(&export(&world, &handle, "42", 5).await);
    let [one, two] = [&world.replicas[0], &world.replicas[1]];
    refused(one, &["approve", &id, "--by", "bob", "--duration", "11m"], "600 s");
    let half = done(one, &["approve", &id, "--by", "bob", "--uses", "3"]);
    assert_eq!(half["state"], "pending", "{half}");
    refused(two, &["approve", &id, "--by", "BOB"], "another person");
    assert_eq!(asked(&export(&world, &handle, "42", 5).await), id);
    let whole = done(two, &["approve", &id, "--by", "cat", "--uses", "2"]);
    assert_eq!((&whole["state"], &whole["uses"]), (&"approved".into(), &2.into()), "{whole}");
    // At once, on whichever replica.
    for _ in 0..2 {
        assert_eq!(export(&world, &handle, "42", 5).await.status, 200);
    }
    asked(&export(&world, &handle, "42", 5).await);
}

/// The same export, asked for without a proxy.
fn question(handle: &str) -> CheckRequest {
    let value = |kind| Value { kind: Some(kind) };
    let attributes = [("format", value(Kind::String("csv".to_owned()))), ("rows", value(Kind::Long(5)))];
    CheckRequest {
        session_handle: handle.to_owned(),
        action: Some(ActionRequest {
            action: "export".to_owned(),
            resource: Some(entity("Document", "42")),
            attributes: HashMap::from(attributes.map(|(name, value)| (name.to_owned(), value))),
        }),
        ..Default::default()
    }
}

async fn decide(caller: &Direct, request: CheckRequest) -> Decision {
    loop {
        match caller.check(request.clone()).await {
            Ok(decision) => return decision,
            Err(status) if matches!(status.code(), Code::Aborted | Code::DeadlineExceeded) => {}
            Err(status) => panic!("no decision: {status:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_race_for_one_use_and_one_of_them_gets_it() {
    let world = world(2, "").await;
    let mut callers = Vec::new();
    for replica in &world.replicas {
        callers.push(Direct::to(replica).await);
    }
    for _ in 0..5 {
        let handle = reader_of_pii(&world).await;
        let challenged = wait::until("every replica asks for an approval", async || {
            let first = decide(&callers[0], question(&handle)).await;
            let second = decide(&callers[1], question(&handle)).await;
            (first.outcome() == Outcome::Challenge && second.outcome() == Outcome::Challenge).then_some([first, second])
        });
        let ids = challenged.await.map(|decision| {
            assert_eq!(decision.code, "step_up_required");
            decision.challenge.expect("a challenge").step_ups.swap_remove(0).approval_id
        });
        assert_eq!(ids[0], ids[1], "the replicas name one approval");
        done(&world.replicas[0], &["approve", &ids[0], "--by", "bob"]);
        let mut checks = JoinSet::new();
        for number in 0..16 {
            let (caller, request) = (callers[number % 2].clone(), question(&handle));
            checks.spawn(async move { decide(&caller, request).await });
        }
        let decisions = checks.join_all().await;
        let count = |outcome| decisions.iter().filter(|decision| decision.outcome() == outcome).count();
        assert_eq!((count(Outcome::Allow), count(Outcome::Challenge)), (1, 15));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn approval_for_the_tree_counts_for_a_child() {
    let world = world(1, "").await;
    let parent = world.session().await;
    let child = world.open(admin::child_of(&parent.session)).await;
    assert_eq!(world.send(Request::get("/documents/7").session(&parent.handle)).await.status, 200);
    let id = asked(&export(&world, &parent.handle, "42", 5).await);
    done(&world.replicas[0], &["approve", &id, "--by", "bob", "--tree"]);
    assert_eq!(export(&world, &child.handle, "42", 5).await.status, 200);
    assert_ne!(asked(&export(&world, &parent.handle, "42", 5).await), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn acr_values_make_it_a_challenge_of_rfc_9470() {
    let world = world(1, "[step_up.data-protection]\nacr_values = [\"urn:example:mfa\"]\n").await;
    let handle = reader_of_pii(&world).await;
    let response = export(&world, &handle, "42", 5).await;
    assert_eq!((response.status, response.code().as_str()), (401, "step_up_required"), "{}", response.text());
    let challenge = response.header("www-authenticate").expect("a challenge");
    assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
    assert!(challenge.contains("acr_values=\"urn:example:mfa\""), "{challenge}");
}
