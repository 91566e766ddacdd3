//! `bundle.toml`: what a bundle says of itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use smol_str::SmolStr;

use crate::diagnostics::File;
use crate::problem::Problem;
use crate::step_up::StepUpSettings;

/// The path of the manifest.
pub(crate) const PATH: &str = "bundle.toml";

/// What a bundle says of itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The bundle's name.
    #[serde(default)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// How the risk of sessions behaves.
    #[serde(default)]
    pub risk: RiskSettings,
    /// How the approvals of step-ups go, by their names. One that is not here has the defaults.
    #[serde(default, rename = "step_up")]
    pub step_ups: BTreeMap<SmolStr, StepUpSettings>,
    /// What `bundle lint` says nothing of. No decision hangs on it.
    #[serde(default)]
    pub lint: LintSettings,
}

/// What `bundle lint` says nothing of.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LintSettings {
    /// Codes of findings, wherever they are.
    #[serde(default)]
    pub allow: BTreeSet<SmolStr>,
}

/// How the risk of sessions behaves under a bundle.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RiskSettings {
    /// How many points of risk an hour takes away. Zero, the default: risk stays.
    #[serde(default)]
    pub decay_per_hour: u32,
}

impl Manifest {
    /// How the approvals of a step-up go.
    pub fn step_up(&self, name: &str) -> StepUpSettings {
        self.step_ups.get(name).cloned().unwrap_or_default()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        toml::from_str(text).map_err(|error| {
            let file = File { path: PATH, text };
            match error.span() {
                Some(span) => file.problem(span.start, span.len(), "manifest_syntax", error.message()),
                None => Problem::of_file(PATH, "manifest_syntax", error.message()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_key_is_refused_where_it_stands() {
        let problem = Manifest::parse("name = \"docs\"\nowner = \"me\"\n").expect_err("unknown key");
        assert_eq!((problem.line, problem.code), (2, "manifest_syntax"));
    }

    #[test]
    fn empty_manifest_is_valid() {
        assert_eq!(Manifest::parse(""), Ok(Manifest::default()));
    }
}
