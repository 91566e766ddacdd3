//! Chaperone as it runs: real processes, a real Envoy with the shipped configuration, a real Postgres.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a panic is the report"
)]

mod configuration;
