//! The link to the enclave against one that misbehaves: breaks off, stalls, lies about lengths, answers something else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adyton_host::link::{Link, LinkError};
use adyton_host::metrics::{Metrics, Party, Payload};
use adyton_wire::message::HealthReport;
use adyton_wire::{Address, Problem, Reply, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// What the enclave does with the request of a given number (over all connections).
#[derive(Clone, Copy, Debug)]
enum Act {
    Answer,
    Refuse,
    /// Closes without a word.
    Close,
    /// Closes within the frame.
    Tear,
    /// Announces more than a frame may hold.
    Boast,
    /// A frame that is no message.
    Garbage,
    /// Answers only after a while.
    Stall,
}

struct Enclave {
    _folder: tempfile::TempDir,
    link: Arc<Link>,
    metrics: Arc<Metrics>,
    connections: Arc<AtomicUsize>,
}

/// Answers a health request with the request's number as its uptime.
fn answer(number: usize) -> Vec<u8> {
    let report = HealthReport { uptime_seconds: number as u64, ..HealthReport::default() };
    Reply::from(Response::Health(report)).encode()
}

async fn serve(mut stream: UnixStream, acts: &'static [Act], number: &AtomicUsize) {
    while let Ok(length) = stream.read_u32_le().await {
        let mut request = vec![0; length as usize];
        stream.read_exact(&mut request).await.unwrap();
        Request::decode(&request).unwrap();
        let number = number.fetch_add(1, Ordering::SeqCst);
        let bytes = match acts.get(number).copied().unwrap_or(Act::Answer) {
            Act::Answer => answer(number),
            Act::Refuse => Reply::from(Problem::QuotaExceeded).encode(),
            Act::Close => return,
            Act::Tear => {
                stream.write_u32_le(1000).await.unwrap();
                stream.write_all(&[1; 500]).await.unwrap();
                return;
            }
            Act::Boast => {
                stream.write_u32_le(u32::MAX).await.unwrap();
                continue;
            }
            Act::Garbage => vec![0xff; 40],
            Act::Stall => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                answer(number)
            }
        };
        stream.write_u32_le(bytes.len() as u32).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
    }
}

fn enclave(acts: &'static [Act]) -> Enclave {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("enclave.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let metrics = Arc::new(Metrics::new());
    let link = Arc::new(Link::new(Address::Unix(path), Arc::clone(&metrics)));
    let connections = Arc::new(AtomicUsize::new(0));
    let (count, number) = (Arc::clone(&connections), Arc::new(AtomicUsize::new(0)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let number = Arc::clone(&number);
            tokio::spawn(async move { serve(stream, acts, &number).await });
        }
    });
    Enclave { _folder: folder, link, metrics, connections }
}

async fn ask(link: &Link) -> Result<u64, LinkError> {
    match link.call(&Request::Health).await?.response {
        Response::Health(report) => Ok(report.uptime_seconds),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_connection_serves_all_and_bytes_are_counted() {
    let enclave = enclave(&[]);
    for number in 0..5 {
        assert_eq!(ask(&enclave.link).await.unwrap(), number);
    }
    assert_eq!(enclave.connections.load(Ordering::SeqCst), 1);
    let edges = enclave.metrics.edges();
    let sent = (Party::Host, Party::Enclave, Payload::Control);
    assert!(
        edges.iter().any(|(edge, bytes, messages)| *edge == sent && *bytes > 0 && *messages == 5)
    );
}

#[tokio::test]
async fn a_broken_connection_is_made_anew_and_the_request_sent_again() {
    for acts in [&[Act::Answer, Act::Close][..], &[Act::Answer, Act::Tear]] {
        let enclave = enclave(Box::leak(acts.to_vec().into_boxed_slice()));
        assert_eq!(ask(&enclave.link).await.unwrap(), 0);
        assert_eq!(ask(&enclave.link).await.unwrap(), 2, "{acts:?}");
        assert_eq!(enclave.connections.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn an_enclave_that_always_breaks_off_is_unreachable() {
    let enclave = enclave(&[Act::Close, Act::Tear]);
    for _ in 0..2 {
        let error = ask(&enclave.link).await.unwrap_err();
        assert!(matches!(error, LinkError::Unreachable(_)), "{error:?}");
        assert!(error.is_transient());
        assert_eq!(enclave.metrics.enclave_reachable.get(), 0);
    }
    assert_eq!(ask(&enclave.link).await.unwrap(), 2);
    assert_eq!(enclave.metrics.enclave_reachable.get(), 1);
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let address = Address::Unix(folder.path().join("nothing"));
    let error = ask(&Link::new(address, Arc::default())).await.unwrap_err();
    assert!(matches!(error, LinkError::Unreachable(_)));
}

#[tokio::test]
async fn lies_about_lengths_and_garbage_are_typed_and_do_not_stick() {
    let enclave = enclave(&[Act::Boast, Act::Garbage, Act::Refuse]);
    let error = ask(&enclave.link).await.unwrap_err();
    assert!(matches!(error, LinkError::Oversized(length) if length == u32::MAX as usize));
    assert!(matches!(ask(&enclave.link).await.unwrap_err(), LinkError::Malformed(_)));
    let error = ask(&enclave.link).await.unwrap_err();
    assert!(matches!(error, LinkError::Refused(Problem::QuotaExceeded)));
    assert!(!error.is_transient());
    assert_eq!(ask(&enclave.link).await.unwrap(), 3);
}

#[tokio::test]
async fn an_abandoned_call_does_not_leave_its_answer_to_the_next() {
    let enclave = enclave(&[Act::Stall]);
    let abandoned = tokio::time::timeout(Duration::from_millis(50), ask(&enclave.link)).await;
    assert!(abandoned.is_err());
    assert_eq!(ask(&enclave.link).await.unwrap(), 1);
}

#[tokio::test]
async fn many_callers_take_turns() {
    let enclave = enclave(&[]);
    let calls = (0..50).map(|_| {
        let link = Arc::clone(&enclave.link);
        tokio::spawn(async move { ask(&link).await.unwrap() })
    });
    let mut numbers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        numbers.push(call.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    assert_eq!(enclave.connections.load(Ordering::SeqCst), 1);
}
