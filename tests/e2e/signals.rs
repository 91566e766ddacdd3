//! What others tell of sessions, and what is shown of what they remember.

use std::time::Duration;

use chaperone_api::chaperone::v1::session_service_signal_request::Target;
use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{
    EffectKind, EffectLevel, SessionServiceGetRequest, SessionServiceGetResponse, SessionServiceSignalRequest,
    SessionServiceSignalResponse, SessionState, SignalRevoke,
};
use chaperone_e2e::admin::{self, entity};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::direct::{Direct, read};
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use tonic::{Code, Status};

/// The documents bundle with these policies.
fn with_policies(policies: &str) -> Bundle {
    Bundle::documents().with("policies/signals.cedar", policies)
}

fn about(session_id: &str, event_id: &str) -> SessionServiceSignalRequest {
    SessionServiceSignalRequest {
        target: Some(Target::SessionId(session_id.to_owned())),
        event_id: event_id.to_owned(),
        source: "edr".to_owned(),
        reason: "the test says so".to_owned(),
        ..Default::default()
    }
}

async fn signal(world: &World, request: SessionServiceSignalRequest) -> Result<SessionServiceSignalResponse, Status> {
    Ok(world.admin.sessions.clone().signal(request).await?.into_inner())
}

async fn get(world: &World, session_id: &str) -> SessionServiceGetResponse {
    let request = SessionServiceGetRequest { session_id: session_id.to_owned() };
    world.admin.sessions.clone().get(request).await.expect("the session is there").into_inner()
}

/// Asserts that reading is denied: at once where the signal was taken, elsewhere within the feed's latency.
async fn assert_denied_everywhere(callers: &[Direct], handle: &str, code: &str) {
    assert_eq!(callers[0].read(handle).await, code);
    wait::within(Duration::from_secs(1), "the signal reaches the other replica", async || {
        (callers[1].read(handle).await == code).then_some(())
    })
    .await;
}

async fn two_replicas(policies: &str) -> (World, Vec<Direct>) {
    let world = World::builder().replicas(2).bundle(with_policies(policies)).start().await;
    let callers = vec![Direct::to(&world.replicas[0]).await, Direct::to(&world.replicas[1]).await];
    (world, callers)
}

