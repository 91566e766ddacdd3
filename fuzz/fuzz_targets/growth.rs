//! See `chaperone_fuzz::growth`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::growth::TARGET.run(data));
