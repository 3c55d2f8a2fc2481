//! Transaction logs beside a hive, of the new format and of the old.

use std::sync::LazyLock;

use winfmt::hive::Hive;

use crate::hives::{self, sound, with_checksum};
use crate::patch;

const SECTOR: usize = 512;
const BLOCK: usize = 4096;

/// A hive that was not closed: its first sequence number is one ahead.
static DIRTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut bytes = sound().to_bytes().expect("a sound hive can be written");
    let first = u32_at(&bytes, 4).wrapping_add(1);
    bytes[4..8].copy_from_slice(&first.to_le_bytes());
    with_checksum(bytes)
});

/// A log of the new format: two entries, of one page and of two.
static NEW: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let sequence = u32_at(&DIRTY, 8);
    let mut log = base_block(6, sequence);
    for (number, pages) in [(0, [0_usize].as_slice()), (1, [1, 3].as_slice())] {
        let mut entry = vec![0; 40];
        entry[..4].copy_from_slice(b"HvLE");
        entry[12..16].copy_from_slice(&(sequence + number).to_le_bytes());
        let bins = u32_at(&DIRTY, 40);
        entry[16..20].copy_from_slice(&bins.to_le_bytes());
        entry[20..24].copy_from_slice(&(pages.len() as u32).to_le_bytes());
        for page in pages {
            entry.extend_from_slice(&((page * BLOCK) as u32).to_le_bytes());
            entry.extend_from_slice(&(BLOCK as u32).to_le_bytes());
        }
        for page in pages {
            let at = BLOCK + page * BLOCK;
            entry.extend_from_slice(&DIRTY[at..at + BLOCK]);
        }
        entry.resize(entry.len().next_multiple_of(SECTOR), 0);
        let size = entry.len() as u32;
        entry[4..8].copy_from_slice(&size.to_le_bytes());
        log.extend_from_slice(&entry);
    }
    with_hashes(log)
});

/// A log of the old format: a vector of dirty sectors, and eight of them.
static OLD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut log = base_block(1, u32_at(&DIRTY, 4));
    log.extend_from_slice(b"DIRT");
    let sectors = u32_at(&DIRTY, 40) as usize / SECTOR;
    let mut vector = vec![0; sectors.div_ceil(8)];
    vector[0] = 0xff;
    log.extend_from_slice(&vector);
    log.resize(log.len().next_multiple_of(SECTOR), 0);
    log.extend_from_slice(&DIRTY[BLOCK..BLOCK + 8 * SECTOR]);
    log
});

/// The base block that a log begins with: the hive's, with the type and the number of the log.
fn base_block(kind: u32, sequence: u32) -> Vec<u8> {
    let mut block = DIRTY[..SECTOR].to_vec();
    block[4..8].copy_from_slice(&sequence.to_le_bytes());
    block[8..12].copy_from_slice(&sequence.to_le_bytes());
    block[28..32].copy_from_slice(&kind.to_le_bytes());
    with_checksum(block)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let bytes =
        bytes.get(at..at + 4).map_or([0; 4], |bytes| [bytes[0], bytes[1], bytes[2], bytes[3]]);
    u32::from_le_bytes(bytes)
}

/// Makes the two hashes of each entry right: behind a wrong one nothing would be reached.
fn with_hashes(mut log: Vec<u8>) -> Vec<u8> {
    let mut at = SECTOR;
    while log.get(at..at + 4) == Some(b"HvLE") {
        let size = u32_at(&log, at + 4) as usize;
        let Some(entry) = at.checked_add(size).and_then(|end| log.get_mut(at..end)) else { break };
        if size < SECTOR {
            break;
        }
        let data = marvin32(&entry[40..]);
        entry[24..32].copy_from_slice(&data.to_le_bytes());
        let header = marvin32(&entry[..32]);
        entry[32..40].copy_from_slice(&header.to_le_bytes());
        at += size;
    }
    log
}

/// Marvin32 with the seed of the registry, written apart from the one that is tested.
fn marvin32(bytes: &[u8]) -> u64 {
    let (mut low, mut high) = (0x7a4e_55c5_u32, 0x82ef_4d88_u32);
    let mut mix = |word: u32| {
        low = low.wrapping_add(word);
        high ^= low;
        low = low.rotate_left(20).wrapping_add(high);
        high = high.rotate_left(9) ^ low;
        low = low.rotate_left(27).wrapping_add(high);
        high = high.rotate_left(19);
        (low, high)
    };
    let words = bytes.chunks_exact(4);
    let mut last = words.remainder().to_vec();
    for word in words {
        mix(u32_at(word, 0));
    }
    last.push(0x80);
    last.resize(4, 0);
    mix(u32_at(&last, 0));
    let (low, high) = mix(0);
    u64::from(high) << 32 | u64::from(low)
}

/// The first byte of the input says which log it changes and what is made right afterwards; the rest are
/// the changes. The changed log is applied alone, and beside a sound one.
pub(crate) fn file(input: &[u8]) {
    let Some((&how, input)) = input.split_first() else { return };
    let (changed, other) = if how & 1 == 0 { (&NEW, &OLD) } else { (&OLD, &NEW) };
    let mut log = patch::applied(changed, input);
    if how & 2 == 0 {
        log = with_checksum(log);
    }
    if how & 4 == 0 {
        log = with_hashes(log);
    }
    for logs in
        [&[log.as_slice()][..], &[log.as_slice(), changed.as_slice()], &[other, log.as_slice()]]
    {
        let Ok((hive, _)) = Hive::recover(DIRTY.clone(), logs) else { continue };
        hives::use_hive(hive.to_bytes().expect("what was recovered can be written"));
    }
}

pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let with = |how: u8, changes: &[(u32, &[u8])]| [vec![how], patch::encode(changes)].concat();
    vec![
        ("new", with(0, &[])),
        ("old", with(1, &[])),
        ("new-sequence", with(0, &[(SECTOR as u32 + 12, &[9])])),
        ("new-page-beyond", with(0, &[(SECTOR as u32 + 40, &[0, 0, 0xff])])),
        ("old-vector", with(1, &[(SECTOR as u32 + 4, &[0xff; 16])])),
        ("bad-hash", with(4, &[(SECTOR as u32 + 24, &[1])])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sound_logs_are_taken() {
        for log in [&NEW, &OLD] {
            let (hive, recovery) = Hive::recover(DIRTY.clone(), &[log]).expect("a sound log");
            assert!(!recovery.applied.is_empty(), "{recovery:?}");
            assert!(hive.get_dword("Select", "Current").expect("a sound hive") == Some(1));
        }
    }
}
