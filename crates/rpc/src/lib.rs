//! The host’s gRPC service, generated for the host and its clients.
