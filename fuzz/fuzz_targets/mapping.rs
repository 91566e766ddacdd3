//! See `chaperone_fuzz::mapping`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::mapping::TARGET.run(data));
