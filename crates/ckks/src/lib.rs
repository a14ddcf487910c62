//! RNS-CKKS, public part: parameters, encoder, ciphertexts, evaluation keys, evaluator; holds no secret-key code.
