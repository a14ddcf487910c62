//! CPU time and memory of this process.

use std::io;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// What this process has used so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// User and system time in seconds, all threads.
    pub cpu_seconds: f64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Largest resident memory so far in bytes.
    pub peak_rss_bytes: u64,
}

impl Usage {
    /// Reads it.
    ///
    /// # Errors
    /// When `/proc` is missing or reads unlike Linux's.
    pub fn now() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let strange = || io::Error::new(io::ErrorKind::InvalidData, "unexpected form of /proc");
        Ok(Self {
            cpu_seconds: cpu_time().as_secs_f64(),
            rss_bytes: kibibytes(&status, "VmRSS:").ok_or_else(strange)?,
            peak_rss_bytes: kibibytes(&status, "VmHWM:").ok_or_else(strange)?,
        })
    }
}

/// User and system time of this process so far, all threads; zero where the system does not tell.
pub fn cpu_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0)
    };
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let value: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    value.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_process() {
        let before = Usage::now().unwrap();
        assert!(before.rss_bytes > 0 && before.peak_rss_bytes >= before.rss_bytes);
        let started = std::time::Instant::now();
        while started.elapsed() < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        assert!(Usage::now().unwrap().cpu_seconds > before.cpu_seconds);
    }

    #[test]
    fn lines_of_status() {
        assert_eq!(kibibytes("VmHWM:\t  12 kB\nVmRSS:\t   7 kB\n", "VmRSS:"), Some(7 << 10));
        assert_eq!(kibibytes("VmRSS: seven kB", "VmRSS:"), None);
    }
}
