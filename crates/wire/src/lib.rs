//! Messages between the parties, their limits and canonical statements; no I/O.
