//! The server: configuration, doors, telemetry, the decision service behind them, and the command line before them.

pub mod admin;
pub mod admin_auth;
pub mod alerts;
pub mod analyzer;
pub mod bundle_rules;
pub mod bundle_signature;
pub mod bundle_tests;
mod causes;
pub mod cli;
pub mod clock;
pub mod config;
mod count_text;
pub mod dev;
pub mod differences;
mod effect_text;
pub mod evaluator;
pub mod expansion_rule;
pub mod grpc;
pub mod http;
pub mod listener;
pub mod no_decision;
pub mod pdp;
pub mod presenter;
pub mod recorder;
pub mod replay;
pub mod replica;
#[cfg(test)]
mod session_model;
pub mod shadow;
pub mod shutdown;
pub mod spiffe;
pub mod telemetry;
pub mod tls;
pub mod trail;
pub mod wiring;
