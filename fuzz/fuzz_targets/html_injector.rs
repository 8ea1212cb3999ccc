//! Fuzzes `wxgate::fuzzing::html_injector`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::html_injector(data));
