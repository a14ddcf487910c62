//! Health and metrics over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use common::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn health_becomes(address: SocketAddr, status: &str) {
    let started = Instant::now();
    while !get(address, "/health").await.starts_with(&format!("HTTP/1.1 {status}")) {
        assert!(started.elapsed() < PATIENCE, "health does not become {status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_follows_the_enclave_and_metrics_count() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut world = World::with(&["--metrics", &address.to_string()]).await;
    let host = world.connect().await;
    world.appraise(&host).await;
    health_becomes(address, "200").await;
    world.enclave.kill();
    health_becomes(address, "503").await;
    world.start_enclave();
    health_becomes(address, "200").await;

    let text = get(address, "/metrics").await;
    for line in [
        r#"adyton_host_edge_bytes_total{from="owner",to="host",kind="evidence"} "#,
        "adyton_host_enclave_reachable 1",
        "adyton_host_jobs_open 0",
        "adyton_host_process_resident_bytes ",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(get(address, "/other").await.starts_with("HTTP/1.1 404"));
}
