//! Writes the check that benches send, framed for gRPC, to a file: `frame HANDLE PATH FILE`.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench program: a panic is the report")]

use chaperone_e2e::frame;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [handle, path, file] = arguments.as_slice() else { panic!("usage: frame HANDLE PATH FILE") };
    std::fs::write(file, frame::frame(&frame::check(handle, path))).expect("the file can be written");
}
