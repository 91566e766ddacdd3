//! See `chaperone_fuzz::grpc`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::grpc::TARGET.run(data));
