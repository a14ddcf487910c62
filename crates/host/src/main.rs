//! `adyton-host`: the host as a process.

use std::process::ExitCode;

use adyton_host::config::Config;
use adyton_host::error::chain;
use adyton_host::server::{self, ServerError};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Evaluation allocates and frees polynomials of up to a mebibyte all the time. The system's allocator returns each to the kernel
/// and takes a page fault for every page of the next; this one keeps its pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let config = Config::parse();
    let filter = EnvFilter::try_from_env("ADYTON_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no threads");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(run(config));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = chain(&error), "the host ends");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), ServerError> {
    let mut host = server::start(config).await?;
    tokio::select! {
        ended = host.ended() => return ended,
        () = asked_to_stop() => {}
    }
    tracing::info!("stopping");
    host.stop().await
}

/// Returns on SIGTERM or SIGINT.
async fn asked_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the signals end the process at once, which is safe too.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
