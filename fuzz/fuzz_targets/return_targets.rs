//! Fuzzes `wxgate::fuzzing::return_targets`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::return_targets(data));
