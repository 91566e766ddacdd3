//! Renewing, listing and revoking sessions.

use std::collections::BTreeSet;

use chaperone_api::chaperone::v1::session_service_revoke_request::Target;
use chaperone_api::chaperone::v1::{
    Session, SessionFilter, SessionServiceListRequest, SessionServiceOpenRequest, SessionServiceRenewRequest,
    SessionServiceRevokeRequest, SessionState, Task,
};
use chaperone_e2e::admin::{self, Admin, Opened, entity};
use chaperone_e2e::direct::Direct;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use tonic::{Code, Status};

async fn renew(admin: &Admin, session: &Session, seconds: i64) -> Result<Session, Status> {
    let lifetime = Some(prost_types::Duration { seconds, nanos: 0 });
    let request = SessionServiceRenewRequest { session_id: session.id.clone(), lifetime };
    Ok(admin.sessions.clone().renew(request).await?.into_inner().session.expect("the session"))
}

fn end(session: &Session) -> i64 {
    session.expires_at.expect("an end").seconds
}

#[tokio::test(flavor = "multi_thread")]
async fn renewal_moves_the_end_but_never_beyond_the_parents() {
    let world = World::start().await;
    let parent = world.session().await.session;
    let child = world.open(admin::child_of(&parent)).await;
    let renewed = renew(&world.admin, &child.session, 5 * 3600).await.expect("the child is renewed");
    assert_eq!(renewed.expires_at, parent.expires_at, "not later than its parent");
    let parent = renew(&world.admin, &parent, 2 * 3600).await.expect("the parent is renewed");
    let renewed = renew(&world.admin, &child.session, 5 * 3600).await.expect("the child is renewed");
    assert_eq!(renewed.expires_at, parent.expires_at);
    let status = renew(&world.admin, &parent, 2 * 24 * 3600).await.expect_err("longer than the server allows");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    // A shorter life is a renewal too, and reaches the child whatever its own end says.
    let direct = Direct::to(&world.replicas[0]).await;
    assert_eq!(direct.read(&child.handle).await, "permitted");
    let shortened = renew(&world.admin, &parent, 1).await.expect("the parent is renewed");
    assert!(end(&shortened) < end(&renewed));
    wait::until("the child ends with its parent", async || {
        (direct.read(&child.handle).await == "session_expired").then_some(())
    })
    .await;
    for ended in [&parent, &child.session] {
        let status = renew(&world.admin, ended, 3600).await.expect_err("what has ended stays so");
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    }
}

fn of(agent: &str, owner: &str, task: &str) -> SessionServiceOpenRequest {
    let task = Some(Task { id: task.to_owned(), purpose: String::new() });
    SessionServiceOpenRequest { owner: owner.to_owned(), task, ..admin::agent(agent) }
}

