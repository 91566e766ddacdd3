//! What criterion measured of the decision core.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::figures::rounded;

/// The sizes of the policy sets that are compared, as benches name them, and the names of the figures.
const SIZES: [(&[&str], &str); 2] = [(&["10"], "decide_10_ns"), (&["10000", "10k", "10_000"], "decide_10k_ns")];

/// Adds the median times of the `decide` benches and their ratio.
///
/// # Errors
/// When one of them is missing.
pub fn record(directory: &Path, figures: &mut BTreeMap<String, f64>) -> anyhow::Result<()> {
    let mut medians = Vec::new();
    for (sizes, name) in SIZES {
        let median = estimates(directory)
            .into_iter()
            .find(|path| is_decide_of(path, sizes))
            .with_context(|| format!("no `decide` bench at {sizes:?} policies below {}", directory.display()))
            .and_then(|path| median_ns(&path))?;
        figures.insert(name.to_owned(), rounded(median));
        medians.push(median);
    }
    if let [ten, ten_thousand] = medians.as_slice() {
        figures.insert("decide_10k_over_10_ratio".to_owned(), rounded(ten_thousand / ten));
    }
    Ok(())
}

/// Every `…/new/estimates.json`.
fn estimates(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for path in fs::read_dir(&directory).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()) {
            if path.is_dir() {
                directories.push(path);
            } else if path.ends_with("new/estimates.json") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Whether the path is `…/decide…/…/<size>/new/estimates.json`.
fn is_decide_of(path: &Path, sizes: &[&str]) -> bool {
    let mut names = path.iter().rev().skip(2).filter_map(|name| name.to_str());
    let size = names.next().is_some_and(|name| sizes.contains(&name));
    size && names.any(|name| name.starts_with("decide"))
}

fn median_ns(path: &Path) -> anyhow::Result<f64> {
    let estimates: Value = serde_json::from_str(&fs::read_to_string(path)?)?;
    estimates
        .pointer("/median/point_estimate")
        .and_then(Value::as_f64)
        .with_context(|| format!("{} has no median", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bench_is_found_by_its_name_and_size() {
        let path = Path::new("target/criterion/decide/policies/10000/new/estimates.json");
        assert!(is_decide_of(path, &["10000"]));
        assert!(!is_decide_of(path, &["10"]));
        assert!(!is_decide_of(Path::new("target/criterion/parse/10/new/estimates.json"), &["10"]));
    }
}
