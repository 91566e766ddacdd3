//! A rule that reads history does not begin blind: what it would have counted is filled in from the trail.

use std::collections::HashMap;
use std::path::Path;

use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{
    Decision, Memory, PolicyServiceUploadRequest, ReportOutcome, ReportRequest, ReportStatus, SessionServiceGetRequest,
};
use chaperone_e2e::admin::{self, Admin};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::cli::{self, Finished};
use chaperone_e2e::client::Request;
use chaperone_e2e::direct::{self, Direct};
use chaperone_e2e::wait;
use chaperone_e2e::world::World;

/// Counts reads, and allows two of them an hour.
const BUDGET: &str = "
    @id(\"count-reads\") @observe @count(\"reads/1h\") permit (principal is Agent, action == Action::\"read\", resource);
    @id(\"budget\") forbid (principal is Agent, action == Action::\"read\", resource)
    when { context.session.counts[\"reads/1h\"] >= 2 };\n";

/// Counts exports that succeed, and allows three of them an hour.
const EXPORTS: &str = "
    @id(\"count-exports\") @observe @count(\"exports/1h on executed\") @label(\"exported on executed, tree:broken on failed\")
    permit (principal is Agent, action == Action::\"export\", resource);
    @id(\"budget\") forbid (principal is Agent, action == Action::\"export\", resource)
    when { context.session.counts[\"exports/1h\"] >= 3 };\n";

fn run(replica: &Chaperone, arguments: &[&str]) -> Finished {
    let (admin, token) = (format!("http://{}", replica.admin), chaperone::admin_token_file());
    cli::run(&[arguments, &["--admin", &admin, "--token-file", &token]].concat())
}

/// Stores the bundle with the budget, without activating it.
async fn upload(admin: &Admin) -> String {
    upload_with(admin, BUDGET).await
}

/// Stores the bundle with these policies beside its own, without activating it.
async fn upload_with(admin: &Admin, policies: &str) -> String {
    let files = Bundle::documents().with("policies/budget.cedar", policies).files();
    let request = PolicyServiceUploadRequest { files, ..PolicyServiceUploadRequest::default() };
    let uploaded = admin.policies.clone().upload(request).await.expect("it is stored").into_inner();
    uploaded.bundle.expect("a bundle").number.to_string()
}

async fn read(direct: &Direct, handle: &str) -> String {
    direct.check(direct::read("7", handle)).await.expect("a decision").code
}

/// What is remembered of a session and of its tree.
async fn memories(admin: &Admin, id: &str) -> [Memory; 2] {
    let request = SessionServiceGetRequest { session_id: id.to_owned() };
    let shown = admin.sessions.clone().get(request).await.expect("there is one").into_inner();
    let memory = shown.memory.expect("what is remembered of it");
    [memory.session, memory.tree].map(Option::unwrap_or_default)
}

/// How many reads of a session count.
async fn count(admin: &Admin, id: &str) -> i64 {
    let [memory, _] = memories(admin, id).await;
    counted(memory, "reads/1h")
}

fn counted(memory: Memory, name: &str) -> i64 {
    let count = memory.counts.into_iter().find(|count| count.name == name).and_then(|count| count.amount?.kind);
    match count {
        None => 0,
        Some(Kind::Long(count)) => count,
        Some(other) => panic!("no count: {other:?}"),
    }
}

async fn until_counted(admin: &Admin, id: &str, expected: i64) {
    wait::until("as many reads count", async || (count(admin, id).await == expected).then_some(())).await;
}

/// Waits until so many records of a kind hold a text.
async fn until_in_trail(replica: &Chaperone, kind: &str, text: &str, count: usize) {
    let query = ["trail", "query", "--kind", kind, "--last", "1h", "--output", "json"];
    wait::until("all of it is in the trail", async || {
        (run(replica, &query).stdout.matches(text).count() >= count).then_some(())
    })
    .await;
}

/// How many records say that something was filled in.
fn records(replica: &Chaperone) -> Vec<String> {
    let finished = run(replica, &["trail", "query", "--kind", "act", "--last", "1h", "--output", "json"]);
    finished.stdout.lines().filter(|line| line.contains("bundle.backfilled")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rule_knows_what_was_decided_on_every_replica_before_it() {
    let world = World::builder().replicas(2).start().await;
    let (busy, quiet) = (world.session().await, world.session().await);
    let callers = [Direct::to(&world.replicas[0]).await, Direct::to(&world.replicas[1]).await];
    for direct in callers.iter().chain(&callers) {
        assert_eq!(read(direct, &busy.handle).await, "permitted");
    }
    // What Envoy asked counts as well.
    assert_eq!(world.send(Request::get("/documents/7").session(&quiet.handle)).await.status, 200);
    let number = upload(&world.admin).await;
    let activated = run(&world.replicas[0], &["bundle", "activate", &number]);
    assert_eq!(activated.code, 0, "{activated:?}");
    assert!(activated.stderr.contains("filled in session counter reads/1h since"), "{activated:?}");
    // All four were allowed, though the budget would have allowed two.
    until_counted(&world.admin, &busy.session.id, 4).await;
    until_counted(&world.admin, &quiet.session.id, 1).await;
    for direct in &callers {
        assert_eq!(read(direct, &busy.handle).await, "forbidden");
    }
    assert_eq!(read(&callers[0], &quiet.handle).await, "permitted");
    assert_eq!(read(&callers[0], &quiet.handle).await, "forbidden");
    wait::until("it is on record", async || (records(&world.replicas[0]).len() == 1).then_some(())).await;
    // Back, where nothing is counted, and forth again: what counted counts once, and what came meanwhile is added.
    let back = run(&world.replicas[1], &["bundle", "rollback"]);
    assert_eq!(back.code, 0, "{back:?}");
    wait::until("nothing is counted", async || (read(&callers[0], &quiet.handle).await == "permitted").then_some(()))
        .await;
    let again = run(&world.replicas[1], &["bundle", "activate", &number]);
    assert_eq!(again.code, 0, "{again:?}");
    until_counted(&world.admin, &quiet.session.id, 3).await;
    wait::until("it is on record", async || (records(&world.replicas[0]).len() == 2).then_some(())).await;
    let counts = (count(&world.admin, &busy.session.id).await, count(&world.admin, &quiet.session.id).await);
    assert_eq!(counts, (4, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rule_knows_what_was_reported_of_what_was_decided_before_it() {
    let world = World::builder().replicas(2).start().await;
    let opened = world.session().await;
    let callers = [Direct::to(&world.replicas[0]).await, Direct::to(&world.replicas[1]).await];
    let mut decisions: Vec<Decision> = Vec::new();
    for direct in callers.iter().chain(&callers).chain(&callers[..1]) {
        decisions.push(direct.check(direct::export(&opened.handle)).await.expect("a decision"));
    }
    assert!(decisions.iter().all(|decision| decision.code == "permitted"), "{decisions:?}");
    // To the other replica, which has nothing waiting for it. Of the last ones nothing is told.
    let outcomes = [ReportOutcome::Failed, ReportOutcome::Executed, ReportOutcome::Failed];
    for (number, (decision, outcome)) in decisions.iter().zip(outcomes).enumerate() {
        let request = ReportRequest {
            decision_id: decision.decision_id.clone(),
            session_id: decision.session_id.clone(),
            outcome: outcome.into(),
            facts: HashMap::new(),
        };
        let reported = callers[(number + 1) % 2].client().report(request).await.expect("it is taken").into_inner();
        assert_eq!(reported.status(), ReportStatus::NothingWaiting);
    }
    // What is read only after a decision of it was filled in gives nothing back.
    until_in_trail(&world.replicas[1], "act", "outcome.reported", 3).await;
    until_in_trail(&world.replicas[1], "decision", "\"permitted\"", 5).await;
    let number = upload_with(&world.admin, EXPORTS).await;
    let activated = run(&world.replicas[0], &["bundle", "activate", &number]);
    assert_eq!(activated.code, 0, "{activated:?}");
    // What failed is not spent; what was not reported is.
    wait::until("what was reported is known", async || {
        let [session, tree] = memories(&world.admin, &opened.session.id).await;
        let labels = (session.labels.join(" "), tree.labels.join(" "));
        (labels == ("exported".to_owned(), "broken".to_owned()) && counted(session, "exports/1h") == 3).then_some(())
    })
    .await;
    for direct in &callers {
        let decision = direct.check(direct::export(&opened.handle)).await.expect("a decision");
        assert_eq!(decision.code, "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rule_begins_blind_where_that_is_asked_for() {
    let world = World::start().await;
    let (direct, opened) = (Direct::to(&world.replicas[0]).await, world.session().await);
    for _ in 0..3 {
        assert_eq!(read(&direct, &opened.handle).await, "permitted");
    }
    let number = upload(&world.admin).await;
    let activated = run(&world.replicas[0], &["bundle", "activate", &number, "--skip-backfill"]);
    assert_eq!((activated.code, activated.stderr.contains("filled in")), (0, false), "{activated:?}");
    let codes =
        [read(&direct, &opened.handle).await, read(&direct, &opened.handle).await, read(&direct, &opened.handle).await];
    assert_eq!(codes, ["permitted", "permitted", "forbidden"]);
    assert!(records(&world.replicas[0]).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn canary_knows_what_was_decided_before_it() {
    let world = World::start().await;
    let (direct, opened) = (Direct::to(&world.replicas[0]).await, world.session().await);
    for _ in 0..3 {
        assert_eq!(read(&direct, &opened.handle).await, "permitted");
    }
    until_in_trail(&world.replicas[0], "decision", "\"permitted\"", 3).await;
    let number = upload(&world.admin).await;
    let started = run(&world.replicas[0], &["bundle", "canary", "start", &number, "--share", "100%"]);
    assert_eq!(started.code, 0, "{started:?}");
    assert_eq!(count(&world.admin, &opened.session.id).await, 3);
    wait::until("the canary decides", async || (read(&direct, &opened.handle).await == "forbidden").then_some(()))
        .await;
}

/// The answer to an activation that fails for want of the trail; then those to reads of a session, by the bundle that was active before.
async fn refused(replica: &Chaperone, number: &str, direct: &Direct, handle: &str) {
    let before = direct.check(direct::read("7", handle)).await.expect("a decision").bundle_number;
    let activated = run(replica, &["bundle", "activate", number]);
    assert_ne!(activated.code, 0, "{activated:?}");
    assert!(
        activated.stderr.contains("backfill_failed") && activated.stderr.contains("--skip-backfill"),
        "{activated:?}"
    );
    let started = run(replica, &["bundle", "canary", "start", number, "--share", "100%"]);
    assert_ne!(started.code, 0, "{started:?}");
    assert!(started.stderr.contains("backfill_failed"), "{started:?}");
    for _ in 0..3 {
        let decision = direct.check(direct::read("7", handle)).await.expect("a decision");
        assert_eq!((&*decision.code, decision.bundle_number), ("permitted", before));
    }
    let shown = run(replica, &["bundle", "rollout", "--output", "json"]);
    assert!(shown.stdout.contains(&format!("\"active_number\": {before}")), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn activation_is_refused_where_the_trail_cannot_be_read() {
    let world = World::start().await;
    let (replica, opened) = (&world.replicas[0], world.session().await);
    let direct = Direct::to(replica).await;
    assert_eq!(read(&direct, &opened.handle).await, "permitted");
    let number = upload(&world.admin).await;
    world.database.sql("ALTER TABLE trail_records RENAME TO hidden");
    refused(replica, &number, &direct, &opened.handle).await;
    // When it is back, all of it is filled in.
    world.database.sql("ALTER TABLE hidden RENAME TO trail_records");
    until_in_trail(replica, "decision", "\"permitted\"", 5).await;
    let activated = run(replica, &["bundle", "activate", &number]);
    assert_eq!(activated.code, 0, "{activated:?}");
    until_counted(&world.admin, &opened.session.id, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn activation_is_refused_where_the_journal_is_damaged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("embedded:{}", directory.path().join("chaperone.db").display());
    chaperone::migrate(&url);
    let mut replica = Chaperone::start(&url, &[]).await;
    let administer = replica.administer().await;
    administer.push(&Bundle::documents()).await;
    replica.ready().await;
    let (direct, opened) = (Direct::to(&replica).await, administer.open(admin::agent("reader")).await);
    assert_eq!(read(&direct, &opened.handle).await, "permitted");
    let number = upload(&administer).await;
    damage(replica.journal());
    refused(&replica, &number, &direct, &opened.handle).await;
    // Who cannot wait for the trail goes without.
    let activated = run(&replica, &["bundle", "activate", &number, "--skip-backfill"]);
    assert_eq!(activated.code, 0, "{activated:?}");
    assert_eq!(read(&direct, &opened.handle).await, "permitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_filled_in_for_an_activation_that_expects_another_bundle() {
    let world = World::start().await;
    let (replica, opened) = (&world.replicas[0], world.session().await);
    let direct = Direct::to(replica).await;
    assert_eq!(read(&direct, &opened.handle).await, "permitted");
    until_in_trail(replica, "decision", "\"permitted\"", 1).await;
    let number = upload(&world.admin).await;
    for expected in ["0", &number] {
        let activated = run(replica, &["bundle", "activate", &number, "--expected", expected]);
        assert_ne!(activated.code, 0, "{activated:?}");
        assert!(activated.stderr.contains("bundle_conflict"), "{activated:?}");
        assert_eq!(count(&world.admin, &opened.session.id).await, 0);
    }
    let active = direct.check(direct::read("7", &opened.handle)).await.expect("a decision").bundle_number.to_string();
    let activated = run(replica, &["bundle", "activate", &number, "--expected", &active]);
    assert_eq!(activated.code, 0, "{activated:?}");
    until_counted(&world.admin, &opened.session.id, 2).await;
}

/// Overwrites a part of the first decision in a journal, without changing its length.
fn damage(journal: &Path) {
    let files = std::fs::read_dir(journal).expect("a journal").map(|file| file.expect("a file").path());
    let mut damaged = 0;
    for path in files.filter(|path| path.is_file()) {
        let mut bytes = std::fs::read(&path).expect("a file");
        let decision = b"\"kind\":\"decision\"";
        let Some(place) = bytes.windows(decision.len()).position(|part| part == decision) else { continue };
        bytes[place..place + decision.len()].fill(b'#');
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).expect("it is writable");
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(place as u64)).expect("it is there");
        std::io::Write::write_all(&mut file, &bytes[place..place + decision.len()]).expect("it is written");
        damaged += 1;
    }
    assert_eq!(damaged, 1, "one file has the decisions");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_fills_in_nothing_says_what_begins_with_the_activation() {
    let world = World::builder().serve(&["--bundles-backfill", "0s"]).start().await;
    let (direct, opened) = (Direct::to(&world.replicas[0]).await, world.session().await);
    for _ in 0..3 {
        assert_eq!(read(&direct, &opened.handle).await, "permitted");
    }
    let number = upload(&world.admin).await;
    let activated = run(&world.replicas[0], &["bundle", "activate", &number]);
    assert_eq!(activated.code, 0, "{activated:?}");
    let told = "the server fills in nothing (--bundles-backfill): session counter reads/1h begins with this activation";
    assert!(activated.stderr.contains(told), "{activated:?}");
    let codes =
        [read(&direct, &opened.handle).await, read(&direct, &opened.handle).await, read(&direct, &opened.handle).await];
    assert_eq!(codes, ["permitted", "permitted", "forbidden"]);
    assert!(records(&world.replicas[0]).is_empty());
}
