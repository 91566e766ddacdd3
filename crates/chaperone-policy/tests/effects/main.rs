//! What policies do beside deciding, and what later decisions read of it.

#![expect(clippy::expect_used, clippy::panic, reason = "a fixture that cannot be built fails the test")]

#[path = "../common/mod.rs"]
mod common;

mod annotations;
mod declared;
mod determining;
mod documented;
mod fixture;
mod laws;
mod mapped;
mod observers;
mod remembering;
mod reported;
