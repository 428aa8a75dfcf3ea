#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| talkie_fuzz_targets::backlog::run(data));
