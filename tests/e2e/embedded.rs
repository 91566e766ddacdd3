//! One node, one file, no database.

use chaperone_e2e::admin;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::{self, Chaperone};
use chaperone_e2e::direct::Direct;

fn url_in(directory: &tempfile::TempDir) -> String {
    format!("embedded:{}", directory.path().join("chaperone.db").display())
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_bundle_outlive_a_restart_and_a_crash() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = url_in(&directory);
    chaperone::migrate(&url);
    let mut replica = Chaperone::start(&url, &[]).await;
    let administer = replica.administer().await;
    let number = administer.push(&Bundle::documents()).await;
    let (kept, revoked) =
        (administer.open(admin::agent("reader")).await, administer.open(admin::agent("reader")).await);
    administer.revoke(&revoked.session.id).await;
    for crash in [false, true, false] {
        if crash {
            replica.process().kill();
        } else {
            assert!(replica.terminate().await.success(), "{}", replica.process().output());
        }
        replica = Chaperone::start(&url, &[]).await;
        replica.ready().await;
        let direct = Direct::to(&replica).await;
        let decision = direct.check(chaperone_e2e::direct::read("42", &kept.handle)).await.expect("a decision");
        assert_eq!((decision.code.as_str(), decision.bundle_number), ("permitted", number));
        assert_eq!(direct.read(&revoked.handle).await, "session_revoked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn second_process_on_the_same_file_ends_and_says_why() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = url_in(&directory);
    let mut first = Chaperone::start(&url, &[]).await;
    let mut second = Chaperone::spawn(&url, &[]);
    let status = second.process().ended().await;
    let output = second.process().output();
    assert!(!status.success(), "{output}");
    assert!(output.contains("chaperone.db") && output.contains("open in another process"), "{output}");
    let migrate = chaperone_e2e::cli::run(&["migrate", "--store-url", &url]);
    assert_ne!(migrate.code, 0, "{migrate:?}");
    assert!(migrate.stderr.contains("open in another process"), "{migrate:?}");
    first.process().assert_running();
    first.administer().await.push(&Bundle::documents()).await;
}
