//! The writing side of the trail: what is decided and what changes what is decided becomes records, and answers wait for them.

pub mod acts;
mod decided;
mod observer;
mod redaction;
mod retention;
mod shipper;
mod states;
mod store_sink;
#[cfg(test)]
pub mod testing;
mod writer;

pub use self::observer::WriterState;
pub use self::redaction::{RedactionKey, RedactionKeyError};
pub use self::retention::{Kept, Retention};
pub use self::shipper::Shipper;
pub use self::states::read_since;
pub use self::store_sink::StoreSink;
pub use self::writer::{NotRecorded, Receipt, TrailWriter, WriterOptions};
