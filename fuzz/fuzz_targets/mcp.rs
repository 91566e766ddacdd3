//! See `chaperone_fuzz::mcp`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| chaperone_fuzz::mcp::TARGET.run(data));
