//! Bundles exchanged while traffic flows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chaperone_api::chaperone::v1::PolicyServiceRollbackRequest;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::client::{Request, Response};
use chaperone_e2e::direct::{Direct, export, read};
use chaperone_e2e::upstream::received;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;

/// A bundle that lets agents read under one name and export under another, and says which bundle it is in a header.
///
/// In the even one documents can be read and not exported, in the odd one the other way round; a check that saw half of each would be told apart.
fn bundle(even: bool) -> Bundle {
    let (mark, permitted, forbidden) = if even { ("even", "read", "export") } else { ("odd", "export", "read") };
    let policies = format!(
        "@id(\"{mark}-permit\") permit (principal is Agent, action == Action::\"{permitted}\", resource);\n\
         @id(\"{mark}-forbid\") @reason(\"{mark}\") forbid (principal is Agent, action == Action::\"{forbidden}\", resource);\n"
    );
    Bundle::documents().with("policies/documents.cedar", policies).replacing(
        "mapping.toml",
        "\"x-principal\" = \"{principal.id}\"",
        &format!("\"x-principal\" = \"{mark}\""),
    )
}

/// Which bundle an answer came from, if it is right under one of them.
fn right_under(response: &Response, reads: bool) -> Option<&'static str> {
    let mark = match (response.status, reads) {
        (200, true) | (403, false) => "even",
        (200, false) | (403, true) => "odd",
        _ => return None,
    };
    let said = match response.status {
        200 => received(&response.json(), "x-principal").join(","),
        _ => response.json()["reason"].as_str()?.to_owned(),
    };
    (said == mark).then_some(mark)
}

#[tokio::test(flavor = "multi_thread")]
async fn not_one_answer_is_wrong_or_missing_while_bundles_are_exchanged() {
    const SWAPS: usize = 12;
    let world = Arc::new(World::builder().replicas(2).bundle(bundle(true)).check_timeout("5s").start().await);
    let even = world.admin.push(&bundle(true)).await;
    let odd = world.admin.push(&bundle(false)).await;
    let handle = world.session().await.handle;
    let over = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..4)
        .map(|worker| {
            let (world, handle, over) = (Arc::clone(&world), handle.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let (mut answers, mut wrong) = (0_u32, Vec::new());
                while !over.load(Ordering::SeqCst) {
                    let reads = worker % 2 == 0;
                    let target = if reads { "/documents/42" } else { "/documents/42/export?format=csv" };
                    let response = world.send(Request::get(target).session(&handle)).await;
                    answers += 1;
                    if right_under(&response, reads).is_none() {
                        wrong.push(format!("{target}: {} {}", response.status, response.text()));
                    }
                }
                (answers, wrong)
            })
        })
        .collect();
    for swap in 0..SWAPS {
        let (number, mark) = if swap % 2 == 0 { (even, "even") } else { (odd, "odd") };
        world.admin.activate(number).await;
        wait::until(format!("the {mark} bundle answers"), async || {
            let response = world.send(Request::get("/documents/42").session(&handle)).await;
            (right_under(&response, true) == Some(mark)).then_some(())
        })
        .await;
    }
    over.store(true, Ordering::SeqCst);
    let mut total = 0;
    for worker in load {
        let (answers, wrong) = worker.await.expect("the load runs");
        assert!(wrong.is_empty(), "{} of {answers} answers are wrong, such as {}", wrong.len(), wrong[0]);
        total += answers;
    }
    assert!(total > 100, "only {total} answers");
    let stats = world.envoy.stats("ext_authz.error").await;
    assert_eq!(stats["http.ingress.ext_authz.error"], 0, "{stats:?}");
}

/// What one caller of one replica was answered: how often, and what was wrong.
async fn ask_until(over: &AtomicBool, direct: &Direct, handle: &str, even: u64, odd: u64) -> (u32, Vec<String>) {
    let (mut answers, mut wrong) = (0, Vec::new());
    while !over.load(Ordering::SeqCst) {
        let both = tokio::join!(direct.check(read("42", handle)), direct.check(export(handle)));
        for (answer, permitted) in [(both.0, even), (both.1, odd)] {
            answers += 1;
            match answer {
                Ok(decision) => {
                    let code = if decision.bundle_number == permitted { "permitted" } else { "forbidden" };
                    if decision.code != code || ![even, odd].contains(&decision.bundle_number) {
                        wrong.push(format!("bundle {}: {}", decision.bundle_number, decision.code));
                    }
                }
                Err(status) => wrong.push(format!("{status:?}")),
            }
        }
    }
    (answers, wrong)
}

