//! Bundles as the admin plane keeps them.

use chaperone_api::chaperone::v1::{
    Activation, PolicyServiceActivateRequest, PolicyServiceDiffRequest, PolicyServiceGetRequest,
    PolicyServiceHistoryRequest, PolicyServiceListRequest, PolicyServiceRollbackRequest, PolicyServiceUploadRequest,
};
use chaperone_e2e::admin::Admin;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::world::World;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

async fn activate(admin: &Admin, number: u64, expected_active: Option<u64>) -> Result<u64, Status> {
    let request = PolicyServiceActivateRequest { number, expected_active, ..Default::default() };
    let bundle = admin.policies.clone().activate(request).await?.into_inner().bundle.expect("the bundle");
    assert!(bundle.active, "{bundle:?}");
    Ok(bundle.number)
}

async fn active(admin: &Admin) -> u64 {
    let response = admin.policies.clone().get(PolicyServiceGetRequest { number: 0 }).await.expect("the active bundle");
    response.into_inner().bundle.expect("the bundle").number
}

#[tokio::test(flavor = "multi_thread")]
async fn activation_that_expects_another_active_bundle_changes_nothing() {
    let world = World::builder().replicas(2).start().await;
    let first = active(&world.admin).await;
    let second = world.admin.push(&Bundle::sample()).await;
    let status = activate(&world.admin, first, Some(first)).await.expect_err("the second one is active");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert!(status.message().contains(&second.to_string()), "{status:?}");
    assert_eq!(active(&world.admin).await, second);
    assert_eq!(activate(&world.admin, first, Some(second)).await.expect("as expected"), first);
    assert_eq!(active(&world.admin).await, first);
    let status = activate(&world.admin, 999, None).await.expect_err("there is no such bundle");
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
    // Of two that both expect the first, one wins, whichever replica they ask.
    let third = world.admin.push(&Bundle::documents().with("bundle.toml", "name = \"third\"\n")).await;
    activate(&world.admin, first, None).await.expect("it is activated");
    let other = world.replicas[1].administer().await;
    let (one, two) = tokio::join!(activate(&world.admin, second, Some(first)), activate(&other, third, Some(first)));
    assert!(one.is_ok() ^ two.is_ok(), "{one:?} {two:?}");
}

/// Every activation, newest first, read two a page.
async fn history(admin: &Admin) -> Vec<Activation> {
    let (mut kept, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = PolicyServiceHistoryRequest { page_size: 2, page_token };
        let page = admin.policies.clone().history(request).await.expect("a page").into_inner();
        assert!(page.activations.len() <= 2, "{page:?}");
        kept.extend(page.activations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return kept;
        }
    }
}

