//! Runs a program over a backend: cleartext or CKKS.
