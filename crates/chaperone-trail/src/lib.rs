//! The trail: the complete, ordered, tamper-evident record of what was decided and of what changed what is decided.
//!
//! A record is one line of JSON. Its bytes are what is kept, exported and hashed: whoever has them can check a chain with a JSON reader
//! and SHA-256, without this program.
//!
//! [`Trail`] writes a chain of records: into a journal (a directory of segments), or to a [`Sink`].

mod body;
mod chain;
mod checkpoint;
#[cfg(feature = "conformance")]
pub mod conformance;
mod decision_text;
mod digest;
mod error;
mod event;
mod export;
mod filter;
mod journal;
mod keeper;
mod key;
mod memory_source;
mod observer;
mod options;
mod private_file;
mod queue;
mod record;
mod relay;
mod scheduling;
mod sink;
mod source;
mod space;
mod ticket;
mod trail;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use self::body::encode as encode_body;
pub use self::chain::{Chainer, Head};
pub use self::decision_text::{AskedText, DecisionText, SessionText};
pub use self::digest::{Digest, ParseDigestError};
pub use self::error::{AppendError, TrailError};
pub use self::event::{
    Acted, AppliedEffect, Asked, Decided, Delegation, Event, EventKind, Policy, Presented, SessionFacts, State,
    StateRef, StepUpAsked, Trace,
};
pub use self::export::{ExportError, ExportFormat};
pub use self::filter::RecordFilter;
pub use self::journal::{Cursor, JournalSource, Segments};
pub use self::key::{ParseKeyError, SigningKey, VerifyingKey};
pub use self::memory_source::MemorySource;
pub use self::observer::{Commit, NoObserver, Observer};
pub use self::options::{Clock, Identity, JournalOptions, Keep, TrailOptions};
pub use self::private_file::create_private_file;
pub use self::record::{ChainId, Record, RecordError, Sealed};
pub use self::sink::{Sink, SinkError};
pub use self::source::{ChainExtent, Found, Order, Place, RecordSource, SourceError};
pub use self::ticket::Ticket;
pub use self::trail::{Trail, TrailStatus, TrailThread};
pub use self::verify::{Bad, ChainEnd, Flaw, Report, Trust, Verifier, verify};
