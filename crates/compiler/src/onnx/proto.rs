//! ONNX's messages, generated from `proto/onnx.proto`.

#![allow(missing_docs, unreachable_pub, reason = "generated code")]

include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
