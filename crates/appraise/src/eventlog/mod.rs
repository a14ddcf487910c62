//! Event logs, replayed against RTMRs or PCRs.
