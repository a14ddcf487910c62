//! The enclave behind a socket: frames in, frames out, one thread a connection, a bounded number of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adyton_wire::frame::{self, FrameError};
use adyton_wire::{Address, Problem, Reply, limits};

use crate::Enclave;
use crate::log::{Field, Level, log};

/// Connections served at a time; the host needs one.
const MAX_CONNECTIONS: usize = 16;
/// Longest wait for a peer to take a reply.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// Why the enclave cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ServeError {
    address: Address,
    source: std::io::Error,
}

/// The enclave's only socket.
pub struct Listener {
    socket: Socket,
    address: String,
}

enum Socket {
    Unix(UnixListener),
    Tcp(TcpListener),
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

impl Listener {
    /// Takes the address; who connects waits until [`serve`]. A socket that a killed enclave left behind is replaced, so claim the state
    /// ([`StateFile`](crate::StateFile)) first: its lock tells apart one that runs.
    ///
    /// # Errors
    /// [`ServeError`] when the address cannot be bound.
    pub fn bind(address: &Address) -> Result<Self, ServeError> {
        let failed = |source| ServeError { address: address.clone(), source };
        let socket = Socket::bind(address).map_err(failed)?;
        Ok(Self { address: socket.describe(), socket })
    }

    /// Its file descriptor.
    pub(crate) fn descriptor(&self) -> RawFd {
        match &self.socket {
            Socket::Unix(listener) => listener.as_raw_fd(),
            Socket::Tcp(listener) => listener.as_raw_fd(),
        }
    }
}

impl Socket {
    fn bind(address: &Address) -> std::io::Result<Self> {
        match address {
            Address::Unix(path) => {
                if std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
                Ok(Self::Unix(listener))
            }
            Address::Tcp(address) => {
                let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
                TcpListener::bind(addresses.as_slice()).map(Self::Tcp)
            }
        }
    }

    fn accept(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_write_timeout(Some(WRITE_TIME))?;
                Box::new(stream)
            }
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_write_timeout(Some(WRITE_TIME))?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }

    fn describe(&self) -> String {
        match self {
            Self::Unix(listener) => listener
                .local_addr()
                .ok()
                .and_then(|address| {
                    address.as_pathname().map(|path| format!("unix:{}", path.display()))
                })
                .unwrap_or_default(),
            Self::Tcp(listener) => {
                listener.local_addr().map(|address| format!("tcp:{address}")).unwrap_or_default()
            }
        }
    }
}

/// Serves until the process ends.
pub fn serve(enclave: Arc<Enclave>, listener: &Listener) -> ! {
    log(Level::Info, "listening", &[("address", Field::Text(&listener.address))]);
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let mut stream = match listener.socket.accept() {
            Ok(stream) => stream,
            Err(error) => {
                log(Level::Warn, "accept-failed", &[("cause", Field::Text(&error))]);
                // Out of file descriptors, mostly: wait for one to come free.
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let place = Place::take(&open);
        let enclave = Arc::clone(&enclave);
        let spawned = std::thread::Builder::new().name("connection".to_owned()).spawn(move || {
            if place.number >= MAX_CONNECTIONS {
                let _ = frame::write(&mut stream, &Reply::from(Problem::Busy).encode());
                return;
            }
            converse(&enclave, &mut stream);
        });
        if let Err(error) = spawned {
            log(Level::Warn, "thread-failed", &[("cause", Field::Text(&error))]);
        }
    }
}

/// One connection's place among those open; given back when dropped.
struct Place {
    open: Arc<AtomicUsize>,
    number: usize,
}

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        Self { open: Arc::clone(open), number: open.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves a connection until its peer leaves or breaks the framing.
fn converse(enclave: &Enclave, stream: &mut impl Stream) {
    loop {
        let reply = match frame::read(stream, limits::MAX_FRAME) {
            Ok(Some(request)) => enclave.serve(&request),
            Ok(None) => return,
            Err(FrameError::TooLarge { length, .. }) => {
                log(Level::Info, "frame-too-large", &[("bytes", Field::Number(length as u64))]);
                let _ = frame::write(stream, &Reply::from(Problem::TooLarge).encode());
                return;
            }
            Err(error) => {
                log(Level::Info, "connection-broke", &[("cause", Field::Text(&error))]);
                return;
            }
        };
        if let Err(error) = frame::write(stream, &reply) {
            log(Level::Info, "connection-broke", &[("cause", Field::Text(&error))]);
            return;
        }
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
