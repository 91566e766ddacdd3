//! The server: configuration, doors, telemetry and the decision service behind them.

pub mod admin;
pub mod admin_auth;
pub mod clock;
pub mod config;
pub mod grpc;
pub mod http;
pub mod listener;
pub mod no_decision;
pub mod pdp;
pub mod presenter;
pub mod recorder;
pub mod replica;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod wiring;
