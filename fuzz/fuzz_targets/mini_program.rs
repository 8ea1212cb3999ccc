//! Fuzzes `wxgate::fuzzing::mini_program`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::mini_program(data));
