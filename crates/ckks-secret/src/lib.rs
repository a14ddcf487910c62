//! RNS-CKKS, secret part: secret keys, key generation, encryption, decryption, noise measurement.
