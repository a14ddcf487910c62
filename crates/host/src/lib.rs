//! The untrusted server: stores ciphertexts, evaluates programs, relays to the enclave.
