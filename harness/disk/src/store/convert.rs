//! Disk files into the store and out of it: copied where they can be, converted where they must be.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fs_err as fs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;

use crate::overlay::OverlayError;
use crate::store::error::StoreError;
use crate::store::source::{DiskFormat, DiskSource};

/// How far a long piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, for people: `hashing fixed.vhd` and the like, without the object.
    pub doing: &'static str,
    /// Of `total`.
    pub done: u64,
    /// Bytes.
    pub total: u64,
}

/// Told how far it is, now and then; says whether to go on.
pub type Watch<'a> = &'a dyn Fn(Progress) -> ControlFlow<()>;

/// A watch that looks away.
pub fn unwatched(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Bytes between two looks at the watch, and of one read.
const CHUNK: usize = 1 << 20;
/// Room that is left on the file system whatever is copied.
const MARGIN: u64 = 64 << 20;
/// How soon Ctrl-C is noticed while `qemu-img` says nothing.
const LOOK: Duration = Duration::from_millis(200);

pub(crate) fn tell(
    watch: Watch<'_>,
    doing: &'static str,
    done: u64,
    total: u64,
) -> Result<(), StoreError> {
    match watch(Progress { doing, done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(StoreError::Interrupted),
    }
}

/// BLAKE3 of a file, hex.
pub(crate) fn hash_file(
    path: &Path,
    doing: &'static str,
    watch: Watch<'_>,
) -> Result<String, StoreError> {
    let mut file = fs::File::open(path)?;
    let total = file.metadata()?.len();
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finalize().to_hex().to_string());
        }
        hasher.update(&buffer[..read]);
        done += read as u64;
        tell(watch, doing, done, total)?;
    }
}

/// Copies a file: by sharing its blocks where the file system can, else block by block, leaving out what
/// is zero. The copy is a new file that can be written.
pub(crate) fn copy_file(
    from: &Path,
    to: &Path,
    doing: &'static str,
    watch: Watch<'_>,
) -> Result<(), StoreError> {
    if reflink_copy::reflink(from, to).is_ok() {
        // It takes the permissions of the original along.
        fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        return Ok(());
    }
    let mut source = fs::File::open(from)?;
    let metadata = source.metadata()?;
    let total = metadata.len();
    let folder = to.parent().unwrap_or(Path::new("."));
    need_room(folder, metadata.blocks().saturating_mul(512).min(total))?;
    let mut target = fs::File::create_new(to)?;
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    while done < total {
        let want = usize::try_from(total - done).unwrap_or(CHUNK).min(CHUNK);
        source.read_exact(&mut buffer[..want])?;
        write_sparse(&mut target, &buffer[..want])?;
        done += want as u64;
        tell(watch, doing, done, total)?;
    }
    target.set_len(total)?;
    Ok(())
}

/// Writes all but runs of zeros of a block's size, which stay holes.
fn write_sparse(file: &mut fs::File, bytes: &[u8]) -> std::io::Result<()> {
    const BLOCK: usize = 4096;
    for block in bytes.chunks(BLOCK) {
        if block.iter().all(|byte| *byte == 0) {
            std::io::Seek::seek(file, std::io::SeekFrom::Current(block.len() as i64))?;
        } else {
            file.write_all(block)?;
        }
    }
    Ok(())
}

/// Refuses to begin what would fill the file system of `directory`.
pub(crate) fn need_room(directory: &Path, bytes: u64) -> Result<(), StoreError> {
    let system = rustix::fs::statvfs(directory).map_err(std::io::Error::from)?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let needed = bytes.saturating_add(MARGIN);
    if needed <= free {
        return Ok(());
    }
    let (free, needed) = (free >> 20, needed.div_ceil(1 << 20));
    Err(StoreError::NoRoom { path: directory.to_path_buf(), free, needed })
}

/// Makes the qcow2 file `to` of a disk. The same disk gives the same bytes: clusters are written in
/// order of the disk, and which of them are holes is told by their contents.
pub(crate) fn convert_in(
    source: &DiskSource,
    to: &Path,
    watch: Watch<'_>,
) -> Result<(), StoreError> {
    let options = "compat=1.1,cluster_size=65536,lazy_refcounts=off";
    convert(source, to, DiskFormat::Qcow2, options, "converting", watch)
}

/// Writes the disk `source` in another format to the new file `to`.
pub(crate) fn convert_out(
    source: &DiskSource,
    to: &Path,
    format: DiskFormat,
    watch: Watch<'_>,
) -> Result<(), StoreError> {
    let options = match format {
        // The exact size: by default QEMU rounds up to what the geometry can say.
        DiskFormat::Vhd => "force_size=on",
        DiskFormat::Vmdk => "subformat=monolithicSparse",
        DiskFormat::Vhdx => "subformat=dynamic",
        DiskFormat::Qcow2 | DiskFormat::Raw => "",
    };
    convert(source, to, format, options, "converting", watch)
}

