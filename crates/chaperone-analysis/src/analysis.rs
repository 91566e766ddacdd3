//! The questions, one after the other, and what came of each.

use std::fmt::Display;
use std::time::{Duration, Instant};

use cedar_policy::Policy;
use cedar_policy_symcc::err::Error;
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env};
use chaperone_policy::expansion::{Before, Case, Comparison, Uncovered};

use crate::example::{self, Example};
use crate::solver::Solver;

/// Conditions can be nested as deep as the policy parser lets them, and the compiler recurses.
const STACK_BYTES: usize = 64 * 1024 * 1024;
/// How much longer than its own limit the solver may take before it is ended.
const GRACE: Duration = Duration::from_secs(2);

/// How long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// One question.
    pub question: Duration,
    /// All of them. What is not asked by then is unknown.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { question: Duration::from_secs(10), total: Duration::from_mins(5) }
    }
}

/// What a bundle can allow that another one does not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Analysis {
    /// For each kind of request that the second one's schema allows, in order.
    pub findings: Vec<Finding>,
    /// What differs and was not asked about.
    pub uncovered: Vec<Uncovered>,
}

/// What came of one kind of request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// The action.
    pub action: String,
    /// The type of the principal.
    pub principal: String,
    /// The type of the resource.
    pub resource: String,
    /// What was proven.
    pub verdict: Verdict,
}

/// What was proven.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// All that the second bundle allows, the first one allows as well.
    NoMore,
    /// The second bundle allows this, and the first one does not.
    More(Box<Example>),
    /// The second bundle allows this once all of its step-ups are approved, and the first one would not even then.
    MoreWithApproval(Box<Example>),
    /// It is not known, and why.
    Unknown(String),
}

impl Analysis {
    /// Whether something was found that only the second bundle allows.
    pub fn is_wider(&self) -> bool {
        self.findings.iter().any(|finding| matches!(finding.verdict, Verdict::More(_) | Verdict::MoreWithApproval(_)))
    }

    /// Whether it is proven that the second bundle allows nothing more, and nothing differs that the proof is not about.
    pub fn is_no_wider(&self) -> bool {
        self.uncovered.is_empty() && self.findings.iter().all(|finding| finding.verdict == Verdict::NoMore)
    }
}

impl Verdict {
    /// A stable name.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoMore => "no_more",
            Self::More(_) => "more",
            Self::MoreWithApproval(_) => "more_with_approval",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Asks for each kind of request whether the second bundle can allow what the first one does not. Blocks for as long as the limits let it.
pub fn analyze(comparison: &Comparison, solver: &Solver, limits: Limits) -> Analysis {
    let asked = std::thread::scope(|scope| {
        let named = std::thread::Builder::new().name("analysis".to_owned()).stack_size(STACK_BYTES);
        let thread = named.spawn_scoped(scope, || verdicts(comparison, solver, limits));
        match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err("the analysis failed".to_owned())),
            Err(error) => Err(format!("the analysis cannot be started: {error}")),
        }
    });
    let cases = comparison.cases();
    let verdicts = asked.unwrap_or_else(|why| cases.iter().map(|_| Verdict::Unknown(why.clone())).collect());
    let findings = cases.iter().zip(verdicts).map(|(case, verdict)| Finding {
        action: case.environment.action().to_string(),
        principal: case.environment.principal().to_string(),
        resource: case.environment.resource().to_string(),
        verdict,
    });
    Analysis { findings: findings.collect(), uncovered: comparison.uncovered().to_vec() }
}

fn verdicts(comparison: &Comparison, solver: &Solver, limits: Limits) -> Result<Vec<Verdict>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
    let mut questions = Questions { comparison, solver, limits, ends: Instant::now() + limits.total, running: None };
    Ok(runtime.block_on(async {
        let mut verdicts = Vec::new();
        for case in comparison.cases() {
            verdicts.push(questions.verdict(case).await.unwrap_or_else(Verdict::Unknown));
        }
        if let Some(running) = questions.running.take() {
            end(running).await;
        }
        verdicts
    }))
}

struct Questions<'a> {
    comparison: &'a Comparison,
    solver: &'a Solver,
    limits: Limits,
    ends: Instant,
    running: Option<CedarSymCompiler<LocalSolver>>,
}

impl Questions<'_> {
    async fn verdict(&mut self, case: &Case) -> Result<Verdict, String> {
        let (before, after) = (self.comparison.before(), self.comparison.after());
        let (before, approved) = match &case.before {
            Before::Known => (Some(&before.unapproved), Some(&before.approved)),
            Before::Unknown => (None, None),
            Before::Incomparable(why) => return Err(format!("it cannot be compared: {why}")),
        };
        if let Some(example) = self.example(case, &after.unapproved, before).await? {
            return Ok(Verdict::More(Box::new(example)));
        }
        if !self.comparison.has_step_ups() {
            return Ok(Verdict::NoMore);
        }
        let example = self.example(case, &after.approved, approved).await?;
        Ok(example.map_or(Verdict::NoMore, |example| Verdict::MoreWithApproval(Box::new(example))))
    }

    /// A request that `after` allows and `before` does not; without one, that `after` allows.
    async fn example(
        &mut self,
        case: &Case,
        after: &Policy,
        before: Option<&Policy>,
    ) -> Result<Option<Example>, String> {
        let compiled = |policy: &Policy| {
            CompiledPolicy::compile(policy, &case.environment, self.comparison.schema())
                .map(CompiledPolicy::into_compiled_policyset)
                .map_err(text)
        };
        let wider = compiled(after)?;
        let narrower = before.map(compiled).transpose().map_err(|why| format!("it cannot be compared: {why}"))?;
        let Some(env) = self.ask(&wider, narrower.as_ref()).await? else { return Ok(None) };
        let stands =
            example::is_allowed(&env, after) && !before.is_some_and(|before| example::is_allowed(&env, before));
        match Example::of(&env).filter(|_| stands) {
            Some(example) => Ok(Some(example)),
            None => Err("the solver's example does not stand".to_owned()),
        }
    }

    async fn ask(
        &mut self,
        wider: &CompiledPolicySet,
        narrower: Option<&CompiledPolicySet>,
    ) -> Result<Option<Env>, String> {
        let left = self.ends.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("the analysis took too long as a whole".to_owned());
        }
        // Taken out, so that one that did not answer as it should is asked nothing else.
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.solver.start(self.limits.question).map_err(text)?,
        };
        let question = async {
            match narrower {
                Some(narrower) => running.check_implies_with_counterexample_opt(wider, narrower).await,
                None => running.check_always_denies_with_counterexample_opt(wider).await,
            }
        };
        let why = match tokio::time::timeout(left.min(self.limits.question + GRACE), question).await {
            Ok(Ok(answer)) => {
                self.running = Some(running);
                return Ok(answer);
            }
            Ok(Err(Error::SolverUnknown)) => "the solver does not know".to_owned(),
            Ok(Err(error)) => text(error),
            Err(_) => "the solver took too long".to_owned(),
        };
        end(running).await;
        Err(why)
    }
}

/// Ends a solver, and waits until it has: it would stay as a process that nobody asks what became of it.
async fn end(mut running: CedarSymCompiler<LocalSolver>) {
    // It cannot be ended when it has ended.
    let _ = running.solver_mut().clean_up().await;
}

fn text(error: impl Display) -> String {
    error.to_string()
}
