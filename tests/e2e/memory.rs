//! What sessions remember, on several replicas over one Postgres.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{ActionRequest, CheckRequest, Decision, Value};
use chaperone_e2e::admin::{self, entity};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::direct::{Direct, read};
use chaperone_e2e::process::Signal;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use tokio::task::JoinSet;
use tonic::Code;

/// How many exports a session may make.
const BUDGET: usize = 5;
/// How many callers there are at once.
const CALLERS: usize = 64;

/// The documents bundle with policies that remember.
fn remembering(policies: &str) -> Bundle {
    Bundle::documents().with("policies/memory.cedar", policies)
}

fn budget(counter: &str, condition: &str) -> Bundle {
    remembering(&format!(
        "@id(\"exports-are-counted\")\n@observe\n@count(\"{counter}\")\n\
         permit (principal, action == Action::\"export\", resource);\n\n\
         @id(\"exports-are-limited\")\n@reason(\"that was the last export\")\n\
         forbid (principal, action == Action::\"export\", resource)\nwhen {{ {condition} >= {BUDGET} }};\n"
    ))
}

/// The question whether a document may be exported.
fn export(handle: &str) -> CheckRequest {
    let format = Value { kind: Some(Kind::String("csv".to_owned())) };
    let rows = Value { kind: Some(Kind::Long(1)) };
    CheckRequest {
        session_handle: handle.to_owned(),
        action: Some(ActionRequest {
            action: "export".to_owned(),
            resource: Some(entity("Document", "42")),
            attributes: HashMap::from([("format".to_owned(), format), ("rows".to_owned(), rows)]),
        }),
        ..Default::default()
    }
}

async fn callers(world: &World) -> Vec<Direct> {
    let mut callers = Vec::new();
    for replica in &world.replicas {
        callers.push(Direct::to(replica).await);
    }
    callers
}

fn is_allowed(decision: &Decision) -> bool {
    decision.code == "permitted"
}