fn convert(
    source: &DiskSource,
    to: &Path,
    format: DiskFormat,
    options: &str,
    doing: &'static str,
    watch: Watch<'_>,
) -> Result<(), StoreError> {
    need_room(to.parent().unwrap_or(Path::new(".")), measure(source, format)?)?;
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-p", "-O", format.driver()]);
    if !options.is_empty() {
        command.args(["-o", options]);
    }
    // As a node, or a name with a colon would be a protocol. The file must not be there for it.
    command.arg(source.node()).arg(protected(to));
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| OverlayError::NoProgram { source })?;
    let mut running = Running(child);
    running.follow(|percent| {
        // Hundredths of a percent, of the bytes that the disk has.
        let done = u128::from(source.virtual_size) * u128::from(percent) / 10_000;
        tell(watch, doing, u64::try_from(done).unwrap_or(u64::MAX), source.virtual_size)
    })?;
    let mut message = String::new();
    if let Some(errors) = running.0.stderr.as_mut() {
        errors.read_to_string(&mut message)?;
    }
    if running.0.wait()?.success() {
        return Ok(());
    }
    // Ctrl-C on a terminal reaches both, and `qemu-img` first: then it is an interruption, not a failure.
    tell(watch, doing, 0, source.virtual_size)?;
    let message = source.plain(&message);
    Err(OverlayError::Failed { action: "convert", path: source.path.clone(), message }.into())
}

/// A path that is a path, whatever its name is.
fn protected(path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from("file:");
    text.push(path);
    text
}

/// Bytes that a converted file takes at most.
fn measure(source: &DiskSource, format: DiskFormat) -> Result<u64, StoreError> {
    #[derive(Deserialize)]
    struct Measured {
        required: u64,
    }
    // It measures raw and qcow2 only; the others are about as large as qcow2.
    let target = if format == DiskFormat::Raw { "raw" } else { "qcow2" };
    let output = Command::new("qemu-img")
        .args(["measure", "--output=json", "-O", target])
        .arg(source.node())
        .output()
        .map_err(|source| OverlayError::NoProgram { source })?;
    let failed = |message| {
        StoreError::from(OverlayError::Failed {
            action: "measure",
            path: source.path.clone(),
            message,
        })
    };
    if !output.status.success() {
        return Err(failed(source.plain(&String::from_utf8_lossy(&output.stderr))));
    }
    let measured: Measured =
        serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    Ok(measured.required)
}

/// A `qemu-img` that ends with this value at the latest.
struct Running(Child);

impl Running {
    /// Reads its progress until it closes its output.
    fn follow(
        &mut self,
        mut each: impl FnMut(u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(mut output) = self.0.stdout.take() else { return Ok(()) };
        let wait = Timespec::try_from(LOOK).map_err(std::io::Error::other)?;
        let mut text = Vec::new();
        let mut last = 0;
        loop {
            let ready = {
                let mut waited = [PollFd::new(&output, PollFlags::IN)];
                match poll(&mut waited, Some(&wait)) {
                    Ok(ready) => ready > 0,
                    Err(rustix::io::Errno::INTR) => false,
                    Err(error) => return Err(std::io::Error::from(error).into()),
                }
            };
            if ready {
                let mut buffer = [0; 256];
                match output.read(&mut buffer)? {
                    0 => return Ok(()),
                    read => text.extend_from_slice(&buffer[..read]),
                }
                if let Some(percent) = last_percent(&text) {
                    last = percent;
                }
                let keep = text.len().saturating_sub(64);
                text.drain(..keep);
            }
            each(last)?;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Ended already where all went well; then both calls do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The last complete `(12.34/100%)`, in hundredths of a percent.
fn last_percent(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(text);
    let end = text.rfind("/100%)")?;
    let start = text[..end].rfind('(')?;
    let (whole, part) = text[start + 1..end].split_once('.')?;
    let (whole, part): (u64, u64) = (whole.trim().parse().ok()?, part.parse().ok()?);
    Some((whole.checked_mul(100)?.checked_add(part)?).min(10_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_what_came_so_far() {
        assert_eq!(last_percent(b"    (0.00/100%)\r    (12.34/100%)\r    (5"), Some(1234));
        assert_eq!(last_percent(b"    (100.00/100%)\n"), Some(10_000));
        assert_eq!(last_percent(b"    (1"), None);
        assert_eq!(last_percent(b"99/100%)"), None);
    }

    #[test]
    fn a_copy_is_the_same_and_keeps_its_holes() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a"), directory.path().join("b"));
        let mut bytes = vec![0; 5 << 20];
        bytes[3 << 20] = 7;
        bytes.extend([0; 1000]);
        std::fs::write(&from, &bytes).unwrap();
        copy_file(&from, &to, "copying", &unwatched).unwrap();
        assert!(std::fs::read(&to).unwrap() == bytes);
        let stopped = |_: Progress| ControlFlow::Break(());
        assert!(matches!(hash_file(&from, "hashing", &stopped), Err(StoreError::Interrupted)));
        let full = need_room(directory.path(), u64::MAX / 2).unwrap_err().to_string();
        assert!(full.contains("MiB free"), "{full}");
    }
}
