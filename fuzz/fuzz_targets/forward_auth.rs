//! Fuzzes `wxgate::fuzzing::forward_auth`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::forward_auth(data));
