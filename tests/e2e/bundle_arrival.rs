//! An activation has arrived when every live replica serves it.

use std::fs;

use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone;
use chaperone_e2e::cli::{self, Finished};
use chaperone_e2e::process::Signal;
use chaperone_e2e::wait;
use chaperone_e2e::world::World;
use serde_json::Value;
use tempfile::TempDir;

fn folder(name: &str) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for file in Bundle::documents().with("bundle.toml", format!("name = \"{name}\"\n")).files() {
        let path = directory.path().join(&file.path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(path, file.content).expect("the file is written");
    }
    directory
}

fn bundle(world: &World, arguments: &[&str]) -> Finished {
    let (url, token) = (format!("http://{}", world.replicas[0].admin), chaperone::admin_token_file());
    cli::run(&[&["bundle"], arguments, &["--admin", &url, "--token-file", &token]].concat())
}

fn push(world: &World, folder: &TempDir, options: &[&str]) -> Finished {
    bundle(world, &[&["push", folder.path().to_str().expect("UTF-8"), "--activate"], options].concat())
}

fn rollout(world: &World) -> Value {
    let shown = bundle(world, &["rollout", "--output", "json"]);
    serde_json::from_str(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {shown:?}"))
}

/// The numbers that live replicas serve.
fn served(world: &World) -> Vec<u64> {
    let rollout = rollout(world);
    let replicas = rollout["replicas"].as_array().expect("replicas");
    replicas.iter().filter_map(|replica| replica["number"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn push_waits_until_every_live_replica_serves_the_bundle() {
    let world = World::builder().replicas(2).start().await;
    let both_tell = async || (served(&world).len() == 2).then_some(());
    wait::until("both replicas tell of themselves", both_tell).await;
    let folder = folder("next");
    let pushed = push(&world, &folder, &["--output", "json"]);
    assert_eq!(pushed.code, 0, "{pushed:?}");
    let number = serde_json::from_str::<Value>(&pushed.stdout).expect("JSON")["number"].as_u64().expect("a number");
    assert_eq!(served(&world), [number, number], "it was waited for");
    assert_eq!(rollout(&world)["complete"], true);
    let again = push(&world, &folder, &["--output", "json"]);
    let again: Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!((&again["number"], &again["created"]), (&number.into(), &false.into()), "the same files again");
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_that_lags_is_named_and_one_that_left_is_not_waited_for() {
    let mut world = World::builder().replicas(2).start().await;
    wait::until("both replicas tell of themselves", async || (served(&world).len() == 2).then_some(())).await;
    world.replicas[1].process().signal(Signal::Stop);
    let lagging = push(&world, &folder("second"), &["--wait", "500ms"]);
    assert_eq!(lagging.code, 2, "{lagging:?}");
    assert!(
        lagging.stderr.contains("not every replica serves it") && lagging.stderr.contains("serves bundle 1"),
        "{lagging:?}"
    );
    let unasked = push(&world, &folder("third"), &["--wait", "0s"]);
    assert_eq!(unasked.code, 0, "{unasked:?}");
    world.replicas[1].process().signal(Signal::Continue);
    wait::until("it catches up", async || (served(&world) == [3, 3]).then_some(())).await;
    world.replicas[1].terminate().await;
    assert_eq!(served(&world), [3], "it said that it leaves");
    assert_eq!(push(&world, &folder("fourth"), &[]).code, 0);
}
