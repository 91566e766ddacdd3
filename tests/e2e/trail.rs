//! The trail: every answer is on record, whatever happens to the process.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chaperone_api::chaperone::v1::decision_service_client::DecisionServiceClient;
use chaperone_api::chaperone::v1::{
    CheckStreamRequest, EntityServiceDeleteRequest, PolicyServiceRollbackRequest, SessionFilter,
    SessionServiceRenewRequest, SessionServiceSignalRequest, check_stream_response, session_service_signal_request,
};
use chaperone_e2e::admin::{self, Opened};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::client::Request;
use chaperone_e2e::direct::{self, Direct};
use chaperone_e2e::postgres::{Database, Postgres};
use chaperone_e2e::trail::{self, Told, outcome};
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use chaperone_trail::Event;
use tonic::Code;

/// How often a process is killed under load, where `CHAPERONE_E2E_CRASHES` does not say otherwise.
const CRASHES: usize = 3;
/// How many answers a process gives before it is killed.
const ANSWERS: usize = 150;
/// How many ask at once.
const CALLERS: usize = 8;

fn crashes() -> usize {
    #[expect(clippy::disallowed_methods, reason = "no option of the server: how long this test takes")]
    std::env::var("CHAPERONE_E2E_CRASHES").map_or(CRASHES, |count| count.parse().expect("a number of crashes"))
}

