//! What callers notice of bundles that are activated and rolled back: three replicas over one database, with the default settings.

use anyhow::Context as _;

use super::Figures;
use super::figures::rounded;
use super::setting::{Setting, admin_plane};

/// Policies of the bundle that is active at first.
const POLICIES: &str = "100";
/// Replicas.
const REPLICAS: usize = 3;
/// Checks a second that each of them is sent.
const RATE: &str = "1000";
/// Activations and rollbacks, at least.
const CHANGES: &str = "200";
/// A machine that is busy for a second is no outage of the store.
const STORE_TIMEOUT: &str = "10s";

/// Measures, and adds the figures.
///
/// # Errors
/// When a server does not start, a change is refused, or a check is not allowed.
pub fn measure(setting: &Setting, figures: &mut Figures) -> anyhow::Result<()> {
    let postgres = setting.postgres()?;
    let url = postgres.url();
    let journals: Vec<String> = (0..REPLICAS).map(|number| setting.journal(&format!("replica-{number}"))).collect();
    let serve = |journal: &String| {
        let options = [("--store-url", url.as_str()), ("--store-timeout", STORE_TIMEOUT), ("--trail-dir", journal)];
        setting.serve(&[&options[..], &[("--trail-ack", "durable")]].concat())
    };
    let replicas: Vec<_> = journals.iter().map(serve).collect::<anyhow::Result<_>>()?;
    let (first, last) = replicas.first().zip(replicas.last()).context("there are replicas")?;
    let frame = setting.prepare(first, last, "activations", &[POLICIES])?;
    let frame = frame.to_str().context("the target directory's path is not UTF-8")?;
    let mut addresses = Vec::new();
    for replica in &replicas {
        addresses.extend([admin_plane(replica)?, replica.address].map(|address| address.to_string()));
    }
    let arguments = [frame, RATE, CHANGES].into_iter().chain(addresses.iter().map(String::as_str));
    let report = setting.load.report("activations", &arguments.collect::<Vec<_>>())?;
    figures.extend(report.figures().map(|(name, value)| (format!("activation_{name}"), rounded(value))));
    Ok(())
}