/// Asks until there is a decision: contention, and a busy machine's stale state, are answers that may be asked for again.
async fn decide(caller: &Direct, request: &CheckRequest) -> Decision {
    loop {
        match caller.check(request.clone()).await {
            Ok(decision) => return decision,
            Err(status) if matches!(status.code(), Code::Aborted | Code::DeadlineExceeded | Code::Unavailable) => {}
            Err(status) => panic!("no decision: {status:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_of_k_allows_exactly_k_on_four_replicas() {
    let world =
        World::builder().replicas(4).bundle(budget("exports", "context.session.counts[\"exports\"]")).start().await;
    let callers = callers(&world).await;
    for _ in 0..20 {
        let handle = world.session().await.handle;
        let mut checks = JoinSet::new();
        for number in 0..CALLERS {
            let (caller, request) = (callers[number % callers.len()].clone(), export(&handle));
            checks.spawn(async move { decide(&caller, &request).await });
        }
        let decisions = checks.join_all().await;
        assert_eq!(decisions.iter().filter(|decision| is_allowed(decision)).count(), BUDGET);
        assert!(decisions.iter().all(|decision| is_allowed(decision) || decision.code == "forbidden"));
        // Everybody knows it afterwards.
        for caller in &callers {
            wait::until("every replica knows that the budget is spent", async || {
                let decision = decide(caller, &export(&handle)).await;
                (!is_allowed(&decision)).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tree_and_principal_share_one_budget() {
    for (counter, condition) in [
        ("tree:exports/1h", "context.tree.counts[\"exports/1h\"]"),
        ("principal:exports/1h", "context.principal.counts[\"exports/1h\"]"),
    ] {
        let schema_with_principal = "context: { session: Chaperone::Session, tree: Chaperone::Tree, principal: Chaperone::Principal, request: { format";
        let bundle = budget(counter, condition).replacing(
            "schema.cedarschema",
            "context: { session: Chaperone::Session, tree: Chaperone::Tree, request: { format",
            schema_with_principal,
        );
        let world = World::builder().replicas(2).bundle(bundle).start().await;
        let callers = callers(&world).await;
        let parent = world.session().await;
        let child = world.open(admin::child_of(&parent.session)).await;
        let mut checks = JoinSet::new();
        for number in 0..CALLERS {
            let handle = if number % 2 == 0 { &parent.handle } else { &child.handle };
            let (caller, request) = (callers[number / 2 % callers.len()].clone(), export(handle));
            checks.spawn(async move { decide(&caller, &request).await });
        }
        let decisions = checks.join_all().await;
        assert_eq!(decisions.iter().filter(|decision| is_allowed(decision)).count(), BUDGET, "{counter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_holds_while_a_replica_is_killed_and_postgres_restarts() {
    let bundle = budget("exports", "context.session.counts[\"exports\"]");
    let mut world = World::builder().own_postgres().replicas(4).bundle(bundle).start().await;
    let callers = callers(&world).await;
    let mut handles = Vec::new();
    for _ in 0..50 {
        handles.push(world.session().await.handle);
    }
    let allowed: Arc<Vec<AtomicUsize>> = Arc::new(handles.iter().map(|_| AtomicUsize::new(0)).collect());
    let (asked, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for number in 0..CALLERS {
        let (caller, handles) = (callers[number % callers.len()].clone(), handles.clone());
        let (allowed, asked, stop) = (Arc::clone(&allowed), Arc::clone(&asked), Arc::clone(&stop));
        clients.spawn(async move {
            for turn in number.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let place = turn % handles.len();
                match caller.check(export(&handles[place])).await {
                    Ok(decision) if is_allowed(&decision) => _ = allowed[place].fetch_add(1, Ordering::Relaxed),
                    Ok(decision) => assert_eq!(decision.code, "forbidden"),
                    // In an outage nothing is decided; that costs somebody their budget, and nobody gets more.
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
                asked.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let has_asked = async |count: usize| {
        wait::until("the load goes on", async || (asked.load(Ordering::Relaxed) >= count).then_some(())).await;
    };
    has_asked(200).await;
    world.replicas[3].process().signal(Signal::Kill);
    let count = asked.load(Ordering::Relaxed);
    has_asked(count + 100).await;
    world.database.server().kill();
    world.database.server().restart();
    // All that is left of every budget is spent, and no more.
    wait::within(Duration::from_mins(1), "every budget is spent", async || {
        for handle in &handles {
            let spent = callers[0].check(export(handle)).await;
            if !spent.is_ok_and(|decision| decision.code == "forbidden") {
                return None;
            }
        }
        Some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    clients.join_all().await;
    for (place, allowed) in allowed.iter().enumerate() {
        let allowed = allowed.load(Ordering::Relaxed);
        assert!(allowed <= BUDGET, "session {place} was allowed {allowed} exports");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_forbids_on_every_replica() {
    let world = World::builder()
        .replicas(2)
        .bundle(remembering(
            "@id(\"mark-pii\")\n@observe\n@label(\"tree:pii\")\n\
             permit (principal, action == Action::\"read\", resource == Document::\"42\");\n\n\
             @id(\"no-export-after-pii\")\n\
             forbid (principal, action == Action::\"export\", resource)\n\
             when { context.tree.labels.contains(\"pii\") };\n",
        ))
        .start()
        .await;
    let callers = callers(&world).await;
    let parent = world.session().await;
    let child = world.open(admin::child_of(&parent.session)).await;
    for caller in &callers {
        assert!(is_allowed(&decide(caller, &export(&child.handle)).await));
    }
    assert!(is_allowed(&decide(&callers[0], &read("42", &parent.handle)).await));
    // At once where it was decided, elsewhere within the feed's latency.
    assert_eq!(decide(&callers[0], &export(&child.handle)).await.code, "forbidden");
    wait::within(Duration::from_secs(1), "the label reaches the other replica", async || {
        (decide(&callers[1], &export(&child.handle)).await.code == "forbidden").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_revokes_the_tree() {
    let world = World::builder()
        .replicas(2)
        .bundle(remembering(
            "@id(\"kill-switch\")\n@revoke(\"tree\")\n@alert(\"honeypot:critical\")\n\
             forbid (principal, action, resource == Document::\"honeypot\");\n",
        ))
        .start()
        .await;
    let callers = callers(&world).await;
    let parent = world.session().await;
    let child = world.open(admin::child_of(&parent.session)).await;
    assert!(is_allowed(&decide(&callers[1], &read("42", &parent.handle)).await));
    assert_eq!(decide(&callers[0], &read("honeypot", &child.handle)).await.code, "forbidden");
    for (caller, handle) in callers.iter().flat_map(|caller| [(caller, &parent.handle), (caller, &child.handle)]) {
        wait::within(Duration::from_secs(1), "the revocation reaches the tree", async || {
            (decide(caller, &read("42", handle)).await.code == "session_revoked").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_documents_that_were_read_are_exported() {
    let world = World::builder()
        .bundle(remembering(
            "@id(\"remember-reads\")\n@observe\n@remember(\"documents/1h = resource\")\n\
             permit (principal, action == Action::\"read\", resource);\n\n\
             @id(\"export-what-was-read\")\n\
             forbid (principal, action == Action::\"export\", resource)\n\
             unless { context.session.sets[\"documents/1h\"].contains(resource) };\n",
        ))
        .start()
        .await;
    let caller = Direct::to(&world.replicas[0]).await;
    let handle = world.session().await.handle;
    assert_eq!(decide(&caller, &export(&handle)).await.code, "forbidden");
    assert!(is_allowed(&decide(&caller, &read("41", &handle)).await));
    assert_eq!(decide(&caller, &export(&handle)).await.code, "forbidden");
    assert!(is_allowed(&decide(&caller, &read("42", &handle)).await));
    assert!(is_allowed(&decide(&caller, &export(&handle)).await));
}
