//! Which policies and conditions no test has met, shown.

use std::fmt::Write as _;

use chaperone_policy::{ConditionCoverage, PolicyCoverage};
use serde::Serialize;

use crate::cli::output::{GOOD, STRONG, WARN, paint, plain};

/// Coverage in JSON output.
#[derive(Debug, Serialize)]
pub struct CoverageJson<'a> {
    policy_count: usize,
    policies_met: usize,
    condition_count: usize,
    conditions_met: usize,
    policies: Vec<PolicyJson<'a>>,
}

#[derive(Debug, Serialize)]
struct PolicyJson<'a> {
    id: &'a str,
    file: &'a str,
    line: u32,
    applied: u64,
    determined: u64,
    conditions: Vec<ConditionJson<'a>>,
}

#[derive(Debug, Serialize)]
struct ConditionJson<'a> {
    keyword: &'a str,
    text: &'a str,
    line: u32,
    was_true: u64,
    was_false: u64,
}

impl<'a> CoverageJson<'a> {
    /// Of what was met.
    pub fn new(policies: &'a [PolicyCoverage]) -> Self {
        let counts = Counts::of(policies);
        Self {
            policy_count: policies.len(),
            policies_met: counts.policies_met,
            condition_count: counts.conditions,
            conditions_met: counts.conditions_met,
            policies: policies.iter().map(PolicyJson::from).collect(),
        }
    }
}

impl<'a> From<&'a PolicyCoverage> for PolicyJson<'a> {
    fn from(policy: &'a PolicyCoverage) -> Self {
        let PolicyCoverage { id, file, line, applied, determined, .. } = policy;
        let conditions = policy.conditions.iter().map(ConditionJson::from).collect();
        Self { id, file, line: *line, applied: *applied, determined: *determined, conditions }
    }
}

impl<'a> From<&'a ConditionCoverage> for ConditionJson<'a> {
    fn from(condition: &'a ConditionCoverage) -> Self {
        let ConditionCoverage { keyword, text, line, was_true, was_false } = condition;
        Self { keyword, text, line: *line, was_true: *was_true, was_false: *was_false }
    }
}

struct Counts {
    policies_met: usize,
    conditions: usize,
    conditions_met: usize,
}

impl Counts {
    fn of(policies: &[PolicyCoverage]) -> Self {
        let conditions = || policies.iter().flat_map(|policy| &policy.conditions);
        Self {
            policies_met: policies.iter().filter(|policy| is_met(policy)).count(),
            conditions: conditions().count(),
            conditions_met: conditions().filter(|condition| is_met_both_ways(condition)).count(),
        }
    }
}

/// Whether it did what it is for. An observer determines nothing; it applies.
const fn is_met(policy: &PolicyCoverage) -> bool {
    if policy.observes { policy.applied > 0 } else { policy.determined > 0 }
}

const fn is_met_both_ways(condition: &ConditionCoverage) -> bool {
    condition.was_true > 0 && condition.was_false > 0
}

/// How much was met, and what was not.
pub fn render(policies: &[PolicyCoverage]) -> String {
    let Counts { policies_met, conditions, conditions_met } = Counts::of(policies);
    let is_whole = policies_met == policies.len() && conditions_met == conditions;
    let style = if is_whole { GOOD } else { WARN };
    let summary = format!(
        "coverage: {policies_met} of {} policies determined an outcome or observed one, {conditions_met} of {conditions} conditions \
         were true and were false",
        policies.len()
    );
    let mut out = format!("{}\n", paint(style, &summary));
    for policy in policies {
        render_policy(&mut out, policy);
    }
    out
}

/// Writing to a String cannot fail.
fn render_policy(out: &mut String, policy: &PolicyCoverage) {
    let missed: Vec<_> = policy.conditions.iter().filter(|condition| !is_met_both_ways(condition)).collect();
    if is_met(policy) && missed.is_empty() {
        return;
    }
    let what = match (is_met(policy), policy.observes, policy.applied > 0) {
        (true, ..) => "",
        (false, true, _) => "  never observed anything",
        (false, false, true) => "  applied, and never determined an outcome",
        (false, false, false) => "  never applied",
    };
    let id = paint(STRONG, &plain(&policy.id));
    let _ = writeln!(out, "  {}:{}  {id}{}", plain(&policy.file), policy.line, paint(WARN, what));
    for condition in missed {
        let what = match (condition.was_true > 0, condition.was_false > 0) {
            (true, _) => "was never false",
            (_, true) => "was never true",
            _ => "was never looked at",
        };
        let text = plain(&condition.text);
        let _ = writeln!(out, "    {}: {} {{ {text} }} {}", condition.line, condition.keyword, paint(WARN, what));
    }
}
