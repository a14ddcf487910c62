//! The attested program: makes keys, releases results, does nothing else.
