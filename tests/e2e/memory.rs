//! What sessions remember, on several replicas over one Postgres.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{CheckRequest, Decision, Session, SessionServiceGetRequest};
use chaperone_e2e::admin::{self, Opened};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::Chaperone;
use chaperone_e2e::direct::{Direct, export, read};
use chaperone_e2e::process::Signal;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Code;

/// How many exports a session may make.
const BUDGET: usize = 5;
/// How many budgets one outage meets.
const AT_ONCE: usize = 20;
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

/// How often a budget is spent: `CHAPERONE_BUDGET_REPETITIONS`, or as often as every run does it.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is its runner's choice")]
fn repetitions(least: usize) -> usize {
    let asked = std::env::var("CHAPERONE_BUDGET_REPETITIONS").ok();
    asked.map_or(least, |count| count.parse().expect("CHAPERONE_BUDGET_REPETITIONS is a number"))
}

/// How many exports the store knows of a session.
async fn stored(world: &World, session: &Session) -> usize {
    let request = SessionServiceGetRequest { session_id: session.id.clone() };
    let shown = world.admin.sessions.clone().get(request).await.expect("it is shown").into_inner();
    let memory = shown.memory.and_then(|memory| memory.session).expect("what is remembered of it");
    let count = memory.counts.into_iter().find(|count| count.name == "exports").and_then(|count| count.amount?.kind);
    match count {
        None => 0,
        Some(Kind::Long(count)) => usize::try_from(count).expect("it counts up"),
        Some(other) => panic!("no count: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_of_k_allows_exactly_k_on_four_replicas() {
    let world =
        World::builder().replicas(4).bundle(budget("exports", "context.session.counts[\"exports\"]")).start().await;
    let callers = callers(&world).await;
    for _ in 0..repetitions(20) {
        let Opened { session, handle } = world.session().await;
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
        assert_eq!(stored(&world, &session).await, BUDGET);
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

/// The sessions of one outage, whose budgets are spent while it lasts.
#[derive(Default)]
struct Load {
    sessions: Vec<Opened>,
    /// How many exports of each were answered with an allow.
    allowed: Vec<AtomicUsize>,
    /// The first was.
    begun: Notify,
}

impl Load {
    fn new(sessions: Vec<Opened>) -> Arc<Self> {
        let allowed = sessions.iter().map(|_| AtomicUsize::new(0)).collect();
        Arc::new(Self { sessions, allowed, begun: Notify::new() })
    }

    fn allowed(&self) -> usize {
        self.allowed.iter().map(|allowed| allowed.load(Ordering::Relaxed)).sum()
    }
}

/// Asks for one export after the other, of the sessions that are asked for now, until nobody is to ask any more.
async fn spend(caller: Direct, mut loads: watch::Receiver<Arc<Load>>, first: usize) {
    for turn in first.. {
        let load = Arc::clone(&loads.borrow_and_update());
        if load.sessions.is_empty() {
            return;
        }
        let place = turn % load.sessions.len();
        match caller.check(export(&load.sessions[place].handle)).await {
            Ok(decision) if is_allowed(&decision) => {
                load.allowed[place].fetch_add(1, Ordering::Relaxed);
                load.begun.notify_one();
            }
            Ok(decision) => assert_eq!(decision.code, "forbidden"),
            // In an outage nothing is decided; that costs somebody their budget, and nobody gets more.
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_holds_while_a_replica_is_killed_and_postgres_restarts() {
    let bundle = budget("exports", "context.session.counts[\"exports\"]");
    let mut world = World::builder().own_postgres().replicas(4).bundle(bundle).start().await;
    let callers = callers(&world).await;
    let repetitions = repetitions(AT_ONCE);
    let loads = watch::Sender::new(Load::new(vec![world.session().await]));
    let (mut spent, mut unanswered) = (Vec::new(), 0);
    let mut clients = JoinSet::new();
    for number in 0..CALLERS {
        clients.spawn(spend(callers[number % callers.len()].clone(), loads.subscribe(), number));
    }
    for outage in 0..repetitions.div_ceil(AT_ONCE) {
        let mut sessions = Vec::new();
        for _ in 0..AT_ONCE.min(repetitions - outage * AT_ONCE) {
            sessions.push(world.session().await);
        }
        let load = Load::new(sessions);
        loads.send_replace(Arc::clone(&load));
        // At the first allow: what is under way then may be stored without an answer, or not at all.
        timeout(wait::PATIENCE, load.begun.notified()).await.expect("budgets are being spent");
        // Any but the first, which is asked what became of it.
        let killed = &mut world.replicas[1 + outage % 3];
        killed.process().signal(Signal::Kill);
        world.database.server().kill();
        unanswered += load.sessions.len() * BUDGET - load.allowed();
        world.database.server().restart();
        let addresses = [killed.data, killed.admin, killed.http];
        *killed = Chaperone::spawn_at(&world.database.url(), &[], addresses);
        killed.ready().await;
        // All that is left of every budget is spent, and no more.
        wait::within(Duration::from_mins(1), "every budget is spent", async || {
            for opened in &load.sessions {
                let spent = callers[0].check(export(&opened.handle)).await;
                if !spent.is_ok_and(|decision| decision.code == "forbidden") {
                    return None;
                }
            }
            Some(())
        })
        .await;
        for (opened, allowed) in load.sessions.iter().zip(&load.allowed) {
            let (allowed, stored) = (allowed.load(Ordering::Relaxed), stored(&world, &opened.session).await);
            assert!(allowed <= stored, "{} was allowed {allowed} exports, and {stored} are stored", opened.session.id);
            assert_eq!(stored, BUDGET);
        }
        spent.push(load);
    }
    loads.send_replace(Arc::default());
    clients.join_all().await;
    // Again when nobody is answered any more.
    let allowed: Vec<_> =
        spent.iter().flat_map(|load| &load.allowed).map(|count| count.load(Ordering::Relaxed)).collect();
    assert!(allowed.iter().all(|allowed| *allowed <= BUDGET), "{allowed:?}");
    println!(
        "{} budgets of {BUDGET}, {} outages: {unanswered} uses were open when they began, {} of {} were answered",
        allowed.len(),
        spent.len(),
        allowed.iter().sum::<usize>(),
        allowed.len() * BUDGET
    );
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
