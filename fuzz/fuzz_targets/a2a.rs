//! See `chaperone_fuzz::a2a`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::a2a::TARGET.run(data));
