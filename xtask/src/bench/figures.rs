//! Figures: medians over rounds, under stable names.

use std::fmt::Write as _;

use super::Figures;
use super::load::Run;

/// A figure of a run.
type Figure = fn(&Run) -> f64;

/// What is aimed at: a figure, whether it has to be at most or at least the bound, and the bound.
type Target = (&'static str, Bound, f64);

const TARGETS: [Target; 5] = [
    ("decide_100_policies_ns", Bound::AtMost, 1_500.0),
    ("decide_10k_over_100_ratio", Bound::AtMost, 1.2),
    ("envoy_check_cpu_ratio", Bound::AtMost, 1.0),
    ("envoy_check_half_load_p99_over_floor_us", Bound::AtMost, 500.0),
    ("check_stream_per_core_ratio", Bound::AtLeast, 10.0),
];

/// Of checks that leave something behind, and of what other replicas are told.
const STATEFUL_TARGETS: [Target; 3] = [
    ("stateful_checks_per_s", Bound::AtLeast, 10_000.0),
    ("revocation_p99_ms", Bound::AtMost, 50.0),
    ("label_p99_ms", Bound::AtMost, 50.0),
];
/// Of the trail.
const TRAIL_TARGETS: [Target; 3] = [
    ("trail_durable_p99_added_ms", Bound::AtMost, 1.5),
    ("trail_durable_cpu_ratio", Bound::AtMost, 1.25),
    ("replay_decisions_per_s", Bound::AtLeast, 5_000.0),
];
/// What the names of its figures begin with.
const TRAIL: [&str; 2] = ["trail_", "replay_"];
/// Of bundles that change.
const ACTIVATIONS_TARGETS: [Target; 1] = [("activation_p99_ratio", Bound::AtMost, 2.0)];
/// What the names of their figures begin with.
const ACTIVATIONS: [&str; 1] = ["activation_"];
/// Of the decoders.
const DECODERS_TARGETS: [Target; 5] = [
    ("decoder_sql_p50_us", Bound::AtMost, 50.0),
    ("decoder_shell_p50_us", Bound::AtMost, 50.0),
    ("decoder_mcp_p50_us", Bound::AtMost, 10.0),
    ("decoder_sql_worst_ms", Bound::AtMost, 100.0),
    ("decoder_shell_worst_ms", Bound::AtMost, 100.0),
];
/// What the names of their figures begin with.
const DECODERS: [&str; 1] = ["decoder_"];
/// What the names of the figures begin with of checks that leave something behind, and of what other replicas are told.
const STATEFUL: [&str; 3] = ["stateful_", "revocation_", "label_"];
/// What the names of the figures begin with that have a table of their own.
const DECISIONS: [&str; 2] = ["decide_", "cedar_"];

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost,
    AtLeast,
}

/// The same load on both servers, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// The server that does nothing.
    pub floor: Run,
    /// Chaperone.
    pub chaperone: Run,
}

impl Round {
    /// Chaperone's CPU time over the floor's.
    pub fn cpu_ratio(&self) -> f64 {
        self.chaperone.cpu_us / self.floor.cpu_us
    }
}

/// Adds the medians of rounds, with the kind of load in their names.
pub fn record(rounds: &[Round], kind: &str, figures: &mut Figures) {
    let by_name: [(&str, Figure); 4] = [
        ("cpu_us", |run| run.cpu_us),
        ("requests_per_s", |run| run.requests_per_s),
        ("p50_us", |run| run.p50_us),
        ("p99_us", |run| run.p99_us),
    ];
    for (name, figure) in by_name {
        let floor = median(rounds.iter().map(|round| figure(&round.floor)).collect());
        let chaperone = median(rounds.iter().map(|round| figure(&round.chaperone)).collect());
        for (server, value) in [("floor", floor), ("envoy_check", chaperone)] {
            figures.extend(value.map(|value| (format!("{server}_{kind}{name}"), rounded(value))));
        }
    }
    let ratios: [(&str, Figure); 2] = [("cpu", |run| run.cpu_us), ("p50", |run| run.p50_us)];
    for (name, figure) in ratios {
        let ratio = median(rounds.iter().map(|round| figure(&round.chaperone) / figure(&round.floor)).collect());
        figures.extend(ratio.map(|ratio| (format!("envoy_check_{kind}{name}_ratio"), rounded(ratio))));
    }
}

/// The middle value; the mean of the two middle ones of an even number.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        Some(upper)
    } else {
        values.get(middle.checked_sub(1)?).map(|lower| f64::midpoint(*lower, upper))
    }
}

/// Three digits after the point: more would be noise.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A figure as people read it: three or four digits that mean something.
pub fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Prints all figures.
pub fn print(figures: &Figures) {
    let width = figures.keys().map(String::len).max().unwrap_or_default();
    for (name, value) in figures {
        println!("{name:width$}  {value:>14.3}");
    }
}

/// The targets of checks that leave nothing behind and what was measured of them, and then every figure of such a check, in Markdown.
pub fn table(figures: &Figures) -> String {
    let others = |name: &str| {
        [&STATEFUL[..], &TRAIL, &ACTIVATIONS, &DECODERS, &DECISIONS].iter().all(|prefixes| !begins_with(name, prefixes))
    };
    format!("{}\n{}", targets(&TARGETS, figures), values(others, figures))
}

