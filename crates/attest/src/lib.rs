//! Evidence providers and verification: which enclave is this?.
