//! What criterion measured of the decision core, and of Cedar's authorizer beside it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::Figures;
use super::figures::{rounded, shown};

/// The benches of `decide.rs` and their figures: the group, the candidates, and what the figures' names begin with.
const BENCHES: [(&str, &str, &str); 4] = [
    ("decide", "few", "decide"),
    ("decide", "many", "decide_many"),
    ("cedar", "few", "cedar_authorizer"),
    ("cedar", "many", "cedar_authorizer_many"),
];
/// How many policies, and how figures' names write it.
const SIZES: [(u32, &str); 4] = [(10, "10"), (100, "100"), (1_000, "1k"), (10_000, "10k")];

/// Adds the median times and their ratios.
///
/// # Errors
/// When one of them is missing.
pub fn record(directory: &Path, figures: &mut Figures) -> anyhow::Result<()> {
    for (group, candidates, prefix) in BENCHES {
        for (size, name) in SIZES {
            let bench = directory.join(group).join(candidates).join(size.to_string());
            figures.insert(format!("{prefix}_{name}_ns"), median_ns(&bench)?);
        }
    }
    figures.insert("decide_request_ns".to_owned(), median_ns(&directory.join("request"))?);
    // What the target is named for.
    let time = |figures: &Figures, name: &str| figures.get(name).copied().context("it was just measured");
    let (ten, hundred) = (time(figures, "decide_10_ns")?, time(figures, "decide_100_ns")?);
    let ten_thousand = time(figures, "decide_10k_ns")?;
    figures.remove("decide_100_ns");
    figures.insert("decide_100_policies_ns".to_owned(), hundred);
    figures.insert("decide_10k_over_10_ratio".to_owned(), rounded(ten_thousand / ten));
    figures.insert("decide_10k_over_100_ratio".to_owned(), rounded(ten_thousand / hundred));
    Ok(())
}

/// Both evaluators by the size of the set, in Markdown.
pub fn table(figures: &Figures) -> String {
    let mut table =
        "| policies | `decide`, few apply | `decide`, many apply | Cedar, few apply | Cedar, many apply |\n\
                     | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for (size, name) in SIZES {
        let cell = |prefix: &str| {
            let named = figures.get(&format!("{prefix}_{name}_ns"));
            let named = named.or_else(|| figures.get(&format!("{prefix}_{name}_policies_ns")));
            named.map_or_else(|| "not measured".to_owned(), |ns| format!("{} µs", shown(ns / 1000.0)))
        };
        let cells = BENCHES.map(|(_, _, prefix)| cell(prefix));
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| {size} | {} |", cells.join(" | "));
    }
    if let Some(request) = figures.get("decide_request_ns") {
        let _ = writeln!(
            table,
            "\nMaking the request out of a caller's attributes takes {} µs more.",
            shown(request / 1000.0)
        );
    }
    table
}

fn median_ns(bench: &Path) -> anyhow::Result<f64> {
    let path = bench.join("new/estimates.json");
    let text = fs::read_to_string(&path).with_context(|| format!("no bench at {}", path.display()))?;
    let estimates: Value = serde_json::from_str(&text)?;
    let median = estimates.pointer("/median/point_estimate").and_then(Value::as_f64);
    median.map(rounded).with_context(|| format!("{} has no median", path.display()))
}
