//! Volumes of Windows, brought back to a crash and replayed.

use super::crash::{Crash, End, Past};
use super::*;
use crate::ntfs::record::{remove_fixups, u16_at, u32_at};
use crate::{GuardKind, MemoryDevice, Ntfs, Replay as How, SharedDevice, Volume};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// The raw disk of an artifact, in a directory of its own; `None` with a line that says so where it is not at hand.
pub(super) fn unpacked(name: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/artifacts");
    let artifacts = std::env::var_os("LOOPBREAK_ARTIFACTS").unwrap_or_else(|| here.into());
    let from = PathBuf::from(artifacts).join("volumes").join(name);
    if !from.is_file() {
        println!("skipped: no artifacts (set LOOPBREAK_ARTIFACTS)");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("disk.raw");
    let command = match name.contains(".tar") {
        true => "tar -C \"$(dirname \"$2\")\" -xSf \"$1\" && mv \"$(dirname \"$2\")\"/*.raw \"$2\"",
        false => "gzip -dc \"$1\" > \"$2\"",
    };
    let unpacking = Command::new("sh").args(["-c", command, "sh"]).arg(&from).arg(&to).status();
    assert!(unpacking.unwrap().success(), "{command} {}", from.display());
    Some((dir, to))
}

pub(super) const WINDOWS: [&str; 2] = ["ntfs_index.raw.gz", "vss_2_stor.tar.gz"];

/// Everything that the log of a volume speaks of, without what differs by itself: how new a block is, its update
/// sequence, and what is behind its end.
fn contents(past: &Past, device: &SharedDevice) -> BTreeMap<u64, Vec<u8>> {
    let mut device = device.clone();
    let mut boot = [0; 512];
    device.read_at(0, &mut boot).unwrap();
    let geometry = Geometry::parse(&boot, device.len()).unwrap();
    let cluster = geometry.cluster as usize;
    let (mut all, mut not_logged) = (BTreeMap::new(), Vec::new());
    for record in past.records.iter().filter(|record| record.kind == Kind::Action) {
        let action = Action::parse(&record.data).unwrap();
        let lcns: Vec<u64> = action.lcns().collect();
        if !op::changes_a_page(action.redo) && !op::changes_a_page(action.undo) {
            continue;
        }
        let len = if op::is_of_record(action.redo) || op::is_of_record(action.undo) {
            geometry.record
        } else {
            (lcns.len() * cluster).min(4096)
        };
        let mut bytes = vec![0; lcns.len() * cluster];
        for (index, &lcn) in lcns.iter().enumerate() {
            let part = &mut bytes[index * cluster..(index + 1) * cluster];
            device.read_at(lcn * cluster as u64, part).unwrap();
        }
        let at = action.cluster_offset;
        let place = lcns[0] * cluster as u64 + at as u64;
        // The contents of a small file are not in the log: only that it has become longer.
        let unknown = action.redo == op::UPDATE_RESIDENT
            && !action.redo_data.is_empty()
            && usize::from(u16_at(&record.data, 4)) == record.data.len();
        if unknown {
            not_logged.push(place);
        }
        let Some(block) = bytes.get_mut(at..at + len) else { panic!("{len} of {action:?}") };
        if block.starts_with(b"FILE") || block.starts_with(b"INDX") {
            assert!(remove_fixups(block), "a torn block at {place:#x}");
            block[8..16].fill(0);
            let (fixups, count) = (usize::from(u16_at(block, 4)), usize::from(u16_at(block, 6)));
            block[fixups..fixups + 2 * count].fill(0);
            let used = match block.starts_with(b"FILE") {
                true => u32_at(block, 0x18) as usize,
                false => 0x18 + u32_at(block, 0x1c) as usize,
            };
            block[used..].fill(0);
        }
        all.insert(place, block.to_vec());
    }
    all.retain(|place, _| !not_logged.contains(place));
    all
}

fn replayed(device: &SharedDevice) -> Result<Replayed, String> {
    let mut ntfs = Ntfs::open(device.clone()).map_err(|error| error.to_string())?;
    let guard = ntfs.guard().unwrap().expect("the log is not clean");
    assert_eq!(guard.kind, GuardKind::UncleanLog);
    let done = ntfs.replay_log(How::CarryOut).map_err(|error| error.to_string())?;
    assert_eq!(ntfs.guard().unwrap(), None);
    assert_eq!(ntfs.replay_log(How::CarryOut).unwrap(), None);
    let mut again = Ntfs::open(device.clone()).unwrap();
    assert_eq!(again.guard().unwrap(), None);
    assert_eq!(again.check().unwrap().errors, Vec::<String>::new());
    Ok(done.unwrap())
}

/// A row of numbers that looks random.
fn dice(seed: u64) -> impl FnMut(u64) -> bool {
    move |lcn| {
        let mixed = (lcn ^ seed.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 33) & 1 == 0
    }
}

#[test]
fn whatever_had_reached_the_disk_the_volume_of_windows_comes_back() {
    for name in WINDOWS {
        let Some(past) = Past::of(name) else { return };
        let last = past.records.last().unwrap().lsn;
        let expected = contents(&past, &past.device());
        let mut total = Replayed::default();
        // The second volume is larger, and its log longer.
        let step = if name == WINDOWS[0] { 1 } else { 7 };
        for (index, checkpoint) in past.checkpoints().into_iter().enumerate().step_by(step) {
            let (major, end) =
                [(1, End::InPlace), (2, End::Tail), (1, End::Tail), (2, End::InPlace)][index % 4];
            let crash = Crash { last, checkpoint, major, end, oldest: checkpoint };
            // As little as may be had reached the disk, or a part of it.
            let mut is_old = dice(index as u64);
            let device = past.crash(&crash, &mut |lcn| index % 3 == 0 || is_old(lcn));
            let done = replayed(&device).unwrap_or_else(|why| panic!("{name} {crash:x?}: {why}"));
            total.redone += done.redone;
            assert_eq!(done.undone, 0);
            let found = contents(&past, &device);
            for (place, block) in &expected {
                let other = &found[place];
                let differs = block.iter().zip(other).position(|(a, b)| a != b);
                assert_eq!(
                    differs, None,
                    "{name} {crash:x?} {place:#x}: {block:02x?} {other:02x?}"
                );
            }
        }
        println!("{name}: {} steps carried out", total.redone);
        assert!(total.redone > 500, "{total}");
    }
}

/// The checkpoint that counts at a moment.
fn checkpoint_before(past: &Past, lsn: u64) -> Option<u64> {
    past.checkpoints().into_iter().rev().find(|&checkpoint| checkpoint < lsn)
}

/// The moments at which the log of the smaller volume can be cut off: behind each of its actions.
fn moments(past: &Past) -> Vec<u64> {
    let checkpoint = past.checkpoints()[1];
    let later = past.records.iter().filter(|record| record.lsn > checkpoint);
    later.map(|record| record.lsn).collect()
}

#[test]
fn changes_that_were_not_finished_are_taken_back() {
    let Some(past) = Past::of(WINDOWS[0]) else { return };
    let (mut undone, mut tried) = (0, 0);
    for (index, last) in moments(&past).into_iter().enumerate().step_by(8) {
        let checkpoint = checkpoint_before(&past, last).unwrap();
        let (major, end) = if index % 2 == 0 { (2, End::Tail) } else { (1, End::InPlace) };
        let crash = Crash { last, checkpoint, major, end, oldest: checkpoint };
        // Everything had reached the disk, and as little as may be.
        let new = past.crash(&crash, &mut |_| false);
        let old = past.crash(&crash, &mut dice(index as u64));
        let (first, second) = (replayed(&new).unwrap(), replayed(&old).unwrap());
        assert_eq!(first.undone, second.undone, "{crash:x?}");
        assert!(second.redone >= first.redone, "{crash:x?}");
        let (one, other) = (contents(&past, &new), contents(&past, &old));
        for (place, block) in one {
            let other = &other[&place];
            // A free record means nothing, and the next id of an attribute is not counted back.
            let free = |block: &[u8]| block.starts_with(b"FILE") && block[0x16] & 1 == 0;
            if free(&block) && free(other) {
                continue;
            }
            let mut pairs = block.iter().zip(other).enumerate();
            let differs = pairs.find(|(at, (a, b))| a != b && !(0x28..0x2a).contains(at));
            assert_eq!(differs, None, "{crash:x?} {place:#x}: {block:02x?} {other:02x?}");
        }
        undone += first.undone;
        tried += 1;
    }
    println!("{tried} crashes, {undone} steps taken back");
    assert!(tried > 50 && undone > 60, "{tried} {undone}");
}

pub(super) fn bytes_of(device: &SharedDevice) -> Vec<u8> {
    let mut device = device.clone();
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A device that loses its power after some writes.
struct Cut {
    inner: SharedDevice,
    left: u64,
}

impl BlockDevice for Cut {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.left = self.left.checked_sub(1).ok_or(std::io::Error::other("the power is gone"))?;
        self.inner.write_at(offset, data)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A crash in the middle of a change, with as little on the disk as may be.
pub(super) fn unfinished(past: &Past) -> Crash {
    let found = moments(past).into_iter().rev().find_map(|last| {
        let checkpoint = checkpoint_before(past, last)?;
        let crash = Crash { last, checkpoint, major: 2, end: End::Tail, oldest: checkpoint };
        let done = replayed(&past.crash(&crash, &mut |_| true)).ok()?;
        (done.undone > 2 && done.redone > 20).then_some(crash)
    });
    found.unwrap()
}

#[test]
fn a_power_cut_at_any_write_of_a_replay_is_replayed_again() {
    let Some(past) = Past::of(WINDOWS[0]) else { return };
    let crash = unfinished(&past);
    let whole = past.crash(&crash, &mut |_| true);
    let before = bytes_of(&whole);
    replayed(&whole).unwrap();
    let expected = contents(&past, &whole);
    for left in 0.. {
        let inner = SharedDevice::new(MemoryDevice::new(before.clone()));
        let cut = Cut { inner: inner.clone(), left };
        let done = Ntfs::open(cut).unwrap().replay_log(How::CarryOut).is_ok();
        let mut again = Ntfs::open(inner.clone()).unwrap();
        // Once more, unless the one write that empties the log was the last.
        let replays = again.replay_log(How::CarryOut).unwrap().is_some();
        assert_eq!(again.guard().unwrap(), None, "{left}");
        assert_eq!(again.check().unwrap().errors, Vec::<String>::new(), "{left}");
        assert!(contents(&past, &inner) == expected, "cut before write {left}");
        if done {
            assert!(left > 10 && !replays, "{left}");
            return;
        }
    }
}

#[test]
fn a_rehearsal_writes_nothing() {
    let Some(past) = Past::of(WINDOWS[0]) else { return };
    let device = past.crash(&unfinished(&past), &mut |_| true);
    let before = bytes_of(&device);
    let mut ntfs = Ntfs::open(device.clone()).unwrap();
    let rehearsed = ntfs.replay_log(How::Rehearse).unwrap().unwrap();
    assert!(bytes_of(&device) == before);
    assert_eq!(ntfs.guard().unwrap().unwrap().kind, GuardKind::UncleanLog);
    assert!(ntfs.write("new", b"x").is_err());
    assert_eq!(ntfs.replay_log(How::CarryOut).unwrap().unwrap(), rehearsed);
    ntfs.write("new", b"x").unwrap();
    assert_eq!(Ntfs::open(device).unwrap().read("new").unwrap(), b"x");
}

/// What the recovery tool of `ntfs-3g` makes of the same crashes. It carries out what was finished and takes nothing
/// back, and it gives some of them up; where it does not, and nothing is to be taken back, it comes to the same.
#[test]
fn ntfsrecover_agrees() {
    let Some(past) = Past::of(WINDOWS[0]) else { return };
    if Command::new("ntfsrecover").arg("-V").output().is_err() {
        println!("skipped: ntfsrecover is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut same, mut failed, mut other) = (0, 0, 0);
    for (index, last) in moments(&past).into_iter().enumerate().step_by(17) {
        let checkpoint = checkpoint_before(&past, last).unwrap();
        let earlier = past.checkpoints().into_iter().filter(|&one| one < checkpoint).rev();
        // It walks back to there, and not beyond.
        let oldest = earlier.take(3).last().unwrap();
        let crash = Crash { last, checkpoint, major: 1, end: End::Both, oldest };
        let device = past.crash(&crash, &mut dice(index as u64));
        let image = dir.path().join(format!("{index}"));
        std::fs::write(&image, bytes_of(&device)).unwrap();
        let done = replayed(&device).unwrap();
        let theirs = Command::new("ntfsrecover").arg(&image).output().unwrap();
        let ours = contents(&past, &device);
        let bytes = std::fs::read(&image).unwrap();
        std::fs::remove_file(&image).unwrap();
        if !theirs.status.success() {
            failed += 1;
            continue;
        }
        let theirs = contents(&past, &SharedDevice::new(MemoryDevice::new(bytes)));
        let differing: Vec<u64> = ours
            .iter()
            .filter(|(place, block)| theirs[*place] != **block)
            .map(|(place, _)| *place)
            .collect();
        if done.undone == 0 {
            assert_eq!(differing, Vec::<u64>::new(), "{crash:x?}");
            same += 1;
        } else if !differing.is_empty() {
            other += 1;
        }
    }
    println!("{same} the same, {other} not taken back by it, {failed} given up by it");
    assert!(same > 3, "{same}");
}

/// What the driver of Linux makes of the same crashes, which replays a log when it mounts a volume. It runs in a machine
/// of its own, which `scripts/ntfs3-machine` makes: `LOOPBREAK_NTFS3` names the folder.
#[test]
fn the_driver_of_linux_agrees() {
    let Some(past) = Past::of(WINDOWS[0]) else { return };
    let Some(machine) = std::env::var_os("LOOPBREAK_NTFS3").map(PathBuf::from) else {
        println!("skipped: there is no machine with the driver (LOOPBREAK_NTFS3)");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let all = moments(&past);
    let offset = std::env::var("LOOPBREAK_NTFS3_FIRST").ok().and_then(|text| text.parse().ok());
    let mut crashes = Vec::new();
    for (index, last) in all.into_iter().enumerate().skip(offset.unwrap_or(0)).step_by(29) {
        let checkpoint = checkpoint_before(&past, last).unwrap();
        let (major, end) = if index % 2 == 0 { (2, End::Tail) } else { (1, End::Both) };
        let crash = Crash { last, checkpoint, major, end, oldest: past.records[0].lsn };
        let device = past.crash(&crash, &mut dice(index as u64));
        let image = dir.path().join(format!("{index}"));
        std::fs::write(&image, bytes_of(&device)).unwrap();
        crashes.push((crash, device, image));
    }
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-m", "512", "-nographic", "-no-reboot", "-append", "console=ttyS0 quiet panic=-1"]);
    qemu.arg("-kernel").arg(machine.join("kernel")).arg("-initrd").arg(machine.join("initrd"));
    for (_, _, image) in &crashes {
        qemu.arg("-drive").arg(format!("if=virtio,format=raw,file={}", image.display()));
    }
    let said = String::from_utf8_lossy(&qemu.output().unwrap().stdout).into_owned();
    let (mut same, mut undone, mut redone, mut given_up) = (0, 0, 0, 0);
    for ((crash, device, image), letter) in crashes.into_iter().zip('a'..) {
        let done = replayed(&device).unwrap();
        if !said.contains(&format!("MOUNTED /dev/vd{letter}")) {
            println!("{crash:x?}: the driver gives it up");
            given_up += 1;
            continue;
        }
        let theirs =
            contents(&past, &SharedDevice::new(MemoryDevice::new(std::fs::read(&image).unwrap())));
        for (place, block) in contents(&past, &device) {
            let free = |block: &[u8]| block.starts_with(b"FILE") && block[0x16] & 1 == 0;
            if free(&block) && free(&theirs[&place]) {
                continue;
            }
            // The next id of an attribute is not counted back where a crash is made.
            let pairs = block.iter().zip(&theirs[&place]).enumerate();
            let differing: Vec<_> =
                pairs.filter(|(at, (a, b))| a != b && !(0x28..0x2a).contains(at)).collect();
            assert!(differing.is_empty(), "{crash:x?} {place:#x}: {differing:x?}");
        }
        (same, undone, redone) = (same + 1, undone + done.undone, redone + done.redone);
    }
    println!(
        "{same} the same ({redone} steps done, {undone} taken back), {given_up} given up by it"
    );
    assert!(same > given_up, "{said}");
}

/// The tables of older Windows, whose entries are those of 32-bit systems: a log without its volume.
#[test]
fn the_log_of_a_windows_7_is_read_from_each_of_its_checkpoints() {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/artifacts");
    let artifacts = std::env::var_os("LOOPBREAK_ARTIFACTS").unwrap_or_else(|| here.into());
    let Ok(mut bytes) = std::fs::read(PathBuf::from(artifacts).join("volumes/LogFile_7.bin"))
    else {
        println!("skipped: no artifacts (set LOOPBREAK_ARTIFACTS)");
        return;
    };
    let size = u64_at(&bytes, 0x48) as usize;
    bytes.resize(size, 0xff);
    let restart = |checkpoint| {
        let crash = Crash { last: 0, checkpoint, major: 1, end: End::InPlace, oldest: checkpoint };
        let page = super::crash::restart_page(&bytes, &crash);
        let log = [&page[..], &page, &bytes[8192..]].concat();
        match super::super::LogState::of(&log) {
            super::super::LogState::Unclean(restart) => (*restart, log),
            other => panic!("{other:?}"),
        }
    };
    // The first page of version 1.1.
    let bits = 64 - u32_at(&bytes, 0x40);
    let mut next = u64_at(&bytes, 0x30) >> bits << bits | (0x4040 >> 3);
    let (first, log) = restart(next);
    let log = Log::new(&first, log).unwrap();
    let (mut checkpoints, mut dirty, mut last) = (0, 0, 0);
    while let Some(record) = log.record(next) {
        if record.kind == Kind::Checkpoint {
            let analysis = Analysis::of(&log, &restart(record.lsn).0).unwrap();
            assert_eq!(analysis.last, u64_at(&bytes, 0x30));
            assert_eq!(analysis.unfinished().unwrap(), [0u64; 0]);
            checkpoints += 1;
            dirty += u64::from(analysis.start().is_some_and(|start| start < record.lsn));
        }
        (next, last) = (record.next, record.lsn);
    }
    println!("{checkpoints} checkpoints, {dirty} with pages that were not written");
    assert_eq!(last, u64_at(&bytes, 0x30));
    assert!(checkpoints > 10 && dirty > 5);
}
