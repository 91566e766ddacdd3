//! Bundles as the admin plane keeps them.

use chaperone_api::chaperone::v1::{
    PolicyServiceActivateRequest, PolicyServiceGetRequest, PolicyServiceListRequest, PolicyServiceUploadRequest,
};
use chaperone_e2e::admin::Admin;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::world::World;
use tonic::{Code, Status};

async fn activate(admin: &Admin, number: u64, expected_active: Option<u64>) -> Result<u64, Status> {
    let request = PolicyServiceActivateRequest { number, expected_active };
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
