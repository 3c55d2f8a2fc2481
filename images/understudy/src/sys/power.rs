//! Leaving the machine: off, reset, or standing still.

use std::io;

/// How to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// ACPI power-off.
    Off,
    /// Reset; the firmware starts again.
    Reset,
}

/// Leaves at once. Whoever calls it has flushed what must be flushed.
#[expect(unsafe_code, reason = "reboot(2) has no safe wrapper")]
pub fn leave(power: Power) -> ! {
    let command = match power {
        Power::Off => libc::LINUX_REBOOT_CMD_POWER_OFF,
        Power::Reset => libc::LINUX_REBOOT_CMD_RESTART,
    };
    // SAFETY: plain system calls without pointers.
    unsafe {
        libc::sync();
        libc::reboot(command);
    }
    // Only reached if the kernel refuses, that is if this is not PID 1 of a machine.
    eprintln!("reboot({power:?}) was refused: {}", io::Error::last_os_error());
    std::process::exit(1)
}

/// Stands still for ever, as a machine does that shows an error and waits for a person.
#[expect(unsafe_code, reason = "pause(2) has no safe wrapper")]
pub fn stand_still() -> ! {
    loop {
        // SAFETY: plain system call; returns only after a signal handler ran.
        unsafe { libc::pause() };
    }
}

/// Takes Ctrl-Alt-Del away from the kernel and ignores broken pipes.
#[expect(unsafe_code, reason = "signal(2) and reboot(2) have no safe wrappers")]
pub fn take_over_signals() {
    // SAFETY: plain system calls; no handler code of ours is installed.
    unsafe {
        libc::reboot(libc::LINUX_REBOOT_CMD_CAD_OFF);
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
}
