//! See `chaperone_fuzz::bundle_tests`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::bundle_tests::TARGET.run(data));
