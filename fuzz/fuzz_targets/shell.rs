//! See `chaperone_fuzz::shell`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::shell::TARGET.run(data));
