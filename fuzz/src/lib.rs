//! Fuzz targets for what strangers send.
//!
//! Each module has a [`Target`]: how bytes become an input, the laws that hold whatever the input is, and the inputs to begin with, which come
//! from the tables of the tests. The programs in `fuzz_targets/` hand them to libFuzzer; `examples/seeds.rs` writes what to begin with, and
//! `examples/replay.rs` runs inputs again and measures them in an ordinary build.

pub mod a2a;
pub mod bundle_tests;
pub mod document;
pub mod growth;
pub mod grpc;
pub mod journal;
pub mod kubernetes;
mod law;
pub mod mapping;
pub mod mcp;
mod message;
pub mod shell;
pub mod sql;
mod table;
mod target;

pub use target::{CPU_MAX, Target};

/// All targets, the most complicated languages first.
pub const TARGETS: [&Target; 11] = [
    &sql::TARGET,
    &shell::TARGET,
    &mcp::TARGET,
    &a2a::TARGET,
    &kubernetes::TARGET,
    &document::TARGET,
    &grpc::TARGET,
    &mapping::TARGET,
    &bundle_tests::TARGET,
    &journal::TARGET,
    &growth::TARGET,
];
