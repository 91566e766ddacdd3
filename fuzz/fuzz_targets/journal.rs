//! See `chaperone_fuzz::journal`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::journal::TARGET.run(data));
