//! Policies in compiled form: what a decision reads, already parsed, numbered and sorted, so that it allocates nothing.

mod compile;
mod constraint;
mod data;
mod evaluate;
pub(crate) mod extension;
mod frame;
mod function;
mod index;
mod operator;
mod pattern;
mod program;
mod recent;
mod record;
mod set;
mod symbol;
mod trace;
mod uid;

pub(crate) use compile::{Compiler, Condition, UnsupportedExpression};
pub(crate) use data::{Datum, record};
pub(crate) use frame::{Frame, Question, Scratch, Subject};
pub(crate) use index::{Candidates, Index};
pub(crate) use program::{Program, Reads};
pub(crate) use record::Record;
pub(crate) use set::Set;
pub(crate) use symbol::{Symbol, Symbols};
pub use trace::{Looked, Trace};
pub(crate) use uid::{Uid, UidHasher, UidMap, UidSet};
