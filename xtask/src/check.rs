//! What can be said of the code without running it.

use crate::command::{self, cargo, find_program};

/// Formatting and lints.
///
/// # Errors
/// When either finds something.
pub fn format_and_lints() -> anyhow::Result<()> {
    command::run(cargo(&["fmt", "--all", "--check"]))?;
    command::run(cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

/// Everything static.
///
/// # Errors
/// When one of them finds something.
pub fn run() -> anyhow::Result<()> {
    format_and_lints()?;
    let mut documentation = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    command::run(documentation)?;
    if find_program("cargo-deny").is_some() {
        command::run(cargo(&["deny", "--all-features", "check"]))
    } else {
        eprintln!("skipped: cargo-deny is not installed (cargo install cargo-deny)");
        Ok(())
    }
}
