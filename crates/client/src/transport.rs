//! The host's gRPC service as the owners use it. Nothing here is trusted: what must be true is signed inside the messages,
//! what must stay secret is sealed or encrypted before it comes here.

mod audits;
mod calls;
mod counting;
mod upload;

pub use audits::AuditWork;
pub use calls::{JobEvent, JobOutcome, SessionEvent};
pub use upload::Stored;

use adyton_rpc::v1::host_client::HostClient;
use counting::{Counters, Counting};
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::TcpStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};

/// Why the host did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// Not an address of a host.
    #[error("`{url}` is not a host's address: {reason}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No connection.
    #[error("cannot reach the host at {url}")]
    Connect {
        /// The host's address.
        url: String,
        /// Why not.
        source: tonic::transport::Error,
    },
    /// Somebody answers, but not with a certificate that is trusted.
    #[error("the certificate of {url} is not trusted{}", if *.own { " by the authority given" } else { " by this system's authorities" })]
    Certificate {
        /// The host's address.
        url: String,
        /// Whether an authority was given.
        own: bool,
        /// Why not.
        source: tonic::transport::Error,
    },
    /// The file of the TLS authority cannot be used.
    #[error("{} is no TLS authority: {reason}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The host or the enclave behind it refused.
    #[error("the host refused to {action}: {message}{}", problem.as_ref().map(|p| format!(" [{p}]")).unwrap_or_default())]
    Refused {
        /// What was asked.
        action: &'static str,
        /// The machine-readable problem, where the host names one.
        problem: Option<String>,
        /// For people.
        message: String,
    },
    /// The connection broke, or the host is overloaded or ending: the same call may be made again.
    #[error("the host did not finish to {action}: {message}")]
    Unavailable {
        /// What was asked.
        action: &'static str,
        /// For people.
        message: String,
    },
    /// An answer that this version does not understand.
    #[error("the host's answer to {action} is malformed: {reason}")]
    Answer {
        /// What was asked.
        action: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A local file cannot be written.
    #[error("cannot write {what}")]
    Write {
        /// What was to be written.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// A local file cannot be read.
    #[error("cannot read {what}")]
    Read {
        /// What was to be read.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

impl TransportError {
    /// The machine-readable problem that the host or the enclave named.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } => problem.as_deref(),
            _ => None,
        }
    }

    fn status(action: &'static str) -> impl FnOnce(tonic::Status) -> Self {
        move |status| {
            let problem = adyton_rpc::problem(&status).map(str::to_owned);
            let message = status.message().to_owned();
            // A status with a cause was made here, of a connection that broke: a host that dies in the middle of an answer
            // is `Unknown` or `Internal` by its code. One that the host sent has none.
            let broken = problem.is_none() && std::error::Error::source(&status).is_some();
            match status.code() {
                tonic::Code::Unavailable
                | tonic::Code::Cancelled
                | tonic::Code::DeadlineExceeded => Self::Unavailable { action, message },
                _ if broken => Self::Unavailable { action, message },
                _ => Self::Refused { action, problem, message },
            }
        }
    }
}

/// How long a host may take to be reached, and to show that it still lives.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes over an owner's connection to the host, protocol overhead (HTTP/2 frames, TLS) included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the owner to the host.
    pub sent: u64,
    /// From the host to the owner.
    pub received: u64,
}

/// A connection to a host.
#[derive(Clone)]
pub struct Host {
    client: HostClient<Channel>,
    counters: Counters,
}

impl Host {
    /// Connects to `http://…` or `https://…`. For TLS the system's authorities are trusted, or the one in `tls_ca` (PEM).
    ///
    /// # Errors
    /// The address is malformed, the file cannot be read, or nobody answers there.
    pub async fn connect(url: &str, tls_ca: Option<&Path>) -> Result<Self, TransportError> {
        let address = |reason| TransportError::Address { url: url.to_owned(), reason };
        let uri: Uri =
            url.parse().map_err(|_| address("expected http://HOST:PORT or https://HOST:PORT"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(address("it must begin with http:// or https://")),
        };
        let name = uri
            .host()
            .ok_or_else(|| address("it names no host"))?
            .trim_matches(['[', ']'])
            .to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let connect = |source| {
            let url = url.to_owned();
            if is_certificate(&source) {
                return TransportError::Certificate { url, own: tls_ca.is_some(), source };
            }
            TransportError::Connect { url, source }
        };
        let mut endpoint = Endpoint::from(uri)
            .tcp_nodelay(true)
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(16 << 20)
            .connect_timeout(PATIENCE)
            .http2_keep_alive_interval(PATIENCE)
            .keep_alive_timeout(PATIENCE)
            .keep_alive_while_idle(true);
        if secure {
            let tls = match tls_ca {
                Some(path) => ClientTlsConfig::new().ca_certificate(authority(path)?),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(connect)?;
        } else if tls_ca.is_some() {
            return Err(address("a TLS authority was given, so it must begin with https://"));
        }
        let counters = Counters::default();
        let shared = counters.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let (name, counters) = (name.clone(), shared.clone());
            async move {
                let stream = TcpStream::connect((name.as_str(), port)).await?;
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(Counting::new(stream, counters)))
            }
        });
        let channel = endpoint.connect_with_connector(connector).await.map_err(connect)?;
        let client = HostClient::new(channel)
            .max_decoding_message_size(adyton_rpc::MAX_MESSAGE)
            .max_encoding_message_size(adyton_rpc::MAX_MESSAGE);
        Ok(Self { client, counters })
    }

    /// Bytes so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic { sent: self.counters.sent(), received: self.counters.received() }
    }
}

/// The certificate of an authority from its file.
fn authority(path: &Path) -> Result<Certificate, TransportError> {
    let fail = |reason: String| TransportError::Authority { path: path.to_owned(), reason };
    let pem = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    // A file without any would be an authority that signs nothing, and every host's certificate would be to blame.
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(BEGIN.len()).any(|bytes| bytes == BEGIN) {
        return Err(fail("it holds no certificate in PEM form".to_owned()));
    }
    Ok(Certificate::from_pem(pem))
}

/// Whether a connection failed over what the other side showed of itself, so that trying again is in vain.
fn is_certificate(error: &tonic::transport::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.to_string().starts_with("invalid peer certificate") {
            return true;
        }
        next = cause.source();
    }
    false
}
