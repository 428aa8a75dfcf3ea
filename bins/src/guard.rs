//! What a process that holds a secret keeps from the rest of its host.

/// From now on no core is dumped of this process, and no other process of its user may attach to it or read its memory or its
/// environment (`/proc/PID/mem`, `/proc/PID/environ`): only root can. A debugger that started the process keeps it.
///
/// Not by RLIMIT_CORE: whatever that says, a handler of cores in `/proc/sys/kernel/core_pattern` gets one; and it would go on to
/// what `reply --exec` starts, where this ends. Only Linux has it: elsewhere nothing is done.
///
/// # Errors
/// Where the kernel, or a filter of system calls, forbids it.
pub(crate) fn close() -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}
