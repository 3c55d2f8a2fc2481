//! Partition tables and file systems.

use std::sync::LazyLock;

use volume::{
    BlockDevice, Changes, Fat, FatFormat, FatKind, FileTime, Kind, MemoryDevice, Ntfs, NtfsFormat,
    Partition, PartitionKind, PartitionTable, SECTOR, SharedDevice, SubDevice, Volume,
    check_changes, create_partitions, open_tracked, read_partitions,
};

use crate::patch::{self, PatchedDevice};

/// Deepest folder that is looked into.
const DEEPEST: usize = 8;
/// Most entries that are looked at.
const MOST: usize = 400;
/// 2024-07-19, so that a made volume is the same each time.
const TIME: FileTime = FileTime::from_ticks(133_658_357_490_000_000);

fn contents(device: &mut dyn BlockDevice) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(device.len()).expect("it lies in memory")];
    device.read_at(0, &mut bytes).expect("memory can be read");
    bytes
}

fn fill(volume: &mut dyn Volume) {
    volume.set_clock(TIME);
    volume.create_dir_all(r"Windows\System32\config").expect("there is room");
    volume.write(r"Windows\System32\config\SYSTEM", &[7; 9000]).expect("there is room");
    for number in 0..40 {
        let path = format!(r"Windows\System32\a-file-with-a-long-name-{number}.dat");
        volume.write(&path, &vec![number; 100 * usize::from(number)]).expect("there is room");
    }
    volume.remove_file(r"Windows\System32\a-file-with-a-long-name-3.dat").expect("it is there");
    volume.flush().expect("memory can be written");
}

static NTFS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut device = SharedDevice::new(MemoryDevice::zeroed(8 << 20));
    let format = NtfsFormat { label: "fuzz".to_owned(), serial: 0x1234, time: TIME };
    fill(&mut Ntfs::format(device.clone(), &format).expect("memory can be formatted"));
    contents(&mut device)
});

static FAT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut device = SharedDevice::new(MemoryDevice::zeroed(8 << 20));
    let format = FatFormat { kind: FatKind::Fat16, id: 0x1234, label: "FUZZ".to_owned() };
    fill(&mut Fat::format(device.clone(), &format).expect("memory can be formatted"));
    contents(&mut device)
});

/// The input changes a sound NTFS volume. The first part of it is where NTFS keeps its records.
pub(crate) fn ntfs(input: &[u8]) {
    let device = SharedDevice::new(PatchedDevice::new(&NTFS, input));
    let changes = Changes::default();
    if let Ok(mut volume) = open_tracked(device.clone(), &changes) {
        use_volume(&mut *volume);
        let _ = check_changes(device.clone(), &changes);
    }
    if let Ok(mut volume) = Ntfs::open(device) {
        let _ = (volume.is_dirty(), volume.check());
    }
}

/// The input changes a sound FAT volume.
pub(crate) fn fat(input: &[u8]) {
    if let Ok(mut volume) = Fat::open(PatchedDevice::new(&FAT, input)) {
        use_volume(&mut volume);
    }
}

