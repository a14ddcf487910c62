//! Generates the service from its proto file; protox parses it, so no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "proto/adyton/v1/host.proto";
    println!("cargo:rerun-if-changed={proto}");
    let descriptors = protox::compile([proto], ["proto"])?;
    // Chunks are cut out of one buffer: `Bytes` shares it where `Vec<u8>` would copy.
    tonic_prost_build::configure().bytes(".adyton.v1").compile_fds(descriptors)?;
    Ok(())
}
