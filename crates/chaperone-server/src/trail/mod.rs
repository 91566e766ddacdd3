//! The writing side of the trail: what is decided and what changes what is decided becomes records, and answers wait for them.

pub mod acts;
mod decided;
mod observer;
mod writer;

pub use self::observer::WriterState;
pub use self::writer::{NotRecorded, Receipt, TrailWriter};
