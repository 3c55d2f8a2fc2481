//! The host's own disk in trouble: what the emulator and the harness could not write, told apart from what a
//! scenario does to the machine's disk. It says nothing about the machine, and ends the run at once.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::StatVfs;
use timeline::{Body, Sink, Source};

/// Where there is less than this, a file system counts as full: an overlay grows by clusters of 64 KiB.
const FULL: u64 = 1 << 20;

/// What a machine's observations go through whose disk, the file `disk`, QEMU has open itself. No scenario
/// makes that one fail, so each error is the host's.
pub(crate) fn guarded(sink: Sink, disk: PathBuf) -> Sink {
    let told = AtomicBool::new(false);
    Sink::new(move |observation| {
        let failed = match &observation.body {
            Body::BlockIoError { operation, reason, .. } => {
                let what = if operation == "write" { "write to" } else { "read" };
                Some(format!("{what} the machine's disk: {reason}"))
            }
            _ => None,
        };
        sink.emit(observation.source, observation.body);
        if let Some(what) = failed
            && !told.swap(true, Ordering::SeqCst)
        {
            let reason = format!("the emulator could not {what}; {}", advice(&disk));
            sink.emit(Source::Harness, Body::HarnessFailed { reason });
        }
    })
}

/// The same of a disk that the harness serves: what it could not do itself, beside what it was told to refuse.
pub(crate) fn served_failed(sink: &Sink, disk: &Path, error: &io::Error) {
    let reason = format!("the machine's disk failed on the host: {error}; {}", advice(disk));
    sink.emit(Source::Harness, Body::HarnessFailed { reason });
}

/// What to do where `path` cannot be read or written.
pub(crate) fn advice(path: &Path) -> String {
    let Some((root, space)) = file_system(path) else {
        return format!("nothing can be learnt about the file system of {}", path.display());
    };
    let (free, size) = (space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize);
    let state = format!("{} of {} are free", mebibytes(free), mebibytes(size));
    if free < FULL {
        format!(
            "the file system at {} is full ({state}): make room there, or keep the state on another one \
             with --state DIR",
            root.display()
        )
    } else {
        format!(
            "the file system at {} is not full ({state}): look into the kernel's log (`dmesg`) for what is \
             wrong with its device, or keep the state on another one with --state DIR",
            root.display()
        )
    }
}

/// Where the file system of `path` is mounted, and how full it is. The file itself need not be there any more.
fn file_system(path: &Path) -> Option<(PathBuf, StatVfs)> {
    let there = path.ancestors().find(|path| path.exists())?;
    let device = |path: &Path| path.metadata().ok().map(|metadata| metadata.dev());
    let own = device(there)?;
    let root = there.ancestors().take_while(|path| device(path) == Some(own)).last()?;
    Some((root.to_path_buf(), rustix::fs::statvfs(there).ok()?))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn the_first_error_of_a_disk_that_nobody_breaks_is_the_hosts() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        let sink = Sink::new(move |observation| into.lock().unwrap().push(observation.body));
        let directory = tempfile::tempdir().unwrap();
        let guarded = guarded(sink, directory.path().join("disk.qcow2"));
        let error = Body::BlockIoError {
            device: "virtio0".to_owned(),
            operation: "write".to_owned(),
            reason: "No space left on device".to_owned(),
        };
        guarded.emit(Source::Hypervisor, error.clone());
        guarded.emit(Source::Hypervisor, error.clone());
        let seen = seen.lock().unwrap();
        let [first, Body::HarnessFailed { reason }, second] = seen.as_slice() else {
            panic!("{seen:?}")
        };
        assert_eq!((first, second), (&error, &error));
        assert!(
            reason.contains("could not write to the machine's disk: No space left"),
            "{reason}"
        );
        assert!(reason.contains("the file system at /") && reason.contains("--state"), "{reason}");
    }

    #[test]
    fn a_full_file_system_is_told_from_a_broken_one() {
        // Never has any room, on every Linux.
        let full = advice(Path::new("/proc/self/no-such-file"));
        assert!(full.contains("the file system at /proc is full"), "{full}");
        let directory = tempfile::tempdir().unwrap();
        let other = advice(&directory.path().join("gone/disk.qcow2"));
        assert!(other.contains("is not full") && other.contains("dmesg"), "{other}");
    }
}
