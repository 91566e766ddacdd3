//! What criterion measured of the decision core, and of Cedar's authorizer beside it; and the figures of it that have a target, which
//! `benches/alternating.rs` measures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::Figures;
use super::figures::{rounded, shown};
use super::load::Report;

/// The benches of `decide.rs` and their figures: the group, the candidates, and what the figures' names begin with.
const BENCHES: [(&str, &str, &str); 4] = [
    ("decide", "few", "decide"),
    ("decide", "many", "decide_many"),
    ("cedar", "few", "cedar_authorizer"),
    ("cedar", "many", "cedar_authorizer_many"),
];
/// Figures of both sizes in turn, and what they are called there.
const ALTERNATING: [(&str, &str); 5] = [
    ("decide_100_policies_ns", "median_100_ns"),
    ("decide_100_policies_min_ns", "min_100_ns"),
    ("decide_10k_policies_ns", "median_10000_ns"),
    ("decide_10k_policies_min_ns", "min_10000_ns"),
    ("decide_10k_over_100_ratio", "ratio"),
];
/// How many policies, and how figures' names write it.
const SIZES: [(u32, &str); 4] = [(10, "10"), (100, "100"), (1_000, "1k"), (10_000, "10k")];

/// Adds the median times and their ratios. What has a target is not criterion's: it measures one size after the other, and between two
/// of them the machine may have become another one.
///
/// # Errors
/// When one of them is missing.
pub fn record(directory: &Path, alternating: &Report, figures: &mut Figures) -> anyhow::Result<()> {
    for (group, candidates, prefix) in BENCHES {
        for (size, name) in SIZES {
            let bench = directory.join(group).join(candidates).join(size.to_string());
            figures.insert(format!("{prefix}_{name}_ns"), median_ns(&bench)?);
        }
    }
    figures.insert("decide_request_ns".to_owned(), median_ns(&directory.join("request"))?);
    for (name, measured) in ALTERNATING {
        figures.insert(name.to_owned(), rounded(alternating.figure(measured)?));
    }
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
            named.map_or_else(|| "not measured".to_owned(), |ns| format!("{} µs", shown(ns / 1000.0)))
        };
        let cells = BENCHES.map(|(_, _, prefix)| cell(prefix));
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| {size} | {} |", cells.join(" | "));
    }
    let [hundred, hundred_min, ten_thousand, ten_thousand_min, ratio] = ALTERNATING.map(|(name, _)| figures.get(name));
    if let (Some(hundred), Some(hundred_min)) = (hundred, hundred_min)
        && let (Some(ten_thousand), Some(ten_thousand_min), Some(ratio)) = (ten_thousand, ten_thousand_min, ratio)
    {
        let [hundred, hundred_min, ten_thousand, ten_thousand_min] =
            [hundred, hundred_min, ten_thousand, ten_thousand_min].map(|ns| shown(ns / 1000.0));
        let _ = writeln!(
            table,
            "\nIn turn, few apply: {hundred} µs with 100 policies and {ten_thousand} µs with 10,000 in the median, {hundred_min} µs and \
             {ten_thousand_min} µs at the least. The median ratio of a pair is {}.",
            shown(*ratio)
        );
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
