//! TLS: the client speaks to a host with a certificate, and to no host with another's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use adyton_client::transport::{Host, TransportError};
use common::*;

async fn connect(world: &World, authority: &Path) -> Result<Host, TransportError> {
    let url = format!("https://localhost:{}", world.address.port());
    Host::connect(&url, Some(authority)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_served_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let write = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(file(&format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(file(&format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    };
    write("own");
    write("other");
    let (certificate, key) = (file("own.pem"), file("own.key"));
    let world = World::with(&["--tls-cert", &certificate, "--tls-key", &key]).await;

    let started = Instant::now();
    let host = loop {
        match connect(&world, Path::new(&certificate)).await {
            Ok(host) => break host,
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(!host.info().await.unwrap().version.is_empty());
    world.appraise(&host).await;

    assert!(connect(&world, Path::new(&file("other.pem"))).await.is_err());
    // Without TLS there is no answer either.
    let plain = Host::connect(&format!("http://localhost:{}", world.address.port()), None).await;
    if let Ok(plain) = plain {
        assert!(plain.info().await.is_err());
    }
}

#[test]
fn a_certificate_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_adyton-host"))
        .args(["--listen", "127.0.0.1:0", "--enclave", "unix:/nothing"])
        .args(["--tls-cert", "/missing.pem", "--tls-key", "/missing.key", "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!ended.status.success());
    assert!(String::from_utf8_lossy(&ended.stderr).contains("/missing.pem"));
}
