//! Analyses of what a bundle can allow that another one does not: off the async threads, and one at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chaperone_analysis::{Analysis, Comparison, Limits, NoSolver, Solver, analyze};
use chaperone_policy::{BundleSource, DiffError};
use tokio::sync::Semaphore;

/// The limits of a server: shorter than callers wait. What is not proven by then is not.
pub const SERVER_LIMITS: Limits = Limits { question: Duration::from_secs(5), total: Duration::from_secs(20) };

/// Who finds the solver and asks it.
#[derive(Clone, Debug)]
pub struct Analyzer {
    /// Where the solver is; without it, it is looked for in `PATH`.
    program: Option<PathBuf>,
    limits: Limits,
    /// One analysis at a time: a solver takes a whole processor.
    turn: Arc<Semaphore>,
}

/// Why there is no analysis.
#[derive(Debug, thiserror::Error)]
pub enum NoAnalysis {
    /// There is nothing to ask.
    #[error("there is no solver: {0}")]
    NoSolver(#[from] NoSolver),
    /// A bundle has problems; the first of them.
    #[error("both bundles must be valid: {0}")]
    Invalid(String),
    /// Others took all of the time.
    #[error("the solver is busy with other analyses")]
    Busy,
    /// It came to no end.
    #[error("the analysis failed")]
    Failed,
}

impl Analyzer {
    /// By the solver at this path, or the one in `PATH`. It is looked for when it is needed.
    pub fn new(program: Option<PathBuf>, limits: Limits) -> Self {
        Self { program, limits, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Whether the second bundle can allow what the first one does not. The time that this waits for its turn is part of the limits.
    ///
    /// # Errors
    /// See [`NoAnalysis`].
    pub async fn analysis(&self, before: BundleSource, after: BundleSource) -> Result<Analysis, NoAnalysis> {
        let Self { program, limits, turn } = self.clone();
        let began = Instant::now();
        let turn = tokio::time::timeout(limits.total, turn.acquire_owned()).await.map_err(|_| NoAnalysis::Busy)?;
        let turn = turn.map_err(|_| NoAnalysis::Failed)?;
        let analysis = tokio::task::spawn_blocking(move || {
            // Kept until it is done, also where nobody waits for it any more.
            let _turn = turn;
            let solver = Solver::find(program.as_deref())?;
            let comparison = Comparison::between(&before, &after)?;
            let left = Limits { total: limits.total.saturating_sub(began.elapsed()), ..limits };
            Ok(analyze(&comparison, &solver, left))
        });
        analysis.await.unwrap_or(Err(NoAnalysis::Failed))
    }
}

impl From<DiffError> for NoAnalysis {
    fn from(error: DiffError) -> Self {
        let (DiffError::Before(problems) | DiffError::After(problems)) = error;
        let first = problems.first().map(|problem| format!("{}: {}", problem.file, problem.message));
        Self::Invalid(first.unwrap_or_default())
    }
}
