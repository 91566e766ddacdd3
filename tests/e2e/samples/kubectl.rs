//! The API of a Kubernetes cluster.

use chaperone_e2e::client::Request;
use chaperone_e2e::upstream::received;

use super::{Step, json, run, session, world};

const STAGING: &str = "/api/v1/namespaces/shop-staging";
const PRODUCTION: &str = "/api/v1/namespaces/shop-prod";

fn get(place: &str, what: &str) -> Request {
    Request::get(format!("{place}/{what}"))
}

fn exec(place: &str, command: &[&str]) -> Request {
    let query = command.iter().map(|word| format!("command={word}&")).collect::<Vec<_>>().concat();
    Request::new("POST", format!("{place}/pods/web-0/exec?{query}stdout=true")).body("\n")
}

fn deployment(namespace: &str) -> Request {
    json(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"), r#"{"kind":"Deployment"}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn developers_work_in_their_namespaces() {
    let world = world("kubectl").await;
    let steps = [
        Step("the version", Request::get("/version"), "permitted"),
        Step("the kinds", Request::get("/apis/apps/v1"), "permitted"),
        Step("the pods", get(STAGING, "pods"), "permitted"),
        Step("a log", get(PRODUCTION, "pods/web-0/log"), "permitted"),
        Step("the pods of others", get("/api/v1/namespaces/bank", "pods"), "no_permit"),
        Step("the pods of all", Request::get("/api/v1/pods"), "no_permit"),
        Step("a deployment", deployment("shop-staging"), "permitted"),
        Step("one in production", deployment("shop-prod"), "step_up_required"),
        Step("a shell", exec(STAGING, &["sh"]), "permitted"),
        Step("a shell in production", exec(PRODUCTION, &["sh"]), "forbidden"),
        Step("a command in production", exec(PRODUCTION, &["ls"]), "step_up_required"),
        Step("a role", json("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "{}"), "no_permit"),
        Step("the profiles of the server", Request::get("/debug/pprof/heap"), "no_permit"),
        Step("a path with two readings", Request::get("/api/v1/namespaces/shop-staging//pods"), "permitted"),
    ];
    run(&world, "Developer::dora", steps).await;
    let steps = [
        Step("the version", Request::get("/version"), "permitted"),
        Step("the pods", get(STAGING, "pods"), "no_permit"),
    ];
    run(&world, "Developer::guest", steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_closes_the_shells() {
    let world = world("kubectl").await;
    let steps = [
        Step("a shell", exec(STAGING, &["sh"]), "permitted"),
        Step("all secrets", get(STAGING, "secrets"), "forbidden"),
        Step("a secret of production", get(PRODUCTION, "secrets/db"), "no_permit"),
        Step("a secret", get(STAGING, "secrets/db"), "permitted"),
        Step("a shell after it", exec(STAGING, &["sh"]), "forbidden"),
        Step("a log after it", get(STAGING, "pods/web-0/log"), "permitted"),
    ];
    run(&world, "Developer::dora", steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_impersonates() {
    let world = world("kubectl").await;
    let handle = session(&world, "Developer::dora").await;
    let request = get(STAGING, "pods")
        .session(&handle)
        .header("Impersonate-User", "root")
        .header("Impersonate-User", "admin")
        .header("Impersonate-Group", "system:masters");
    let echo = world.send(request).await.json();
    assert_eq!(received(&echo, "impersonate-user"), ["dora"], "{echo}");
    assert!(received(&echo, "impersonate-group").is_empty(), "{echo}");
}