/// Every answer names one bundle and is right under it, whichever replica gives it, and none is missing.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_activations_and_rollbacks_under_load_lose_and_mix_nothing() {
    const CHANGES: usize = 200;
    let world = World::builder().replicas(3).start().await;
    let even = world.admin.push(&bundle(true)).await;
    let odd = world.admin.push(&bundle(false)).await;
    let handle = world.session().await.handle;
    let over = Arc::new(AtomicBool::new(false));
    let (mut admins, mut callers, mut load) = (Vec::new(), Vec::new(), Vec::new());
    for replica in &world.replicas {
        let (direct, handle, over) = (Direct::to(replica).await, handle.clone(), Arc::clone(&over));
        wait::until("the replica has left the bundle that it began with", async || {
            let decision = direct.check(read("42", &handle)).await.expect("a decision");
            (decision.bundle_number == odd).then_some(())
        })
        .await;
        admins.push(replica.administer().await);
        callers.push(direct.clone());
        load.push(tokio::spawn(async move { ask_until(&over, &direct, &handle, even, odd).await }));
    }
    let mut active = odd;
    for change in 0..CHANGES {
        let (admin, next) = (&admins[change % admins.len()], if active == odd { even } else { odd });
        if change % 2 == 0 {
            admin.activate(next).await;
        } else {
            let request = PolicyServiceRollbackRequest { expected_active: Some(active), ..Default::default() };
            let response = admin.policies.clone().rollback(request).await.expect("it goes back").into_inner();
            assert_eq!(response.bundle.map(|bundle| bundle.number), Some(next));
        }
        active = next;
    }
    for caller in &callers {
        wait::until("every replica decides by the last one", async || {
            let decision = caller.check(read("42", &handle)).await.expect("a decision");
            (decision.bundle_number == active).then_some(())
        })
        .await;
    }
    over.store(true, Ordering::SeqCst);
    for caller in load {
        let (answers, wrong) = caller.await.expect("the load runs");
        assert!(wrong.is_empty(), "{} of {answers} answers are wrong, such as {}", wrong.len(), wrong[0]);
        assert!(answers as usize > CHANGES, "only {answers} answers");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bundle_is_compiled_while_decisions_and_revocations_go_on() {
    let world = World::builder().replicas(2).start().await;
    let direct = Direct::to(&world.replicas[1]).await;
    let (kept, revoked) = (world.session().await, world.session().await);
    assert_eq!(direct.read(&revoked.handle).await, "permitted");
    let admin = world.admin.clone();
    // Compiling it takes longer than the state may be old.
    let push = tokio::spawn(async move { admin.push(&Bundle::many_policies(2000)).await });
    let decide = async || direct.check(read("42", &kept.handle)).await.expect("a decision");
    while !push.is_finished() {
        assert_eq!(decide().await.code, "permitted");
    }
    let number = push.await.expect("it is active");
    world.admin.revoke(&revoked.session.id).await;
    wait::until("the revocation and the large bundle have arrived", async || {
        let decision = decide().await;
        assert_eq!(decision.code, "permitted");
        let is_revoked = direct.read(&revoked.handle).await == "session_revoked";
        (is_revoked && decision.bundle_number == number).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_bundle_names_every_problem_and_the_active_one_keeps_deciding() {
    use chaperone_api::chaperone::v1::PolicyServiceValidateRequest;
    let world = World::start().await;
    let handle = world.session().await.handle;
    let broken = Bundle::documents()
        .with(
            "policies/u.cedar",
            "@id(\"a\")\npermit (principal is Agent, action == Action::\"read\", resource is Dokument);\n",
        )
        .with("policies/v.cedar", "@id(\"agents-read\")\npermit (principal, action, resource);\n")
        .with("policies/w.cedar", "permit (principal, action, resource) when { ;\n");
    let request = PolicyServiceValidateRequest { files: broken.files() };
    let problems = world.admin.policies.clone().validate(request).await.expect("an answer").into_inner().problems;
    for file in ["policies/u.cedar", "policies/v.cedar", "policies/w.cedar"] {
        let problem = problems.iter().find(|problem| problem.file == file);
        let problem = problem.unwrap_or_else(|| panic!("no problem in {file}: {problems:?}"));
        assert!(problem.line > 0 && problem.column > 0 && problem.excerpt.contains('^'), "{problem:?}");
    }
    let request = chaperone_api::chaperone::v1::PolicyServiceUploadRequest {
        files: broken.files(),
        activate: true,
        ..Default::default()
    };
    let refused = world.admin.policies.clone().upload(request).await.expect_err("it is refused");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused:?}");
    assert_eq!(world.send(Request::get("/documents/42").session(&handle)).await.status, 200);
}
