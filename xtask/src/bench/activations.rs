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

/// Measures, and adds the figures.
///
/// # Errors
/// When a server does not start, a change is refused, or a check is not allowed.
pub fn measure(setting: &Setting, figures: &mut Figures) -> anyhow::Result<()> {
    let postgres = setting.postgres()?;
    let serve = |number| setting.replica(&postgres, &format!("replica-{number}"), &[("--trail-ack", "durable")]);
    let replicas: Vec<_> = (0..REPLICAS).map(serve).collect::<anyhow::Result<_>>()?;
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