/// Number, the one before, whether it was a rollback, and the message.
fn facts(kept: &[Activation]) -> Vec<(u64, u64, bool, &str)> {
    kept.iter().map(|act| (act.number, act.previous_number, act.rollback, act.message.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_of_every_activation_with_who_and_why() {
    let world = World::builder().replicas(2).start().await;
    let first = active(&world.admin).await;
    let request = PolicyServiceUploadRequest {
        files: Bundle::sample().files(),
        message: "release b".to_owned(),
        activate: true,
        ..Default::default()
    };
    let uploaded = world.admin.policies.clone().upload(request).await.expect("it is stored").into_inner();
    let second = uploaded.bundle.expect("the bundle").number;
    activate(&world.admin, second, Some(first)).await.expect_err("the second one is active");
    let request =
        PolicyServiceActivateRequest { number: first, message: "too strict".to_owned(), ..Default::default() };
    world.admin.policies.clone().activate(request).await.expect("it is activated");
    // Whichever replica is asked.
    let kept = history(&world.replicas[1].administer().await).await;
    let wanted = [(first, second, false, "too strict"), (second, first, false, "release b"), (first, 0, false, "")];
    assert_eq!(facts(&kept), wanted);
    assert!(kept.iter().all(|act| act.activated_by == "token" && act.activated_at.is_some()), "{kept:?}");
    for (page_size, page_token) in [(1_001, ""), (0, "-1"), (0, "newest")] {
        let request = PolicyServiceHistoryRequest { page_size, page_token: page_token.to_owned() };
        let status = world.admin.policies.clone().history(request).await.expect_err("there is no such page");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
    let long = PolicyServiceActivateRequest { number: second, message: "x".repeat(9_999), ..Default::default() };
    let status = world.admin.policies.clone().activate(long).await.expect_err("it is too long");
    assert!(status.code() == Code::InvalidArgument && status.message().starts_with("message:"), "{status:?}");
    assert_eq!(active(&world.admin).await, first);
}

async fn roll_back(admin: &Admin, number: u64, expected_active: Option<u64>) -> Result<(u64, u64), Status> {
    let request =
        PolicyServiceRollbackRequest { number, expected_active, message: "back".to_owned(), ..Default::default() };
    let response = admin.policies.clone().rollback(request).await?.into_inner();
    let bundle = response.bundle.expect("the bundle");
    assert!(bundle.active, "{bundle:?}");
    Ok((bundle.number, response.previous_number))
}

/// The stable code of a refusal.
fn reason(refused: Result<(u64, u64), Status>) -> (Code, String) {
    let status = refused.expect_err("it is refused");
    (status.code(), status.get_details_error_info().expect("a reason").reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn rollback_makes_an_earlier_bundle_decide_again() {
    let world = World::builder().replicas(2).start().await;
    let admin = &world.admin;
    let closed = |name: &str| {
        let forbid = format!("@id(\"{name}\") forbid (principal, action, resource);\n");
        Bundle::documents().with("policies/closed.cedar", forbid)
    };
    let first = active(admin).await;
    let precondition = |reason: &str| (Code::FailedPrecondition, reason.to_owned());
    assert_eq!(reason(roll_back(admin, 0, None).await), precondition("nothing_to_roll_back"));
    let second = admin.push(&closed("b")).await;
    let third = admin.push(&closed("c")).await;
    let request = PolicyServiceUploadRequest { files: closed("d").files(), ..Default::default() };
    admin.policies.clone().upload(request).await.expect("it is stored");
    let before = history(admin).await;
    assert_eq!(reason(roll_back(admin, 0, Some(second)).await), precondition("bundle_conflict"));
    assert_eq!(reason(roll_back(admin, third, None).await), precondition("already_active"));
    assert_eq!(reason(roll_back(admin, 999, None).await), (Code::NotFound, "not_found".to_owned()));
    assert_eq!(reason(roll_back(admin, third + 1, None).await), precondition("not_earlier"));
    assert_eq!(history(admin).await, before, "what is refused leaves nothing");
    assert_eq!(active(admin).await, third);
    // To the one before, there and back again, also where it was activated once more.
    activate(admin, third, None).await.expect("it is active already");
    assert_eq!(roll_back(admin, 0, Some(third)).await.expect("it goes back"), (second, third));
    assert_eq!(roll_back(admin, 0, None).await.expect("it goes back"), (third, second));
    assert_eq!(roll_back(admin, first, Some(third)).await.expect("it goes back"), (first, third));
    assert_eq!(roll_back(admin, third, None).await.expect("it was active before"), (third, first));
    let kept = history(&world.replicas[1].administer().await).await;
    let newest = [
        (third, first, true, "back"),
        (first, third, true, "back"),
        (third, second, true, "back"),
        (second, third, true, "back"),
    ];
    assert_eq!(facts(&kept)[..4], newest);
    assert_eq!(facts(&kept)[4..], [&[(third, third, false, "")], &facts(&before)[..]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn diff_of_two_bundles_names_what_a_reviewer_looks_for() {
    let world = World::start().await;
    let first = active(&world.admin).await;
    let closed = Bundle::documents()
        .with("policies/closed.cedar", "@id(\"closed\") forbid (principal, action, resource);\n")
        .with("bundle.toml", "name = \"closed\"\n");
    let second = world.admin.push(&closed).await;
    let diff = async |from_number, to_number| {
        let request = PolicyServiceDiffRequest { from_number, to_number, analyze: false };
        world.admin.policies.clone().diff(request).await.map(tonic::Response::into_inner)
    };
    let found = diff(first, 0).await.expect("it is compared");
    let numbers = (found.from.as_ref().map(|bundle| bundle.number), found.to.as_ref().map(|bundle| bundle.number));
    assert_eq!(numbers, (Some(first), Some(second)), "without a number, the active one is meant");
    let told: Vec<_> = found
        .differences
        .iter()
        .map(|found| (found.part().as_str_name(), found.name.as_str(), found.change().as_str_name()))
        .collect();
    assert!(told.contains(&("PART_POLICY", "closed", "CHANGE_ADDED")), "{told:?}");
    assert!(told.iter().any(|(part, name, _)| (*part, *name) == ("PART_FILE", "bundle.toml")), "{told:?}");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(found.text.contains("--- /dev/null\n+++ policy closed\n"), "{}", found.text);
    let back = diff(second, first).await.expect("it is compared");
    assert!(back.text.contains("--- policy closed\n+++ /dev/null\n"), "{}", back.text);
    let same = diff(second, second).await.expect("it is compared");
    assert!(same.differences.is_empty() && same.text.is_empty(), "{same:?}");
    let status = diff(first, 999).await.expect_err("there is no such bundle");
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_listed_newest_first_and_come_back_as_they_were_uploaded() {
    let world = World::start().await;
    let first = active(&world.admin).await;
    let named = |name: &str| Bundle::documents().with("bundle.toml", format!("name = \"{name}\"\n"));
    let mut numbers = vec![first];
    for name in ["b", "c", "d"] {
        let request = PolicyServiceUploadRequest {
            files: named(name).files(),
            message: format!("release {name}"),
            activate: false,
            ..Default::default()
        };
        let response = world.admin.policies.clone().upload(request.clone()).await.expect("it is stored").into_inner();
        let bundle = response.bundle.expect("the bundle");
        assert!(response.created && !bundle.active, "{bundle:?}");
        assert_eq!((bundle.message.as_str(), bundle.uploaded_by.as_str()), (&*format!("release {name}"), "token"));
        numbers.push(bundle.number);
        let again = world.admin.policies.clone().upload(request).await.expect("it is there").into_inner();
        assert!(!again.created, "{again:?}");
        assert_eq!(again.bundle.expect("the bundle").number, bundle.number);
    }
    numbers.reverse();
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = PolicyServiceListRequest { page_size: 3, page_token };
        let page = world.admin.policies.clone().list(request).await.expect("a page").into_inner();
        listed.extend(page.bundles);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed.iter().map(|bundle| bundle.number).collect::<Vec<_>>(), numbers);
    let active: Vec<u64> = listed.iter().filter(|bundle| bundle.active).map(|bundle| bundle.number).collect();
    assert_eq!(active, [first]);
    let get = async |number| world.admin.policies.clone().get(PolicyServiceGetRequest { number }).await;
    let files =
        |response: tonic::Response<chaperone_api::chaperone::v1::PolicyServiceGetResponse>| response.into_inner().files;
    assert_eq!(files(get(0).await.expect("the active one")), Bundle::documents().files());
    assert_eq!(files(get(numbers[0]).await.expect("the newest one")), named("d").files());
    let status = get(999).await.expect_err("there is no such bundle");
    assert_eq!(status.code(), Code::NotFound, "{status:?}");
}
