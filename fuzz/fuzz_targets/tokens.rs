//! Fuzzes `wxgate::fuzzing::tokens`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::tokens(data));
