//! QEMU's ISA panic device (`pvpanic`).

use std::io;

/// The device's port, and its bit "panicked" (windows-facts.md 6.3).
const PORT: u16 = 0x505;
const PANICKED: u8 = 1;

/// Tells the device. Debian's cloud kernel has no `/dev/port`, so the port is written to directly.
/// Harmless where the device is missing: nobody listens on the port.
#[expect(unsafe_code, reason = "a port of the machine is written to")]
pub fn signal_panic_device() -> io::Result<()> {
    // SAFETY: asks for one port that no driver of this machine uses.
    if unsafe { libc::ioperm(libc::c_ulong::from(PORT), 1, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the port was granted above; writing to it touches no memory.
    unsafe {
        std::arch::asm!(
            "out dx, al",
            in("dx") PORT,
            in("al") PANICKED,
            options(nomem, nostack, preserves_flags)
        );
    }
    Ok(())
}
