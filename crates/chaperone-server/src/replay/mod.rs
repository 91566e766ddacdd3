//! Decisions made again, from their records and what these say was read.
//!
//! [`decide::replay`] is the pure function; [`Run`] does it for many records on many threads, in whatever order.

mod candidate;
mod decide;
mod filling;
mod obstacle;
mod reports;
mod rules;
mod run;
mod states;
#[cfg(test)]
mod tests;

pub use self::candidate::Trial;
pub use self::decide::{Difference, Replayed, replay};
pub use self::filling::{Filling, Untold};
pub use self::obstacle::Obstacle;
pub use self::rules::Rules;
pub use self::run::{Different, Run, RunProgress, Tally};
pub use self::states::States;
