//! A disk that is nothing like the understudy's: BIOS, a master boot record, one FAT32 partition, no Windows
//! loader. It is taken in, looked at, edited offline by a scenario, and started; the edited file is what the
//! machine's own boot loader prints. All of it as a user without any rights, too.
//!
//! The disk is made here, by other programs than ours: sfdisk, mkfs.vfat, mtools, and Syslinux as what boots.
//! 128 MiB of memory, a few seconds.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;
use tests::{Loopbreak, events, run_directory};
use winfmt::hive::{CreateOptions, Data, Hive, Version};

/// Where the partition begins, in bytes.
const START: u64 = 1 << 20;
const SIZE: u64 = 64 << 20;

pub(crate) const PROFILE: &str = r#"
format = 1
is-model = true
machine = "pc"
memory = "128MiB"
disk-bus = "ide"
network = "rtl8139"

[firmware]
kind = "bios"

[[markers]]
source = "serial"
starts_with = "[session] edited offline"
phase = "healthy"

[[markers]]
source = "serial"
starts_with = "SYSLINUX"
phase = "boot-manager"
"#;

pub(crate) const SCENARIO: &str = r#"
format = 1
name = "edited-offline"
title = "A file on a FAT32 disk is written offline and read by the machine's boot loader"
description = "What the boot loader prints is on the disk only because it was staged."

[machine]
image = "bios-fat32"
start = "cold"

[[fault]]
name = "greeting"
kind = "content-file"
path = 'C:\greeting.txt'
content = { text = "[session] edited offline\n" }

[expect]
verdict = "unaffected"

[limits]
time = "3m"
"#;

#[test]
fn a_bios_disk_is_taken_in_looked_at_edited_and_started() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let disk = make_disk(work.path())?;
    let built = Loopbreak::built()?;

    // Before it is taken in, and after: the same disk.
    let path = disk.to_str().context("a path")?;
    let seen = built.json(0, &["image", "inspect", path, "--json"])?;
    shows_the_disk(&seen, &disk)?;

    let profile = work.path().join("profile.toml");
    std::fs::write(&profile, PROFILE)?;
    let profile = profile.to_str().context("a path")?;
    let import = ["image", "import", path, "--name", "bios-fat32", "--profile", profile];
    built.expect(0, &import)?;
    let seen = built.json(0, &["image", "inspect", "bios-fat32", "--json"])?;
    shows_the_disk(&seen, &disk)?;

    let scenario = write_scenario(work.path())?;
    let run = built.run(&["run", &scenario, "--json"])?;
    let summary: Value = serde_json::from_slice(&run.stdout)
        .with_context(|| String::from_utf8_lossy(&run.stderr).into_owned())?;
    ensure!(summary["verdict"] == "unaffected", "{summary}");
    let events = events(&run_directory(&summary)?)?;
    let printed = events.iter().any(|event| event.to_string().contains("[session] edited offline"));
    ensure!(printed, "the machine did not print the edited file");
    built.expect(0, &["image", "rm", "bios-fat32"])?;
    Ok(())
}

#[test]
fn nobody_takes_in_inspects_and_injects() -> anyhow::Result<()> {
    let work = tempfile::tempdir()?;
    let disk = make_disk(work.path())?;
    let scenario = write_scenario(work.path())?;
    std::fs::write(work.path().join("profile.toml"), PROFILE)?;
    let state = work.path().join("state");
    std::fs::create_dir(&state)?;
    Command::new("chmod").args(["-R", "a+rwX"]).arg(work.path()).status()?;

    let built = Loopbreak::built()?.with_state(&state);
    // The tree of the project need not be readable by everybody: nobody gets programs of its own.
    let mut programs = Vec::new();
    for name in ["loopbreak", "loopbreak-volumes"] {
        let to = work.path().join(name);
        std::fs::copy(built.program().with_file_name(name), &to)?;
        programs.push(to);
    }
    let as_nobody = |arguments: &[&str]| -> anyhow::Result<String> {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"])
            .arg(&programs[0])
            .args(arguments)
            .env("LOOPBREAK_STATE", &state)
            .env("HOME", work.path())
            .current_dir(work.path());
        let output = command.output()?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{arguments:?}: {:?} {error}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    };
    if Command::new("id").arg("-u").output()?.stdout != b"0\n" {
        println!("skipped: only root can become another user");
        return Ok(());
    }
    let path = disk.to_str().context("a path")?;
    as_nobody(&["image", "import", path, "--name", "bios-fat32", "--profile", "profile.toml"])?;
    let seen: Value =
        serde_json::from_str(&as_nobody(&["image", "inspect", "bios-fat32", "--json"])?)?;
    shows_the_disk(&seen, &disk)?;
    as_nobody(&["scenario", "stage", &scenario, "-o", "staged"])?;
    let raw = work.path().join("staged.raw");
    let staged = work.path().join("staged/disk.qcow2");
    run(Command::new("qemu-img").args(["convert", "-O", "raw"]).arg(&staged).arg(&raw))?;
    let text = mtools("mtype", &raw, &["::greeting.txt"])?;
    ensure!(text == "[session] edited offline\n", "{text:?}");
    Ok(())
}

