//! Replaying the trail: what was decided comes out the same from its records, and another bundle shows what it would change.

use chaperone_api::chaperone::v1::{Entity, EntityServicePutRequest, Value};
use chaperone_e2e::admin::{self, entity, member};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::cli::{self, Finished};
use chaperone_e2e::client::{Request, Response};
use chaperone_e2e::direct::Direct;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use serde_json::Value as Json;

const POLICIES: &str = "
    @id(\"mark-pii\") @observe @label(\"tree:pii\") @remember(\"documents/1h = resource\")
    permit (principal, action == Action::\"read\", resource == Document::\"7\");
    @id(\"count\") @observe @count(\"reads/1h\") @risk(\"+5\")
    permit (principal is Agent, action == Action::\"read\", resource);
    @id(\"budget\") @reason(\"too many reads\") forbid (principal is Agent, action == Action::\"read\", resource)
    when { context.session.counts[\"reads/1h\"] >= 4 };
    @id(\"no-egress-after-pii\") @stepup(\"data-protection\")
    forbid (principal, action == Action::\"export\", resource) when { context.tree.labels.contains(\"pii\") };
    @id(\"not-again\") forbid (principal is Agent, action == Action::\"export\", resource)
    when { context.session.sets[\"documents/1h\"].contains(resource) };
    @id(\"secret\") forbid (principal, action, resource is Document)
    when { resource has sensitivity && resource.sensitivity == \"secret\" };\n";
const MORE: &str = "@id(\"new\") forbid (principal, action == Action::\"read\", resource == Document::\"8\");\n";

fn bundle() -> Bundle {
    Bundle::documents().with("policies/replay.cedar", POLICIES)
}

fn trail(replica: &Chaperone, arguments: &[&str]) -> Finished {
    let (admin, token) = (format!("http://{}", replica.admin), chaperone::admin_token_file());
    cli::run(&[&["trail"], arguments, &["--admin", &admin, "--token-file", &token]].concat())
}

fn replay(replica: &Chaperone, arguments: &[&str]) -> (i32, Json) {
    let finished = trail(replica, &[&["replay", "--output", "json"], arguments].concat());
    let json = serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"));
    (finished.code, json)
}

async fn put(world: &World, uid: (&str, &str), attribute: (&str, Value)) {
    let attributes = [(attribute.0.to_owned(), attribute.1)].into();
    let entities = vec![Entity { uid: Some(entity(uid.0, uid.1)), attributes, ..Entity::default() }];
    world.admin.entities.clone().put(EntityServicePutRequest { entities }).await.expect("it is stored");
}

async fn read(world: &World, handle: &str, document: &str) -> Response {
    world.send(Request::get(format!("/documents/{document}")).session(handle)).await
}

async fn export(world: &World, handle: &str, document: &str) -> Response {
    world.send(Request::get(format!("/documents/{document}/export?format=csv&rows=5")).session(handle)).await
}

/// Checks of many kinds; how many there were.
async fn decide(world: &World) -> u64 {
    let replica = &world.replicas[0];
    let (root, mut count) = (world.session().await, 0);
    let child = world.admin.open(admin::child_of(&root.session)).await;
    let bound = world.admin.open(admin::scoped_to(admin::agent("reader"), "Document", "9")).await;
    let mut expect = |response: Response, status: u16| {
        count += 1;
        assert_eq!(response.status, status, "{}", response.text());
        response
    };
    // Labels, counters and sets, of a root and of what was delegated from it.
    for (handle, document, status) in [
        (&root.handle, "7", 200),
        (&root.handle, "8", 200),
        (&child.handle, "8", 200),
        (&root.handle, "9", 200),
        (&root.handle, "9", 200),
        (&root.handle, "9", 403),
        (&bound.handle, "9", 200),
        (&bound.handle, "8", 403),
    ] {
        expect(read(world, handle, document).await, status);
    }
    // An approval, used once; and a forbid that none lifts.
    let challenge = expect(export(world, &root.handle, "42").await, 403).json();
    let id = challenge["approvals"][0]["approval"].as_str().expect("an approval").to_owned();
    let (address, token) = (format!("http://{}", replica.admin), chaperone::admin_token_file());
    let by = ["approval", "approve", &id, "--by", "bob", "--admin", &address, "--token-file", &token];
    let approved = cli::run(&by);
    assert_eq!(approved.code, 0, "{approved:?}");
    expect(export(world, &root.handle, "42").await, 200);
    expect(export(world, &root.handle, "42").await, 403);
    expect(export(world, &root.handle, "7").await, 403);
    // Stored entities: a resource's attribute, and a suspended principal.
    put(world, ("Document", "10"), ("sensitivity", member("secret"))).await;
    expect(read(world, &child.handle, "10").await, 403);
    put(world, ("Document", "10"), ("sensitivity", member("public"))).await;
    expect(read(world, &child.handle, "10").await, 200);
    put(world, ("Agent", "reader"), ("suspended", member(true))).await;
    expect(read(world, &child.handle, "10").await, 403);
    put(world, ("Agent", "reader"), ("suspended", member(false))).await;
    // Built-in denials.
    expect(read(world, "chp_unknown", "10").await, 401);
    expect(world.send(Request::get("/documents/10")).await, 401);
    world.admin.revoke(&child.session.id).await;
    expect(read(world, &child.handle, "10").await, 403);
    // Asked directly.
    let direct = Direct::to(replica).await;
    assert_eq!(direct.read(&bound.handle).await, "out_of_scope");
    count + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn trail_is_replayed_without_a_difference_and_another_bundle_shows_its_own() {
    let world = World::builder().bundle(bundle()).check_timeout("5s").start().await;
    let replica = &world.replicas[0];
    let mut count = decide(&world).await;
    let shipped = |count: u64| {
        let replayed = move || replay(replica, &[]);
        wait::until("all of it is in the table", async move || {
            Some(replayed()).filter(|(_, json)| json["decision_count"].as_u64() >= Some(count))
        })
    };
    let (code, json) = shipped(count).await;
    assert_eq!((code, &json["difference_count"], &json["not_replayable_count"]), (0, &0.into(), &0.into()), "{json:#}");
    assert_eq!(json["identical_count"], count, "{json:#}");

    // Another bundle decides from now on; what the first decided is still replayed by that.
    let number = world.admin.push(&bundle().with("policies/more.cedar", MORE)).await;
    let direct = Direct::to(replica).await;
    let opened = world.session().await;
    wait::until("the other bundle decides", async || {
        let decision = direct.check(chaperone_e2e::direct::read("8", &opened.handle)).await.expect("a decision");
        count += 1;
        decision.policies.iter().any(|policy| policy.id == "new").then_some(())
    })
    .await;
    let (code, json) = shipped(count).await;
    assert_eq!((code, &json["difference_count"], &json["not_replayable_count"]), (0, &0.into(), &0.into()), "{json:#}");

    // What the other one would have decided otherwise: the two reads of that document, and those that came before it was active.
    let (code, json) = replay(replica, &["--bundle", &number.to_string()]);
    let differences = json["differences"].as_array().expect("differences");
    assert_eq!((code, json["not_replayable_count"].as_u64()), (1, Some(0)), "{json:#}");
    let (denied, follow): (Vec<_>, Vec<_>) =
        differences.iter().partition(|difference| difference["replayed"]["policies"][0]["id"] == "new");
    assert!(denied.len() >= 2, "{json:#}");
    for difference in denied {
        assert!(difference["asked"].as_str().is_some_and(|asked| asked.contains("Document::\"8\"")), "{difference:#}");
    }
    // What it denies it does not count: of five reads of the root, the last was one too many, and would not be.
    let [follow] = &*follow else { panic!("{json:#}") };
    assert_eq!(follow["recorded"]["policies"][0]["id"], "budget", "{follow:#}");
    assert_eq!(follow["replayed"]["outcome"], "allow", "{follow:#}");
    let table = trail(replica, &["replay", "--bundle", &number.to_string(), "--action", "export"]);
    assert_eq!(table.code, 0, "{table:?}");
    assert!(table.stdout.contains("NO DIFFERENCE") && !table.stdout.contains('\u{1b}'), "{table:?}");

    // From an export, and one decision by itself.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("trail.jsonl");
    let file = file.to_str().expect("a path in UTF-8");
    assert_eq!(trail(replica, &["export", "--file", file]).code, 0);
    let (code, offline) = replay(replica, &["--file", file]);
    assert_eq!((code, &offline["difference_count"]), (0, &0.into()), "{offline:#}");
    let id = differences[0]["decision_id"].as_str().expect("an id");
    let (code, one) = replay(replica, &["--decision", id]);
    assert_eq!((code, &one["decision_count"], &one["identical_count"]), (0, &1.into(), &1.into()), "{one:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn journal_is_replayed_and_what_cannot_be_is_counted_by_itself() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("embedded:{}", directory.path().join("chaperone.db").display());
    let journal = directory.path().join("journal");
    let journal = journal.to_str().expect("a path in UTF-8");
    let mut replica = Chaperone::start(&url, &["--trail-dir", journal]).await;
    replica.administer().await.push(&bundle()).await;
    replica.ready().await;
    let opened = replica.administer().await.open(admin::agent("reader")).await;
    let direct = Direct::to(&replica).await;
    for expected in ["permitted", "permitted", "permitted", "permitted", "forbidden"] {
        assert_eq!(direct.read(&opened.handle).await, expected);
    }
    assert!(replica.terminate().await.success());
    let journals = ["--journal", journal];
    let alone = trail(&replica, &[&["replay"], &journals[..]].concat());
    assert_eq!(alone.code, 2, "without its bundle: {alone:?}");
    assert!(alone.stdout.contains("bundle_missing"), "{alone:?}");
    // The bundle that decided is as good from a folder.
    let folder = directory.path().join("bundle");
    for file in bundle().files() {
        let path = folder.join(&file.path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, file.content).expect("a file");
    }
    let own = ["--bundle", folder.to_str().expect("a path in UTF-8")];
    let (code, json) = replay(&replica, &[&journals[..], &own].concat());
    assert_eq!((code, json["identical_count"].as_u64()), (0, Some(5)), "{json:#}");
}
