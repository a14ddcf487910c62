//! CPU time and peak memory of processes.

use crate::error::CliError;
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// CPU seconds over all its threads, user and system.
    pub(crate) cpu_seconds: f64,
    /// Largest resident set, MiB.
    pub(crate) peak_rss_mib: f64,
}

/// What this process has used.
pub(crate) fn of_self() -> Result<Usage, CliError> {
    let cpu = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_err(CliError::usage)?;
    let rusage = getrusage(UsageWho::RUSAGE_SELF).map_err(CliError::usage)?;
    // Kilobytes on Linux, bytes on macOS.
    let per_mib = if cfg!(target_os = "macos") { 1048576.0 } else { 1024.0 };
    Ok(Usage {
        cpu_seconds: cpu.tv_sec() as f64 + cpu.tv_nsec() as f64 * 1e-9,
        peak_rss_mib: rusage.max_rss() as f64 / per_mib,
    })
}

/// What a running process of ours has used, from the kernel's own counters (nanoseconds of CPU, high-water mark of memory).
pub(crate) fn of_process(pid: u32) -> Result<Usage, CliError> {
    let id = i32::try_from(pid).map_err(CliError::usage)?;
    let clock = clock_getcpuclockid(Pid::from_raw(id)).map_err(CliError::usage)?;
    let cpu = clock_gettime(clock).map_err(CliError::usage)?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(CliError::usage)?;
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .and_then(|l| l.trim().strip_suffix("kB"))
        .and_then(|l| l.trim().parse::<f64>().ok())
        .ok_or_else(|| CliError::usage(format!("/proc/{pid}/status names no VmHWM")))?;
    Ok(Usage {
        cpu_seconds: cpu.tv_sec() as f64 + cpu.tv_nsec() as f64 * 1e-9,
        peak_rss_mib: peak / 1024.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_memory_are_seen_from_inside_and_outside() {
        let before = of_self().unwrap();
        let block = vec![1u8; 64 << 20];
        let mut x = block.iter().map(|&b| u64::from(b)).sum::<u64>();
        for i in 0..20_000_000u64 {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(i);
        }
        assert_ne!(x, 0);
        let inside = of_self().unwrap();
        let outside = of_process(std::process::id()).unwrap();
        assert!(inside.cpu_seconds > before.cpu_seconds);
        assert!(outside.cpu_seconds >= inside.cpu_seconds);
        assert!(inside.peak_rss_mib >= 64.0 && outside.peak_rss_mib >= 64.0);
    }
}
