//! The few things that need the operating system and `unsafe`: locked memory, core dumps, resource figures.
#![expect(unsafe_code, reason = "locked memory and resource figures are system calls")]

use std::ptr::NonNull;
use zeroize::Zeroize;

/// Bytes of one locked region: a few pages, so that locking stays far below the usual limit of 8 MiB.
pub(crate) const REGION: usize = 64 << 10;

/// Memory of its own pages: kept out of swap where the limit allows, out of core dumps and child processes; wiped when dropped.
pub(crate) struct LockedRegion {
    start: NonNull<u8>,
    locked: bool,
}

// SAFETY: the region owns its pages; all access goes through `&self` and `&mut self`.
unsafe impl Send for LockedRegion {}
// SAFETY: as above; shared access only reads.
unsafe impl Sync for LockedRegion {}

impl LockedRegion {
    /// Takes [`REGION`] zeroed bytes from the operating system.
    pub(crate) fn new() -> std::io::Result<Self> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                REGION,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: the range was just mapped and is ours; neither call changes its contents. Refusals are tolerable:
        // without them the pages are ordinary memory, which `locked` tells.
        let locked = unsafe {
            libc::madvise(start, REGION, libc::MADV_DONTDUMP);
            libc::madvise(start, REGION, libc::MADV_DONTFORK);
            libc::mlock(start, REGION) == 0
        };
        match NonNull::new(start.cast()) {
            Some(start) => Ok(Self { start, locked }),
            None => Err(std::io::ErrorKind::OutOfMemory.into()),
        }
    }

    /// Whether the pages are locked.
    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: REGION bytes from `start` are mapped, initialized by the kernel to zero, and live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), REGION) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), REGION) }
    }
}

impl Drop for LockedRegion {
    fn drop(&mut self) {
        self.bytes_mut().zeroize();
        // SAFETY: the range was mapped by `new`, and nothing refers to it after this.
        unsafe { libc::munmap(self.start.as_ptr().cast(), REGION) };
    }
}

/// What hardening the operating system granted.
#[derive(Clone, Copy, Debug)]
pub struct Hardening {
    /// No debugger of the same user, no core dump.
    pub undumpable: bool,
    /// All memory of the process is locked, not only the regions that hold secrets at rest.
    pub all_locked: bool,
    /// Bytes that may be locked; `None` without a limit.
    pub lock_limit: Option<u64>,
}

/// Closes the process to debuggers and core dumps, and locks all its memory where no limit stands against it.
pub fn harden() -> Hardening {
    // SAFETY: prctl and setrlimit with these arguments read the values given and no memory but the struct.
    let undumpable = unsafe {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        let dumpable = libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none) == 0 && dumpable == 0
    };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes the struct it is given.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } == 0;
    let lock_limit = (!known || limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur);
    // SAFETY: mlockall changes no contents. Without a limit later allocations cannot fail for it.
    let all_locked = lock_limit.is_none()
        && unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) } == 0;
    Hardening { undumpable, all_locked, lock_limit }
}

/// Microseconds of a processor-time clock.
fn clock_micros(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime writes the struct it is given.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return 0;
    }
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0) / 1000
}

/// Processor time of the process, user and system, in microseconds.
pub(crate) fn process_cpu_micros() -> u64 {
    clock_micros(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Processor time of the calling thread in microseconds.
pub(crate) fn thread_cpu_micros() -> u64 {
    clock_micros(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Resident set now and at its largest, in bytes; zeros where the kernel does not tell.
pub(crate) fn resident_bytes() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|v| v.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    (field("VmRSS:"), field("VmHWM:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_zero_and_keeps_what_is_written() {
        let mut region = LockedRegion::new().unwrap();
        assert!(region.bytes().iter().all(|&byte| byte == 0));
        region.bytes_mut()[REGION - 1] = 7;
        assert_eq!(region.bytes()[REGION - 1], 7);
    }

    #[test]
    fn figures_are_plausible() {
        let start = thread_cpu_micros();
        let mut sum = 0u64;
        while thread_cpu_micros() < start + 2000 {
            sum = sum.wrapping_mul(3).wrapping_add(1);
        }
        assert!(sum > 0 && process_cpu_micros() >= 2000);
        let (now, peak) = resident_bytes();
        assert!(now > 0 && peak >= now);
    }
}