fn use_volume(volume: &mut dyn Volume) {
    let mut folders = vec![(String::new(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        for entry in volume.list(&folder).unwrap_or_default() {
            seen += 1;
            if seen > MOST {
                break;
            }
            let path = format!("{folder}\\{}", entry.name);
            let _ = volume.metadata(&path);
            match entry.kind {
                Kind::Directory if depth < DEEPEST => folders.push((path, depth + 1)),
                Kind::Directory | Kind::Reparse => {}
                Kind::File => {
                    let mut buffer = [0; 4096];
                    let _ = volume.read_at(&path, entry.size / 2, &mut buffer);
                }
            }
        }
    }
    let _ = volume.free_space();
    // What can be written is what is read afterwards.
    let data: Vec<u8> = (0..5000_u32).map(|number| number as u8).collect();
    for path in ["new.dat", r"Windows\System32\config\SYSTEM", r"Windows\System32\new-name.sys"] {
        if volume.write(path, &data).is_ok() && volume.flush().is_ok() {
            assert_eq!(volume.read(path).ok().as_deref(), Some(data.as_slice()), "{path}");
        }
    }
    let _ = volume.rename(r"Windows\System32\a-file-with-a-long-name-5.dat", r"Windows\moved");
    let _ = volume.remove_dir_all(r"Windows\System32");
    let _ = volume.flush();
}

/// A disk with a GUID partition table, and one with a master boot record, an extended and two logical
/// partitions.
static DISKS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    const MIB: u64 = 1 << 20;
    let guid = |number: u128| volume::Guid::from_u128(number);
    let gpt = PartitionTable::gpt(
        guid(1),
        vec![
            Partition::gpt(volume::EFI_SYSTEM, guid(2), MIB, MIB, "EFI"),
            Partition::gpt(volume::BASIC_DATA, guid(3), 2 * MIB, MIB, "Basic data partition"),
        ],
    );
    let mbr = PartitionTable::mbr(
        0x6c6f_6f70,
        vec![
            Partition { active: true, ..Partition::mbr(1, PartitionKind::Mbr(0x07), MIB, MIB) },
            Partition::mbr(2, PartitionKind::Mbr(0x0f), 2 * MIB, 2 * MIB),
            Partition::mbr(5, PartitionKind::Mbr(0x0c), 2 * MIB + 65536, MIB / 2),
            Partition::mbr(6, PartitionKind::Mbr(0x07), 3 * MIB + 65536, MIB / 2),
        ],
    );
    [gpt, mbr].map(|table| {
        let mut disk = MemoryDevice::zeroed(5 << 20);
        create_partitions(&mut disk, &table).expect("a sound table");
        disk.into_bytes()
    })
});

/// The first byte of the input says which disk it changes and whether the checksums of the table are made
/// right afterwards; the rest are the changes.
pub(crate) fn partitions(input: &[u8]) {
    let Some((&how, input)) = input.split_first() else { return };
    let mut disk = PatchedDevice::new(&DISKS[usize::from(how & 1)], input);
    if how & 2 == 0 {
        let last = disk.len() - SECTOR;
        for header in [SECTOR, last] {
            with_checksums(&mut disk, header);
        }
    }
    let table = read_partitions(&mut disk);
    for partition in table.iter().flat_map(|table| &table.partitions) {
        if let Ok(mut part) = SubDevice::new(&mut disk, partition.start, partition.len) {
            let _ = volume::probe(&mut part);
        }
    }
}

/// Makes the two checksums of a GUID partition table right, as far as its sizes allow.
fn with_checksums(disk: &mut PatchedDevice, at: u64) {
    let mut header = [0; SECTOR as usize];
    let word = |header: &[u8], at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if disk.read_at(at, &mut header).is_err() || &header[..8] != b"EFI PART" {
        return;
    }
    let table = u64::from(word(&header, 72)).saturating_mul(SECTOR);
    let length = u64::from(word(&header, 80)).saturating_mul(u64::from(word(&header, 84)));
    if let Ok(length) = usize::try_from(length.min(1 << 20)) {
        let mut entries = vec![0; length];
        if disk.read_at(table, &mut entries).is_ok() {
            header[88..92].copy_from_slice(&crc32fast::hash(&entries).to_le_bytes());
        }
    }
    let size = (word(&header, 12) as usize).min(header.len());
    header[16..20].fill(0);
    let sum = crc32fast::hash(&header[..size]);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    let _ = disk.write_at(at, &header);
}

pub(crate) fn partition_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let with = |how: u8, changes: &[(u32, &[u8])]| [vec![how], patch::encode(changes)].concat();
    vec![
        ("gpt", with(0, &[])),
        ("mbr", with(1, &[])),
        ("gpt-many-entries", with(0, &[(512 + 80, &[0xff, 0xff])])),
        ("gpt-overlap", with(0, &[(1024 + 128 + 32, &[0, 8])])),
        ("gpt-no-primary", with(2, &[(512, &[0; 16])])),
        ("mbr-loop", with(1, &[((2 << 20) + 446 + 16 + 8, &[0; 4])])),
        ("mbr-huge", with(1, &[(446 + 12, &[0xff; 4])])),
    ]
}
