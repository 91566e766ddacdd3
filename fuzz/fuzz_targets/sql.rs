//! See `chaperone_fuzz::sql`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::sql::TARGET.run(data));
