//! Fuzzes `wxgate::fuzzing::header_stripping`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::header_stripping(data));
