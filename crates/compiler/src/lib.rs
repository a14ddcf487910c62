//! From ONNX to a homomorphic program and packed weights.
