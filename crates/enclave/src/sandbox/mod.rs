//! The process shuts itself in: what it will never need is given up before a byte of the state or of a request is read.
//!
//! State file, listening socket and the platform's devices are open by then. Landlock closes the file system but for the paths that
//! the platform names, and TCP; seccomp closes all system calls but a short list, so that nothing is executed, no process is
//! made, no other socket opened, no memory made executable. Both hold for all threads that come after, and nothing lifts them.

mod calls;
mod files;

use std::path::PathBuf;

use crate::Listener;

/// Why the process cannot shut itself in.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel has no landlock.
    #[error(
        "this kernel does not shut off files (landlock): start Linux 5.13 or newer with landlock among its security modules \
         (boot option lsm=landlock,…), or go without all of the sandbox by --no-sandbox"
    )]
    Files(#[source] landlock::RulesetError),
    /// A path of the platform is not there.
    #[error("the platform's path {path} cannot be left open", path = path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        source: landlock::PathFdError,
    },
    /// The kernel takes no filter of system calls.
    #[error(
        "this kernel filters no system calls (seccomp): start one built with CONFIG_SECCOMP_FILTER, or go without all of the \
         sandbox by --no-sandbox"
    )]
    Calls(#[from] seccompiler::Error),
    /// No filter is known for this processor.
    #[error(
        "no filter of system calls is known for this processor: --no-sandbox goes without all of the sandbox"
    )]
    Processor(#[from] seccompiler::BackendError),
}

/// What the sandbox consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// The kernel knows all that was asked of landlock: files, TCP, devices, abstract sockets, signals. An older one shuts off files alone.
    pub all_of_landlock: bool,
}

impl Sandbox {
    /// Shuts the calling thread in, and all that it will start: `listener` accepts, `paths` can be read and written, memory, clock,
    /// threads and open files work on; nothing else does. Call it before there are other threads, they would stay outside.
    ///
    /// # Errors
    /// [`SandboxError`] when the kernel cannot; the thread may then be shut in by half and should end.
    pub fn enter(listener: &Listener, paths: &[PathBuf]) -> Result<Self, SandboxError> {
        let filters = calls::filters(listener)?;
        let all_of_landlock = files::restrict(paths)?;
        for filter in &filters {
            seccompiler::apply_filter(filter)?;
        }
        Ok(Self { all_of_landlock })
    }
}
