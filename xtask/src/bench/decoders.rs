//! What the decoders cost for one statement, one command line and one message, as `crates/chaperone-decode/benches/decoders.rs` measures it.

use super::Figures;
use super::load::Report;
use crate::command::{cargo, output};

/// Builds the bench, runs it and adds its figures.
///
/// # Errors
/// When it cannot be built, or does not report.
pub fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let printed = output(cargo(&["bench", "-p", "chaperone-decode", "--bench", "decoders"]))?;
    let report = Report::parse("decoders", &printed)?;
    figures.extend(report.figures().map(|(name, value)| (format!("decoder_{name}"), value)));
    Ok(())
}
