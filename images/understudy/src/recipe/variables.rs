//! The firmware's variables as they are after a first start.
//!
//! OVMF writes some twenty variables into an empty store (boot entries, consoles, 8 KiB for iSCSI), each byte
//! through emulated flash. A machine that has been started before has them, and so has the image. The hardware
//! here is that of the profile as far as variables tell of it; on a machine with other places on its bus the
//! firmware corrects a few of them.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long the first start may take, far more than under emulation on a busy host.
const PATIENCE: Duration = Duration::from_secs(300);
/// The first line of the guest's program: firmware is done, and nothing after it writes variables.
const FIRST_LINE: &str = "[bootmgr]";
const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";

/// Why the machine was not started.
#[derive(Debug, thiserror::Error)]
pub enum FirstStartError {
    /// The emulator.
    #[error("cannot run qemu-system-x86_64 (Debian package qemu-system-x86): {0}")]
    Emulator(std::io::Error),
    /// It came to nothing.
    #[error(
        "the machine said nothing of its boot manager within {} s; its serial line said: {said}",
        PATIENCE.as_secs()
    )]
    Silent {
        /// The end of what it said.
        said: String,
    },
}

/// Ends with its owner.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `disk`, which is not written to, until its boot manager runs. Leaves in `variables` what the firmware
/// wrote.
pub(super) fn after_first_start(disk: &Path, variables: &Path) -> Result<(), FirstStartError> {
    let flash = |unit: u8, file: &Path, more: &str| {
        format!("if=pflash,format=raw,unit={unit},file={}{more}", file.display())
    };
    let drive = format!("if=none,id=disk,format=qcow2,snapshot=on,file={}", disk.display());
    let mut child = Command::new("qemu-system-x86_64")
        // The clock is set, so that the same inputs give the same bytes.
        .args(["-machine", "q35", "-accel", "tcg", "-cpu", "qemu64", "-m", "512", "-nodefaults"])
        .args(["-display", "none", "-rtc", "base=2024-01-01T00:00:00,clock=vm", "-no-reboot"])
        .args(["-drive", &flash(0, Path::new(FIRMWARE), ",readonly=on")])
        .args(["-drive", &flash(1, variables, "")])
        .args(["-drive", &drive, "-device", "virtio-blk-pci,drive=disk,addr=0x1a,bootindex=1"])
        .args(["-device", "VGA,addr=0x1", "-serial", "stdio", "-monitor", "none"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(FirstStartError::Emulator)?;
    let serial = child.stdout.take();
    let _emulator = Emulator(child);
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let Some(mut serial) = serial else { return };
        let mut part = [0; 4096];
        while let Ok(count) = serial.read(&mut part)
            && count > 0
            && sender.send(part[..count].to_vec()).is_ok()
        {}
    });
    let deadline = std::time::Instant::now() + PATIENCE;
    let mut said = Vec::new();
    while !String::from_utf8_lossy(&said).contains(FIRST_LINE) {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        match heard.recv_timeout(left) {
            Ok(part) => said.extend_from_slice(&part),
            Err(_) => {
                let said = String::from_utf8_lossy(&said);
                let end: String =
                    said.chars().rev().take(400).collect::<Vec<_>>().into_iter().rev().collect();
                return Err(FirstStartError::Silent { said: end.escape_debug().to_string() });
            }
        }
    }
    Ok(())
}
