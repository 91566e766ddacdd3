//! Trying a bundle before it decides for everybody: on the trail, and beside the active one on live traffic.

use chaperone_api::chaperone::v1::{PolicyServiceUploadRequest, SessionServiceOpenRequest};
use chaperone_e2e::admin::{self, Admin};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::cli::{self, Finished};
use chaperone_e2e::client::Request;
use chaperone_e2e::direct::{self, Direct};
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use serde_json::Value as Json;

/// Counts reads by itself, and allows two of them.
const BUDGET: &str = "
    @id(\"count-reads\") @observe @count(\"reads/1h\") permit (principal is Agent, action == Action::\"read\", resource);
    @id(\"budget\") forbid (principal is Agent, action == Action::\"read\", resource)
    when { context.session.counts[\"reads/1h\"] >= 2 };\n";
/// Forbids one document.
const CLOSED: &str = "@id(\"closed\") forbid (principal, action == Action::\"read\", resource == Document::\"8\");\n";

fn bundle(replica: &Chaperone, arguments: &[&str]) -> Finished {
    let (admin, token) = (format!("http://{}", replica.admin), chaperone::admin_token_file());
    cli::run(&[&["bundle"], arguments, &["--admin", &admin, "--token-file", &token]].concat())
}

fn json(finished: &Finished) -> Json {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

/// Stores a bundle, without activating it.
async fn upload(admin: &Admin, bundle: &Bundle) -> String {
    let request = PolicyServiceUploadRequest { files: bundle.files(), ..PolicyServiceUploadRequest::default() };
    let uploaded = admin.policies.clone().upload(request).await.expect("it is stored").into_inner();
    uploaded.bundle.expect("a bundle").number.to_string()
}

async fn read(direct: &Direct, document: &str, handle: &str) -> String {
    direct.check(direct::read(document, handle)).await.expect("a decision").code
}

/// How often the kind was counted by this replica.
async fn differences(replica: &Chaperone, kind: &str) -> Option<f64> {
    let metrics = replica.metrics().await;
    let series = format!("chaperone_shadow_differences_total{{kind=\"{kind}\"}}");
    metrics.lines().find_map(|line| line.strip_prefix(&series)?.strip_prefix(' ')?.parse().ok())
}

/// The shadow's status, once this many decisions were compared.
async fn status(replica: &Chaperone, compared: u64) -> (i32, Json) {
    wait::until("the shadow has compared them", async || {
        let finished = bundle(replica, &["shadow", "status", "--output", "json"]);
        let status = json(&finished);
        (status["compared_count"].as_u64() >= Some(compared)).then_some((finished.code, status))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn candidate_is_replayed_before_it_is_activated() {
    let world = World::start().await;
    let replica = &world.replicas[0];
    let (direct, opened) = (Direct::to(replica).await, world.session().await);
    for document in ["7", "8", "8"] {
        assert_eq!(read(&direct, document, &opened.handle).await, "permitted");
    }
    let number = upload(&world.admin, &Bundle::documents().with("policies/closed.cedar", CLOSED)).await;
    let replayed = wait::until("all of it is in the trail", async || {
        let finished = bundle(replica, &["replay", &number, "--last", "1h", "--output", "json"]);
        (json(&finished)["decision_count"] == 3).then_some(finished)
    })
    .await;
    let (code, told) = (replayed.code, json(&replayed));
    let groups = told["groups"].as_array().expect("groups");
    assert_eq!((code, groups.len(), &told["identical_count"]), (1, 1, &1.into()), "{told:#}");
    let group = &groups[0];
    assert_eq!((&group["kind"], &group["count"]), (&"newly_denied".into(), &2.into()), "{told:#}");
    assert_eq!((&group["action"], &group["policies"][0]), (&"Action::\"read\"".into(), &"closed".into()), "{told:#}");
    let id = group["examples"][0]["decision_id"].as_str().expect("an id");
    assert_eq!(told["differences"][0]["decision_id"], id, "{told:#}");
    assert!(told["decisions_per_s"].as_u64() > Some(0), "{told:#}");
    // Nothing was activated by it.
    assert_eq!(read(&direct, "8", &opened.handle).await, "permitted");
    let same = upload(&world.admin, &Bundle::documents().with("policies/more.cedar", "// nothing\n")).await;
    let table = bundle(replica, &["replay", &same]);
    assert_eq!(table.code, 0, "{table:?}");
    assert!(table.stdout.contains("NO DIFFERENCE"), "{table:?}");
    let table = bundle(replica, &["replay", &number]);
    assert!(table.stdout.contains("newly denied") && table.stdout.contains("closed"), "{table:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_tells_what_it_would_decide_on_every_replica_and_answers_nobody() {
    let world = World::builder().replicas(2).start().await;
    let number = upload(&world.admin, &Bundle::documents().with("policies/budget.cedar", BUDGET)).await;
    let none = bundle(&world.replicas[0], &["shadow", "status"]);
    assert_eq!(none.code, 2, "{none:?}");
    let started = bundle(&world.replicas[0], &["shadow", "start", &number, "--message", "a budget"]);
    assert_eq!(started.code, 0, "{started:?}");
    for replica in &world.replicas {
        let before = wait::until("the replica knows of the shadow", async || {
            let finished = bundle(replica, &["shadow", "status", "--output", "json"]);
            (finished.code == 0).then(|| json(&finished))
        })
        .await;
        assert_eq!((&before["share_ppm"], &before["message"]), (&1_000_000.into(), &"a budget".into()), "{before:#}");
        let (direct, opened) = (Direct::to(replica).await, world.session().await);
        for _ in 0..3 {
            assert_eq!(read(&direct, "7", &opened.handle).await, "permitted", "the active bundle answers");
        }
        let (code, told) = status(replica, 3).await;
        let groups = told["groups"].as_array().expect("groups");
        let kinds: Vec<_> = groups.iter().map(|group| (group["kind"].as_str(), group["count"].as_u64())).collect();
        let expected = [(Some("newly_denied"), Some(1)), (Some("changed_effects"), Some(2))];
        assert_eq!((code, &*kinds), (1, &expected[..]), "{told:#}");
        assert_eq!((&groups[0]["policies"][0], &told["problem"]), (&"budget".into(), &Json::Null), "{told:#}");
        assert_eq!(differences(replica, "newly_denied").await, Some(1.0));
        // What the candidate counts is nowhere but in its own memory.
        let id = &opened.session.id;
        let (admin, token) = (format!("http://{}", replica.admin), chaperone::admin_token_file());
        let shown = cli::run(&["session", "show", id, "--admin", &admin, "--token-file", &token]);
        assert!(shown.code == 0 && !shown.stdout.contains("reads/1h"), "{shown:?}");
    }
    let stopped = bundle(&world.replicas[1], &["shadow", "stop"]);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    wait::until("the other replica knows, too", async || {
        (bundle(&world.replicas[0], &["shadow", "status"]).code == 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_decides_what_envoy_asks_and_says_what_it_cannot_tell() {
    let world = World::start().await;
    let replica = &world.replicas[0];
    // The active bundle reads nothing of a read but what the route says, and so is its request.
    let number = upload(&world.admin, &Bundle::documents().with("policies/closed.cedar", CLOSED)).await;
    assert_eq!(bundle(replica, &["shadow", "start", &number]).code, 0);
    let opened = world.session().await;
    for document in ["7", "8"] {
        let path = format!("/documents/{document}");
        let response = world.send(Request::get(path).session(&opened.handle)).await;
        assert_eq!(response.status, 200, "{}", response.text());
    }
    let (code, told) = status(replica, 2).await;
    assert_eq!((code, &told["difference_count"], &told["dropped_count"]), (1, &1.into(), &0.into()), "{told:#}");
    assert_eq!(told["groups"][0]["examples"][0]["resource"], "Document::\"8\"", "{told:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_that_is_killed_while_it_shadows_comes_back_and_shadows() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("embedded:{}", directory.path().join("chaperone.db").display());
    let mut replica = Chaperone::start(&url, &[]).await;
    let admin = replica.administer().await;
    admin.push(&Bundle::documents()).await;
    replica.ready().await;
    let number = upload(&admin, &Bundle::documents().with("policies/closed.cedar", CLOSED)).await;
    assert_eq!(bundle(&replica, &["shadow", "start", &number]).code, 0);
    let opened = admin.open(admin::agent("reader")).await;
    let direct = Direct::to(&replica).await;
    assert_eq!(read(&direct, "8", &opened.handle).await, "permitted");
    replica.process().kill();
    let mut replica = Chaperone::start(&url, &[]).await;
    replica.ready().await;
    let direct = Direct::to(&replica).await;
    assert_eq!(read(&direct, "8", &opened.handle).await, "permitted");
    let (_, told) = status(&replica, 1).await;
    assert_eq!((&told["number"].to_string(), &told["difference_count"]), (&number, &1.into()), "{told:#}");
}

/// Whether a share of so many millionths takes the tree of this root: documented, so that others can tell, too.
fn is_taken(root: &str, millionths: u64) -> bool {
    let number = u64::from_str_radix(&root[root.len() - 8..], 16).expect("digits of a UUID");
    number * 1_000_000 < millionths << 32
}

/// The bundle that decides for this session.
async fn decided_by(direct: &Direct, handle: &str) -> String {
    direct.check(direct::read("7", handle)).await.expect("a decision").bundle_number.to_string()
}

/// Waits until every replica decides by this bundle for this session.
async fn until_decided(callers: &[Direct], handle: &str, number: &str) {
    for direct in callers {
        wait::until("the replica decides by that bundle", async || {
            (decided_by(direct, handle).await == number).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn canary_decides_for_the_same_share_of_trees_on_every_replica() {
    let world = World::builder().replicas(2).start().await;
    let mut callers = Vec::new();
    for replica in &world.replicas {
        callers.push(Direct::to(replica).await);
    }
    let mut sessions = Vec::new();
    for _ in 0..24 {
        let root = world.session().await;
        let child = world.admin.open(admin::child_of(&root.session)).await;
        sessions.push((root.session.id, root.handle, child.handle));
    }
    let active = decided_by(&callers[0], &sessions[0].1).await;
    let number = upload(&world.admin, &Bundle::documents().with("policies/closed.cedar", CLOSED)).await;
    let control = &world.replicas[0];
    let start = bundle(control, &["canary", "start", &number, "--share", "30%", "--output", "json"]);
    assert_eq!((start.code, &json(&start)["deciding"]), (0, &true.into()), "{start:?}");
    let mut share = 300_000;
    loop {
        // One that was given to it by this very change tells that a replica knows of it.
        let taken = sessions.iter().find(|(root, ..)| is_taken(root, share) && !is_taken(root, share - 200_000));
        if let Some((_, handle, _)) = taken {
            until_decided(&callers, handle, &number).await;
        }
        for (root, handle, child) in sessions.iter().filter(|_| taken.is_some()) {
            let expected = if is_taken(root, share) { &number } else { &active };
            for direct in &callers {
                assert_eq!(&decided_by(direct, handle).await, expected, "{root} at {share}");
                assert_eq!(&decided_by(direct, child).await, expected, "the child of {root} at {share}");
            }
        }
        if share == 900_000 {
            break;
        }
        share += 200_000;
        let percent = format!("{}%", share / 10_000);
        let widened = bundle(control, &["canary", "widen", "--share", &percent]);
        assert_eq!(widened.code, 0, "{widened:?}");
    }
    let narrower = bundle(control, &["canary", "widen", "--share", "10%"]);
    assert_eq!(narrower.code, 2, "{narrower:?}");
    let aborted = bundle(control, &["canary", "abort", "--message", "denies too much"]);
    assert_eq!(aborted.code, 0, "{aborted:?}");
    for (_, handle, _) in &sessions {
        until_decided(&callers, handle, &active).await;
    }
    assert_eq!(bundle(control, &["canary", "status"]).code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn canary_of_a_label_decides_what_envoy_asks_and_is_promoted() {
    let world = World::builder().replicas(2).start().await;
    let number = upload(&world.admin, &Bundle::documents().with("policies/closed.cedar", CLOSED)).await;
    let started = bundle(&world.replicas[1], &["canary", "start", &number, "--label", "early"]);
    assert_eq!(started.code, 0, "{started:?}");
    let labelled = SessionServiceOpenRequest { labels: vec!["early".to_owned()], ..admin::agent("reader") };
    let (early, other) = (world.open(labelled).await, world.session().await);
    let read = |handle: &str| Request::get("/documents/8").session(handle);
    world.until_answered("the canary decides for those with the label", read(&early.handle), 403, "forbidden").await;
    assert_eq!(world.send(read(&other.handle)).await.status, 200);
    // A child belongs to the tree of its root.
    let child = world.admin.open(admin::child_of(&early.session)).await;
    assert_eq!(world.send(read(&child.handle)).await.status, 403);
    let promoted = bundle(&world.replicas[0], &["canary", "promote"]);
    assert_eq!(promoted.code, 0, "{promoted:?}");
    world.until_answered("it decides for all", read(&other.handle), 403, "forbidden").await;
    assert_eq!(bundle(&world.replicas[0], &["canary", "status"]).code, 2);
    assert_eq!(bundle(&world.replicas[0], &["canary", "start", &number, "--share", "5%"]).code, 2, "it is active");
}

#[tokio::test(flavor = "multi_thread")]
async fn activation_ends_a_canary() {
    let world = World::start().await;
    let replica = &world.replicas[0];
    let (direct, opened) = (Direct::to(replica).await, world.session().await);
    let number = upload(&world.admin, &Bundle::documents().with("policies/closed.cedar", CLOSED)).await;
    assert_eq!(bundle(replica, &["canary", "start", &number, "--share", "100%"]).code, 0);
    assert_eq!(decided_by(&direct, &opened.handle).await, number);
    let other = world.admin.push(&Bundle::documents().with("policies/more.cedar", "// more\n")).await.to_string();
    assert_eq!(decided_by(&direct, &opened.handle).await, other);
    let status = bundle(replica, &["canary", "status", "--output", "json"]);
    assert_eq!((status.code, &json(&status)["deciding"]), (0, &false.into()), "{status:?}");
    for refused in [&["canary", "promote"][..], &["canary", "widen", "--share", "100%"]] {
        assert_eq!(bundle(replica, refused).code, 2, "{refused:?}");
    }
    assert_eq!(bundle(replica, &["canary", "abort"]).code, 0);
}
