//! What lies on a partition, told from its first sectors.

use crate::BlockDevice;
use serde::{Deserialize, Serialize};

/// A file system, or what hides one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileSystemKind {
    /// NTFS.
    Ntfs,
    /// FAT with 12-bit entries.
    Fat12,
    /// FAT with 16-bit entries.
    Fat16,
    /// FAT with 32-bit entries.
    Fat32,
    /// exFAT.
    ExFat,
    /// ReFS.
    Refs,
    /// A volume that BitLocker encrypts.
    BitLocker,
    /// A removable volume that BitLocker encrypts.
    BitLockerToGo,
    /// A member of a dynamic disk (Logical Disk Manager).
    DynamicDisk,
    /// None of these.
    Unknown,
}

impl FileSystemKind {
    /// True of what is encrypted as a whole.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::BitLocker | Self::BitLockerToGo)
    }

    /// True of FAT12, FAT16 and FAT32 (not of exFAT).
    pub fn is_fat(self) -> bool {
        matches!(self, Self::Fat12 | Self::Fat16 | Self::Fat32)
    }
}

impl std::fmt::Display for FileSystemKind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Ntfs => "NTFS",
            Self::Fat12 => "FAT12",
            Self::Fat16 => "FAT16",
            Self::Fat32 => "FAT32",
            Self::ExFat => "exFAT",
            Self::Refs => "ReFS",
            Self::BitLocker => "BitLocker",
            Self::BitLockerToGo => "BitLocker To Go",
            Self::DynamicDisk => "dynamic disk",
            Self::Unknown => "unknown",
        })
    }
}

/// What [`probe`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Which file system.
    pub kind: FileSystemKind,
    /// By what it was told, for people.
    pub evidence: String,
    /// Bytes of a cluster, where the boot sector tells them.
    pub cluster: Option<u64>,
}

/// BitLocker To Go keeps a FAT32 volume in front, so that old systems show a note on it; this GUID in
/// its boot sector gives it away (libbde, "BitLocker Drive Encryption (BDE) format", section 3.3).
const TO_GO: [u8; 16] = [
    0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01,
];
/// The same for a volume of which only the used space is encrypted.
const TO_GO_USED_ONLY: [u8; 16] = [
    0x3b, 0x4d, 0xa8, 0x92, 0x80, 0xdd, 0x0e, 0x4d, 0x9e, 0x4e, 0xb1, 0xe3, 0x28, 0x4e, 0xae, 0xd8,
];

/// Tells the file system on a device. What cannot be read is unknown, with the reason as evidence.
pub fn probe(device: &mut dyn BlockDevice) -> FileSystem {
    let unknown =
        |evidence: String| FileSystem { kind: FileSystemKind::Unknown, evidence, cluster: None };
    let mut boot = [0; 512];
    if device.len() < boot.len() as u64 {
        return unknown(format!("it has {} bytes, less than a sector", device.len()));
    }
    if let Err(error) = device.read_at(0, &mut boot) {
        return unknown(format!("its first sector cannot be read: {error}"));
    }
    if let Some(found) = probe_boot_sector(&boot) {
        return found;
    }
    let mut head = [0; 8];
    // The private header of a dynamic disk with an MBR lies in its sector 6.
    if device.len() >= 7 * 512 && device.read_at(6 * 512, &mut head).is_ok() && &head == b"PRIVHEAD"
    {
        let evidence = "'PRIVHEAD' in sector 6".to_owned();
        return FileSystem { kind: FileSystemKind::DynamicDisk, evidence, cluster: None };
    }
    if boot.iter().all(|&byte| byte == 0) {
        return unknown("its first sector is all zeros".to_owned());
    }
    unknown("its first sector has no signature of a file system that is known here".to_owned())
}

/// Tells the file system by its boot sector alone. `None` where that is of no known one.
pub fn probe_boot_sector(boot: &[u8; 512]) -> Option<FileSystem> {
    let found = |kind, evidence: String, cluster| Some(FileSystem { kind, evidence, cluster });
    let name = &boot[3..11];
    let sector = u64::from(u16::from_le_bytes([boot[0x0b], boot[0x0c]]));
    let per_cluster = u64::from(boot[0x0d]);
    let plain_cluster = (sector * per_cluster > 0).then_some(sector * per_cluster);
    match name {
        b"NTFS    " => {
            let cluster = crate::ntfs::cluster_size(boot);
            return found(FileSystemKind::Ntfs, "'NTFS' at byte 3".to_owned(), cluster);
        }
        b"-FVE-FS-" => {
            let evidence = "'-FVE-FS-' at byte 3".to_owned();
            return found(FileSystemKind::BitLocker, evidence, plain_cluster);
        }
        b"EXFAT   " => {
            let shift = u32::from(boot[0x6c]) + u32::from(boot[0x6d]);
            let cluster = 1u64.checked_shl(shift).filter(|_| shift <= 25);
            return found(FileSystemKind::ExFat, "'EXFAT' at byte 3".to_owned(), cluster);
        }
        b"ReFS\0\0\0\0" => {
            let sector = u32::from_le_bytes([boot[0x20], boot[0x21], boot[0x22], boot[0x23]]);
            let count = u32::from_le_bytes([boot[0x24], boot[0x25], boot[0x26], boot[0x27]]);
            let cluster = u64::from(sector) * u64::from(count);
            let evidence = "'ReFS' at byte 3".to_owned();
            return found(FileSystemKind::Refs, evidence, Some(cluster).filter(|&one| one > 0));
        }
        _ => {}
    }
    let id = &boot[0x1a8..0x1b8];
    if id == TO_GO || id == TO_GO_USED_ONLY {
        let evidence = "the GUID of BitLocker To Go at byte 0x1a8".to_owned();
        return found(FileSystemKind::BitLockerToGo, evidence, plain_cluster);
    }
    let (kind, clusters) = fat(boot)?;
    let evidence = format!("a FAT boot sector with {clusters} clusters");
    found(kind, evidence, plain_cluster)
}

