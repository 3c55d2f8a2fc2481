//! The unified kernel image: systemd's EFI stub with kernel, command line and initramfs as sections.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian's `systemd-boot-efi` puts the stub.
pub(super) const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/// What the kernel is told. No console of its own: the serial line is the understudy's. `panic=-1`:
/// if PID 1 dies, the machine resets, as one does whose kernel is gone.
///
/// The second half spares an emulated processor what nobody here asks for: tests of ciphers, certificates for
/// module signatures, probes in the kernel's code, a check of the timer, more serial ports, the firmware's run
/// time services, and that every page is cleared twice.
pub(super) const COMMAND_LINE: &str = "quiet loglevel=0 console=tty0 vt.global_cursor_default=0 panic=-1 \
    random.trust_cpu=1 net.ifnames=0 ipv6.disable=1 nokaslr mitigations=off \
    cryptomgr.notests=1 init_on_alloc=0 no_timer_check 8250.nr_uarts=1 efi=noruntime audit=0 nowatchdog \
    initcall_blacklist=load_system_certificate_list,init_kprobes,init_kprobe_trace,init_ima";

/// Where the first section of our own goes: behind those of the stub, which end below it.
const FIRST_SECTION: u64 = 0x2_0000;
const SECTION_ALIGNMENT: u64 = 0x1000;

/// Why the image could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum UkiError {
    /// A file could not be read or written.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// objcopy is missing or failed.
    #[error("objcopy (Debian package binutils) could not build {path}: {reason}")]
    Objcopy {
        /// The image.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

/// Builds the image in `work` and returns its bytes.
pub(super) fn build(kernel: &Path, initramfs: &[u8], work: &Path) -> Result<Vec<u8>, UkiError> {
    let write = |name: &str, data: &[u8]| {
        let path = work.join(name);
        std::fs::write(&path, data).map_err(|source| UkiError::File {
            what: "write",
            path: path.clone(),
            source,
        })?;
        Ok(path)
    };
    let command_line = write("cmdline", COMMAND_LINE.as_bytes())?;
    let initrd = write("initrd", initramfs)?;
    let release = write(
        "os-release",
        b"ID=understudy\nNAME=\"loopbreak understudy\"\nPRETTY_NAME=\"loopbreak understudy (a model of Windows, not Windows)\"\n",
    )?;
    let image = work.join("understudy.efi");
    let mut objcopy = Command::new("objcopy");
    // One behind the other: firmware takes as much memory as the last one ends at, and clears all of it.
    let mut address = FIRST_SECTION;
    for (section, file) in [
        (".osrel", release.as_path()),
        (".cmdline", command_line.as_path()),
        (".linux", kernel),
        (".initrd", initrd.as_path()),
    ] {
        let size = std::fs::metadata(file)
            .map(|found| found.len())
            .map_err(|source| UkiError::File { what: "read", path: file.to_owned(), source })?;
        let mut pair = std::ffi::OsString::from(format!("{section}="));
        pair.push(file);
        objcopy.arg("--add-section").arg(pair);
        objcopy.arg("--change-section-vma").arg(format!("{section}={address:#x}"));
        address = (address + size).next_multiple_of(SECTION_ALIGNMENT);
    }
    objcopy.arg(STUB).arg(&image);
    let output = objcopy
        .output()
        .map_err(|error| UkiError::Objcopy { path: image.clone(), reason: error.to_string() })?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(UkiError::Objcopy { path: image, reason });
    }
    let mut bytes = std::fs::read(&image).map_err(|source| UkiError::File {
        what: "read",
        path: image.clone(),
        source,
    })?;
    clear_time_and_checksum(&mut bytes);
    Ok(bytes)
}

/// objcopy writes the time of the build into the PE header, and a checksum over it that no firmware
/// looks at.
fn clear_time_and_checksum(image: &mut [u8]) {
    let Some(start) = image.get(0x3C..0x40) else { return };
    let start = u32::from_le_bytes([start[0], start[1], start[2], start[3]]) as usize;
    // The time is in the file header, the checksum 64 bytes into the optional header.
    for field in [start + 8, start + 24 + 64] {
        if let Some(bytes) = image.get_mut(field..field + 4) {
            bytes.fill(0);
        }
    }
}
