//! Chaperone as it runs: real processes, a real Envoy with the shipped configuration, a real Postgres.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: a panic is the report"
)]

mod alerts;
mod approvals;
mod backfill;
mod bodies;
mod bundle_arrival;
mod bundle_bounds;
mod bundle_folders;
mod bundle_rules;
mod bundle_tests;
mod bundles;
mod cli;
mod commands;
mod configuration;
mod dashboards;
mod delegation;
mod doors;
mod embedded;
mod entities;
mod envoys;
mod evaluators;
mod examples;
mod failure_mode;
mod full_disk;
mod grpc;
mod http;
mod leaks;
mod limits;
mod liveness;
mod memory;
mod mtls;
mod outage;
mod outcomes;
mod paths;
mod payloads;
mod planes_tls;
mod presenters;
mod replay;
mod replicas;
mod rollout;
mod runtimes;
mod samples;
mod secrets;
mod sessions;
mod signals;
mod swap;
mod tcp;
mod traces;
mod trail;
mod walkthrough;
mod watch;
mod zones;
