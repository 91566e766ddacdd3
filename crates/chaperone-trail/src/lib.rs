//! The trail: the complete, ordered, tamper-evident record of what was decided and of what changed what is decided.
//!
//! A record is one line of JSON. Its bytes are what is kept, exported and hashed: whoever has them can check a chain with a JSON reader
//! and SHA-256, without this program.

mod digest;
mod event;
mod export;
mod filter;
mod memory_source;
mod record;
mod source;

pub use self::digest::{Digest, ParseDigestError};
pub use self::event::{
    Acted, AppliedEffect, Asked, Decided, Delegation, Event, EventKind, Policy, Presented, SessionFacts, State,
    StateRef, StepUpAsked, Trace,
};
pub use self::export::{ExportError, ExportFormat};
pub use self::filter::RecordFilter;
pub use self::memory_source::MemorySource;
pub use self::record::{ChainId, Record, RecordError, Sealed};
pub use self::source::{ChainExtent, Found, Order, Place, RecordSource, SourceError};
