//! The Chaperone server and its command line.

pub mod cli;