/// The kind of FAT is a matter of the number of clusters alone (Microsoft FAT specification 1.03,
/// "FAT type determination").
fn fat(boot: &[u8; 512]) -> Option<(FileSystemKind, u64)> {
    let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let long = |at: usize| word(at) | word(at + 2) << 16;
    let jump = (boot[0] == 0xeb && boot[2] == 0x90) || boot[0] == 0xe9;
    let (sector, per_cluster) = (word(0x0b), u64::from(boot[0x0d]));
    let (reserved, fats, roots) = (word(0x0e), u64::from(boot[0x10]), word(0x11));
    if !jump
        || boot[510..] != [0x55, 0xaa]
        || !matches!(sector, 512 | 1024 | 2048 | 4096)
        || !per_cluster.is_power_of_two()
        || reserved == 0
        || !(1..=4).contains(&fats)
        || !(boot[0x15] == 0xf0 || boot[0x15] >= 0xf8)
    {
        return None;
    }
    let some = |value: u64, other: u64| if value != 0 { value } else { other };
    let total = some(word(0x13), long(0x20));
    let fat_len = some(word(0x16), long(0x24));
    if fat_len == 0 {
        return None;
    }
    let before = reserved + fats * fat_len + (roots * 32).div_ceil(sector);
    let clusters = total.checked_sub(before)? / per_cluster;
    let kind = match clusters {
        0 => return None,
        // A volume with the fields of FAT32 is one, however small: so do Windows and Linux.
        _ if word(0x16) == 0 && roots == 0 => FileSystemKind::Fat32,
        1..4085 => FileSystemKind::Fat12,
        4085..65525 => FileSystemKind::Fat16,
        _ => FileSystemKind::Fat32,
    };
    Some((kind, clusters))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDevice;
    use proptest::prelude::*;

    fn boot(name: &[u8]) -> [u8; 512] {
        let mut boot = [0; 512];
        boot[..3].copy_from_slice(&[0xeb, 0x58, 0x90]);
        boot[3..3 + name.len()].copy_from_slice(name);
        boot[510..].copy_from_slice(&[0x55, 0xaa]);
        boot
    }

    fn kind(boot: &[u8; 512]) -> FileSystemKind {
        probe(&mut MemoryDevice::new(boot.to_vec())).kind
    }

    #[test]
    fn names_in_the_boot_sector() {
        for (name, wanted) in [
            (&b"NTFS    "[..], FileSystemKind::Ntfs),
            (b"-FVE-FS-", FileSystemKind::BitLocker),
            (b"EXFAT   ", FileSystemKind::ExFat),
            (b"ReFS", FileSystemKind::Refs),
            (b"MSDOS5.0", FileSystemKind::Unknown),
        ] {
            assert_eq!(kind(&boot(name)), wanted);
        }
        let mut used_only = boot(b"MSWIN4.1");
        used_only[0x1a8..0x1b8].copy_from_slice(&TO_GO_USED_ONLY);
        assert_eq!(kind(&used_only), FileSystemKind::BitLockerToGo);
    }

    #[test]
    fn the_kind_of_fat_is_that_of_its_size() {
        for (clusters, wanted) in [
            (4084u32, FileSystemKind::Fat12),
            (4085, FileSystemKind::Fat16),
            (65524, FileSystemKind::Fat16),
            (65525, FileSystemKind::Fat32),
        ] {
            let mut fat = boot(b"MSDOS5.0");
            fat[0x0c] = 2;
            fat[0x0d] = 1;
            fat[0x0e] = 1;
            fat[0x10] = 2;
            fat[0x11] = 16;
            fat[0x15] = 0xf8;
            fat[0x16..0x18].copy_from_slice(&100u16.to_le_bytes());
            let total = clusters + 1 + 200 + 1;
            fat[0x20..0x24].copy_from_slice(&total.to_le_bytes());
            assert_eq!(kind(&fat), wanted, "{clusters}");
            fat[0x15] = 1;
            assert_eq!(kind(&fat), FileSystemKind::Unknown);
        }
    }

    #[test]
    fn what_is_unknown_says_why() {
        for (bytes, wanted) in [
            (vec![0; 100], "less than a sector"),
            (vec![0; 512], "all zeros"),
            (vec![7; 4096], "no signature"),
        ] {
            let found = probe(&mut MemoryDevice::new(bytes));
            assert_eq!(found.kind, FileSystemKind::Unknown);
            assert!(found.evidence.contains(wanted), "{found:?}");
        }
        let mut dynamic = vec![1; 8192];
        dynamic[3072..3080].copy_from_slice(b"PRIVHEAD");
        assert_eq!(probe(&mut MemoryDevice::new(dynamic)).kind, FileSystemKind::DynamicDisk);
    }

    proptest! {
        #[test]
        fn any_sector_is_told_without_a_panic(
            name in prop::sample::select(vec![&b"NTFS    "[..], b"EXFAT   ", b"ReFS", b"MSDOS5.0"]),
            bytes in prop::collection::vec(any::<u8>(), 502))
        {
            let mut sector = boot(name);
            sector[11..].copy_from_slice(&bytes[..501]);
            probe_boot_sector(&sector);
            sector[510..].copy_from_slice(&[0x55, 0xaa]);
            probe_boot_sector(&sector);
        }
    }
}
