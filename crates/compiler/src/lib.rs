//! From ONNX to a homomorphic program and packed weights.
//!
//! An ONNX file becomes a [`network::Network`]: sparse affine maps and squares, in turn. What follows (layout, levels,
//! scales, steps) starts from that form and knows nothing of ONNX.
#![forbid(unsafe_code)]

pub mod cost;
mod graph;
pub mod network;
pub mod onnx;
pub mod plan;
