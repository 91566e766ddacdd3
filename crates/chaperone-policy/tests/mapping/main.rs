//! The mapping language, from outside: requests in, actions, refusals and changes out.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what is not as expected fails the test"
)]

mod answers;
mod decoders;
mod explaining;
mod fixture;
mod importing;
mod laws;
mod messages;
mod problems;
mod requests;
mod sample;
mod zones;
