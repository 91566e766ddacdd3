//! Reports of what became of allowed actions: on several replicas, after restarts, and from the command line.

use std::collections::HashMap;
use std::time::Duration;

use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{
    Decision, EffectKind, ReportOutcome, ReportRequest, ReportResponse, ReportStatus, SessionServiceGetRequest, Value,
};
use chaperone_e2e::admin::{self, Opened};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::cli;
use chaperone_e2e::direct::{Direct, export};
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use ReportOutcome::{Executed, Failed};

/// How many exports may succeed.
const BUDGET: usize = 3;

/// The documents bundle, in which exports that succeed are limited, and the rows that came back are counted.
fn exports() -> Bundle {
    Bundle::documents()
        .with(
            "policies/outcomes.cedar",
            format!(
                "@id(\"exports-are-counted\")\n@observe\n@count(\"exports/1h on executed, rows += result.rows on executed\")\n\
                 @label(\"exported on executed\")\npermit (principal, action == Action::\"export\", resource);\n\n\
                 @id(\"exports-are-limited\")\nforbid (principal, action == Action::\"export\", resource)\n\
                 when {{ context.session.counts[\"exports/1h\"] >= {BUDGET} }};\n"
            ),
        )
        .replacing("mapping.toml", "[on_allow]", "[results.export]\nrows = \"Long\"\n\n[on_allow]")
}

fn about(decision: &Decision, outcome: ReportOutcome) -> ReportRequest {
    ReportRequest {
        decision_id: decision.decision_id.clone(),
        session_id: decision.session_id.clone(),
        outcome: outcome.into(),
        facts: HashMap::new(),
    }
}

/// With how many rows came back.
fn with_rows(report: ReportRequest, kind: Kind) -> ReportRequest {
    ReportRequest { facts: HashMap::from([("rows".to_owned(), Value { kind: Some(kind) })]), ..report }
}

fn executed(decision: &Decision) -> ReportRequest {
    with_rows(about(decision, Executed), Kind::Long(5))
}

async fn report(caller: &Direct, report: ReportRequest) -> Result<ReportResponse, Status> {
    Ok(caller.client().report(report).await?.into_inner())
}

async fn settle(caller: &Direct, request: ReportRequest) -> ReportResponse {
    let response = report(caller, request).await.expect("it is taken");
    assert_eq!(response.status(), ReportStatus::Settled);
    response
}

/// Asks until there is a decision: contention, and a busy machine's stale state, are answers that may be asked for again.
async fn decide(caller: &Direct, handle: &str) -> Decision {
    loop {
        match caller.check(export(handle)).await {
            Ok(decision) => return decision,
            Err(status) if matches!(status.code(), Code::Aborted | Code::DeadlineExceeded | Code::Unavailable) => {}
            Err(status) => panic!("no decision: {status:?}"),
        }
    }
}

