//! Fuzzes `wxgate::fuzzing::store_records`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::store_records(data));
