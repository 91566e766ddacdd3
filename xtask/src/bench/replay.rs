//! How fast what was decided is made again by a bundle, with reading it from the server that decided.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::figures::{median, rounded};
use super::setting::{Setting, admin_plane};
use super::{Figures, Plan};
use crate::bench::server::Server;
use crate::command::{command, output, root};

/// The bundle that decided, which is as good as another: nothing is compared faster for being the same.
const CANDIDATE: &str = "1";

/// Measures, and adds the figure.
///
/// # Errors
/// When decisions cannot be made again, or come out otherwise.
pub fn measure(setting: &Setting, plan: &Plan, server: &Server, figures: &mut Figures) -> anyhow::Result<()> {
    let rates: Vec<f64> = (0..plan.rounds).map(|_| decisions_per_s(setting, server)).collect::<anyhow::Result<_>>()?;
    let rate = median(rates).context("there are rounds")?;
    figures.insert("replay_decisions_per_s".to_owned(), rounded(rate));
    Ok(())
}

fn decisions_per_s(setting: &Setting, server: &Server) -> anyhow::Result<f64> {
    let (admin, token) = (format!("http://{}", admin_plane(server)?), root().join("tests/fixtures/admin-token"));
    let mut replay = command(setting.load.binaries.join("chaperone"), &["bundle", "replay", CANDIDATE]);
    replay.args(["--last", "1d", "--limit", "0", "--output", "json", "--admin", &admin]).arg("--token-file").arg(token);
    let told: Value = serde_json::from_str(&output(replay)?).context("the command's output")?;
    let count =
        |name: &str| told.get(name).and_then(Value::as_u64).with_context(|| format!("the output has no `{name}`"));
    let (decisions, same) = (count("decision_count")?, count("identical_count")?);
    ensure!(decisions > 0 && same == decisions, "of {decisions} decisions {same} came out the same");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(count("decisions_per_s")? as f64)
}
