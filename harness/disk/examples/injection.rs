//! How long an offline injection takes (one file and two registry values on the Windows volume of an
//! overlay), beside the same done with guestfish. Both are read back afterwards.
//!
//!     cargo build --release -p disk --bins --examples
//!     target/release/examples/injection [SCRATCH] [--files COUNT] [--disk FILE] [--rounds COUNT] [--kvm]
//!
//! `--files` says how many files the Windows volume has beside the injected one. `--disk` keeps the disk, so
//! that several builds can be measured on one in turn; it is made where it is missing. `--kvm` lets libguestfs use KVM; without it, it emulates, because `/dev/kvm` alone does not mean that it
//! works.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use disk::{Access, OfflineDisk, create_overlay};
use volume::{
    BASIC_DATA, EFI_SYSTEM, Fat, FatFormat, FatKind, FileDevice, FileTime, Guid, Ntfs, NtfsFormat,
    Partition, PartitionTable, SharedDevice, SubDevice, Volume, create_partitions,
};
use winfmt::hive::{Data, Hive};

const MIB: u64 = 1 << 20;
/// How many files lie in System32.
const LIBRARIES: usize = 2000;
/// How many files each other folder has.
const COMPONENTS: usize = 100;
const HIVE: &str = r"Windows\System32\config\SYSTEM";
const FILE: &str = r"Windows\System32\drivers\injected.sys";
const KEY: &str = r"ControlSet001\Services\service 0123";
/// Without a zero byte: guestfish takes values from its command line.
const VALUES: [(&str, u32, &[u8]); 2] =
    [("Marker", 3, b"injected"), ("Start", 4, b"\x01\x01\x01\x01")];

fn main() -> anyhow::Result<()> {
    let mut scratch = std::env::temp_dir();
    let (mut files, mut rounds, mut kvm) = (LIBRARIES, 9, false);
    let mut disk = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || anyhow::Ok(arguments.next().context("a number is missing")?.parse()?);
        match argument.as_str() {
            "--kvm" => kvm = true,
            "--files" => files = number()?,
            "--rounds" => rounds = number()?,
            "--disk" => disk = Some(PathBuf::from(arguments.next().context("a file is missing")?)),
            directory => scratch = PathBuf::from(directory),
        }
    }
    ensure!(rounds > 0, "at least one round is measured");
    let directory = tempfile::Builder::new().prefix("injection").tempdir_in(scratch)?;
    let directory = directory.path();
    let payload: Vec<u8> = (0..40_960u32).map(|n| (n * 7 % 251) as u8).collect();
    let base = std::path::absolute(disk.unwrap_or_else(|| directory.join("base.qcow2")))?;
    if !base.exists() {
        make_disk(&base, directory, files)?;
    }

    let mut times = Vec::new();
    for round in 0..rounds {
        let overlay = directory.join(format!("ours-{round}.qcow2"));
        create_overlay(&overlay, &base)?;
        let start = Instant::now();
        inject(&overlay, directory, &payload)?;
        times.push(start.elapsed());
        verify(&overlay, directory, &payload)?;
    }
    times.sort();
    let ours = times[rounds / 2];
    println!(
        "loopbreak  {:>9.1} ms  ({files} files; median of {rounds}; {:.1} to {:.1}; with all checks and the \
         read-back)",
        ms(ours),
        ms(times[0]),
        ms(times[rounds - 1])
    );

    if Command::new("guestfish").arg("--version").output().is_err() {
        println!("guestfish  is not installed: nothing to compare with");
        return Ok(());
    }
    let overlay = directory.join("guestfish.qcow2");
    create_overlay(&overlay, &base)?;
    let source = directory.join("payload");
    std::fs::write(&source, &payload)?;
    // libguestfs builds its appliance at its first use; that is not counted.
    let session = Guestfish::start(directory, kvm, &overlay)?;
    session.ask(&["shutdown"])?;
    drop(session);
    let start = Instant::now();
    inject_by_guestfish(directory, kvm, &overlay, &source)?;
    let theirs = start.elapsed();
    verify(&overlay, directory, &payload)?;
    let acceleration = if kvm { "KVM" } else { "software emulation" };
    println!(
        "guestfish  {:>9.1} ms  (one session, {acceleration}, appliance built before)",
        ms(theirs)
    );
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("ratio      {ratio:>9.1}");
    ensure!(ratio >= 10.0, "it should be at least 10 times faster");
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A UEFI disk with an NTFS volume of so many files and a SYSTEM hive of two thousand services.
fn make_disk(base: &Path, directory: &Path, files: usize) -> anyhow::Result<()> {
    let len = 512 + (files as u64 * (6 << 10)).div_ceil(MIB);
    let raw = directory.join("disk.raw");
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&raw)?;
    file.set_len((len + 88) * MIB)?;
    let disk = SharedDevice::new(FileDevice::new(file)?);
    let partition = |kind, id, start: u64, len: u64, name| {
        Partition::gpt(kind, Guid::from_bytes([id; 16]), start * MIB, len * MIB, name)
    };
    let table = PartitionTable::gpt(
        Guid::from_bytes([7; 16]),
        vec![partition(EFI_SYSTEM, 1, 1, 64, "EFI"), partition(BASIC_DATA, 2, 65, len, "Windows")],
    );
    create_partitions(&mut disk.clone(), &table)?;
    let part = |index: usize| {
        let partition = &table.partitions[index];
        SubDevice::new(disk.clone(), partition.start, partition.len)
    };
    Fat::format(part(0)?, &FatFormat { kind: FatKind::Fat32, id: 1, label: "ESP".to_owned() })?;
    let time = FileTime::from_unix_seconds(1_721_362_140);
    let options = NtfsFormat { label: "Windows".to_owned(), serial: 5, time };
    let mut windows = Ntfs::format(part(1)?, &options)?;
    windows.create_dir_all(r"Windows\System32\config")?;
    windows.create_dir_all(r"Windows\System32\drivers")?;
    for index in 0..files {
        let folder = match index.checked_sub(LIBRARIES) {
            None => r"Windows\System32".to_owned(),
            Some(index) => format!(r"Windows\WinSxS\component {}", index / COMPONENTS),
        };
        if index >= LIBRARIES && (index - LIBRARIES).is_multiple_of(COMPONENTS) {
            windows.create_dir_all(&folder)?;
        }
        windows.write(&format!(r"{folder}\library {index}.dll"), &[1; 3000])?;
    }
    let mut hive = Hive::create("SYSTEM")?;
    hive.set_value("Select", "Current", &Data::dword(1))?;
    for index in 0..2000 {
        let key = format!(r"ControlSet001\Services\service {index:04}");
        hive.set_value(key.as_str(), "Start", &Data::dword(3))?;
        let image = format!(r"System32\drivers\service{index}.sys");
        hive.set_value(key.as_str(), "ImagePath", &Data::expand_string(&image))?;
        hive.set_value(key.as_str(), "DisplayName", &Data::string("A service as there are many"))?;
    }
    windows.write(HIVE, &hive.to_bytes()?)?;
    windows.flush()?;
    let done = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "qcow2"])
        .args([raw.as_path(), base])
        .status()?;
    ensure!(done.success(), "qemu-img failed");
    Ok(std::fs::remove_file(raw)?)
}

