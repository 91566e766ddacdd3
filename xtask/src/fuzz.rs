//! Fuzzing: the targets of `fuzz/`, one after the other. It needs a nightly compiler, which nothing else does.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use crate::command::{cargo, command, find_program, root, run};

/// The release of cargo-fuzz.
const CARGO_FUZZ: &str = "0.13.2";
/// The longest input, in bytes.
const INPUT_BYTES_MAX: u32 = 64 * 1024;
/// When an input counts as one that never ends, in seconds. What takes too long otherwise, the targets say themselves.
const HANG_SECONDS: u32 = 10;
/// The most memory that a target may have.
const MEMORY_MIB_MAX: u32 = 2048;

/// What watches memory while a target runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Sanitizer {
    /// Nothing: several times as fast, and most of the code is safe Rust.
    None,
    /// `AddressSanitizer`: for the grammars, which are C.
    Address,
}

impl Sanitizer {
    const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Address => "address",
        }
    }
}

/// Runs these targets, or all, each for so many minutes.
///
/// # Errors
/// When nightly or a target is missing, or when one finds something.
pub fn run_targets(wanted: &[String], minutes: u32, sanitizer: Sanitizer) -> anyhow::Result<()> {
    let known = known()?;
    if let Some(unknown) = wanted.iter().find(|target| !known.contains(target)) {
        bail!("there is no target `{unknown}`; there are {}", known.join(", "));
    }
    let targets = if wanted.is_empty() { &known } else { wanted };
    require_nightly()?;
    require_cargo_fuzz()?;
    let manifest = ["--manifest-path", "fuzz/Cargo.toml", "--release", "--quiet", "--example"];
    let seeds = |rest: &[String]| {
        let mut seeds = cargo(&["run"]);
        seeds.args(manifest).args(["seeds", "--"]).args(rest);
        seeds
    };
    run(seeds(targets))?;
    for target in targets {
        let mut fuzz = command("cargo", &["+nightly", "fuzz", "run", "--sanitizer", sanitizer.as_str(), target, "--"]);
        if sanitizer == Sanitizer::Address {
            // Otherwise what is C is linked as it is, and nobody watches it.
            fuzz.env("CFLAGS", "-fsanitize=address");
        }
        fuzz.arg(format!("-max_total_time={}", minutes * 60));
        fuzz.arg(format!("-max_len={INPUT_BYTES_MAX}"));
        fuzz.arg(format!("-timeout={HANG_SECONDS}"));
        fuzz.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
        fuzz.arg("-print_final_stats=1");
        let dictionary = format!("fuzz/dictionaries/{target}.dict");
        if root().join(&dictionary).is_file() {
            fuzz.arg(format!("-dict={dictionary}"));
        }
        run(fuzz).with_context(|| format!("`{target}` found something; the input is below fuzz/artifacts/{target}"))?;
        let mut replay = cargo(&["run"]);
        replay.args(manifest).args(["replay", "--", target]);
        run(replay)?;
    }
    Ok(())
}

/// The targets there are, by their programs.
fn known() -> anyhow::Result<Vec<String>> {
    let directory = root().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let paths = files.map(|file| Ok(file?.path())).collect::<anyhow::Result<Vec<PathBuf>>>()?;
    let mut known: Vec<String> = paths.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    known.sort();
    Ok(known)
}

fn require_nightly() -> anyhow::Result<()> {
    let mut nightly = command("cargo", &["+nightly", "--version"]);
    let found = nightly.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        bail!(
            "fuzzing needs a nightly compiler: `rustup toolchain install nightly`; on a stable one, the tests of each crate try random inputs"
        );
    }
    Ok(())
}

fn require_cargo_fuzz() -> anyhow::Result<()> {
    if find_program("cargo-fuzz").is_none() {
        run(cargo(&["install", "cargo-fuzz", "--version", CARGO_FUZZ, "--locked"]))?;
    }
    Ok(())
}
