//! Options of what sessions, trees and principals remember.

use std::time::Duration;

use chaperone_policy::MemoryLimits;
use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::values::parse_duration;

/// How much one session, tree or principal remembers at most. At a limit a check that would need more is denied.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Memory")]
pub struct MemoryConfig {
    /// Labels of one session, tree or principal at most, up to 1024
    #[arg(
        id = "memory-labels-max",
        long,
        env = "CHAPERONE_MEMORY_LABELS_MAX",
        value_name = "LABELS",
        default_value = "64",
        value_parser = at_most(1_024)
    )]
    pub labels: usize,
    /// Counters of one session, tree or principal at most, up to 1024
    #[arg(
        id = "memory-counters-max",
        long,
        env = "CHAPERONE_MEMORY_COUNTERS_MAX",
        value_name = "COUNTERS",
        default_value = "64",
        value_parser = at_most(1_024)
    )]
    pub counters: usize,
    /// Remembered sets of one session, tree or principal at most, up to 256
    #[arg(
        id = "memory-sets-max",
        long,
        env = "CHAPERONE_MEMORY_SETS_MAX",
        value_name = "SETS",
        default_value = "16",
        value_parser = at_most(256)
    )]
    pub sets: usize,
    /// Values in one remembered set at most, up to 16384. All of them are stored again whenever the memory changes
    #[arg(
        id = "memory-values-max",
        long,
        env = "CHAPERONE_MEMORY_VALUES_MAX",
        value_name = "VALUES",
        default_value = "1024",
        value_parser = at_most(16_384)
    )]
    pub values: usize,
    /// Approvals of one session or tree at most that are neither used up nor over, up to 1024
    #[arg(
        id = "memory-approvals-max",
        long,
        env = "CHAPERONE_MEMORY_APPROVALS_MAX",
        value_name = "APPROVALS",
        default_value = "64",
        value_parser = at_most(1_024)
    )]
    pub approvals: usize,
    /// Length of one remembered value at most, as JSON, up to 512
    #[arg(
        id = "memory-value-bytes-max",
        long,
        env = "CHAPERONE_MEMORY_VALUE_BYTES_MAX",
        value_name = "BYTES",
        default_value = "256",
        value_parser = at_most(512)
    )]
    pub value_bytes: usize,
    /// Decisions of one session at most that wait for a report of their outcome, up to 4096
    #[arg(
        id = "memory-reports-max",
        long,
        env = "CHAPERONE_MEMORY_REPORTS_MAX",
        value_name = "REPORTS",
        default_value = "256",
        value_parser = at_most(4_096)
    )]
    pub reports: usize,
    /// Time in which the outcome of an action may be reported, from one second to a day. What was reserved stays spent after it
    #[arg(
        id = "report-wait",
        long,
        env = "CHAPERONE_REPORT_WAIT",
        value_name = "DURATION",
        default_value = "15m",
        value_parser = parse_wait
    )]
    pub report_wait: Duration,
}

impl MemoryConfig {
    /// As the decision core takes them.
    pub const fn limits(&self) -> MemoryLimits {
        MemoryLimits {
            labels: self.labels,
            counters: self.counters,
            sets: self.sets,
            values_per_set: self.values,
            grants: self.approvals,
            value_bytes: self.value_bytes,
            reports: self.reports,
            report_wait: self.report_wait,
        }
    }
}

/// From a second, which is less than a call takes at worst, to a day.
fn parse_wait(text: &str) -> Result<Duration, String> {
    let wait = parse_duration(text)?;
    let range = Duration::from_secs(1)..=Duration::from_hours(24);
    if range.contains(&wait) { Ok(wait) } else { Err("it must be from 1s to 1d".to_owned()) }
}

/// From one to `max`: a limit of zero would deny whatever a policy wants to be remembered.
fn at_most(max: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=max)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::ServeConfig;

    #[test]
    fn defaults_are_those_of_the_decision_core() {
        let config = ServeConfig::try_parse_from(["chaperone"]).expect("it parses");
        assert_eq!(config.memory.limits(), MemoryLimits::default());
    }

    #[test]
    fn limits_have_ranges() {
        for (option, max) in [
            ("labels", 1_024),
            ("counters", 1_024),
            ("sets", 256),
            ("values", 16_384),
            ("approvals", 1_024),
            ("value-bytes", 512),
            ("reports", 4_096),
        ] {
            let parse = |value: usize| {
                ServeConfig::try_parse_from(["chaperone".to_owned(), format!("--memory-{option}-max={value}")])
            };
            assert!(parse(1).is_ok() && parse(max).is_ok(), "{option}");
            assert!(parse(0).is_err() && parse(max + 1).is_err(), "{option}");
        }
        let wait = |text: &str| ServeConfig::try_parse_from(["chaperone".to_owned(), format!("--report-wait={text}")]);
        assert!(wait("1s").is_ok() && wait("1d").is_ok());
        assert!(wait("999ms").is_err() && wait("25h").is_err());
    }
}