/// The same of checks that leave something behind, and of what other replicas are told.
pub fn stateful_table(figures: &Figures) -> String {
    let stateful = |name: &str| begins_with(name, &STATEFUL);
    format!("{}\n{}", targets(&STATEFUL_TARGETS, figures), values(stateful, figures))
}

/// The same of what the trail costs.
pub fn trail_table(figures: &Figures) -> String {
    format!("{}\n{}", targets(&TRAIL_TARGETS, figures), values(|name| begins_with(name, &TRAIL), figures))
}

/// The same of bundles that change.
pub fn activations_table(figures: &Figures) -> String {
    format!("{}\n{}", targets(&ACTIVATIONS_TARGETS, figures), values(|name| begins_with(name, &ACTIVATIONS), figures))
}

/// The same of the decoders.
pub fn decoders_table(figures: &Figures) -> String {
    format!("{}\n{}", decoders_targets(figures), values(|name| begins_with(name, &DECODERS), figures))
}

/// The decoders' targets and what was measured of them, in Markdown.
pub fn decoders_targets(figures: &Figures) -> String {
    targets(&DECODERS_TARGETS, figures)
}

fn begins_with(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn targets(targets: &[Target], figures: &Figures) -> String {
    let mut table = "| figure | target | measured |\n| --- | --- | --- |\n".to_owned();
    for (name, bound, limit) in targets {
        let measured = figures.get(*name).copied();
        let words = match bound {
            Bound::AtMost => "at most",
            Bound::AtLeast => "at least",
        };
        let missed = match (bound, measured) {
            (Bound::AtMost, Some(value)) => value > *limit,
            (Bound::AtLeast, Some(value)) => value < *limit,
            (_, None) => true,
        };
        let measured = measured.map_or_else(|| "not measured".to_owned(), shown);
        let verdict = if missed { " (missed)" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(table, "| `{name}` | {words} {limit} | {measured}{verdict} |");
    }
    table
}

fn values(of: impl Fn(&str) -> bool, figures: &Figures) -> String {
    let mut table = "| figure | |\n| --- | --- |\n".to_owned();
    for (name, value) in figures.iter().filter(|(name, _)| of(name)) {
        let _ = writeln!(table, "| `{name}` | {} |", shown(*value));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_of_the_sorted_values() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn names_are_stable() {
        let chaperone = Run { cpu_us: 2.0, requests_per_s: 1.0, p50_us: 1.0, p99_us: 1.0 };
        let round = Round { floor: Run { cpu_us: 1.0, ..chaperone }, chaperone };
        let mut figures = Figures::new();
        record(&[round], "", &mut figures);
        assert_eq!(figures.get("envoy_check_cpu_ratio"), Some(&2.0));
        assert_eq!(figures.get("floor_cpu_us"), Some(&1.0));
    }

    #[test]
    fn missed_and_unmeasured_targets_are_marked() {
        let figures = Figures::from([
            ("envoy_check_cpu_ratio".to_owned(), 1.1),
            ("decide_100_policies_ns".to_owned(), 1_500.0),
            ("check_stream_per_core_ratio".to_owned(), 9.0),
        ]);
        let table = table(&figures);
        assert!(table.contains("| `envoy_check_cpu_ratio` | at most 1 | 1.10 (missed) |"), "{table}");
        assert!(table.contains("| `decide_100_policies_ns` | at most 1500 | 1500 |"), "{table}");
        assert!(table.contains("| `check_stream_per_core_ratio` | at least 10 | 9.00 (missed) |"), "{table}");
        assert!(table.contains("| `decide_10k_over_100_ratio` | at most 1.2 | not measured (missed) |"), "{table}");
    }

    #[test]
    fn every_part_has_a_table_of_its_own() {
        let figures = Figures::from([
            ("stateful_checks_per_s".to_owned(), 9_999.0),
            ("revocation_p99_ms".to_owned(), 50.0),
            ("trail_durable_cpu_ratio".to_owned(), 1.2),
            ("envoy_check_cpu_us".to_owned(), 30.0),
            ("decoder_mcp_p50_us".to_owned(), 10.5),
        ]);
        let decoders = decoders_table(&figures);
        assert!(decoders.contains("| `decoder_mcp_p50_us` | at most 10 | 10.5 (missed) |"), "{decoders}");
        let (stateless, stateful, trail) = (table(&figures), stateful_table(&figures), trail_table(&figures));
        assert!(stateful.contains("| `stateful_checks_per_s` | at least 10000 | 9999 (missed) |"), "{stateful}");
        assert!(stateful.contains("| `revocation_p99_ms` | at most 50 | 50.0 |"), "{stateful}");
        assert!(trail.contains("| `trail_durable_cpu_ratio` | at most 1.25 | 1.20 |"), "{trail}");
        assert!(!stateful.contains("envoy") && !stateless.contains("stateful"), "{stateless}{stateful}");
        assert!(!stateless.contains("decoder") && !decoders.contains("trail"), "{stateless}{decoders}");
        assert!(!stateless.contains("trail") && !stateful.contains("trail"), "{stateless}{stateful}");
    }
}
