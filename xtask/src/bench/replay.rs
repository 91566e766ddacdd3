//! How fast what was decided is made again by a bundle, with reading it from the server that decided.

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Figures;
use super::server::Server;
use super::setting::{Setting, admin_plane};
use crate::command::{command, output, root};

/// The bundle that decided, which is as good as another: nothing is compared faster for being the same.
const CANDIDATE: &str = "1";

/// Measures once, over all that the server decided, and adds the figure.
///
/// # Errors
/// When decisions cannot be made again, or come out otherwise.
pub fn measure(setting: &Setting, server: &Server, figures: &mut Figures) -> anyhow::Result<()> {
    figures.insert("replay_decisions_per_s".to_owned(), decisions_per_s(setting, server)?);
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