#[tokio::test(flavor = "multi_thread")]
async fn risk_from_outside_denies_on_every_replica_and_an_event_counts_once() {
    let (world, callers) = two_replicas(
        "@id(\"too-risky\")\nforbid (principal, action, resource)\nwhen { context.session.risk >= 80 };\n",
    )
    .await;
    let parent = world.session().await;
    let child = world.open(admin::child_of(&parent.session)).await;
    let risky = SessionServiceSignalRequest { risk: 40, ..about(&parent.session.id, "edr-1") };
    for (duplicate, request) in [(false, &risky), (true, &risky)] {
        let answer = signal(&world, request.clone()).await.expect("it is taken");
        assert_eq!((answer.duplicate, answer.memory.expect("its memory").risk), (duplicate, 40));
    }
    for caller in &callers {
        assert_eq!(caller.read(&child.handle).await, "permitted");
    }
    let answer = signal(&world, SessionServiceSignalRequest { event_id: "edr-2".to_owned(), ..risky }).await;
    assert_eq!(answer.expect("it is taken").memory.expect("its memory").risk, 80);
    // What came of the parent counts for the child.
    assert_denied_everywhere(&callers, &child.handle, "forbidden").await;
    let status = signal(&world, about(&parent.session.id, "edr-3")).await.expect_err("it asks for nothing");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn label_from_outside_denies_on_every_replica() {
    let (world, callers) = two_replicas(
        "@id(\"no-reads\")\nforbid (principal, action == Action::\"read\", resource)\n\
         when { context.session.labels.contains(\"odd\") || context.tree.labels.contains(\"leaking\") };\n",
    )
    .await;
    let (one, parent) = (world.session().await, world.session().await);
    let child = world.open(admin::child_of(&parent.session)).await;
    for (caller, handle) in callers.iter().flat_map(|caller| [(caller, &one.handle), (caller, &child.handle)]) {
        assert_eq!(caller.read(handle).await, "permitted");
    }
    let odd = SessionServiceSignalRequest { labels: vec!["odd".to_owned()], ..about(&one.session.id, "1") };
    signal(&world, odd).await.expect("it is taken");
    assert_denied_everywhere(&callers, &one.handle, "forbidden").await;
    let leaking = SessionServiceSignalRequest {
        target: Some(Target::TreeId(parent.session.id.clone())),
        tree_labels: vec!["leaking".to_owned()],
        ..about("", "1")
    };
    let memory = signal(&world, leaking).await.expect("it is taken").memory.expect("its memory");
    assert_eq!(memory.tree.expect("the tree's").labels, ["leaking"]);
    assert_denied_everywhere(&callers, &child.handle, "forbidden").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signal_revokes_the_tree_of_a_session() {
    let (world, callers) = two_replicas("").await;
    let parent = world.session().await;
    let child = world.open(admin::child_of(&parent.session)).await;
    assert_eq!(callers[1].read(&parent.handle).await, "permitted");
    let revoke = SessionServiceSignalRequest { revoke: SignalRevoke::Tree.into(), ..about(&child.session.id, "1") };
    let session = signal(&world, revoke).await.expect("it is taken").session.expect("the session");
    assert_eq!(session.state(), SessionState::Revoked);
    assert_eq!(session.ended_reason, "the test says so");
    assert!(session.ended_by.ends_with(" for edr"), "{}", session.ended_by);
    assert_denied_everywhere(&callers, &parent.handle, "session_revoked").await;
    assert_denied_everywhere(&callers, &child.handle, "session_revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_checks_left_behind_is_shown() {
    let world = World::builder()
        .bundle(with_policies(
            "@id(\"reads-are-remembered\")\n@observe\n@count(\"tree:reads/1h\")\n@remember(\"documents = resource\")\n\
             permit (principal, action == Action::\"read\", resource);\n",
        ))
        .start()
        .await;
    let caller = Direct::to(&world.replicas[0]).await;
    let opened = world.session().await;
    let before = get(&world, &opened.session.id).await.memory.expect("its memory");
    assert_eq!(before.session.map(|memory| memory.version), Some(0));
    for document in ["41", "42", "42"] {
        let decision = caller.check(read(document, &opened.handle)).await.expect("a decision");
        assert_eq!(decision.code, "permitted");
        let effects: Vec<_> = decision.effects.iter().map(|it| (it.kind(), it.level(), it.text.as_str())).collect();
        let remembered = format!("documents = Document::\"{document}\"");
        let wanted = [
            (EffectKind::Count, EffectLevel::Tree, "tree:reads/1h += 1"),
            (EffectKind::Remember, EffectLevel::Session, remembered.as_str()),
        ];
        assert!(effects.len() == 2 && wanted.iter().all(|effect| effects.contains(effect)), "{effects:?}");
    }
    let memory = get(&world, &opened.session.id).await.memory.expect("its memory");
    let (session, tree) = (memory.session.expect("its own"), memory.tree.expect("the tree's"));
    assert_eq!((session.sets.len(), session.sets[0].name.as_str(), session.sets[0].value_count), (1, "documents", 2));
    let values: Vec<_> = session.sets[0].values.iter().map(|value| value.kind.clone()).collect();
    assert_eq!(values, ["41", "42"].map(|id| Some(Kind::Entity(entity("Document", id)))));
    // The third check found the document remembered already.
    assert_eq!((session.version, tree.version), (2, 3));
    assert_eq!((tree.counts.len(), tree.counts[0].name.as_str()), (1, "reads/1h"));
    assert_eq!(tree.counts[0].amount.as_ref().and_then(|amount| amount.kind.clone()), Some(Kind::Long(3)));
    assert_eq!(tree.counts[0].window.map(|window| window.seconds), Some(3_600));
    assert!(tree.first_used_at.is_some() && memory.principal.expect("the principal's").version == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn value_for_which_there_is_no_room_is_denied_and_changes_nothing() {
    let world = World::builder()
        .serve(&["--memory-values-max", "2"])
        .bundle(with_policies(
            "@id(\"reads-are-remembered\")\n@observe\n@count(\"reads\")\n@remember(\"documents = resource\")\n\
             permit (principal, action == Action::\"read\", resource);\n",
        ))
        .start()
        .await;
    let caller = Direct::to(&world.replicas[0]).await;
    let opened = world.session().await;
    let code = async |document: &str| caller.check(read(document, &opened.handle)).await.expect("a decision").code;
    assert_eq!((code("41").await.as_str(), code("42").await.as_str()), ("permitted", "permitted"));
    let before = get(&world, &opened.session.id).await.memory;
    let denied = caller.check(read("43", &opened.handle)).await.expect("a decision");
    assert_eq!((denied.code.as_str(), denied.effects.len()), ("memory_full", 0));
    assert_eq!(get(&world, &opened.session.id).await.memory, before);
    assert_eq!(code("41").await, "permitted");
}