/// The ids of every page.
async fn list(admin: &Admin, filter: &SessionFilter, page_size: u32) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = SessionServiceListRequest { filter: Some(filter.clone()), page_size, page_token };
        let page = admin.sessions.clone().list(request).await.expect("a page").into_inner();
        pages.push(page.sessions.into_iter().map(|session| session.id).collect());
        if page.next_page_token.is_empty() {
            return pages;
        }
        page_token = page.next_page_token;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn list_pages_newest_first_without_gap_or_repetition() {
    let world = World::start().await;
    let mut opened = Vec::new();
    for _ in 0..6 {
        opened.push(world.open(of("reader", "pager", "p")).await.session.id);
        world.session().await;
    }
    opened.reverse();
    let filter = SessionFilter { owner: "pager".to_owned(), ..Default::default() };
    for page_size in [1, 4, 5, 6, 7] {
        let pages = list(&world.admin, &filter, page_size).await;
        assert_eq!(pages.concat(), opened, "pages of {page_size}");
        assert!(pages.iter().all(|page| page.len() <= page_size as usize && !page.is_empty()), "{pages:?}");
    }
    for (page_size, page_token) in [(1001, ""), (1, "not-a-token")] {
        let request = SessionServiceListRequest { page_size, page_token: page_token.to_owned(), ..Default::default() };
        let status = world.admin.sessions.clone().list(request).await.expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_of_the_list_must_hold() {
    let world = World::start().await;
    let root = world.open(of("reader", "alpha", "one")).await.session;
    let child = world.open(admin::child_of(&root)).await.session;
    let writer = world.open(of("writer", "alpha", "one")).await.session;
    let other = world.open(of("writer", "beta", "two")).await.session;
    world.admin.revoke(&other.id).await;
    let none = SessionFilter::default;
    let cases = [
        (SessionFilter { principal: Some(entity("Agent", "writer")), ..none() }, vec![&writer, &other]),
        (SessionFilter { owner: "alpha".to_owned(), ..none() }, vec![&root, &child, &writer]),
        (SessionFilter { task_id: "one".to_owned(), ..none() }, vec![&root, &writer]),
        (SessionFilter { tree_id: root.id.clone(), ..none() }, vec![&root, &child]),
        (SessionFilter { state: SessionState::Revoked.into(), ..none() }, vec![&other]),
        (SessionFilter { owner: "alpha".to_owned(), task_id: "two".to_owned(), ..none() }, vec![]),
        (none(), vec![&root, &child, &writer, &other]),
    ];
    for (filter, expected) in cases {
        let listed: BTreeSet<String> = list(&world.admin, &filter, 100).await.concat().into_iter().collect();
        assert_eq!(listed, expected.iter().map(|session| session.id.clone()).collect(), "{filter:?}");
    }
}

async fn revoke(admin: &Admin, target: Target) -> Result<u64, Status> {
    let request = SessionServiceRevokeRequest { target: Some(target), reason: "an incident".to_owned() };
    Ok(admin.sessions.clone().revoke(request).await?.into_inner().revoked_count)
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_by_tree_principal_owner_and_task_reaches_theirs_alone_on_every_replica() {
    let world = World::builder().replicas(2).start().await;
    let root = world.open(of("root", "root", "root")).await;
    let child = world.open(admin::child_of(&root.session)).await;
    let (anna, anna_again) = (world.open(of("anna", "o", "t")).await, world.open(of("anna", "p", "u")).await);
    let (owned, owned_too) = (world.open(of("a", "alpha", "t")).await, world.open(of("b", "alpha", "u")).await);
    let (tasked, tasked_too) = (world.open(of("a", "o", "one")).await, world.open(of("b", "p", "one")).await);
    let by_stander = world.open(of("a", "o", "t")).await;
    let replicas = [Direct::to(&world.replicas[0]).await, Direct::to(&world.replicas[1]).await];
    let cases: [(Target, [&Opened; 2]); 4] = [
        (Target::TreeId(root.session.id.clone()), [&root, &child]),
        (Target::Principal(entity("Agent", "anna")), [&anna, &anna_again]),
        (Target::Owner("alpha".to_owned()), [&owned, &owned_too]),
        (Target::TaskId("one".to_owned()), [&tasked, &tasked_too]),
    ];
    for (target, theirs) in cases {
        for direct in &replicas {
            for session in theirs {
                assert_eq!(direct.read(&session.handle).await, "permitted", "{target:?}");
            }
        }
        assert_eq!(revoke(&world.admin, target.clone()).await.expect("they are revoked"), 2, "{target:?}");
        for direct in &replicas {
            for session in theirs {
                wait::until(format!("{target:?} is revoked everywhere"), async || {
                    (direct.read(&session.handle).await == "session_revoked").then_some(())
                })
                .await;
            }
            assert_eq!(direct.read(&by_stander.handle).await, "permitted", "{target:?}");
        }
        let again = revoke(&world.admin, target.clone()).await.expect("nothing is left to revoke");
        assert_eq!(again, 0, "{target:?}");
    }
    let unknown = Target::SessionId("0198c0de-0000-7000-8000-000000000001".to_owned());
    let status = revoke(&world.admin, unknown).await.expect_err("there is no such session");
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
}
