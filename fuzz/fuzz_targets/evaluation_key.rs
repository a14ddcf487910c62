#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adyton_decoders::evaluation_key(data));
