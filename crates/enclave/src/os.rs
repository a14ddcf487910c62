//! The few things that need the operating system and `unsafe`: locked memory, core dumps, resource figures.
#![expect(unsafe_code, reason = "locked memory and resource figures are system calls")]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::OnceLock;
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

/// First descriptor after the standard ones.
const FIRST_OF_OURS: libc::c_uint = 3;
/// Descriptors looked at one by one where the kernel cannot close them all at once.
const MANY: libc::c_int = 1 << 16;

/// Closes every file that the process inherited: standard input and output lead nowhere from here on, standard error stays for the log. Call
/// it before the process opens anything of its own, which it would close as well.
pub fn close_inherited() {
    // A machine without /dev/null keeps these two: nothing here reads or writes them.
    if let Ok(nothing) = File::options().read(true).write(true).open("/dev/null") {
        for standard in [libc::STDIN_FILENO, libc::STDOUT_FILENO] {
            // SAFETY: both are open, and what `standard` was is nobody's property.
            unsafe { libc::dup2(nothing.as_raw_fd(), standard) };
        }
    }
    // SAFETY: by contract nothing in this process owns any of these descriptors.
    let closed = unsafe { libc::close_range(FIRST_OF_OURS, libc::c_uint::MAX, 0) } == 0;
    if !closed {
        // Linux before 5.9, or none (Gramine).
        for descriptor in FIRST_OF_OURS.cast_signed()..MANY {
            // SAFETY: as above; closing what is not open does nothing.
            unsafe { libc::close(descriptor) };
        }
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
    // Its file is opened while that can be done.
    resident_bytes();
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
    /// Open once and for all: in the sandbox it could not be opened.
    static STATUS: OnceLock<Option<File>> = OnceLock::new();
    let mut status = [0; 4096];
    let file = STATUS.get_or_init(|| File::open("/proc/self/status").ok());
    let length = file.as_ref().and_then(|file| file.read_at(&mut status, 0).ok()).unwrap_or(0);
    let status = String::from_utf8_lossy(status.get(..length).unwrap_or_default());
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

    /// The kernel's own flags of the mapping that holds this address.
    fn flags(at: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            if let Some((start, end)) = range {
                let bound = |text| usize::from_str_radix(text, 16);
                if let (Ok(start), Ok(end)) = (bound(start), bound(end)) {
                    inside = (start..end).contains(&at);
                }
            }
            if inside && line.starts_with("VmFlags:") {
                return format!("{line} ");
            }
        }
        panic!("no mapping at {at:x}");
    }

    #[test]
    fn a_region_is_locked_and_left_out_of_dumps_and_children() {
        let region = LockedRegion::new().unwrap();
        assert!(region.is_locked(), "the limit of locked memory (ulimit -l) is too low to test");
        // Linux, Documentation/filesystems/proc.rst: locked, not dumped, not copied on fork.
        let told = flags(region.bytes().as_ptr() as usize);
        for flag in [" lo ", " dd ", " dc "] {
            assert!(told.contains(flag), "{flag} in {told}");
        }
        let ordinary = vec![1u8; 1 << 20];
        let told = flags(ordinary.as_ptr() as usize + (1 << 19));
        assert!(![" lo ", " dd ", " dc "].iter().any(|flag| told.contains(flag)), "{told}");
    }

    /// Without the bytes of a region, a child that reads them dies; the parent's stay.
    #[test]
    fn a_child_has_no_region() {
        let mut region = LockedRegion::new().unwrap();
        region.bytes_mut()[0] = 7;
        let secret = region.bytes().as_ptr();
        // SAFETY: the child reads one byte, makes no other call than `_exit`, and ends.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            // SAFETY: in the child the address is not mapped, which is what is tried.
            unsafe { libc::_exit(i32::from(secret.read_volatile())) };
        }
        let mut status = 0;
        // SAFETY: writes the integer it is given.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGSEGV, "{status:x}");
        assert_eq!(region.bytes()[0], 7);
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
