//! The host as a whole: opens its state, serves, and stops in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use adyton_rpc::MAX_MESSAGE;
use adyton_rpc::v1::host_server::HostServer;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use crate::config::Config;
use crate::core::Core;
use crate::error::HostError;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::{http, worker};

/// Jobs that are worked on at once: one evaluates while the other loads.
const WORKERS: usize = 2;
/// Time for calls to end after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How often the enclave is asked whether it is there.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Why the host does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its state cannot be opened.
    #[error("cannot open the data folder {}", path.display())]
    State {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: HostError,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate or key cannot be read.
    #[error("cannot read {}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A certificate and its key are not what they should be.
    #[error(
        "{} and {} are not a PEM certificate chain and its private key",
        certificate.display(),
        key.display()
    )]
    Certificate {
        /// The file that should hold the chain.
        certificate: PathBuf,
        /// The file that should hold the key.
        key: PathBuf,
        /// Why not.
        source: tonic::transport::Error,
    },
    /// The server failed.
    #[error("server: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// A task of the server panicked.
    #[error("server: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

/// A host that serves. Dropped without [`RunningHost::stop`] it ends with the runtime, as if it were killed.
#[derive(Debug)]
pub struct RunningHost {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    core: Arc<Core>,
    cancel: Arc<AtomicBool>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    tasks: JoinSet<()>,
}

/// Opens the state and starts to serve.
///
/// # Errors
/// [`ServerError`].
pub async fn start(config: Config) -> Result<RunningHost, ServerError> {
    let metrics = Arc::new(Metrics::new());
    let opening = (config.clone(), Arc::clone(&metrics));
    let core = tokio::task::spawn_blocking(move || Core::open(&opening.0, opening.1)).await?;
    let unusable = |source| ServerError::State { path: config.data.clone(), source };
    let core = Arc::new(core.map_err(unusable)?);
    let (listener, address) = listen(config.listen).await?;
    let mut server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        // Large uploads are held back by the disk, not by small windows.
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20);
    if let (Some(certificate), Some(key)) = (&config.tls_cert, &config.tls_key) {
        let identity = Identity::from_pem(read(certificate)?, read(key)?);
        let tls = server.tls_config(ServerTlsConfig::new().identity(identity));
        server = tls.map_err(|source| ServerError::Certificate {
            certificate: certificate.clone(),
            key: key.clone(),
            source,
        })?;
    }
    let service = HostServer::new(Service { core: Arc::clone(&core) })
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let stopping = Arc::clone(&core);
    let serving = server.add_service(service).serve_with_incoming_shutdown(
        TcpListenerStream::new(listener),
        async move {
            stopping.stopping().await;
        },
    );

    let mut tasks = JoinSet::new();
    let mut metrics_address = None;
    if let Some(wanted) = config.metrics {
        let (listener, address) = listen(wanted).await?;
        metrics_address = Some(address);
        let router = http::router(metrics);
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the metrics server ended");
            }
        });
    }
    let cancel = Arc::new(AtomicBool::new(false));
    for _ in 0..WORKERS {
        tasks.spawn(worker::evaluate_jobs(Arc::clone(&core), Arc::clone(&cancel)));
    }
    tasks.spawn(worker::release_jobs(Arc::clone(&core)));
    tasks.spawn(heartbeat(Arc::clone(&core)));
    tracing::info!(%address, threads = core.threads, memory = core.memory.capacity(), "serving");
    let serving = tokio::spawn(serving);
    Ok(RunningHost { address, metrics_address, core, cancel, serving, tasks })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source| ServerError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn read(path: &std::path::Path) -> Result<Vec<u8>, ServerError> {
    std::fs::read(path).map_err(|source| ServerError::Tls { path: path.to_owned(), source })
}

/// Fetches audit entries that a crash kept from the host, and tells whether the enclave is there.
async fn heartbeat(core: Arc<Core>) {
    let mut complete = false;
    loop {
        if complete {
            worker::health(&core).await;
        } else {
            complete = core.fetch_audit().await.is_ok();
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

impl RunningHost {
    /// Where owners connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are served, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Stops in order: no new calls, those under way end, the evaluation under way is given up and taken up again at the
    /// next start.
    ///
    /// # Errors
    /// [`ServerError::Transport`] when the server had failed before.
    pub async fn stop(mut self) -> Result<(), ServerError> {
        self.cancel.store(true, Ordering::Relaxed);
        self.core.stop();
        let ended = tokio::time::timeout(GRACE, &mut self.serving).await;
        self.tasks.shutdown().await;
        match ended {
            Ok(ended) => Ok(ended??),
            Err(_) => {
                tracing::warn!("calls did not end in time and are cut off");
                self.serving.abort();
                Ok(())
            }
        }
    }

    /// Waits until the server ends by itself, which it does only when it fails.
    ///
    /// # Errors
    /// [`ServerError`] says why.
    pub async fn ended(&mut self) -> Result<(), ServerError> {
        Ok((&mut self.serving).await??)
    }
}
