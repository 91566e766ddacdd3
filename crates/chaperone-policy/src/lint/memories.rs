//! What policies count, remember and mark, and no policy looks at.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::policy::{LintedPolicies, LintedPolicy};
use super::reads::MemoryReads;
use crate::effects::{Act, Level};
use crate::problem::Problem;

/// Something of a memory that a policy changes.
struct Written {
    /// Where conditions read it, below `context`.
    path: Vec<SmolStr>,
    annotation: &'static str,
    code: &'static str,
    what: String,
}

pub(super) fn find(policies: &LintedPolicies<'_>) -> Vec<Problem> {
    let mut reads = MemoryReads::default();
    for condition in policies.iter().filter_map(|policy| policy.parsed.core.non_scope_constraints()) {
        reads.note(condition);
    }
    let mut known = BTreeSet::new();
    let mut findings = Vec::new();
    for policy in policies.iter() {
        for written in policy.parsed.annotations.rules.iter().filter_map(|rule| Written::by(&rule.act)) {
            // Each is told of once, where it is written first.
            if !reads.contain(&written.path) && known.insert(written.path.clone()) {
                findings.extend(finding(policy, &written));
            }
        }
    }
    findings
}

fn finding(policy: &LintedPolicy<'_>, written: &Written) -> Option<Problem> {
    let message = format!("no policy of the bundle reads {}", written.what);
    let help = "read it in a condition, or remove it: what is remembered costs a write; scopes of sessions that read it are not known here";
    policy.finding_at(written.annotation, written.code, message, help)
}

impl Written {
    fn by(act: &Act) -> Option<Self> {
        let of =
            |level: Level, field: &'static str, name: &str| [level.as_str(), field, name].map(SmolStr::from).to_vec();
        Some(match act {
            Act::Count(level, name, _) => Self {
                path: of(*level, "counts", name.as_str()),
                annotation: "count",
                code: "counter_unread",
                what: format!("the counter `{name}` of the {level}"),
            },
            Act::Remember(level, name, _) => Self {
                path: of(*level, "sets", name.as_str()),
                annotation: "remember",
                code: "set_unread",
                what: format!("the set `{name}` of the {level}"),
            },
            Act::Label(level, name) => Self {
                path: of(*level, "labels", name),
                annotation: "label",
                code: "label_unread",
                what: format!("the label `{name}` of the {level}"),
            },
            Act::Risk(_) => Self {
                path: vec!["session".into(), "risk".into()],
                annotation: "risk",
                code: "risk_unread",
                what: "the risk of sessions".to_owned(),
            },
            Act::Revoke(_) | Act::Alert(..) => return None,
        })
    }
}
