#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adyton_decoders::audit_proof(data));
