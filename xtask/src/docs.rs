//! The parts of `docs/performance.md` that commands write.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::command::{command, output, root};

/// Where a generated file of the page goes.
///
/// # Errors
/// When its directory cannot be made.
pub fn performance(name: &str) -> anyhow::Result<PathBuf> {
    let directory = root().join("docs/performance");
    fs::create_dir_all(&directory)?;
    Ok(directory.join(name))
}

/// Replaces what stands between the two markers of `part`.
///
/// # Errors
/// When the page or its markers are missing.
pub fn replace(part: &str, content: &str) -> anyhow::Result<()> {
    let path = root().join("docs/performance.md");
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let page = replaced(&page, part, content)
        .with_context(|| format!("{} has no markers `{part}: begin` and `{part}: end`", path.display()))?;
    fs::write(&path, page)?;
    eprintln!("wrote {part} into {}", path.display());
    Ok(())
}

/// What the figures were measured on, in one line.
///
/// # Errors
/// When the system does not tell.
pub fn machine() -> anyhow::Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel = kernel.split(['.', '-']).take(2).collect::<Vec<_>>().join(".");
    let rustc = output(command("rustc", &["--version"]))?;
    let rustc = rustc.split_whitespace().nth(1).unwrap_or_default();
    Ok(format!("{cores} cores of {model}, Linux {kernel}, Rust {rustc}.\n"))
}

/// A number with its thousands set apart.
pub fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn replaced(page: &str, part: &str, content: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {part}: begin -->\n"), format!("<!-- {part}: end -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{}\n{end}{after}", content.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_between_the_markers_changes() {
        let page = "a\n<!-- x: begin -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\nc\n<!-- y: end -->\n";
        let once = replaced(page, "x", "new\nlines\n").expect("it has the part");
        assert_eq!(once, page.replace("old", "new\nlines"));
        assert_eq!(replaced(&once, "x", "new\nlines\n").as_ref(), Some(&once));
        assert_eq!(replaced(page, "z", ""), None);
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([10, 1_000, 100_000, 1_000_000].map(grouped), ["10", "1,000", "100,000", "1,000,000"]);
    }
}
