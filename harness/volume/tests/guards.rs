//! Volumes that must not be written to: each is refused with its reason and the way out, and read
//! nevertheless where that is safe.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use volume::{
    BlockDevice, Fat, FatFormat, FatKind, FileTime, Guard, GuardKind, MemoryDevice, Ntfs,
    NtfsFormat, Reason, Replay, SharedDevice, Volume, VolumeError,
};

const MIB: usize = 1 << 20;
const TIME: FileTime = FileTime::from_unix_seconds(1_721_362_140);

fn device() -> SharedDevice {
    SharedDevice::new(MemoryDevice::zeroed(16 * MIB))
}

fn ntfs() -> (Ntfs, SharedDevice) {
    let device = device();
    let options = NtfsFormat { label: "C".to_owned(), serial: 1, time: TIME };
    let mut ntfs = Ntfs::format(device.clone(), &options).unwrap();
    ntfs.write("file", b"contents").unwrap();
    (ntfs, device)
}

fn fat(kind: FatKind) -> (Fat, SharedDevice) {
    let len = if kind == FatKind::Fat32 { 40 * MIB } else { 16 * MIB };
    let device = SharedDevice::new(MemoryDevice::zeroed(len));
    let options = FatFormat { kind, id: 1, label: "C".to_owned() };
    let mut fat = Fat::format(device.clone(), &options).unwrap();
    fat.set_clock(TIME);
    fat.write("file", b"contents").unwrap();
    (fat, device)
}

fn guard_of(error: VolumeError) -> Guard {
    match error.reason {
        Reason::Guarded(guard) => guard,
        other => panic!("{other}"),
    }
}

