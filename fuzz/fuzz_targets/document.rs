//! See `chaperone_fuzz::document`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::document::TARGET.run(data));
