//! Bundles as they are printed.

use chaperone_api::chaperone::v1::{Backfill, Bundle, BundleFile};
use serde::Serialize;

use crate::cli::output::{self, Cell, GOOD, PLAIN, Table};
use crate::cli::time::shown_time;
use crate::count_text::count_text;

/// A bundle in JSON output.
#[derive(Debug, Serialize)]
pub struct BundleJson<'a> {
    number: u64,
    active: bool,
    digest: &'a str,
    policy_count: u32,
    message: &'a str,
    uploaded_by: &'a str,
    uploaded_at: Option<String>,
}

/// A bundle with its files in JSON output.
#[derive(Debug, Serialize)]
pub struct BundleWithFilesJson<'a> {
    #[serde(flatten)]
    bundle: BundleJson<'a>,
    files: Vec<FileJson<'a>>,
}

#[derive(Debug, Serialize)]
struct FileJson<'a> {
    path: &'a str,
    content: &'a str,
}

/// Says beside the result what was filled in, if anything was.
pub fn tell_backfill(filled: Option<&Backfill>) {
    let Some(Backfill { names, since, decision_count, untold_count, untold_code, memory_count, full_count }) = filled
    else {
        return;
    };
    if since.is_none() {
        output::note(&format!("the server fills in nothing (--bundles-backfill): {names} begins with this activation"));
        return;
    }
    let since = shown_time(since.as_ref());
    output::note(&format!(
        "filled in {names} since {since}: for {}, from {}",
        count_text(*memory_count, "session, tree or principal", "sessions, trees and principals"),
        count_text(*decision_count, "decision", "decisions")
    ));
    if *untold_count > 0 {
        let tell = if *untold_count == 1 { "tells" } else { "tell" };
        output::note(&format!("{untold_count} of these decisions {tell} nothing of it ({untold_code})"));
    }
    if *full_count > 0 {
        output::note(&format!("in {full_count} of them there was no room for all of it: see --memory-max-…"));
    }
}

impl<'a> From<&'a Bundle> for BundleJson<'a> {
    fn from(bundle: &'a Bundle) -> Self {
        Self {
            number: bundle.number,
            active: bundle.active,
            digest: &bundle.digest,
            policy_count: bundle.policy_count,
            message: &bundle.message,
            uploaded_by: &bundle.uploaded_by,
            uploaded_at: bundle.uploaded_at.map(|time| time.to_string()),
        }
    }
}

impl<'a> BundleWithFilesJson<'a> {
    /// A bundle and its files.
    pub fn new(bundle: &'a Bundle, files: &'a [BundleFile]) -> Self {
        let files = files.iter().map(|file| FileJson { path: &file.path, content: &file.content }).collect();
        Self { bundle: bundle.into(), files }
    }
}

/// A row a bundle.
pub fn list(bundles: &[Bundle]) -> String {
    let mut table = Table::with_header(&["NUMBER", "STATE", "POLICIES", "UPLOADED", "BY", "MESSAGE"]);
    for bundle in bundles {
        table.row([
            bundle.number.to_string().into(),
            state(bundle),
            bundle.policy_count.to_string().into(),
            shown_time(bundle.uploaded_at.as_ref()).into(),
            Cell::from(&bundle.uploaded_by),
            Cell::from(&bundle.message),
        ]);
    }
    table.render()
}

/// Everything about one bundle, and its files by name.
pub fn details(bundle: &Bundle, files: &[BundleFile]) -> String {
    let mut facts = Table::of_facts();
    facts
        .fact("state", state(bundle))
        .fact("policies", bundle.policy_count.to_string())
        .fact("message", &bundle.message)
        .fact("uploaded", shown_time(bundle.uploaded_at.as_ref()))
        .fact("by", &bundle.uploaded_by)
        .fact("digest", &bundle.digest);
    for file in files {
        facts.fact("file", format!("{} ({} bytes)", file.path, file.content.len()));
    }
    format!("bundle {}\n{}", bundle.number, facts.render())
}

fn state(bundle: &Bundle) -> Cell {
    if bundle.active { Cell::new(GOOD, "active") } else { Cell::new(PLAIN, "stored") }
}
