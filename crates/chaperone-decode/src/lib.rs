//! What a request would do, told from its bytes.
//!
//! A decoder takes what a stranger wrote (a SQL script, a command line, a JSON-RPC message, the path of a Kubernetes API) and names every
//! operation in it. It is total and bounded: whatever the bytes are, it ends soon, never panics, and when it cannot tell what would happen
//! it says so ([`Undecodable`]) instead of guessing. What each operation is worth (reading, writing, taking out) is not the decoders'
//! judgement but that of a table, which ships as data ([`Classes`]) and which bundles can change.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails should"))]

pub mod a2a;
mod classes;
pub mod document;
mod fact_map;
pub mod grpc;
mod json_rpc;
pub mod kubernetes;
pub mod mcp;
mod operation;
pub mod shell;
pub mod sql;
mod undecodable;

pub use classes::{Class, ClassSet, Classes, ClassesError};
pub use fact_map::{FactIter, FactMap};
pub use operation::{Decoder, Fact, FactSpec, FactType, Operation, Resource};
pub use undecodable::Undecodable;
