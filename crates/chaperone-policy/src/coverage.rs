//! What tests have met of a bundle: which policies applied and determined decisions, and what came of each of their conditions.
//!
//! Every `when` and `unless` is evaluated here by itself, beside the decision, so that deciding pays nothing for it.

use std::cell::RefCell;

use cedar_policy_core::ast::{Expr, ExprKind, Policy as CorePolicy};
use cedar_policy_core::parser::Loc;
use smol_str::SmolStr;

use crate::bundle::Bundle;
use crate::compiled::{Compiler, Condition, Frame, Program, Question, Scratch, Trace};
use crate::decision::Decision;
use crate::diagnostics::File;
use crate::policy_text::PolicyFiles;
use crate::problem::Problem;
use crate::source::BundleSource;

/// How much of a condition's text is shown, in characters.
const TEXT_CHARS_MAX: usize = 120;

/// What a bundle's tests have met of its policies so far.
#[derive(Debug)]
pub struct Coverage {
    program: Program,
    /// Each policy's conditions, in the order of the policies' ids, as the bundle's own policies are.
    conditions: Vec<Vec<Condition>>,
    met: RefCell<Vec<PolicyCoverage>>,
}

/// What tests have met of one policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyCoverage {
    /// Its `@id`.
    pub id: SmolStr,
    /// The file that it stands in.
    pub file: String,
    /// The line that it begins in, from 1.
    pub line: u32,
    /// Whether it observes: it determines no outcome then.
    pub observes: bool,
    /// How often its scope and all of its conditions held.
    pub applied: u64,
    /// How often it was among the policies that determined an outcome.
    pub determined: u64,
    /// Its conditions, in their order.
    pub conditions: Vec<ConditionCoverage>,
}

/// What tests have met of one `when` or `unless`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConditionCoverage {
    /// `when` or `unless`.
    pub keyword: &'static str,
    /// What is in its braces, on one line, cut when it is long.
    pub text: String,
    /// The line of that, from 1.
    pub line: u32,
    /// How often that was true.
    pub was_true: u64,
    /// How often that was false.
    pub was_false: u64,
}

impl Coverage {
    /// Of the policies of a bundle, which was compiled from `source`: nothing is met yet.
    ///
    /// # Errors
    /// When the two do not go together.
    pub fn new(source: &BundleSource, bundle: &Bundle) -> Result<Self, Vec<Problem>> {
        let mut files = PolicyFiles::default();
        for (path, text) in source.files.iter().filter(|(path, _)| path.starts_with("policies/")) {
            files.add(File { path, text });
        }
        let mut policies: Vec<_> = files.iter().collect();
        policies.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
        if !policies.iter().map(|(_, policy)| policy.id.as_str()).eq(bundle.policy_ids()) {
            return Err(vec![Problem::of_file("policies/", "internal", "these are not the policies of the bundle")]);
        }
        let mut compiler = Compiler::new(bundle.schema().symbols(), bundle.schema().memory());
        let (mut conditions, mut met) = (Vec::new(), Vec::new());
        for (file, policy) in policies {
            let clauses = clauses(&policy.core);
            // The compiled bundle has them as parts of its own conditions, so that none of them is unsupported.
            conditions.push(clauses.iter().filter_map(|clause| compiler.condition(Some(clause)).ok()).collect());
            met.push(PolicyCoverage {
                id: policy.id.clone(),
                file: file.path.to_owned(),
                line: line(file, policy.core.loc()),
                observes: policy.annotations.observes.is_some(),
                applied: 0,
                determined: 0,
                conditions: clauses.into_iter().map(|clause| ConditionCoverage::of(file, clause)).collect(),
            });
        }
        Ok(Self { program: compiler.finish(), conditions, met: RefCell::new(met) })
    }

    /// What was met so far, in the order of the policies' ids.
    pub fn policies(&self) -> Vec<PolicyCoverage> {
        self.met.borrow().clone()
    }

    /// Notes what determined a decision.
    pub fn note_decision(&self, decision: &Decision) {
        let mut met = self.met.borrow_mut();
        for determining in &decision.policies {
            if let Ok(place) = met.binary_search_by(|policy| policy.id.cmp(&determining.id))
                && let Some(policy) = met.get_mut(place)
            {
                policy.determined += 1;
            }
        }
    }

    /// Notes what comes of the conditions of these policies, each up to the first that does not hold: those behind it are not looked at.
    pub(crate) fn note(&self, policies: impl IntoIterator<Item = u32>, question: &Question<'_>) {
        let trace = Trace::default();
        let question = Question { trace: &trace, ..*question };
        let scratch = Scratch::new(&question);
        let frame = Frame::new(&question, &scratch);
        let mut met = self.met.borrow_mut();
        for place in policies {
            let place = place as usize;
            let (Some(policy), Some(conditions)) = (met.get_mut(place), self.conditions.get(place)) else { continue };
            policy.note(conditions, |condition| self.program.holds(condition, &frame).ok());
        }
    }
}

impl PolicyCoverage {
    /// `holds` says whether a condition does; `None` when it fails to evaluate.
    fn note(&mut self, conditions: &[Condition], holds: impl Fn(&Condition) -> Option<bool>) {
        for (condition, met) in conditions.iter().zip(&mut self.conditions) {
            let Some(holds) = holds(condition) else { return };
            // An `unless` holds where what it says does not.
            if holds == (met.keyword == "when") {
                met.was_true += 1;
            } else {
                met.was_false += 1;
            }
            if !holds {
                return;
            }
        }
        self.applied += 1;
    }
}

impl ConditionCoverage {
    fn of(file: File<'_>, clause: &Expr) -> Self {
        let (keyword, inner) = match negated(clause) {
            Some(inner) => ("unless", inner),
            None => ("when", clause),
        };
        let written = inner.source_loc().and_then(|loc| loc.snippet()).unwrap_or_default();
        let mut text = written.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((cut, _)) = text.char_indices().nth(TEXT_CHARS_MAX) {
            text.truncate(cut);
            text.push('…');
        }
        Self { keyword, text, line: line(file, inner.source_loc()), was_true: 0, was_false: 0 }
    }
}

/// The `when` and `unless` of a policy. Cedar makes one conjunction of them, which has the place of the policy as a whole.
fn clauses(policy: &CorePolicy) -> Vec<&Expr> {
    let mut clauses = Vec::new();
    let mut rest = policy.non_scope_constraints();
    while let Some(expression) = rest {
        rest = None;
        match expression.expr_kind() {
            ExprKind::And { left, right } if expression.source_loc() == policy.loc() => {
                clauses.push(left.as_ref());
                rest = Some(right.as_ref());
            }
            _ => clauses.push(expression),
        }
    }
    clauses
}

/// What an `unless` says: Cedar makes a negation of it, which has the place of the clause as a whole.
fn negated(clause: &Expr) -> Option<&Expr> {
    let is_unless = clause.source_loc()?.snippet()?.starts_with("unless");
    match clause.expr_kind() {
        ExprKind::UnaryApp { arg, .. } if is_unless => Some(arg),
        _ => None,
    }
}

fn line(file: File<'_>, loc: Option<&Loc>) -> u32 {
    file.problem_at(loc, "", "").line
}
