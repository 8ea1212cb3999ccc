//! Fuzzes `wxgate::fuzzing::upstream_answers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::upstream_answers(data));
