//! Fuzzes `wxgate::fuzzing::cookies`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::cookies(data));