fn bytes_of(device: &SharedDevice) -> Vec<u8> {
    let mut device = device.clone();
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Everything that writes is refused for this reason, nothing changes, and everything is read.
fn refused(volume: &mut dyn Volume, device: &SharedDevice, kind: GuardKind) -> Guard {
    let before = bytes_of(device);
    let guard = volume.guard().unwrap().unwrap();
    assert_eq!((guard.kind, guard.is_readable()), (kind, true), "{guard}");
    assert!(!guard.reason.is_empty() && !guard.way_out.is_empty());
    for result in [
        volume.write("file", b"x"),
        volume.write("new", b"x"),
        volume.write_at("file", 0, b"x"),
        volume.append("file", b"x"),
        volume.set_size("file", 1),
        volume.create_dir_all("dir"),
        volume.rename("file", "other"),
        volume.remove_file("file"),
        volume.set_times("file", TIME, TIME),
    ] {
        assert_eq!(guard_of(result.unwrap_err()), guard);
    }
    assert_eq!(volume.read("file").unwrap(), b"contents");
    assert!(volume.list("").unwrap().iter().any(|entry| entry.name == "file"));
    assert_eq!(volume.label().unwrap(), "C");
    assert!(before == bytes_of(device), "something was written");
    guard
}

#[test]
fn a_sound_volume_has_no_guard() {
    assert_eq!(ntfs().0.guard().unwrap(), None);
    assert_eq!(fat(FatKind::Fat16).0.guard().unwrap(), None);
    assert_eq!(fat(FatKind::Fat32).0.guard().unwrap(), None);
}

#[test]
fn a_hibernated_system() {
    for header in ["hibr", "HIBR", "RSTR", "HORM"] {
        let (mut volume, device) = ntfs();
        volume.write("hiberfil.sys", &[header.as_bytes(), &[0; 9000]].concat()).unwrap();
        let mut again = Ntfs::open(device.clone()).unwrap();
        let guard = refused(&mut again, &device, GuardKind::Hibernated);
        assert!(guard.reason.contains(header), "{guard}");
        assert!(guard.way_out.contains("shutdown /s /f /t 0"), "{guard}");
        assert!(guard.way_out.contains("powercfg /h off"), "{guard}");
        assert_eq!(guard_of(again.discard_log().unwrap_err()).kind, GuardKind::Hibernated);

        let (mut volume, device) = fat(FatKind::Fat32);
        volume.write("HIBERFIL.SYS", &[header.as_bytes(), &[0; 9000]].concat()).unwrap();
        refused(&mut Fat::open(device.clone()).unwrap(), &device, GuardKind::Hibernated);
    }
}

#[test]
fn a_hibernation_file_without_a_live_header() {
    for header in ["wake", "WAKE", "\0\0\0\0", ""] {
        let (mut volume, device) = ntfs();
        volume.write("hiberfil.sys", header.as_bytes()).unwrap();
        assert_eq!(Ntfs::open(device).unwrap().guard().unwrap(), None, "{header:?}");
    }
}

/// Where a string lies on a device, once.
fn find(device: &SharedDevice, wanted: &[u8]) -> u64 {
    let bytes = bytes_of(device);
    bytes.windows(wanted.len()).position(|window| window == wanted).unwrap() as u64
}

/// A restart page of the log that says that the volume is in use.
fn unclean_log(device: &mut SharedDevice) {
    let mut page = vec![0; 4096];
    page[..4].copy_from_slice(b"RSTR");
    page[16..20].copy_from_slice(&4096u32.to_le_bytes());
    page[24..26].copy_from_slice(&0x30u16.to_le_bytes());
    // A client is in use, and the flag of a clean volume is not set.
    page[0x30 + 12..0x30 + 14].copy_from_slice(&0u16.to_le_bytes());
    let bytes = bytes_of(device);
    // The log of a fresh volume is the only long stretch of ones.
    let start = bytes.chunks_exact(4096).position(|chunk| chunk.iter().all(|&one| one == 0xff));
    device.write_at(start.unwrap() as u64 * 4096, &page).unwrap();
}

#[test]
fn a_log_with_changes_that_are_not_carried_out() {
    let (_, mut device) = ntfs();
    unclean_log(&mut device);
    let mut volume = Ntfs::open(device.clone()).unwrap();
    assert!(volume.is_dirty().unwrap());
    refused(&mut volume, &device, GuardKind::UncleanLog);
    // The restart page was never whole: nothing can be made of this log.
    let before = bytes_of(&device);
    assert_eq!(volume.replay_log(Replay::CarryOut).unwrap(), None);
    let error = guard_of(volume.write("file", b"x").unwrap_err());
    assert_eq!(error.kind, GuardKind::UncleanLog);
    assert!(error.reason.contains("cannot be replayed here"), "{error}");
    assert!(error.way_out.contains("Windows replays it itself"), "{error}");
    assert!(before == bytes_of(&device));
    // The way out that the caller chooses by name: its changes are given up, this handle may write.
    volume.discard_log().unwrap();
    volume.write("file", b"new").unwrap();
    // Everybody else is told until the volume's own system has checked it.
    let mut again = Ntfs::open(device.clone()).unwrap();
    assert_eq!(again.guard().unwrap().unwrap().kind, GuardKind::Dirty);
    assert_eq!(again.read("file").unwrap(), b"new");
}

#[test]
fn a_volume_of_ntfs_that_is_marked_as_dirty() {
    let (mut volume, device) = ntfs();
    // Emptying a clean log marks the volume as dirty.
    volume.discard_log().unwrap();
    let guard = refused(&mut Ntfs::open(device.clone()).unwrap(), &device, GuardKind::Dirty);
    assert!(guard.way_out.contains("chkdsk"), "{guard}");
}

#[test]
fn a_volume_of_fat_that_is_marked_as_dirty() {
    // By Windows in the boot sector, by others in the second entry of the table.
    let (_, mut device) = fat(FatKind::Fat16);
    device.write_at(0x25, &[1]).unwrap();
    refused(&mut Fat::open(device.clone()).unwrap(), &device, GuardKind::Dirty);
    let (_, mut device) = fat(FatKind::Fat32);
    let reserved = {
        let bytes = bytes_of(&device);
        u64::from(u16::from_le_bytes([bytes[14], bytes[15]])) * 512
    };
    device.write_at(reserved + 7, &[0xf7 & 0x0f]).unwrap();
    refused(&mut Fat::open(device.clone()).unwrap(), &device, GuardKind::Dirty);
}

/// A device that takes no writes.
struct ReadOnly(SharedDevice);

impl BlockDevice for ReadOnly {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&mut self, _: u64, _: &[u8]) -> std::io::Result<()> {
        Err(std::io::Error::from_raw_os_error(22))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where a FAT of 32 bits has its mark of dirtiness, in the boot sector.
const MARK_OF_FAT32: u64 = 0x41;

#[test]
fn a_dirty_volume_of_fat_is_read_without_a_write() {
    let (_, mut device) = fat(FatKind::Fat32);
    device.write_at(MARK_OF_FAT32, &[1]).unwrap();
    let mut volume = Fat::open(ReadOnly(device.clone())).unwrap();
    assert_eq!(volume.read("file").unwrap(), b"contents");
    assert!(volume.free_space().unwrap() > 0);
    assert_eq!(volume.guard().unwrap().unwrap().kind, GuardKind::Dirty);
    // Nor is anything written where it could be.
    let before = bytes_of(&device);
    assert!(Fat::open(device.clone()).unwrap().free_space().unwrap() > 0);
    assert_eq!(bytes_of(&device), before);
}

#[test]
fn what_a_crash_leaves_on_fat_can_be_accepted() {
    let (mut volume, mut device) = fat(FatKind::Fat32);
    volume.write("pagefile.sys", &[7; 4096]).unwrap();
    drop(volume);
    assert_eq!(Fat::open(device.clone()).unwrap().accept_crash_state().unwrap(), None);
    // The page file's size was never written, and the volume was not let go of.
    let bytes = bytes_of(&device);
    let entry = bytes.windows(11).position(|name| name == b"PAGEFILESYS").unwrap() as u64;
    device.write_at(entry + 28, &(64u32 << 20).to_le_bytes()).unwrap();
    let guard = refused(&mut Fat::open(device.clone()).unwrap(), &device, GuardKind::Dirty);
    assert!(guard.reason.contains("PAGEFILE.SYS"), "{guard}");
    device.write_at(MARK_OF_FAT32, &[1]).unwrap();
    let mut volume = Fat::open(device.clone()).unwrap();
    let given_up = volume.accept_crash_state().unwrap().unwrap();
    assert!(given_up.contains("not let go of cleanly"), "{given_up}");
    volume.write("file", b"repaired").unwrap();
    drop(volume);
    // Its own system still checks it.
    let mut again = Fat::open(device.clone()).unwrap();
    assert_eq!(again.read("file").unwrap(), b"repaired");
    assert_eq!(again.guard().unwrap().unwrap().kind, GuardKind::Dirty);
    // Damage is told apart: a file that begins outside of the volume.
    device.write_at(entry + 20, &[0xff; 2]).unwrap();
    let error = Fat::open(device.clone()).unwrap().accept_crash_state().unwrap_err();
    assert_eq!(guard_of(error).kind, GuardKind::Damaged);
}

#[test]
fn what_a_crash_leaves_on_ntfs_can_be_accepted() {
    let (volume, mut device) = ntfs();
    drop(volume);
    assert_eq!(Ntfs::open(device.clone()).unwrap().accept_crash_state().unwrap(), None);
    unclean_log(&mut device);
    let mut volume = Ntfs::open(device.clone()).unwrap();
    // A log that cannot be carried out is not given up unasked.
    let error = volume.accept_crash_state().unwrap_err();
    assert_eq!(guard_of(error).kind, GuardKind::UncleanLog);
    volume.discard_log().unwrap();
    let mut again = Ntfs::open(device.clone()).unwrap();
    let given_up = again.accept_crash_state().unwrap().unwrap();
    assert!(given_up.contains("marked as dirty"), "{given_up}");
    again.write("file", b"repaired").unwrap();
    let mut third = Ntfs::open(device.clone()).unwrap();
    assert_eq!(third.guard().unwrap().unwrap().kind, GuardKind::Dirty);
    // A hibernated system goes on with what it remembers.
    again.write("hiberfil.sys", b"HIBR").unwrap();
    let error = Ntfs::open(device.clone()).unwrap().accept_crash_state().unwrap_err();
    assert_eq!(guard_of(error).kind, GuardKind::Hibernated);
}

#[test]
fn chains_of_fat_that_go_in_a_circle_are_read_bounded_and_not_written() {
    for kind in [FatKind::Fat16, FatKind::Fat32] {
        let (mut volume, device) = fat(kind);
        volume.create_dir_all("dir").unwrap();
        volume.write("dir\\large", &[7; 70_000]).unwrap();
        drop(volume);
        let pristine = bytes_of(&device);
        let reserved = u64::from(u16::from_le_bytes([pristine[14], pristine[15]])) * 512;
        let width = if kind == FatKind::Fat32 { 4 } else { 2 };
        let per_fat = if kind == FatKind::Fat32 {
            u64::from(u32::from_le_bytes(pristine[36..40].try_into().unwrap()))
        } else {
            u64::from(u16::from_le_bytes(pristine[22..24].try_into().unwrap()))
        } * 512;
        // Every cluster in use, one after the other, leads to itself, in both copies of the table.
        let mut refusals = 0;
        for cluster in 2u64..24 {
            let mut broken = SharedDevice::new(MemoryDevice::new(pristine.clone()));
            let entry = &(cluster as u32).to_le_bytes()[..width];
            for copy in 0..2 {
                let at = reserved + copy * per_fat + cluster * width as u64;
                broken.write_at(at, entry).unwrap();
            }
            let mut volume = Fat::open(broken.clone()).unwrap();
            let _ = volume.list("");
            let _ = volume.list("dir");
            let _ = volume.read("dir\\large");
            let _ = volume.read_at("dir\\large", 60_000, &mut [0; 5000]);
            let check = volume.check().unwrap();
            if check.errors.is_empty() {
                // A cluster that no file uses is lost, nothing worse.
                assert!(check.lost_clusters > 0);
                continue;
            }
            refusals += 1;
            let before = bytes_of(&broken);
            let guard = guard_of(volume.write("dir\\a new one", b"x").unwrap_err());
            assert_eq!(guard.kind, GuardKind::Damaged);
            assert!(guard.reason.contains("chain"), "{guard}");
            assert!(before == bytes_of(&broken));
        }
        assert!(refusals > 3, "{kind:?}: {refusals}");
    }
}

#[test]
fn fat_damage_of_every_sort_is_found() {
    let (_, device) = fat(FatKind::Fat16);
    let entry = find(&device, b"FILE       ");
    let bytes = bytes_of(&device);
    let reserved = u64::from(u16::from_le_bytes([bytes[14], bytes[15]])) * 512;
    for (at, change, wanted) in [
        (entry + 26, &[1u8, 0][..], "which does not exist"),
        (entry + 26, &[0xff, 0x7f], "does not exist"),
        (entry + 28, &[0xff, 0xff], "clusters of"),
        (reserved + 4, &[0xf0, 0xff], "differs from the first"),
    ] {
        let mut broken = SharedDevice::new(MemoryDevice::new(bytes.clone()));
        broken.write_at(at, change).unwrap();
        let check = Fat::open(broken).unwrap().check().unwrap();
        // A size that does not fit is what a crash leaves; everything else is damage.
        let found = if wanted == "clusters of" { &check.unfinished } else { &check.errors };
        assert!(found.iter().any(|error| error.contains(wanted)), "{wanted}: {check:?}");
        assert_eq!(check.errors.is_empty(), wanted == "clusters of", "{check:?}");
    }
}
