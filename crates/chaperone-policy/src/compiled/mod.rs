//! Policies in compiled form: what a decision reads, already parsed, numbered and sorted, so that it allocates nothing.

mod data;
pub(crate) mod extension;
mod record;
mod set;
mod symbol;
mod uid;

pub(crate) use data::{Datum, Operand, record};
pub(crate) use record::Record;
pub(crate) use set::Set;
pub(crate) use symbol::{Symbol, Symbols};
pub(crate) use uid::{Uid, UidHasher, UidMap, UidSet};
