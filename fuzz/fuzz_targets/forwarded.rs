//! Fuzzes `wxgate::fuzzing::forwarded`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::forwarded(data));
