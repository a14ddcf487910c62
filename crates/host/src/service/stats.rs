//! Version, load and use of resources.

use std::time::Duration;

use adyton_ckks::Kernel;
use adyton_rpc::MAX_CHUNK;
use adyton_rpc::v1::{Edge, InfoReply, ProcessUse, StatsReply};

use crate::core::Core;
use crate::error::HostError;
use crate::store::StoreError;
use crate::usage::Usage;
use crate::worker::health;

/// Version, limits and load.
pub(crate) fn info(core: &Core) -> InfoReply {
    InfoReply {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        max_chunk_bytes: MAX_CHUNK as u64,
        max_object_bytes: core.objects.limit(),
        threads: u32::try_from(core.threads).unwrap_or(u32::MAX),
        memory_bytes: core.memory.capacity(),
        jobs_open: u64::try_from(core.metrics.jobs_open.get()).unwrap_or(0),
        enclave_reachable: core.metrics.enclave_reachable.get() == 1,
        kernel: Kernel::detect().map(|kernel| kernel.to_string()).unwrap_or_default(),
    }
}

/// Everything that is counted.
pub(crate) async fn stats(core: &Core) -> Result<StatsReply, HostError> {
    let enclave = health(core).await;
    let host = Usage::now().map_err(StoreError::from)?;
    let edges = core.metrics.edges().into_iter().map(|((from, to, kind), bytes, messages)| Edge {
        from: from.name().to_owned(),
        to: to.name().to_owned(),
        kind: kind.name().to_owned(),
        bytes,
        messages,
    });
    let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
    Ok(StatsReply {
        edges: edges.collect(),
        host: Some(ProcessUse {
            pid: std::process::id().into(),
            cpu_seconds: host.cpu_seconds,
            rss_bytes: host.rss_bytes,
            peak_rss_bytes: host.peak_rss_bytes,
        }),
        enclave_release_cpu_seconds: enclave
            .as_ref()
            .map_or(0.0, |report| seconds(report.release_cpu_micros)),
        enclave_key_cpu_seconds: enclave
            .as_ref()
            .map_or(0.0, |report| seconds(report.key_cpu_micros)),
        enclave: enclave.map(|report| ProcessUse {
            pid: 0,
            cpu_seconds: seconds(report.cpu_micros),
            rss_bytes: report.rss_bytes,
            peak_rss_bytes: report.peak_rss_bytes,
        }),
        evaluate_seconds: core.metrics.evaluate_seconds.get(),
        evaluate_cpu_seconds: core.metrics.evaluate_cpu_seconds.get(),
        jobs_done: core.metrics.jobs_done.get(),
        jobs_refused: core.metrics.jobs_refused.get(),
        stored_bytes: core.objects.stored_bytes(),
    })
}
