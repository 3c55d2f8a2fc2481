//! The base block: the first 4096 bytes.

use std::fmt;

use super::HiveError;
use crate::FileTime;
use crate::bytes::{u32_at, u64_at};

/// Size of the base block. Cell offsets count from its end.
pub(super) const SIZE: usize = 4096;

/// Larger files are refused: the top bit of an offset has another meaning.
const MAX_BINS: u32 = 0x7fff_f000;

const SEQUENCE_PRIMARY: usize = 4;
const SEQUENCE_SECONDARY: usize = 8;
const LAST_WRITTEN: usize = 12;
const MAJOR: usize = 20;
const MINOR: usize = 24;
const KIND: usize = 28;
const FORMAT: usize = 32;
const ROOT: usize = 36;
const BINS_SIZE: usize = 40;
const CLUSTER: usize = 44;
const FILE_NAME: usize = 48;
const FILE_NAME_UNITS: usize = 31;
/// Since Windows 10 (Vista, in part): state of transactions and of layered keys.
const FLAGS: usize = 144;
/// Of [`FLAGS`], the one that log entries carry: transactions lock the hive.
const FLAG_LOCKED: u32 = 1;
const CHECKSUM: usize = 508;
/// In the header of the first bin.
const FIRST_BIN_TIME: usize = SIZE + 20;
/// The part of the base block that a log begins with.
pub(super) const SECTOR: usize = 512;

/// Format version, 1.3 to 1.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Version {
    /// 1.3: BCD stores, user hives, ReactOS. Subkey lists are `lf`, no big data.
    V1_3,
    /// 1.4: a beta of Windows XP.
    V1_4,
    /// 1.5: SYSTEM and SOFTWARE since Windows XP. Subkey lists are `lh`, big data.
    V1_5,
    /// 1.6: as 1.5, with layered keys.
    V1_6,
}

impl Version {
    fn minor(self) -> u32 {
        match self {
            Version::V1_3 => 3,
            Version::V1_4 => 4,
            Version::V1_5 => 5,
            Version::V1_6 => 6,
        }
    }

    fn from_minor(minor: u32) -> Option<Self> {
        Some(match minor {
            3 => Version::V1_3,
            4 => Version::V1_4,
            5 => Version::V1_5,
            6 => Version::V1_6,
            _ => return None,
        })
    }

    /// Whether large values are split into a list of segments.
    pub(super) fn has_big_data(self) -> bool {
        self >= Version::V1_4
    }

    /// Whether subkey lists carry hashes (`lh`) rather than the first four characters (`lf`).
    pub(super) fn has_hash_lists(self) -> bool {
        self >= Version::V1_5
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor())
    }
}

/// What the base block says, once it has been checked.
pub(super) struct Base {
    pub primary: u32,
    pub secondary: u32,
    pub bins_size: u32,
}

/// What of the base block can be checked without the bins behind it.
pub(super) struct Header {
    pub primary: u32,
    pub secondary: u32,
    pub last_written: FileTime,
}

impl Header {
    /// Checks the base block of a primary file, except for what it says of the bins: in a dirty hive
    /// that may be ahead of the file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HiveError> {
        let not_a_hive = |what: String| HiveError::NotAHive { what };
        if bytes.get(..4) != Some(b"regf") {
            return Err(not_a_hive("it does not begin with `regf`".to_owned()));
        }
        if bytes.len() < SIZE {
            return Err(not_a_hive(format!("{} bytes, less than a base block", bytes.len())));
        }
        let field = |at: usize| {
            u32_at(bytes, at).ok_or(HiveError::Damaged {
                offset: at as u64,
                what: "the base block is cut off".to_owned(),
            })
        };
        let damaged = |at: usize, what: String| HiveError::Damaged { offset: at as u64, what };
        if let Some((stored, computed)) = wrong_checksum(bytes) {
            let what = format!("base block checksum is {stored:#010x}, should be {computed:#010x}");
            return Err(damaged(CHECKSUM, what));
        }
        let (major, minor) = (field(MAJOR)?, field(MINOR)?);
        if major != 1 || Version::from_minor(minor).is_none() {
            return Err(not_a_hive(format!("version {major}.{minor}; 1.3 to 1.6 are known")));
        }
        if field(KIND)? != 0 {
            return Err(not_a_hive(format!("file type {}, a transaction log", field(KIND)?)));
        }
        if field(FORMAT)? != 1 {
            return Err(not_a_hive(format!("file format {}, should be 1", field(FORMAT)?)));
        }
        Ok(Self {
            primary: field(SEQUENCE_PRIMARY)?,
            secondary: field(SEQUENCE_SECONDARY)?,
            last_written: last_written(bytes),
        })
    }
}

impl Base {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HiveError> {
        let header = Header::parse(bytes)?;
        let damaged = |at: usize, what: String| HiveError::Damaged { offset: at as u64, what };
        let bins_size = bins_size(bytes);
        if !is_bins_size(bins_size) {
            return Err(damaged(BINS_SIZE, format!("size of all bins is {bins_size:#x}")));
        }
        let available = bytes.len() - SIZE;
        if (bins_size as usize) > available {
            let what =
                format!("the file is cut off: {bins_size:#x} bytes of bins, {available:#x} there");
            return Err(damaged(bytes.len(), what));
        }
        let root = root(bytes);
        if root >= bins_size || !root.is_multiple_of(8) {
            return Err(damaged(ROOT, format!("the root key is at {root:#x}, outside the bins")));
        }
        Ok(Self { primary: header.primary, secondary: header.secondary, bins_size })
    }
}

/// Whether all bins together can have this size.
pub(super) fn is_bins_size(size: u32) -> bool {
    size != 0 && size.is_multiple_of(4096) && size <= MAX_BINS
}

