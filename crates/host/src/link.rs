//! The link to the enclave: one connection, one request at a time, made anew when it breaks.
//!
//! Every request of the enclave's protocol is idempotent, so one that was cut off by a broken connection is sent once more
//! on a fresh one. A call that is dropped half-way takes its connection with it: the next call never reads its answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use adyton_wire::limits::MAX_FRAME;
use adyton_wire::{Address, Problem, Reply, Request, Response, WireError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use crate::metrics::{Metrics, Party, Payload};

/// Requests that may wait for the connection; more are refused.
const MAX_WAITING: usize = 256;
/// Time for a connection to come about.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// Time for one request and its answer. The longest is the release of a full batch or one large key: seconds.
const REQUEST_TIME: Duration = Duration::from_secs(120);
/// Memory taken at a time while a frame arrives: the peer pays with bytes for what it makes us allocate.
const STEP: usize = 1 << 20;

/// Why the enclave gave no answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection, or it broke twice.
    #[error("the enclave cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// It did not answer in time.
    #[error("the enclave did not answer in time")]
    Timeout,
    /// Too many requests wait.
    #[error("too many requests wait for the enclave")]
    Overloaded,
    /// The answer is longer than any may be.
    #[error("the enclave announced an answer of {0} bytes")]
    Oversized(usize),
    /// The answer is malformed or of another kind than the request.
    #[error("the enclave's answer is malformed: {0}")]
    Malformed(#[from] WireError),
    /// The answer is of another kind than the request.
    #[error("the enclave answered something else than it was asked")]
    Unexpected,
    /// The request is larger than a frame.
    #[error("the request has {0} bytes, more than a frame holds")]
    RequestTooLarge(usize),
    /// The enclave refuses.
    #[error("the enclave refuses: {0}")]
    Refused(Problem),
}

impl LinkError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout | Self::Overloaded => true,
            Self::Refused(problem) => problem.is_transient(),
            Self::Oversized(_)
            | Self::Malformed(_)
            | Self::Unexpected
            | Self::RequestTooLarge(_) => false,
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The link; shared by all calls.
pub struct Link {
    address: Address,
    connection: Mutex<Option<Box<dyn Stream>>>,
    waiting: Semaphore,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Link {
    /// A link that connects at its first call.
    pub fn new(address: Address, metrics: Arc<Metrics>) -> Self {
        let waiting = Semaphore::new(MAX_WAITING);
        Self { address, connection: Mutex::new(None), waiting, metrics }
    }

    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    /// [`LinkError`]; a refusal of the enclave is [`LinkError::Refused`].
    pub async fn call(&self, request: &Request) -> Result<Reply, LinkError> {
        let payload = payload(request);
        let bytes = request.encode();
        if bytes.len() > MAX_FRAME {
            return Err(LinkError::RequestTooLarge(bytes.len()));
        }
        let _place = self.waiting.try_acquire().map_err(|_| LinkError::Overloaded)?;
        let mut connection = self.connection.lock().await;
        let exchanged = timeout(REQUEST_TIME, self.exchange(&mut connection, &bytes)).await;
        let answer = exchanged.unwrap_or(Err(LinkError::Timeout));
        self.metrics.enclave_reachable.set(i64::from(answer.is_ok()));
        let answer = answer?;
        self.metrics.carried((Party::Host, Party::Enclave, payload), bytes.len());
        self.metrics.carried((Party::Enclave, Party::Host, payload), answer.len());
        let reply = Reply::decode(&answer)?;
        match reply.response {
            Response::Refused(problem) => Err(LinkError::Refused(problem)),
            _ => Ok(reply),
        }
    }

    async fn exchange(
        &self,
        connection: &mut Option<Box<dyn Stream>>,
        request: &[u8],
    ) -> Result<Vec<u8>, LinkError> {
        // Taken out for the time of the exchange: whatever ends it early ends the connection with it.
        if let Some(mut stream) = connection.take() {
            match exchange_on(&mut stream, request).await {
                Ok(answer) => {
                    *connection = Some(stream);
                    return Ok(answer);
                }
                Err(LinkError::Unreachable(error)) => {
                    tracing::debug!(%error, "connection to the enclave broke; connecting again");
                }
                Err(error) => return Err(error),
            }
        }
        let mut stream = self.connect().await?;
        let answer = exchange_on(&mut stream, request).await?;
        *connection = Some(stream);
        Ok(answer)
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, LinkError> {
        let connecting = async {
            Ok::<Box<dyn Stream>, std::io::Error>(match &self.address {
                Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
                Address::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
            })
        };
        Ok(timeout(CONNECT_TIME, connecting).await.map_err(|_| LinkError::Timeout)??)
    }
}

async fn exchange_on(stream: &mut Box<dyn Stream>, request: &[u8]) -> Result<Vec<u8>, LinkError> {
    // `call` has checked that the length fits.
    stream.write_all(&(request.len() as u32).to_le_bytes()).await?;
    stream.write_all(request).await?;
    stream.flush().await?;
    let length = stream.read_u32_le().await? as usize;
    if length > MAX_FRAME {
        return Err(LinkError::Oversized(length));
    }
    let mut answer = Vec::new();
    while answer.len() < length {
        let step = (length - answer.len()).min(STEP.max(answer.len()));
        answer.reserve_exact(step);
        let read = stream.take(step as u64).read_to_end(&mut answer).await?;
        if read < step {
            return Err(LinkError::Unreachable(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(answer)
}

fn payload(request: &Request) -> Payload {
    match request {
        Request::GetEvidence { .. } => Payload::Evidence,
        Request::RegisterDeployment(_) => Payload::Deployment,
        Request::OpenSession(_) => Payload::Session,
        Request::MakeKey { .. } => Payload::Keys,
        Request::Release(_) => Payload::Result,
        Request::GetAudit { .. } | Request::SubmitFinding(_) => Payload::Audit,
        Request::Health => Payload::Control,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!("unix:/a/b:c".parse(), Ok(Address::Unix("/a/b:c".into())));
        assert_eq!("tcp:[::1]:9".parse(), Ok(Address::Tcp("[::1]:9".to_owned())));
        for wrong in ["", "unix:", "tcp:host", "/a", "http://x:1"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
