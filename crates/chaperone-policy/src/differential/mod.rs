//! Decisions by compiled policies beside those of Cedar's authorizer, over random bundles and over Cedar's public corpus.
//!
//! Only for tests and for `cargo xtask differential`. A run is determined by its seed: schemas, policies that pass strict validation, entities,
//! sessions and requests are random, decisions are compared whole.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what generates and compares has to stop when it is wrong itself"
)]

mod chance;
mod corpus;
mod coverage;
mod expression;
mod memories;
mod paths;
mod policies;
#[cfg(test)]
mod recorded;
mod reproduction;
mod run;
mod sample;
mod situations;
mod values;
mod world;

pub use corpus::{CorpusReport, run_corpus};
pub use coverage::{Report, Uses};
pub use reproduction::Difference;
pub use run::{Evaluate, Plan, run};

#[cfg(test)]
mod tests;
