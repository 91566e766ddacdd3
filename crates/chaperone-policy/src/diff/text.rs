//! Differences as text.

use similar::TextDiff;

/// How many lines two texts may have together to be compared line by line: the time that takes can grow with their square.
const LINES_MAX: usize = 10_000;
/// How many lines around a difference are shown.
const CONTEXT_LINES: usize = 3;
/// What stands for a text that is not there.
const ABSENT: &str = "/dev/null";

/// A unified diff of two texts, the end of each with an end of its last line.
pub(super) fn unified(name: &str, before: Option<&str>, after: Option<&str>) -> String {
    let header = |text: Option<&str>| if text.is_some() { name.to_owned() } else { ABSENT.to_owned() };
    let (old, new) = (header(before), header(after));
    let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
    let (before_lines, after_lines) = (before.lines().count(), after.lines().count());
    if before_lines + after_lines > LINES_MAX {
        return format!(
            "--- {old}\n+++ {new}\n\\ {before_lines} lines before and {after_lines} after are too many to compare line by line\n"
        );
    }
    if before == after || before_lines + after_lines == 0 {
        return format!("--- {old}\n+++ {new}\n");
    }
    let diff = TextDiff::from_lines(before, after);
    let mut text = diff.unified_diff().context_radius(CONTEXT_LINES).header(&old, &new).to_string();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
