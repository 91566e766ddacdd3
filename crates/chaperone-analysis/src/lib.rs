//! Proofs of whether a bundle can allow what another one does not, by Cedar's symbolic compiler and a solver.
//!
//! The solver is a process, with limits of time. Nothing here is ever asked on the way of a request.

mod analysis;
mod example;
mod solver;

pub use analysis::{Analysis, Finding, Limits, Verdict, analyze};
pub use chaperone_policy::expansion::{Comparison, Uncovered};
pub use example::Example;
pub use solver::{NoSolver, Solver};
