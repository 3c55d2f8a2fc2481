//! Partition tables and file systems.

use std::sync::LazyLock;

use volume::{
    BlockDevice, Fat, FatFormat, FatKind, FileTime, Kind, MemoryDevice, Ntfs, NtfsFormat,
    SharedDevice, Volume, read_partitions,
};

use crate::patch::PatchedDevice;

/// Deepest folder that is looked into.
const DEEPEST: usize = 8;
/// Most entries that are looked at.
const MOST: usize = 400;
/// 2024-07-19, so that a made volume is the same each time.
const TIME: FileTime = FileTime(133_658_357_490_000_000);

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
    if let Ok(mut volume) = Ntfs::open(PatchedDevice::new(&NTFS, input)) {
        let _ = volume.is_dirty();
        use_volume(&mut volume);
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

static DISK: LazyLock<Vec<u8>> = LazyLock::new(|| vec![0; 1 << 20]);

/// The input is the beginning of a disk, with the checksums of a GUID partition table made right.
pub(crate) fn partitions(input: &[u8]) {
    let mut disk = MemoryDevice::new(crate::patch::applied(&DISK, input));
    let _ = read_partitions(&mut disk);
}