fn inject(overlay: &Path, scratch: &Path, payload: &[u8]) -> anyhow::Result<()> {
    let disk = OfflineDisk::open_overlay(overlay, Access::ReadWrite, scratch)?;
    let mut windows = disk.windows_volume()?;
    windows.write(FILE, payload)?;
    let (mut hive, _) = Hive::recover(windows.read(HIVE)?, &[])?;
    for (name, kind, bytes) in VALUES {
        hive.set_value(KEY, name, &Data { kind: kind.into(), bytes: bytes.to_vec() })?;
    }
    windows.write(HIVE, &hive.to_bytes()?)?;
    windows.flush()?;
    drop(windows);
    Ok(disk.close()?)
}

fn verify(overlay: &Path, scratch: &Path, payload: &[u8]) -> anyhow::Result<()> {
    let disk = OfflineDisk::open_overlay(overlay, Access::ReadOnly, scratch)?;
    let mut windows = disk.windows_volume()?;
    ensure!(windows.read(FILE)? == payload, "the file did not land");
    let hive = Hive::open(windows.read(HIVE)?)?;
    for (name, _, bytes) in VALUES {
        let value = hive.get(KEY, name)?.context("a value did not land")?;
        ensure!(value.bytes == bytes, "the value {name} differs");
    }
    Ok(())
}

/// A guestfish that listens, as scripts use it that need the output of one command in the next.
struct Guestfish {
    process: String,
    kvm: bool,
}

impl Guestfish {
    fn start(directory: &Path, kvm: bool, overlay: &Path) -> anyhow::Result<Self> {
        let mut session = Self { process: String::new(), kvm };
        let output = directory.join("listen");
        let file = std::fs::File::create(&output)?;
        let listening = session
            .command()
            .args(["--listen", "--format=qcow2", "-a"])
            .arg(overlay)
            .stdout(file)
            .status()?;
        ensure!(listening.success(), "guestfish does not listen");
        let said = std::fs::read_to_string(output)?;
        let process = said.split(['=', ';']).nth(1).context("guestfish names no process")?;
        session.process = process.to_owned();
        session.ask(&["run"])?;
        Ok(session)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("guestfish");
        command.env("LIBGUESTFS_BACKEND", "direct");
        if !self.kvm {
            command.env("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg");
        }
        command
    }

    fn ask(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = self
            .command()
            .arg(format!("--remote={}", self.process))
            .arg("--")
            .args(words)
            .output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "guestfish {}: {}", words.join(" "), errors.trim());
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

impl Drop for Guestfish {
    fn drop(&mut self) {
        let _ = self.ask(&["exit"]);
    }
}

fn inject_by_guestfish(
    directory: &Path,
    kvm: bool,
    overlay: &Path,
    payload: &Path,
) -> anyhow::Result<()> {
    let session = Guestfish::start(directory, kvm, overlay)?;
    let slashes = |path: &str| format!("/{}", path.replace('\\', "/"));
    session.ask(&["mount", "/dev/sda2", "/"])?;
    session.ask(&["upload", &payload.to_string_lossy(), &slashes(FILE)])?;
    session.ask(&["hivex-open", &slashes(HIVE), "write:true"])?;
    let mut node = session.ask(&["hivex-root"])?;
    for name in KEY.split('\\') {
        node = session.ask(&["hivex-node-get-child", &node, name])?;
    }
    for (name, kind, bytes) in VALUES {
        let value = std::str::from_utf8(bytes)?;
        session.ask(&["hivex-node-set-value", &node, name, &kind.to_string(), value])?;
    }
    session.ask(&["hivex-commit", ""])?;
    session.ask(&["hivex-close"])?;
    session.ask(&["umount-all"])?;
    session.ask(&["shutdown"])?;
    Ok(())
}