/// What the inspection says, against sfdisk and the hive that was put there.
fn shows_the_disk(seen: &Value, disk: &Path) -> anyhow::Result<()> {
    let listed = Command::new("sfdisk").arg("-J").arg(disk).output()?;
    let listed: Value = serde_json::from_slice(&listed.stdout)?;
    let text = seen.to_string();
    ensure!(listed["partitiontable"]["label"] == "dos", "{listed}");
    for word in ["\"mbr\"", "FAT32", "ReactOS", "REACTOS", "LiveCD_Debug"] {
        ensure!(text.contains(word), "`{word}` is not in {seen:#}");
    }
    let start = listed["partitiontable"]["partitions"][0]["start"].as_u64().context("a start")?;
    ensure!(text.contains(&format!("{}", start * 512)), "{seen:#}");
    Ok(())
}

fn write_scenario(work: &Path) -> anyhow::Result<String> {
    let folder = work.join("scenarios/edited-offline");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("scenario.toml");
    std::fs::write(&path, SCENARIO)?;
    Ok(path.to_str().context("a path")?.to_owned())
}

/// An MBR disk with one active FAT32 partition that Syslinux starts from, and on it what an installation of
/// ReactOS has: `freeldr.ini` and a SYSTEM hive of version 1.3.
pub(crate) fn make_disk(work: &Path) -> anyhow::Result<PathBuf> {
    let disk = work.join("bios.raw");
    std::fs::File::create(&disk)?.set_len(SIZE)?;
    let layout = work.join("layout");
    std::fs::write(&layout, "label: dos\nlabel-id: 0x6c6f6f70\nstart=2048, type=c, bootable\n")?;
    run(Command::new("sfdisk").arg("-q").arg(&disk).stdin(std::fs::File::open(&layout)?))?;
    run(Command::new("mkfs.vfat")
        .args(["-F", "32", "--offset", "2048", "-n", "REACTOS"])
        .arg(&disk)
        .arg(((SIZE - START) >> 10).to_string()))?;
    let code = std::fs::read("/usr/lib/syslinux/mbr/mbr.bin").context("syslinux-common")?;
    std::os::unix::fs::FileExt::write_all_at(
        &std::fs::OpenOptions::new().write(true).open(&disk)?,
        &code[..code.len().min(440)],
        0,
    )?;
    let offset = START.to_string();
    run(Command::new("syslinux").args(["--install", "--offset", &offset]).arg(&disk))?;

    let files = work.join("files");
    std::fs::create_dir_all(&files)?;
    let configuration = "SERIAL 0 115200\nPROMPT 0\nDEFAULT show\nLABEL show\n COM32 cat.c32\n \
        APPEND greeting.txt\n";
    std::fs::write(files.join("syslinux.cfg"), configuration)?;
    let freeldr = "[FREELOADER]\r\nDefaultOS=LiveCD_Debug\r\nTimeOut=0\r\n\r\n[Operating Systems]\r\n\
        LiveCD_Debug=\"ReactOS (Debug)\"\r\n\r\n[LiveCD_Debug]\r\nBootType=Windows2003\r\n\
        SystemPath=multi(0)disk(0)rdisk(0)partition(1)\\ReactOS\r\nOptions=/DEBUG /DEBUGPORT=COM1\r\n";
    std::fs::write(files.join("freeldr.ini"), freeldr)?;
    std::fs::write(files.join("SYSTEM"), system_hive()?)?;
    mtools("mmd", &disk, &["::ReactOS", "::ReactOS/system32", "::ReactOS/system32/config"])?;
    let modules = Path::new("/usr/lib/syslinux/modules/bios");
    for (from, to) in [
        (files.join("syslinux.cfg"), "::syslinux.cfg"),
        (files.join("freeldr.ini"), "::freeldr.ini"),
        (files.join("SYSTEM"), "::ReactOS/system32/config/SYSTEM"),
        (modules.join("cat.c32"), "::cat.c32"),
        (modules.join("libcom32.c32"), "::libcom32.c32"),
        (modules.join("libutil.c32"), "::libutil.c32"),
    ] {
        mtools("mcopy", &disk, &[from.to_str().context("a path")?, to])?;
    }
    Ok(disk)
}

fn system_hive() -> anyhow::Result<Vec<u8>> {
    let options = CreateOptions { version: Version::V1_3, ..CreateOptions::default() };
    let mut hive = Hive::create_with("SYSTEM", &options)?;
    for (name, number) in [("Current", 1), ("Default", 1), ("Failed", 0), ("LastKnownGood", 2)] {
        hive.set_value("Select", name, &Data::dword(number))?;
    }
    hive.set_value(r"ControlSet001\Control\CrashControl", "AutoReboot", &Data::dword(0))?;
    Ok(hive.to_bytes()?)
}

fn mtools(tool: &str, disk: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let image = format!("{}@@{START}", disk.display());
    let mut command = Command::new(tool);
    command.arg("-i").arg(image).args(arguments);
    run(&mut command)
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output();
    let output = output.with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
