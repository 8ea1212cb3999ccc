//! Fuzzes `wxgate::fuzzing::callback_query`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::callback_query(data));