/// Asks at once and without a pause until the server is gone, and notes every answer. Calls `enough` when there were so many.
async fn load(replica: &Chaperone, handle: &str, round: usize, told: &Arc<Mutex<Told>>, enough: impl FnOnce()) {
    let answers = Arc::new(AtomicUsize::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (direct, told, handle) = (Direct::to(replica).await, Arc::clone(told), handle.to_owned());
        let answers = Arc::clone(&answers);
        callers.spawn(async move {
            for number in 0.. {
                let document = format!("{round}-{caller}-{number}");
                let Ok(decision) = direct.check(direct::read(&document, &handle)).await else { return };
                let before = told
                    .lock()
                    .expect("nobody panics")
                    .insert(decision.decision_id.clone(), (outcome(&decision), document));
                assert!(before.is_none(), "an id is told once");
                answers.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    wait::until("it answers", async || (answers.load(Ordering::Relaxed) >= ANSWERS).then_some(())).await;
    enough();
    while callers.join_next().await.is_some_and(|ended| ended.is_ok()) {}
}

/// Gives a replica a bundle and opens a session.
pub async fn prepare(replica: &mut Chaperone) -> Opened {
    let administer = replica.administer().await;
    administer.push(&Bundle::documents()).await;
    replica.ready().await;
    administer.open(admin::agent("reader")).await
}

/// Kills the process under load, again and again; then ends it in order.
async fn crash_under_load(url: &str, journal: &Path) -> Told {
    let options = ["--trail-dir", journal.to_str().expect("a path in UTF-8"), "--trail-segment-bytes", "65536"];
    let mut replica = Chaperone::start(url, &options).await;
    let opened = prepare(&mut replica).await;
    let told = Arc::new(Mutex::new(Told::new()));
    for round in 0..crashes() {
        let process = replica.process().id();
        load(&replica, &opened.handle, round, &told, || {
            let killed = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status();
            assert!(killed.expect("kill runs").success());
        })
        .await;
        replica.process().ended().await;
        replica = Chaperone::start(url, &options).await;
        replica.ready().await;
    }
    let direct = Direct::to(&replica).await;
    assert_eq!(direct.read(&opened.handle).await, "permitted");
    assert!(replica.terminate().await.success(), "{}", replica.process().output());
    let told = std::mem::take(&mut *told.lock().expect("nobody panics"));
    assert!(told.len() >= crashes() * ANSWERS);
    told
}

/// A few crashes in every run; `CHAPERONE_E2E_CRASHES=100` makes more of them.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_on_record_once_whatever_kills_the_embedded_server() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("embedded:{}", directory.path().join("chaperone.db").display());
    let journal = directory.path().join("journal");
    let told = crash_under_load(&url, &journal).await;
    let chain = trail::of_journal(&journal);
    chain.assert_recorded(&told);
    assert!(matches!(chain.events().last(), Some(Event::Stopped)), "it ended in order");
    let starts = chain.events().filter(|event| matches!(event, Event::Started { .. })).count();
    assert_eq!(starts, crashes() + 1, "one chain over all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_in_postgres_once_whatever_kills_the_server() {
    let database = Database::create_on(&Postgres::shared());
    chaperone::migrate(&database.url());
    let journal = tempfile::tempdir().expect("a temporary directory");
    let told = crash_under_load(&database.url(), journal.path()).await;
    let chains = trail::of_store(&database.url()).await;
    let [chain] = &chains[..] else { panic!("{} chains", chains.len()) };
    chain.assert_recorded(&told);
    assert!(matches!(chain.events().last(), Some(Event::Stopped)), "all of it was shipped before the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_through_envoy_and_streams_is_on_record() {
    let mut world = World::start().await;
    let opened = world.session().await;
    let mut told = HashMap::new();
    for number in 0..20 {
        let document = format!("envoy-{number}");
        let target = format!("/documents/{document}");
        let allowed = world.send(Request::get(target.as_str()).session(&opened.handle)).await;
        assert_eq!(allowed.status, 200);
        let id = allowed.header("x-decision-id").expect("the id of an allow").to_owned();
        told.insert(id, ("allow", document));
    }
    let denied = world.send(Request::get("/documents/envoy-denied").session("chp_unknown")).await;
    assert_eq!(denied.status, 401);
    let denied_id = denied.json()["decision_id"].as_str().expect("the id of a denial").to_owned();
    let mut client = DecisionServiceClient::new(world.replicas[0].data_channel().await);
    let questions: Vec<_> = (0..200)
        .map(|request_id| CheckStreamRequest {
            request_id,
            check: Some(direct::read(&format!("stream-{request_id}"), &opened.handle)),
        })
        .collect();
    let count = questions.len();
    let mut answers = client.check_stream(tokio_stream::iter(questions)).await.expect("a stream").into_inner();
    while let Some(answer) = answers.message().await.expect("an answer") {
        let Some(check_stream_response::Result::Decision(decision)) = answer.result else { panic!("{answer:?}") };
        told.insert(decision.decision_id.clone(), (outcome(&decision), format!("stream-{}", answer.request_id)));
    }
    assert_eq!(told.len(), 20 + count);
    assert!(world.replicas[0].terminate().await.success());
    let chains = trail::of_store(&world.database.url()).await;
    chains[0].assert_recorded(&told);
    let doors: HashSet<_> = chains[0].decisions().map(|decided| decided.protocol.to_string()).collect();
    assert_eq!(doors, HashSet::from(["ext_authz".to_owned(), "grpc".to_owned()]));
    let denied = chains[0].decisions().find(|decided| decided.id.to_string() == denied_id).expect("the denial");
    assert_eq!((&*denied.outcome, &*denied.code, denied.session.is_none()), ("deny", "session_unknown", true));
    let allowed = chains[0].decisions().find(|decided| told.contains_key(&decided.id.to_string())).expect("an allow");
    let session = allowed.session.as_ref().expect("a session");
    assert_eq!((session.id.to_string(), &*session.owner), (opened.session.id.clone(), opened.session.owner.as_str()));
    assert_eq!(allowed.policies.len(), 1, "{allowed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_do_is_on_record() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("embedded:{}", directory.path().join("chaperone.db").display());
    let mut replica = Chaperone::start(&url, &[]).await;
    let opened = prepare(&mut replica).await;
    let mut administer = replica.administer().await;
    let session_id = opened.session.id.clone();
    let lifetime = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let renew = SessionServiceRenewRequest { session_id: session_id.clone(), lifetime };
    administer.sessions.renew(renew).await.expect("it is renewed");
    let signal = SessionServiceSignalRequest {
        target: Some(session_service_signal_request::Target::SessionId(session_id.clone())),
        event_id: "event-1".to_owned(),
        source: "scanner".to_owned(),
        risk: 20,
        labels: vec!["noticed".to_owned()],
        ..SessionServiceSignalRequest::default()
    };
    administer.sessions.signal(signal).await.expect("it is taken");
    administer.revoke(&session_id).await;
    let completed = administer.open(admin::agent("reader")).await;
    administer.complete(&completed.session.id).await;
    let uids = vec![admin::entity("Document", "gone")];
    administer.entities.delete(EntityServiceDeleteRequest { uids }).await.expect("it is deleted");
    administer.push(&Bundle::sample()).await;
    let back = PolicyServiceRollbackRequest { message: "denies too much".to_owned(), ..Default::default() };
    let back = administer.policies.rollback(back).await.expect("it goes back").into_inner().bundle.expect("the bundle");
    assert!(replica.terminate().await.success());
    let chain = trail::of_journal(replica.journal());
    let expected = [
        "bundle.uploaded",
        "bundle.activated",
        "session.opened",
        "session.renewed",
        "session.signalled",
        "session.revoked",
        "session.opened",
        "session.completed",
        "entities.deleted",
        "bundle.uploaded",
        "bundle.activated",
        "bundle.rolled_back",
    ];
    assert_eq!(chain.acts(), expected);
    let rolled_back = chain.events().find_map(|event| match event {
        Event::Act(acted) if acted.act == "bundle.rolled_back" => Some(acted),
        _ => None,
    });
    let rolled_back = rolled_back.expect("the rollback");
    assert_eq!(rolled_back.bundle.map(chaperone_policy::BundleNumber::get), Some(back.number));
    assert_eq!((&*rolled_back.by, &*rolled_back.note), ("token", &*format!("{} denies too much", back.digest)));
    let signalled = chain.events().find_map(|event| match event {
        Event::Act(acted) if acted.act == "session.signalled" => Some(acted),
        _ => None,
    });
    let signalled = signalled.expect("the signal");
    assert_eq!(signalled.session.as_ref().map(|session| session.id.to_string()), Some(session_id));
    let effects: Vec<_> = signalled.effects.iter().map(|effect| (&*effect.effect, &*effect.text)).collect();
    assert!(effects.contains(&("risk", "+20")) && effects.contains(&("label", "noticed")), "{effects:?}");
    assert!(!signalled.by.is_empty(), "whose token it was is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_allowed_when_the_journal_is_full_and_again_when_it_has_room() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("embedded:{}", directory.path().join("chaperone.db").display());
    let small = ["--trail-dir", directory.path().to_str().expect("UTF-8"), "--trail-segment-bytes", "65536"];
    let mut replica = Chaperone::start(&url, &[&small[..], &["--trail-quota-bytes", "131072"]].concat()).await;
    let opened = prepare(&mut replica).await;
    let direct = Direct::to(&replica).await;
    let refused =
        wait::until("the quota is used up", async || direct.check(direct::read("42", &opened.handle)).await.err())
            .await;
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains("recorded"), "{refused:?}");
    for _ in 0..10 {
        assert!(direct.check(direct::read("42", &opened.handle)).await.is_err(), "it stays closed");
    }
    let administer = replica.administer().await;
    let mut sessions = administer.sessions.clone();
    let unopened = sessions.open(admin::agent("reader")).await.expect_err("no authority without a record");
    assert_eq!(unopened.code(), Code::Unavailable, "{unopened:?}");
    let series = "chaperone_no_decisions_total{code=\"trail_unavailable\",protocol=\"grpc\"} ";
    let metrics = replica.metrics().await;
    let count = metrics.lines().find_map(|line| line.strip_prefix(series)?.parse::<u64>().ok());
    assert!(count >= Some(11), "{count:?}");
    replica.process().kill();
    let mut replica = Chaperone::start(&url, &[&small[..], &["--trail-quota-bytes", "1048576"]].concat()).await;
    replica.ready().await;
    assert_eq!(Direct::to(&replica).await.read(&opened.handle).await, "permitted");
    replica.process().assert_running();
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_cannot_keep_its_trail_does_not_start() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "no directory").expect("a file");
    let inside = file.join("trail");
    let mut replica = Chaperone::spawn("embedded::memory:", &["--trail-dir", inside.to_str().expect("UTF-8")]);
    assert!(!replica.process().ended().await.success());
    assert!(replica.process().stderr().contains("--trail-dir"), "{}", replica.process().output());

    let shared = directory.path().join("shared");
    let options = ["--trail-dir", shared.to_str().expect("UTF-8")];
    let mut first = Chaperone::start("embedded::memory:", &options).await;
    let mut second = Chaperone::spawn("embedded::memory:", &options);
    assert!(!second.process().ended().await.success());
    assert!(second.process().stderr().contains("in use by another process"), "{}", second.process().output());
    first.process().assert_running();
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_by_the_store_is_in_the_store_at_once() {
    let database = Database::create_on(&Postgres::shared());
    chaperone::migrate(&database.url());
    let mut replica = Chaperone::start(&database.url(), &["--trail-ack", "store"]).await;
    let opened = prepare(&mut replica).await;
    let direct = Direct::to(&replica).await;
    let decision = direct.check(direct::read("42", &opened.handle)).await.expect("a decision");
    // No time to ship anything.
    replica.process().kill();
    let chains = trail::of_store(&database.url()).await;
    let told = HashMap::from([(decision.decision_id.clone(), ("allow", "42".to_owned()))]);
    chains[0].assert_recorded(&told);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_wait_in_the_journal_while_postgres_is_away() {
    let server = Postgres::start();
    let database = Database::create_on(&server);
    chaperone::migrate(&database.url());
    let options = ["--feed-max-staleness", "60s", "--store-timeout", "500ms"];
    let mut replica = Chaperone::start(&database.url(), &options).await;
    let administer = replica.administer().await;
    administer.push(&Bundle::documents()).await;
    replica.ready().await;
    let mut changes = administer.watch(SessionFilter::default()).await;
    let opened = administer.open(admin::agent("reader")).await;
    // What the replica loads of the session before it has heard of its opening, it loads again.
    assert_eq!(changes.next().await.id, opened.session.id);
    let direct = Direct::to(&replica).await;
    assert_eq!(direct.read(&opened.handle).await, "permitted");
    server.kill();
    let mut told = HashMap::new();
    for number in 0..50 {
        let document = format!("away-{number}");
        let decision = direct.check(direct::read(&document, &opened.handle)).await.expect("a decision");
        told.insert(decision.decision_id.clone(), (outcome(&decision), document));
    }
    server.restart();
    wait::within(Duration::from_mins(1), "all of it is shipped", async || {
        let text = replica.metrics().await;
        let shipped = database.sql("SELECT count(*) FROM trail_records WHERE kind = 'decision'");
        (shipped.trim() == "51" && text.contains("chaperone_trail_lag_seconds")).then_some(())
    })
    .await;
    trail::of_store(&database.url()).await[0].assert_recorded(&told);
    replica.process().assert_running();
}