async fn allowed(caller: &Direct, handle: &str) -> Decision {
    let decision = decide(caller, handle).await;
    assert_eq!(decision.code, "permitted");
    decision
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_that_is_reported_to_another_replica_frees_one() {
    // A check that is given up while it is stored may be charged: none is here.
    let patient = ["--data-default-deadline", "20s", "--store-timeout", "20s"];
    let world = World::builder().replicas(2).bundle(exports()).serve(&patient).start().await;
    let callers = [Direct::to(&world.replicas[0]).await, Direct::to(&world.replicas[1]).await];
    let handle = world.session().await.handle;
    let race = async || {
        let mut checks = JoinSet::new();
        for number in 0..16 {
            let (caller, handle) = (callers[number % 2].clone(), handle.clone());
            checks.spawn(async move { decide(&caller, &handle).await });
        }
        let mut decisions = checks.join_all().await;
        decisions.retain(|decision| decision.code == "permitted");
        decisions
    };
    let first = race().await;
    assert_eq!(first.len(), BUDGET);
    let decision = &first[0];
    assert!(decision.report_until.is_some());
    let waits: Vec<_> = decision.effects.iter().map(|it| (it.text.as_str(), it.waits_for(), it.reserved)).collect();
    assert_eq!(
        waits,
        [
            ("exports/1h += 1 on executed", Executed, true),
            ("rows += result.rows on executed", Executed, false),
            ("exported on executed", Executed, false),
        ]
    );
    // Both replicas take the same report at once; it counts once.
    let (one, other) =
        tokio::join!(report(&callers[0], about(decision, Failed)), report(&callers[1], about(decision, Failed)));
    let (one, other) = (one.expect("it is taken"), other.expect("it is taken"));
    assert_eq!(one, other);
    let released: Vec<_> = one.effects.iter().map(|effect| (effect.kind(), effect.text.as_str())).collect();
    assert_eq!(released, [(EffectKind::Release, "exports/1h -= 1")]);
    settle(&callers[1], executed(&first[1])).await;
    wait::until("both replicas know that one came back", async || {
        (decide(&callers[0], &handle).await.code == "permitted").then_some(())
    })
    .await;
    assert!(race().await.is_empty(), "exactly one came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_outlives_restarts_and_the_end_of_its_session() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("embedded:{}", directory.path().join("chaperone.db").display());
    chaperone::migrate(&url);
    let mut replica = Chaperone::start(&url, &[]).await;
    let administer = replica.administer().await;
    administer.push(&exports()).await;
    let opened: Opened = administer.open(admin::agent("reader")).await;
    replica.ready().await;
    let direct = Direct::to(&replica).await;
    let decisions = [allowed(&direct, &opened.handle).await, allowed(&direct, &opened.handle).await];
    // Another bundle, which names no results and counts nothing: what waits says itself what it does.
    administer.push(&Bundle::documents()).await;
    administer.revoke(&opened.session.id).await;
    replica.process().kill();
    let replica = Chaperone::start(&url, &[]).await;
    let direct = Direct::to(&replica).await;
    let first = settle(&direct, executed(&decisions[0])).await;
    let effects: Vec<_> = first.effects.iter().map(|effect| effect.text.as_str()).collect();
    assert_eq!(effects, ["exports/1h += 1", "rows += 5", "exported"]);
    assert_eq!(settle(&direct, executed(&decisions[0])).await, first);
    settle(&direct, about(&decisions[1], Failed)).await;
    let request = SessionServiceGetRequest { session_id: opened.session.id };
    let got = replica.administer().await.sessions.get(request).await.expect("it is there").into_inner();
    let memory = got.memory.expect("it is there").session.expect("it is there");
    let counts: HashMap<_, _> = memory.counts.into_iter().map(|count| (count.name, count.amount)).collect();
    let long = |number| Some(Value { kind: Some(Kind::Long(number)) });
    assert_eq!(counts, HashMap::from([("exports/1h".to_owned(), long(1)), ("rows".to_owned(), long(5))]));
    assert_eq!((memory.labels, memory.awaited), (vec!["exported".to_owned()], Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn report_that_is_not_as_it_must_be_is_refused_and_named() {
    let world = World::builder().bundle(exports()).start().await;
    let caller = Direct::to(&world.replicas[0]).await;
    let decision = allowed(&caller, &world.session().await.handle).await;
    let good = executed(&decision);
    let unknown = "0198c0de-0000-7000-8000-000000000001".to_owned();
    let lines = Value { kind: Some(Kind::Long(1)) };
    for (request, code, names) in [
        (ReportRequest { decision_id: "deploy".into(), ..good.clone() }, Code::InvalidArgument, "decision_id"),
        (ReportRequest { session_id: String::new(), ..good.clone() }, Code::InvalidArgument, "session_id"),
        (ReportRequest { outcome: 0, ..good.clone() }, Code::InvalidArgument, "outcome"),
        (about(&decision, Executed), Code::InvalidArgument, "facts.rows"),
        (with_rows(good.clone(), Kind::String("5".into())), Code::InvalidArgument, "facts.rows"),
        (with_rows(good.clone(), Kind::Long(-5)), Code::InvalidArgument, "facts.rows"),
        (
            ReportRequest { facts: HashMap::from([("lines".to_owned(), lines)]), ..good.clone() },
            Code::InvalidArgument,
            "facts.lines",
        ),
        (ReportRequest { session_id: unknown.clone(), ..good.clone() }, Code::NotFound, "not_found"),
    ] {
        let status = report(&caller, request).await.expect_err(names);
        assert_eq!(status.code(), code, "{status:?}");
        assert!(String::from_utf8_lossy(status.details()).contains(names), "{names}: {status:?}");
    }
    settle(&caller, good.clone()).await;
    for another in [about(&decision, Failed), with_rows(good.clone(), Kind::Long(6))] {
        let status = report(&caller, another).await.expect_err("something else was reported");
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(String::from_utf8_lossy(status.details()).contains("already_reported"), "{status:?}");
    }
    settle(&caller, good.clone()).await;
    // A decision of nobody, and one of another session.
    let other = world.session().await.session.id;
    let old = report(&caller, ReportRequest { decision_id: unknown, ..good.clone() }).await.expect("an answer");
    assert_eq!(old.status(), ReportStatus::TooLate);
    let elsewhere = report(&caller, ReportRequest { session_id: other, ..good }).await.expect("an answer");
    assert_eq!((elsewhere.status(), elsewhere.effects), (ReportStatus::NothingWaiting, Vec::new()));
    let metrics = world.replicas[0].metrics().await;
    for series in [
        "chaperone_reports_total{outcome=\"executed\",status=\"settled\"} 1",
        "chaperone_reports_total{outcome=\"executed\",status=\"repeated\"} 1",
        "chaperone_reports_total{outcome=\"failed\",status=\"already_reported\"} 1",
    ] {
        assert!(metrics.lines().any(|line| line == series), "{series}\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_reported_in_time_stays_spent() {
    let world = World::builder().bundle(exports()).serve(&["--report-wait", "1s"]).start().await;
    let caller = Direct::to(&world.replicas[0]).await;
    let opened = world.session().await;
    let mut decisions = Vec::new();
    for _ in 0..BUDGET {
        decisions.push(allowed(&caller, &opened.handle).await);
    }
    wait::until("nothing is waited for any more", async || {
        let request = SessionServiceGetRequest { session_id: opened.session.id.clone() };
        let got = world.admin.sessions.clone().get(request).await.expect("it is there").into_inner();
        got.memory?.session?.awaited.is_empty().then_some(())
    })
    .await;
    for decision in &decisions {
        let response = report(&caller, about(decision, Failed)).await.expect("an answer");
        assert_eq!((response.status(), response.effects), (ReportStatus::TooLate, Vec::new()));
    }
    assert_eq!(decide(&caller, &opened.handle).await.code, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn outcome_is_reported_from_the_command_line() {
    let world = World::builder().bundle(exports()).start().await;
    let opened = world.session().await;
    let (data, admin) = (format!("http://{}", world.replicas[0].data), format!("http://{}", world.replicas[0].admin));
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let check = |output: &str| {
        let asked = ["check", "--data", &data, "--session", &opened.handle, "--resource", "Document::\"42\""];
        let finished = cli::run(
            &[&asked[..], &["--action", "export", "--attr", "format=csv", "--attr", "rows:long=1", "--output", output]]
                .concat(),
        );
        assert_eq!(finished.code, 0, "{finished:?}");
        finished.stdout
    };
    assert!(check("table").contains("count exports/1h += 1 on executed (counts already)"));
    let decision = json(&check("json"));
    let waits = serde_json::json!({
        "kind": "label", "level": "session", "name": "exported", "text": "exported on executed", "waits_for": "executed",
    });
    assert_eq!(decision["effects"][2], waits);
    assert_eq!(decision["effects"][0]["reserved"], true);
    assert!(decision["report_until"].is_string());
    let id = decision["decision_id"].as_str().expect("an id");
    let token = chaperone::admin_token_file();
    let show = |output: &str| {
        let shown = ["session", "show", &opened.session.id, "--admin", &admin, "--token-file", &token];
        cli::run(&[&shown[..], &["--output", output]].concat()).stdout
    };
    assert!(show("table").contains(&format!("{id} until ")), "{}", show("table"));
    assert_eq!(json(&show("json"))["memory"]["session"]["awaited"][1]["decision_id"], id);
    let report = |arguments: &[&str]| {
        let common = ["report", id, "--session", &opened.session.id, "--data", &data];
        cli::run(&[&common[..], arguments].concat())
    };
    let missing = report(&["executed"]);
    assert!(missing.code == 2 && missing.stderr.contains("facts.rows"), "{missing:?}");
    let settled = report(&["executed", "--fact", "rows:long=5"]);
    assert!(settled.code == 0 && settled.stdout.contains("settled"), "{settled:?}");
    assert!(settled.stdout.contains("count rows += 5") && settled.stdout.contains("label exported"), "{settled:?}");
    let again = report(&["executed", "--fact", "rows:long=5", "--output", "json"]);
    assert_eq!((again.code, &json(&again.stdout)["status"]), (0, &"settled".into()), "{again:?}");
    let other = report(&["failed"]);
    assert!(other.code == 2 && other.stderr.contains("already_reported"), "{other:?}");
    let nothing = cli::run(&["report", &opened.session.id, "--session", &opened.session.id, "--data", &data, "failed"]);
    assert!(nothing.code == 1 && nothing.stdout.contains("nothing waits"), "{nothing:?}");
    wait::within(Duration::from_secs(5), "only the first decision waits", async || {
        let awaited = json(&show("json"))["memory"]["session"]["awaited"].as_array().map(Vec::len);
        (awaited == Some(1)).then_some(())
    })
    .await;
}
