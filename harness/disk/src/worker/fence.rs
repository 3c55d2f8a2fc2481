//! The fence around the worker: what it cannot do, whatever a volume makes its parser do.
//!
//! - No new privileges, no core dumps, no debugger of the same user.
//! - 1 GiB of memory, and no file descriptor beside those that it was started with.
//! - Landlock: no file, no TCP port, no signal to and no abstract socket of other processes. A kernel may
//!   lack it; then seccomp alone has to do, and the survey says so.
//! - seccomp: only the system calls in [`ALLOWED`]; with any other the kernel ends the process (SIGSYS).
//!
//! What is left is to read and write the descriptors that it has: the harness, the disk, its own error
//! output.

use std::collections::BTreeMap;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Bytes of address space: the whole worker with all that it remembers of a volume.
pub(crate) const MEMORY: u64 = 1 << 30;
/// Standard input, output and error, and the worker's own handles on them.
const DESCRIPTORS: u64 = 6;

/// The fence cannot be put up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FenceError {
    #[error("a limit cannot be set: {0}")]
    Limit(#[from] rustix::io::Errno),
    #[error("Landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    #[error("seccomp: {0}; the kernel must have CONFIG_SECCOMP_FILTER, and a container allow it")]
    Seccomp(#[from] seccompiler::Error),
    #[error("seccomp: {0}")]
    Filter(#[from] seccompiler::BackendError),
}

/// Limits, no new privileges, Landlock: for the calling thread and those that it starts from then on.
/// True if the kernel has Landlock.
pub(crate) fn restrict() -> Result<bool, FenceError> {
    close_inherited();
    let limit = |value| Rlimit { current: Some(value), maximum: Some(value) };
    rustix::process::setrlimit(Resource::As, limit(MEMORY))?;
    rustix::process::setrlimit(Resource::Core, limit(0))?;
    rustix::process::setrlimit(Resource::Nofile, limit(DESCRIPTORS))?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    // Nothing is added to the rule set: nothing is allowed.
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V6))?
        .handle_access(AccessNet::from_all(ABI::V6))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// System calls that are allowed with any arguments.
const ALLOWED: &[libc::c_long] = &[
    // The descriptors that are there.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_ppoll,
    libc::SYS_close,
    // Memory.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // The Rust runtime: locks, signals of its own, hash seeds, the clock, the end.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

/// The filter for system calls, for all threads.
pub(crate) fn filter() -> Result<(), FenceError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|&call| (call, Vec::new())).collect();
    // Memory that code could run from is never handed out.
    let no_code = SeccompCondition::new(
        2,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(libc::PROT_EXEC as u64),
        0,
    )?;
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![SeccompRule::new(vec![no_code.clone()])?]);
    }
    // `abort` sends SIGABRT to its own thread; to whom else cannot be told here, and Landlock or the
    // kernel's own rules decide.
    let abort =
        SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::SIGABRT as u64)?;
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![abort])?]);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&program)?)
}

/// Closes what the worker was not meant to have: a harness that was itself started with descriptors open
/// hands them on.
#[expect(unsafe_code, reason = "no safe crate closes descriptors that nobody owns")]
fn close_inherited() {
    // SAFETY: Called first in the process, before anything but the three standard streams is owned; a
    // kernel without the call answers with an error, and then the fence stands around what is open.
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, 0);
    }
}
