//! System calls, by seccomp (Linux, Documentation/userspace-api/seccomp_filter.rst).

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};

use super::SandboxError;
use crate::Listener;

/// Calls that need no look at their arguments.
const PLAIN: &[c_long] = &[
    // Files and connections that are open; new files as landlock lets them.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mlock,
    // Threads, signals to oneself, time, randomness.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
];

/// The Nitro Secure Module's only request (`adyton-attest`, `nitro.rs`).
const NSM_RAW: u64 = 0xC020_0A00;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Argument `index` has this value in its lower half. Arguments compared here are `int`s, whose upper half is undefined.
fn equals(index: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

/// Argument `index`, by bits of `mask`, is `value`.
fn masked(index: u8, mask: u64, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(mask), value)
}

/// Two filters, to be applied in this order; the stricter of their answers holds.
///
/// The flags of `clone3` lie in memory, where no filter sees them. It is told to be unknown, and the C library takes `clone` instead.
pub(super) fn filters(listener: &Listener) -> Result<[BpfProgram; 2], SandboxError> {
    let unknown = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let unknown = compile(unknown, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32));
    let listed = rules(listener)?;
    let listed = compile(listed, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow);
    Ok([unknown?, listed?])
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let processor = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, listed, processor)?.try_into()
}

/// What is allowed. All else fails with `EPERM`.
fn rules(listener: &Listener) -> Result<Rules, BackendError> {
    let mut rules: Rules = PLAIN.iter().map(|&call| (call, Vec::new())).collect();
    // Decided by the other filter.
    rules.insert(libc::SYS_clone3, Vec::new());
    let mut when = |call: c_long, conditions: Vec<SeccompCondition>| {
        rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
        Ok::<(), BackendError>(())
    };
    // Threads of this process, no other process.
    let thread = libc::CLONE_THREAD as u64;
    when(libc::SYS_clone, vec![masked(0, thread, thread)?])?;
    // Memory is never both written and executed: no code comes in.
    let executable = libc::PROT_EXEC as u64;
    when(libc::SYS_mmap, vec![masked(2, executable, 0)?])?;
    when(libc::SYS_mprotect, vec![masked(2, executable, 0)?])?;
    // Connections come by the one listening socket.
    when(libc::SYS_accept4, vec![equals(0, listener.descriptor().unsigned_abs().into())?])?;
    for (level, option) in [
        (libc::SOL_SOCKET, libc::SO_SNDTIMEO),
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO),
        (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    ] {
        let conditions =
            vec![equals(1, level.unsigned_abs().into())?, equals(2, option.unsigned_abs().into())?];
        when(libc::SYS_setsockopt, conditions)?;
    }
    for question in [libc::F_GETFD, libc::F_GETFL] {
        when(libc::SYS_fcntl, vec![equals(1, question.unsigned_abs().into())?])?;
    }
    when(libc::SYS_ioctl, vec![equals(1, NSM_RAW)?])?;
    when(libc::SYS_prctl, vec![equals(0, libc::PR_SET_NAME.unsigned_abs().into())?])?;
    // A thread asks for the limit of its own stack; it sets none.
    when(libc::SYS_prlimit64, vec![equals(0, 0)?, masked(2, u64::MAX, 0)?])?;
    // `abort` signals its own process.
    when(libc::SYS_tgkill, vec![equals(0, std::process::id().into())?])?;
    Ok(rules)
}
