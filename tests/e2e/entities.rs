//! Entities that are kept beside those of the bundle.

use std::collections::HashMap;

use chaperone_api::chaperone::v1::{
    Entity, EntityRef, EntityServiceDeleteRequest, EntityServiceListRequest, EntityServicePutRequest, Value,
};
use chaperone_e2e::admin::{Admin, entity, member};
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::direct::Direct;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use tonic::{Code, Status};

fn values(values: &[(&str, Value)]) -> HashMap<String, Value> {
    values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn with(uid: EntityRef, attributes: &[(&str, Value)]) -> Entity {
    Entity { uid: Some(uid), attributes: values(attributes), ..Default::default() }
}

fn document(id: &str, sensitivity: &str) -> Entity {
    with(entity("Document", id), &[("sensitivity", member(sensitivity))])
}

async fn put(admin: &Admin, entities: Vec<Entity>) -> Result<u64, Status> {
    let stored = admin.entities.clone().put(EntityServicePutRequest { entities }).await?;
    Ok(stored.into_inner().stored_count)
}

async fn delete(admin: &Admin, uids: Vec<EntityRef>) -> u64 {
    let deleted = admin.entities.clone().delete(EntityServiceDeleteRequest { uids }).await.expect("it is deleted");
    deleted.into_inner().deleted_count
}

async fn list(admin: &Admin, r#type: &str, page_size: u32) -> Vec<String> {
    let (mut ids, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = EntityServiceListRequest { r#type: r#type.to_owned(), page_size, page_token };
        let page = admin.entities.clone().list(request).await.expect("a page").into_inner();
        assert!(page.entities.len() <= page_size as usize, "{page:?}");
        ids.extend(page.entities.into_iter().filter_map(|entity| entity.uid).map(|uid| uid.id));
        if page.next_page_token.is_empty() {
            return ids;
        }
        page_token = page.next_page_token;
    }
}

/// Documents, of which nobody reads the secret ones.
fn guarding_secrets() -> Bundle {
    Bundle::documents().with(
        "policies/sensitivity.cedar",
        "@id(\"no-secrets\")\nforbid (principal, action == Action::\"read\", resource is Document)\n\
         when { resource has sensitivity && resource.sensitivity == \"secret\" };\n",
    )
}

async fn until_reading_is(direct: &Direct, handle: &str, code: &str) {
    wait::until(format!("reading is {code}"), async || (direct.read(handle).await == code).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_entity_decides_on_every_replica_until_it_is_deleted() {
    let world = World::builder().replicas(2).bundle(guarding_secrets()).start().await;
    let handle = world.session().await.handle;
    let replicas = [Direct::to(&world.replicas[0]).await, Direct::to(&world.replicas[1]).await];
    let everywhere = async |code: &str| {
        for direct in &replicas {
            until_reading_is(direct, &handle, code).await;
        }
    };
    everywhere("permitted").await;
    assert_eq!(put(&world.admin, vec![document("42", "secret")]).await.expect("it fits"), 1);
    everywhere("forbidden").await;
    assert_eq!(put(&world.admin, vec![document("42", "public")]).await.expect("it fits"), 1);
    everywhere("permitted").await;
    // Stored before the bundle's own: the agent is suspended without a new bundle.
    let suspended = with(entity("Agent", "reader"), &[("suspended", member(true))]);
    put(&world.admin, vec![suspended]).await.expect("it fits");
    everywhere("principal_suspended").await;
    let uids = vec![entity("Agent", "reader"), entity("Agent", "nobody")];
    assert_eq!(delete(&world.admin, uids).await, 1, "one of them existed");
    everywhere("permitted").await;
}

/// How many entities each replica has taken over by themselves, and how often it has loaded everything.
async fn taken_over(world: &World) -> Vec<(u64, u64)> {
    let mut counts = Vec::new();
    for replica in &world.replicas {
        let metrics = replica.metrics().await;
        let sum = |name: &str| {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
        };
        counts.push((sum("chaperone_entity_changes_total"), sum("chaperone_bundle_reloads_total")));
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn one_entity_changes_among_many_without_loading_the_others() {
    let world = World::builder().replicas(2).bundle(guarding_secrets()).start().await;
    let handle = world.session().await.handle;
    let many = (0..900).map(|number| document(&format!("d{number}"), "public")).collect();
    put(&world.admin, many).await.expect("they fit");
    wait::until("both replicas have them", async || {
        taken_over(&world).await.iter().all(|(changes, _)| *changes == 900).then_some(())
    })
    .await;
    let before = taken_over(&world).await;
    put(&world.admin, vec![document("42", "secret")]).await.expect("it fits");
    for replica in &world.replicas {
        until_reading_is(&Direct::to(replica).await, &handle, "forbidden").await;
    }
    let expected: Vec<_> = before.into_iter().map(|(changes, reloads)| (changes + 1, reloads)).collect();
    assert_eq!(taken_over(&world).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn tag_decides() {
    let guarded = Bundle::documents().replacing(
        "schema.cedarschema",
        "{ owner?: String, sensitivity?: String }",
        "{ owner?: String, sensitivity?: String } tags String",
    );
    let guarded = guarded.with(
        "policies/zones.cedar",
        "@id(\"zones\")\nforbid (principal, action == Action::\"read\", resource is Document)\n\
         when { resource.hasTag(\"zone\") && resource.getTag(\"zone\") != \"eu\" };\n",
    );
    let world = World::builder().bundle(guarded).start().await;
    let direct = Direct::to(&world.replicas[0]).await;
    let handle = world.session().await.handle;
    let tagged = |tags: &[(&str, Value)]| Entity { tags: values(tags), ..document("42", "public") };
    for (tags, code) in [
        (tagged(&[]), "permitted"),
        (tagged(&[("zone", member("us")), ("colour", member("red"))]), "forbidden"),
        (tagged(&[("zone", member("eu"))]), "permitted"),
    ] {
        put(&world.admin, vec![tags.clone()]).await.expect("it fits");
        until_reading_is(&direct, &handle, code).await;
        let request = EntityServiceListRequest { page_size: 10, ..Default::default() };
        let listed = world.admin.entities.clone().list(request).await.expect("a page").into_inner().entities;
        assert_eq!(listed, [tags]);
    }
    let status = put(&world.admin, vec![tagged(&[("zone", member(7))])]).await.expect_err("tags are strings");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_are_listed_by_type_in_pages() {
    let world = World::start().await;
    let documents: Vec<String> = (0..7).map(|number| format!("d {number}")).collect();
    let mut entities: Vec<Entity> = documents.iter().map(|id| document(id, "public")).collect();
    entities.push(with(entity("Agent", "a"), &[]));
    assert_eq!(put(&world.admin, entities).await.expect("they fit"), 8);
    for page_size in [1, 3, 7, 8] {
        assert_eq!(list(&world.admin, "Document", page_size).await, documents, "pages of {page_size}");
    }
    assert_eq!(list(&world.admin, "", 2).await.len(), 8);
    assert!(list(&world.admin, "Team", 2).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn entity_that_does_not_fit_is_refused_and_nothing_beside_it_is_stored() {
    let world = World::start().await;
    let in_circle =
        |id: &str, parent: &str| Entity { parents: vec![entity("Team", parent)], ..with(entity("Team", id), &[]) };
    let unfit = [
        vec![with(entity("Document", "43"), &[("sensitivity", member(7))])],
        vec![with(entity("Document", "43"), &[("colour", member("red"))])],
        vec![with(entity("Spaceship", "43"), &[])],
        vec![in_circle("a", "b"), in_circle("b", "a")],
        vec![],
        (0..1001).map(|number| document(&format!("{number}"), "public")).collect(),
    ];
    for mut entities in unfit {
        if (1..1000).contains(&entities.len()) {
            entities.insert(0, document("42", "public"));
        }
        let status = put(&world.admin, entities).await.expect_err("it is refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
    assert!(list(&world.admin, "", 10).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn bundle_that_stored_entities_do_not_fit_is_not_activated() {
    let world = World::start().await;
    let direct = Direct::to(&world.replicas[0]).await;
    let handle = world.session().await.handle;
    put(&world.admin, vec![document("42", "public")]).await.expect("it fits");
    let narrower = Bundle::documents().replacing(
        "schema.cedarschema",
        "{ owner?: String, sensitivity?: String }",
        "{ owner?: String }",
    );
    let request = chaperone_api::chaperone::v1::PolicyServiceUploadRequest {
        files: narrower.files(),
        activate: true,
        ..Default::default()
    };
    let status = world.admin.policies.clone().upload(request).await.expect_err("it is not activated");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert!(status.message().contains("42"), "{status:?}");
    assert_eq!(direct.read(&handle).await, "permitted", "the active one keeps deciding");
    delete(&world.admin, vec![entity("Document", "42")]).await;
    let number = world.admin.push(&narrower).await;
    until_reading_is(&direct, &handle, "permitted").await;
    // Going back to it is no way around.
    world.admin.push(&Bundle::documents()).await;
    put(&world.admin, vec![document("42", "public")]).await.expect("it fits");
    let request = chaperone_api::chaperone::v1::PolicyServiceRollbackRequest { number, ..Default::default() };
    let status = world.admin.policies.clone().rollback(request).await.expect_err("it is not activated");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert!(status.message().contains("42"), "{status:?}");
    assert_eq!(direct.read(&handle).await, "permitted", "the active one keeps deciding");
}
