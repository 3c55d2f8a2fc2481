//! The worker process of an opened disk: what is left when it or its harness is killed, and that all of it
//! works without privileges.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use std::io::BufRead;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use disk::{Access, DiskError, OfflineDisk, create_overlay};
use volume::{
    BASIC_DATA, FileDevice, FileTime, Guid, Ntfs, NtfsFormat, Partition, PartitionTable,
    SharedDevice, SubDevice, Volume, create_partitions,
};

const MIB: u64 = 1 << 20;
/// Names the disk for this program started again as another process.
const DISK: &str = "WORKER_TEST_DISK";
const FILE: &str = r"Windows\System32\drivers\a.sys";

fn tools() -> bool {
    let there = ["qemu-img", "qemu-storage-daemon"]
        .iter()
        .all(|name| Command::new(name).arg("--version").output().is_ok());
    if !there {
        println!("skipped: qemu-img or qemu-storage-daemon is not installed");
    }
    there
}

/// An overlay in `directory` on a disk with an NTFS volume.
fn overlay(directory: &Path) -> PathBuf {
    let raw = directory.join("disk.raw");
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&raw).unwrap();
    file.set_len(48 * MIB).unwrap();
    let disk = SharedDevice::new(FileDevice::new(file).unwrap());
    let partition = Partition::gpt(BASIC_DATA, Guid::from_bytes([1; 16]), MIB, 40 * MIB, "");
    let table = PartitionTable::gpt(Guid::from_bytes([2; 16]), vec![partition]);
    create_partitions(&mut disk.clone(), &table).unwrap();
    let time = FileTime::from_unix_seconds(1_721_362_140);
    let options = NtfsFormat { label: "Windows".to_owned(), serial: 5, time };
    let part = SubDevice::new(disk.clone(), MIB, 40 * MIB).unwrap();
    let mut windows = Ntfs::format(part, &options).unwrap();
    windows.create_dir_all(r"Windows\System32\config").unwrap();
    windows.create_dir_all(r"Windows\System32\drivers").unwrap();
    windows.write(r"Windows\System32\config\SYSTEM", b"regf").unwrap();
    windows.flush().unwrap();
    let base = directory.join("base.qcow2");
    let made = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "qcow2"])
        .args([&raw, &base])
        .status()
        .unwrap();
    assert!(made.success());
    let overlay = directory.join("overlay.qcow2");
    create_overlay(&overlay, &base).unwrap();
    overlay
}

fn open(path: &Path) -> Result<OfflineDisk, DiskError> {
    OfflineDisk::open_overlay(path, Access::ReadWrite, path.parent().unwrap())
}

/// The workers that `parent` has started.
fn workers(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let is = |line: &str| status.lines().any(|other| other == line);
        (is(&format!("PPid:\t{parent}")) && is("Name:\tloopbreak-volum")).then_some(id)
    });
    processes.collect()
}

/// Edits the disk, proves it, and reads it again.
fn session(path: &Path) {
    let disk = open(path).unwrap();
    let mut windows = disk.windows_volume().unwrap();
    windows.write(FILE, &[7; 41_000]).unwrap();
    windows.flush().unwrap();
    drop(windows);
    disk.close().unwrap();
    let disk = open(path).unwrap();
    assert_eq!(disk.windows_volume().unwrap().read(FILE).unwrap(), [7; 41_000]);
}

/// Runs the test `name` of this program in another process, on `disk`.
fn again(name: &str, disk: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(DISK, disk);
    command
}

#[test]
fn a_worker_that_is_killed_is_an_error_and_no_hang() {
    if let Some(path) = std::env::var_os(DISK) {
        // A process of its own: so it has no worker but this one.
        let disk = open(Path::new(&path)).unwrap();
        let mut windows = disk.windows_volume().unwrap();
        windows.write("before", b"x").unwrap();
        let ids = workers(std::process::id());
        assert_eq!(ids.len(), 1, "{ids:?}");
        let killed = Command::new("kill").args(["-KILL", &ids[0].to_string()]).status().unwrap();
        assert!(killed.success());
        let error = windows.read("before").unwrap_err();
        assert!(error.is_device() && error.to_string().contains("signal 9 (SIGKILL)"), "{error}");
        assert!(windows.write("after", b"x").is_err());
        let error = disk.close().unwrap_err();
        println!("{error}");
        assert!(matches!(error, DiskError::Worker { .. }), "{error}");
        return;
    }
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = overlay(directory.path());
    let status = again("a_worker_that_is_killed_is_an_error_and_no_hang", &path).status().unwrap();
    assert!(status.success());
    session(&path);
}

#[test]
fn the_worker_goes_with_a_harness_that_is_killed() {
    if let Some(path) = std::env::var_os(DISK) {
        let _open = open(Path::new(&path)).unwrap();
        println!("the disk is open");
        // Held until this process is killed.
        let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
        return;
    }
    if !tools() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = overlay(directory.path());
    let mut harness = again("the_worker_goes_with_a_harness_that_is_killed", &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(harness.stdout.take().unwrap());
    assert!(output.lines().any(|line| line.unwrap().contains("is open")));
    let ids = workers(harness.id());
    assert_eq!(ids.len(), 1, "{ids:?}");
    harness.kill().unwrap();
    harness.wait().unwrap();
    let start = Instant::now();
    while Path::new(&format!("/proc/{}/status", ids[0])).exists() {
        assert!(start.elapsed().as_secs() < 20, "the worker is still there");
        std::thread::yield_now();
    }
}

#[test]
fn an_unprivileged_user_edits_a_disk() {
    const NAME: &str = "an_unprivileged_user_edits_a_disk";
    if let Some(path) = std::env::var_os(DISK) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        for line in ["NoNewPrivs:\t1", "CapEff:\t0000000000000000"] {
            assert!(status.lines().any(|other| other == line), "no '{line}'");
        }
        session(Path::new(&path));
        println!("edited as another user");
        return;
    }
    if !tools() {
        return;
    }
    // Everything where another user finds it.
    let directory = tempfile::tempdir().unwrap();
    let open_to_all = |path: &Path| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    };
    open_to_all(directory.path());
    let path = overlay(directory.path());
    open_to_all(&path);
    let program = directory.path().join("test");
    let worker = directory.path().join("loopbreak-volumes");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_loopbreak-volumes"), &worker).unwrap();
    open_to_all(&program);
    open_to_all(&worker);
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"])
        .arg(&program)
        .args(["--exact", NAME, "--nocapture"])
        .env(DISK, &path)
        .current_dir("/")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.starts_with("setpriv:") {
        println!("skipped: this user may not become another: {errors}");
        return;
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("edited as another user"), "{said}{errors}");
}
