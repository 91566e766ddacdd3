//! See `chaperone_fuzz::kubernetes`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::kubernetes::TARGET.run(data));
