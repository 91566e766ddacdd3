//! What the end-to-end tests are made of: real processes (Chaperone, Envoy, Postgres), real upstreams, and clients for all of them.
//!
//! Everything here panics when it cannot do its work, with what the processes wrote: a test has nothing better to do with such an error.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a panic is the report"
)]

pub mod admin;
pub mod binaries;
pub mod bundles;
pub mod chaperone;
pub mod cli;
pub mod client;
pub mod direct;
pub mod disk;
pub mod envoy;
pub mod frame;
pub mod load;
pub mod otlp;
pub mod pki;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod steady;
pub mod stub;
pub mod trail;
pub mod upstream;
pub mod wait;
pub mod webhook;
pub mod world;
