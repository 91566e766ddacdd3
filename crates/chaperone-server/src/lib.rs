//! The server: configuration, doors, telemetry and the decision service behind them.

pub mod admin_auth;
pub mod clock;
pub mod config;
pub mod http;
pub mod listener;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
