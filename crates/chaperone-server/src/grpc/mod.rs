//! Thin adapters between protobuf and the use cases, a file per service.

pub mod approvals;
mod canary;
pub mod convert;
pub mod data_plane;
pub mod decision_codec;
mod decision_effects;
mod decision_message;
pub mod decision_server;
mod decision_stream;
pub mod decisions;
pub mod entities;
pub mod ext_authz;
mod ext_authz_answer;
mod ext_authz_message;
mod filter_metadata;
mod last;
mod memories;
pub mod policies;
mod questions;
mod report;
pub mod rollouts;
pub mod sessions;
pub mod status;
pub mod trail;
mod unary;
mod watch;
mod wire;
