//! Tests across the modules of the crate.

mod constant_time;
