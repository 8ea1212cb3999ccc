//! Fuzzes `wxgate::fuzzing::wechat_json`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wxgate::fuzzing::wechat_json(data));
