//! The shipped dashboard and alert rules: they speak of what a replica really tells.

use std::collections::BTreeSet;
use std::path::Path;

use chaperone_e2e::admin;
use chaperone_e2e::bundles::Bundle;
use chaperone_e2e::chaperone::Chaperone;
use chaperone_e2e::direct::{Direct, read};
use chaperone_e2e::wait;

/// A policy that counts and one that raises an alert: both have metrics of their own.
const POLICIES: &str = "@id(\"reads-are-counted\")\n@observe\n@count(\"reads\")\n@alert(\"read:low\")\n\
                        permit (principal, action == Action::\"read\", resource);\n";

/// The metrics that a file speaks of, without what a histogram adds to its name.
fn spoken_of(file: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("chaperone_"));
    names
        .map(|name| {
            ["_seconds_bucket", "_seconds_count", "_seconds_sum"]
                .iter()
                .find_map(|ending| name.strip_suffix(ending))
                .map_or_else(|| name.to_owned(), |histogram| format!("{histogram}_seconds"))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_alert_rules_name_only_metrics_that_there_are() {
    let mut replica = Chaperone::start("embedded::memory:", &["--sessions-touch-interval", "100ms"]).await;
    let admin = replica.administer().await;
    admin.push(&Bundle::documents().with("policies/observed.cedar", POLICIES)).await;
    replica.ready().await;
    let opened = admin.open(admin::agent("reader")).await;
    let decision = Direct::to(&replica).await.check(read("42", &opened.handle)).await.expect("a decision");
    assert_eq!(decision.code, "permitted");
    // The store is asked for it now and then.
    let told = wait::until("how many approvals wait is known", async || {
        let told = replica.metrics().await;
        told.contains("\nchaperone_approvals_waiting ").then_some(told)
    })
    .await;
    let told: BTreeSet<_> =
        told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned)).collect();
    for file in ["prometheus/alerts.yaml", "grafana/dashboards/chaperone.json"] {
        let spoken_of = spoken_of(file);
        assert!(spoken_of.len() > 10, "{file}: {spoken_of:?}");
        let unknown: Vec<_> = spoken_of.difference(&told).collect();
        assert!(unknown.is_empty(), "{file} speaks of {unknown:?}; there are {told:?}");
    }
}
