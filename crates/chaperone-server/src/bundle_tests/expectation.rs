//! What a test expects of a step, compared with what came of it.

use std::collections::BTreeSet;

use chaperone_policy::mapping::{HeaderMutation, Mutations};
use chaperone_policy::{Bundle, Decision, Effect, SessionChain, Timestamp};

use super::fields::{Fields, Read, entries, text, texts};
use super::remembered;
use super::yaml::{Node, Place, Value};
use crate::effect_text::{effect_kind, effect_text};

/// Something that is not as a test expects it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// Where the test says so.
    pub place: Place,
    /// What.
    pub what: String,
    /// What the test says.
    pub expected: String,
    /// What came.
    pub found: String,
}

/// What came of a step.
#[derive(Debug)]
pub struct Came<'a> {
    /// The decision, where the step asked for one.
    pub decision: Option<&'a Decision>,
    /// What came of a report, where the step is one.
    pub report: Option<&'a str>,
    /// What it did beside.
    pub effects: &'a [Effect],
    /// What would change in a request that is allowed.
    pub mutations: Option<&'a Mutations>,
    /// The session afterwards.
    pub chain: Option<&'a SessionChain>,
    /// The bundle.
    pub bundle: &'a Bundle,
    /// When.
    pub at: Timestamp,
}

/// Texts in order, as one.
pub fn listed(mut texts: Vec<String>) -> String {
    texts.sort();
    if texts.is_empty() { "nothing".to_owned() } else { texts.join(", ") }
}

/// Compares what came with what a test expects. What it does not speak of is not compared.
///
/// # Errors
/// When a test expects what there cannot be.
pub fn compare(expected: &Node, came: &Came<'_>) -> Read<Vec<Difference>> {
    if let Value::Scalar { .. } = expected.value {
        return Ok(differs(expected, "the outcome", text(expected)?.to_owned(), came.outcome()).into_iter().collect());
    }
    let (mut fields, mut differences) = (Fields::of(expected)?, Vec::new());
    if entries(expected)?.is_empty() {
        return Err(expected.fault("this expects nothing"));
    }
    came.compare_decision(&mut fields, &mut differences)?;
    if let Some(node) = fields.take("report") {
        let found = came.report.ok_or_else(|| node.fault("this step is no report"))?;
        differences.extend(differs(node, "the report", text(node)?.to_owned(), found.to_owned()));
    }
    if let Some(node) = fields.take("effects") {
        let found = came.effects.iter().map(effect_line).collect();
        differences.extend(lists(node, "the effects", found)?);
    }
    if let Some(node) = fields.take("changes") {
        differences.extend(came.compare_changes(node)?);
    }
    if let Some(node) = fields.take("state") {
        differences.extend(remembered::compare(node, came.chain, came.bundle, came.at)?);
    }
    fields.finish()?;
    Ok(differences)
}

/// An effect in the words of policies.
fn effect_line(effect: &Effect) -> String {
    match effect {
        // The id of an approval means nothing to a test.
        Effect::Remember(_, chaperone_policy::Change::UseGrant(_)) => "approval".to_owned(),
        effect => format!("{} {}", effect_kind(effect), effect_text(effect)),
    }
}

impl Came<'_> {
    /// The one word for what came.
    fn outcome(&self) -> String {
        let outcome = self.decision.map(|decision| decision.outcome.as_str()).or(self.report);
        outcome.unwrap_or("nothing").to_owned()
    }

    fn compare_decision(&self, fields: &mut Fields<'_>, differences: &mut Vec<Difference>) -> Read<()> {
        let asked = ["outcome", "reason", "says", "policies", "step_ups"].map(|name| (name, fields.take(name)));
        for (name, node) in asked {
            let Some(node) = node else { continue };
            let decision = self.decision.ok_or_else(|| node.fault("this step asks for no decision"))?;
            let difference = match name {
                "outcome" => differs(node, "the outcome", text(node)?.to_owned(), self.outcome()),
                "reason" => differs(node, "the reason", text(node)?.to_owned(), decision.reason.code().to_owned()),
                "says" => differs(node, "what it says", text(node)?.to_owned(), decision.sentence().to_owned()),
                "policies" => {
                    let found = decision.policies.iter().map(|policy| policy.id.to_string()).collect();
                    lists(node, "the policies", found)?
                }
                _ => {
                    // One action may need it for several parts of a request.
                    let found: BTreeSet<_> = decision.step_ups.iter().map(|step_up| step_up.name.to_string()).collect();
                    lists(node, "the step-ups", found.into_iter().collect())?
                }
            };
            differences.extend(difference);
        }
        Ok(())
    }

    /// Compares what would change in the request on its way to the upstream.
    fn compare_changes(&self, node: &Node) -> Read<Vec<Difference>> {
        let nothing = Mutations::default();
        let mutations = self.mutations.unwrap_or(&nothing);
        let (mut fields, mut differences) = (Fields::of(node)?, Vec::new());
        for (name, headers) in [("set", &mutations.headers), ("response", &mutations.response_headers)] {
            for (key, node) in fields.read(name, entries)?.unwrap_or_default() {
                let found = value_of(headers, &key.text);
                let what = format!("the header `{}`", key.text);
                differences.extend(differs(node, &what, text(node)?.to_owned(), found));
            }
        }
        if let Some(node) = fields.take("remove") {
            differences.extend(lists(node, "the removed headers", mutations.headers_to_remove.clone())?);
        }
        fields.finish()?;
        Ok(differences)
    }
}

fn differs(node: &Node, what: &str, expected: String, found: String) -> Option<Difference> {
    (expected != found).then(|| Difference { place: node.place, what: what.to_owned(), expected, found })
}

fn lists(node: &Node, what: &str, found: Vec<String>) -> Read<Option<Difference>> {
    let expected = listed(texts(node)?.into_iter().map(str::to_owned).collect());
    Ok(differs(node, what, expected, listed(found)))
}

fn value_of(headers: &[HeaderMutation], name: &str) -> String {
    let found = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let values: Vec<_> = found.map(|header| header.value.as_str()).collect();
    if values.is_empty() { "nothing".to_owned() } else { values.join(", ") }
}
