//! Damaged volumes: whatever is wrong with them, every operation ends with a result or an error.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use volume::{
    BlockDevice, Changes, Fat, FatFormat, FatKind, FileTime, Kind, MemoryDevice, Ntfs, NtfsFormat,
    SharedDevice, Volume, VolumeError, check_changes, open_tracked,
};

/// Numbers that look random and are the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn fill(volume: &mut dyn Volume) {
    volume.create_dir_all("Windows\\System32\\drivers").unwrap();
    for index in 0..60 {
        let path = format!("Windows\\System32\\a library number {index}.dll");
        volume.write(&path, &vec![1; index * 100]).unwrap();
    }
    volume.write("small", b"small").unwrap();
    volume.write("large", &[7; 60_000]).unwrap();
}

fn bytes_of(device: &SharedDevice) -> Vec<u8> {
    let mut device = device.clone();
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Reads everything that can be reached.
fn walk(volume: &mut dyn Volume, path: &str, depth: usize) {
    for entry in volume.list(path).unwrap_or_default() {
        let below = format!("{path}\\{}", entry.name);
        let _ = volume.metadata(&below);
        if entry.kind == Kind::Directory {
            if depth < 8 {
                walk(volume, &below, depth + 1);
            }
        } else if entry.size < 1 << 20 {
            let _ = volume.read(&below);
        }
        let _ = volume.read_at(&below, 100, &mut [0; 5000]);
    }
}

/// Everything that writes.
fn edit(volume: &mut dyn Volume) {
    let ignore = |result: Result<(), VolumeError>| drop(result);
    ignore(volume.write("new", &[3; 9000]));
    ignore(volume.write("small", &[3; 9000]));
    ignore(volume.append("large", &[4; 9000]));
    ignore(volume.write_at("large", 70_000, b"x"));
    ignore(volume.set_size("large", 5));
    ignore(volume.set_size("large", 500_000));
    ignore(volume.rename("large", "Windows\\System32\\moved"));
    ignore(volume.rename("Windows\\System32\\a library number 9.dll", "new"));
    ignore(volume.set_times("small", FileTime::from_ticks(1), FileTime::from_ticks(2)));
    for index in 0..30 {
        ignore(volume.write(&format!("Windows\\System32\\drivers\\{index}"), &[index; 2000]));
        ignore(volume.remove_file(&format!("Windows\\System32\\a library number {index}.dll")));
    }
    let _ = volume.free_space();
    ignore(volume.remove_dir_all("Windows"));
}

/// Where something stands in a volume, in pieces of 64 bytes.
fn interesting(bytes: &[u8]) -> Vec<u64> {
    (0..bytes.len() as u64 / 64)
        .filter(|piece| {
            let start = (piece * 64) as usize;
            let piece = &bytes[start..start + 64];
            // Zeros, and the contents of files, are passed over.
            piece.iter().any(|&byte| byte != piece[0])
        })
        .collect()
}

fn damage(bytes: &mut [u8], pieces: &[u64], numbers: &mut Numbers) {
    for _ in 0..1 + numbers.below(6) {
        let piece = pieces[numbers.below(pieces.len() as u64) as usize];
        let at = (piece * 64 + numbers.below(64)) as usize;
        bytes[at] = match numbers.below(4) {
            0 => 0,
            1 => 0xff,
            2 => bytes[at].wrapping_add(1),
            _ => numbers.below(256) as u8,
        };
    }
}

#[test]
fn damaged_ntfs_volumes() {
    let device = SharedDevice::new(MemoryDevice::zeroed(10 << 20));
    let time = FileTime::from_unix_seconds(1_721_362_140);
    let options = NtfsFormat { label: "Windows".to_owned(), serial: 1, time };
    fill(&mut Ntfs::format(device.clone(), &options).unwrap());
    let bytes = bytes_of(&device);
    // The table of upper-case letters is long and harmless.
    let mut pieces = interesting(&bytes);
    let upcase = bytes.windows(8).position(|eight| eight == [0, 0, 1, 0, 2, 0, 3, 0]).unwrap();
    pieces.retain(|piece| !(upcase..upcase + (1 << 17)).contains(&((piece * 64) as usize)));
    let mut numbers = Numbers(2024);
    let mut opened = 0;
    for _ in 0..1500 {
        let mut broken = bytes.clone();
        damage(&mut broken, &pieces, &mut numbers);
        let device = SharedDevice::new(MemoryDevice::new(broken));
        let changes = Changes::default();
        let Ok(mut tracked) = open_tracked(device.clone(), &changes) else { continue };
        opened += 1;
        let _ = (tracked.label(), tracked.check());
        walk(&mut *tracked, "", 0);
        edit(&mut *tracked);
        let _ = check_changes(device.clone(), &changes);
        let Ok(mut ntfs) = Ntfs::open(device) else { continue };
        let _ = (ntfs.is_dirty(), ntfs.discard_log());
        let _ = ntfs.check();
    }
    assert!(opened > 500, "only {opened} could be opened: the damage is too great");
}

#[test]
fn damaged_fat_volumes() {
    let device = SharedDevice::new(MemoryDevice::zeroed(8 << 20));
    let options = FatFormat { kind: FatKind::Fat16, id: 1, label: "ESP".to_owned() };
    let mut fat = Fat::format(device.clone(), &options).unwrap();
    fat.set_clock(FileTime::from_unix_seconds(1_721_362_140));
    fill(&mut fat);
    let bytes = bytes_of(&device);
    let pieces = interesting(&bytes);
    let mut numbers = Numbers(291);
    let (mut opened, mut writable) = (0, 0);
    for _ in 0..300 {
        let mut broken = bytes.clone();
        damage(&mut broken, &pieces, &mut numbers);
        let Ok(mut fat) = Fat::open(MemoryDevice::new(broken)) else { continue };
        opened += 1;
        let _ = (fat.label(), fat.check());
        walk(&mut fat, "", 0);
        writable += u32::from(fat.guard().is_ok_and(|guard| guard.is_none()));
        edit(&mut fat);
        let _ = fat.check();
    }
    println!("{opened} opened, {writable} of them written to");
    assert!(opened > 100, "only {opened} could be opened: the damage is too great");
    assert!((20..opened - 20).contains(&writable), "{writable} of {opened} were written to");
}
