//! How long a session lives: unused, used elsewhere, under a parent that ended, and as the store knows it.

use std::time::{Duration, Instant};

use chaperone_api::chaperone::v1::{SessionServiceGetRequest, SessionServiceOpenRequest, SessionState};
use chaperone_e2e::admin::{self, Admin};
use chaperone_e2e::chaperone::Chaperone;
use chaperone_e2e::client::Request;
use chaperone_e2e::direct::Direct;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;

const IDLE: Duration = Duration::from_secs(2);

fn idling(idle_timeout: Duration) -> SessionServiceOpenRequest {
    SessionServiceOpenRequest {
        idle_timeout: Some(idle_timeout.try_into().expect("seconds are a duration")),
        ..admin::agent("reader")
    }
}

async fn state(admin: &Admin, session_id: &str) -> SessionState {
    let request = SessionServiceGetRequest { session_id: session_id.to_owned() };
    let response = admin.sessions.clone().get(request).await.expect("the session");
    response.into_inner().session.expect("the session").state()
}

#[tokio::test(flavor = "multi_thread")]
async fn session_used_on_one_replica_is_alive_on_the_other_and_unused_it_ends() {
    let world = World::builder().replicas(2).serve(&["--sessions-touch-interval", "100ms"]).start().await;
    let opened = world.open(idling(IDLE)).await;
    let (here, there) = (Direct::to(&world.replicas[0]).await, Direct::to(&world.replicas[1]).await);
    // The other replica knows it as it was at first, and does not see its uses.
    assert_eq!(there.read(&opened.handle).await, "permitted");
    let began = Instant::now();
    wait::until("longer than the idle timeout has passed", async || {
        assert_eq!(here.read(&opened.handle).await, "permitted", "after {:?}", began.elapsed());
        (began.elapsed() > IDLE + Duration::from_millis(500)).then_some(())
    })
    .await;
    assert_eq!(there.read(&opened.handle).await, "permitted");
    // Looking at it is no use of it, and neither is a denial by who it is.
    wait::until("it is idle", async || {
        (state(&world.admin, &opened.session.id).await == SessionState::Idle).then_some(())
    })
    .await;
    for direct in [&here, &there] {
        assert_eq!(direct.read(&opened.handle).await, "session_idle");
    }
    let response = world.send(Request::get("/documents/42").session(&opened.handle)).await;
    assert_eq!((response.status, response.code().as_str()), (403, "session_idle"));
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_with_a_stolen_handle_do_not_keep_its_session_alive() {
    let world = World::builder().serve(&["--sessions-touch-interval", "100ms"]).start().await;
    let mut request = idling(Duration::from_secs(1));
    request.binding = Some(admin::bound_to("spiffe://example.org/ci"));
    let opened = world.open(request).await;
    let thief = Direct::to(&world.replicas[0]).await;
    wait::until("it is idle though it is tried all the time", async || {
        let code = thief.read(&opened.handle).await;
        assert!(matches!(code.as_str(), "binding_mismatch" | "session_idle"), "{code}");
        (code == "session_idle").then_some(())
    })
    .await;
    assert_eq!(state(&world.admin, &opened.session.id).await, SessionState::Idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn handle_of_a_revoked_or_completed_parent_s_child_is_denied_through_envoy() {
    let world = World::builder().replicas(2).start().await;
    for (end, code) in [(true, "session_revoked"), (false, "session_completed")] {
        let parent = world.session().await;
        let child = world.open(admin::child_of(&parent.session)).await;
        let unused = world.open(admin::child_of(&child.session)).await;
        let read = |handle: &str| Request::get("/documents/42").session(handle);
        assert_eq!(world.send(read(&child.handle)).await.status, 200);
        if end {
            world.admin.revoke(&parent.session.id).await;
        } else {
            world.admin.complete(&parent.session.id).await;
        }
        for handle in [&parent.handle, &child.handle, &unused.handle] {
            world.until_answered("the whole line has ended", read(handle), 403, code).await;
        }
        assert_eq!(state(&world.admin, &child.session.id).await, SessionState::AncestorEnded);
        // And nothing new is opened under it.
        for ended in [&parent.session, &child.session] {
            let status = world.admin.sessions.clone().open(admin::child_of(ended)).await.expect_err("it has ended");
            assert_eq!(status.code(), tonic::Code::FailedPrecondition, "{status:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_check_sees_a_revocation_that_the_feed_has_not_brought_yet() {
    let world = World::start().await;
    // It reads the feed once in half a minute, and may be that stale.
    let slow = ["--feed-poll-interval", "30s", "--feed-max-staleness", "90s", "--store-notify", "false"];
    let mut replica = Chaperone::start(&world.database.url(), &slow).await;
    replica.ready().await;
    let direct = Direct::to(&replica).await;
    let opened = world.session().await;
    assert_eq!(direct.read(&opened.handle).await, "permitted");
    world.admin.revoke(&opened.session.id).await;
    assert_eq!(direct.read(&opened.handle).await, "permitted", "bounded: from memory");
    assert_eq!(direct.read_strictly(&opened.handle).await, "session_revoked");
    assert_eq!(direct.read(&opened.handle).await, "session_revoked", "what was learned is kept");
    // The same for a revoked parent of a session in memory.
    let parent = world.session().await;
    let child = world.open(admin::child_of(&parent.session)).await;
    assert_eq!(direct.read(&child.handle).await, "permitted");
    world.admin.revoke(&parent.session.id).await;
    assert_eq!(direct.read_strictly(&child.handle).await, "session_revoked");
}