/// XOR of the first 127 words; two results are reserved.
fn checksum(bytes: &[u8]) -> u32 {
    let xor = bytes
        .chunks_exact(4)
        .take(CHECKSUM / 4)
        .fold(0, |sum, word| sum ^ u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    match xor {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        other => other,
    }
}

/// A base block with no bins behind it yet.
pub(super) fn create(version: Version, root: u32, file_name: &str, now: FileTime) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    bytes[..4].copy_from_slice(b"regf");
    put(&mut bytes, MAJOR, 1);
    put(&mut bytes, MINOR, version.minor());
    put(&mut bytes, FORMAT, 1);
    put(&mut bytes, ROOT, root);
    put(&mut bytes, CLUSTER, 1);
    set_file_name(&mut bytes, file_name);
    finish(&mut bytes, now);
    bytes
}

/// Windows keeps the end of a long path; a NUL follows.
pub(super) fn set_file_name(bytes: &mut [u8], path: &str) {
    bytes[FILE_NAME..FILE_NAME + 2 * FILE_NAME_UNITS + 2].fill(0);
    let units: Vec<u16> = path.encode_utf16().collect();
    let tail = &units[units.len().saturating_sub(FILE_NAME_UNITS)..];
    for (index, unit) in tail.iter().enumerate() {
        let at = FILE_NAME + 2 * index;
        bytes[at..at + 2].copy_from_slice(&unit.to_le_bytes());
    }
}

/// When the first bin says that it was written; `None` if there is no first bin.
pub(super) fn first_bin_time(bytes: &[u8]) -> Option<FileTime> {
    let is_first = bytes.get(SIZE..SIZE + 8) == Some(b"hbin\0\0\0\0");
    let ticks = u64_at(bytes, FIRST_BIN_TIME)?;
    is_first.then(|| FileTime::from_ticks(ticks))
}

pub(super) fn set_bins_size(bytes: &mut [u8], size: u32) {
    put(bytes, BINS_SIZE, size);
}

/// Makes the base block say "written, and clean". The first bin keeps a copy of the time, by which
/// Windows finds the log of a hive whose base block is damaged.
pub(super) fn finish(bytes: &mut [u8], now: FileTime) {
    let (primary, secondary) = sequence_numbers(bytes);
    let next = primary.max(secondary).wrapping_add(1);
    put(bytes, SEQUENCE_PRIMARY, next);
    put(bytes, SEQUENCE_SECONDARY, next);
    let ticks = now.ticks().to_le_bytes();
    bytes[LAST_WRITTEN..LAST_WRITTEN + 8].copy_from_slice(&ticks);
    if let Some(copy) = bytes.get_mut(FIRST_BIN_TIME..FIRST_BIN_TIME + 8) {
        copy.copy_from_slice(&ticks);
    }
    let sum = checksum(bytes);
    put(bytes, CHECKSUM, sum);
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Primary and secondary. Base blocks are checked before they are asked, so this cannot miss.
pub(super) fn sequence_numbers(bytes: &[u8]) -> (u32, u32) {
    let at = |offset| u32_at(bytes, offset).unwrap_or_default();
    (at(SEQUENCE_PRIMARY), at(SEQUENCE_SECONDARY))
}

/// 0 for a primary file; a log has another.
pub(super) fn kind(bytes: &[u8]) -> u32 {
    u32_at(bytes, KIND).unwrap_or_default()
}

/// Bytes of all bins together.
pub(super) fn bins_size(bytes: &[u8]) -> u32 {
    u32_at(bytes, BINS_SIZE).unwrap_or_default()
}

/// Of the disk, in sectors of 512 bytes.
pub(super) fn clustering_factor(bytes: &[u8]) -> u32 {
    u32_at(bytes, CLUSTER).unwrap_or_default()
}

/// The checksum as stored, where the one computed is another.
pub(super) fn wrong_checksum(bytes: &[u8]) -> Option<(u32, u32)> {
    let (stored, computed) = (u32_at(bytes, CHECKSUM).unwrap_or_default(), checksum(bytes));
    (stored != computed).then_some((stored, computed))
}

/// What a replay changes in the base block.
pub(super) struct Replayed {
    /// Both sequence numbers.
    pub sequence: u32,
    pub bins_size: u32,
    pub root: u32,
    /// Whether transactions lock the hive, where the log says it.
    pub locked: Option<bool>,
}

impl Replayed {
    /// Makes the base block that of the recovered hive.
    pub(super) fn write(&self, bytes: &mut [u8]) {
        put(bytes, SEQUENCE_PRIMARY, self.sequence);
        put(bytes, SEQUENCE_SECONDARY, self.sequence);
        put(bytes, KIND, 0);
        put(bytes, ROOT, self.root);
        put(bytes, BINS_SIZE, self.bins_size);
        if let Some(locked) = self.locked {
            let others = u32_at(bytes, FLAGS).unwrap_or_default() & !FLAG_LOCKED;
            put(bytes, FLAGS, if locked { others | FLAG_LOCKED } else { others });
        }
        let sum = checksum(bytes);
        put(bytes, CHECKSUM, sum);
    }
}

pub(super) fn root(bytes: &[u8]) -> u32 {
    u32_at(bytes, ROOT).unwrap_or_default()
}

pub(super) fn version(bytes: &[u8]) -> Version {
    u32_at(bytes, MINOR).and_then(Version::from_minor).unwrap_or(Version::V1_3)
}

pub(super) fn last_written(bytes: &[u8]) -> FileTime {
    FileTime::from_ticks(u64_at(bytes, LAST_WRITTEN).unwrap_or_default())
}
