//! What Windows 7 made of a dirty hive, to the last byte, and logs that somebody tampered with.

use proptest::prelude::*;
use proptest::sample::Index;

use super::key::field;
use super::marvin::marvin32;
use super::{Hive, HiveError, base};
use crate::artifacts;

#[test]
fn marvin32_is_the_hash_that_windows_writes() {
    let Some(log) = artifacts::read("hives/yarp/NewDirtyHive1/NewDirtyHive.LOG2") else { return };
    for at in [0x200, 0x2000, 0x8000] {
        let size = u32::from_le_bytes(log[at + 4..at + 8].try_into().unwrap()) as usize;
        let hash = |from| u64::from_le_bytes(log[from..from + 8].try_into().unwrap());
        assert_eq!(marvin32(&log[at + 40..at + size]), hash(at + 24));
        assert_eq!(marvin32(&log[at..at + 32]), hash(at + 32));
    }
}

/// Windows 7 recovered this hive, then loaded it from another folder and saved it once more. So its
/// file differs from the recovered hive in what loading and saving do, and in nothing else:
///
/// - offsets 4 and 8, the sequence numbers: one more for the second save;
/// - offset 12, the time, and its copy in the first bin (0x1014): those of the second save;
/// - offset 48, the name: the other folder;
/// - offset 508, the checksum of all that;
/// - 0x6bdc8, the longest value name of key `4500`: a name of 12 characters had been deleted, one of 1
///   was left. Windows 7 puts such hints right when it loads a hive; Windows 10 does not.
///
/// Each follows by rule; with them, all of the file is the same.
#[test]
fn as_windows_7_did_it_byte_for_byte() {
    let name = |file: &str| artifacts::read(&format!("hives/yarp/OldDirtyHive/{file}"));
    let Some(dirty) = name("OldDirtyHive") else { return };
    let logs = [name("OldDirtyHive.LOG1").unwrap(), name("OldDirtyHive.LOG2").unwrap()];
    let oracle = name("RecoveredHive_Windows7").unwrap();
    let (mut hive, recovery) = Hive::recover(dirty, &[&logs[0], &logs[1]]).unwrap();
    assert_eq!(
        recovery.to_string(),
        "log 1: all of it (sequence number 5, old format), 64 runs of pages, 32768 bytes; left out log 2: it is empty"
    );
    assert_eq!(hive.sequence_numbers(), (6, 6));
    let recovered = hive.to_bytes().unwrap();
    let differences = |ours: &[u8], from: usize| -> Vec<usize> {
        (from..ours.len()).filter(|&at| ours[at] != oracle[at]).collect()
    };
    assert_eq!(recovered.len(), oracle.len());
    let in_bins = differences(&recovered, base::SIZE);
    assert_eq!(in_bins, [0x1014, 0x1015, 0x1016, 0x1017, 0x1018, 0x6bdc8]);

    let mut corrected = Vec::new();
    let keys: Vec<_> = hive.walk().map(|key| key.unwrap().key.node).collect();
    for node in keys {
        let values = hive.value_cells(&node).unwrap();
        let longest = values.iter().map(|&cell| hive.value_entry(cell).unwrap().name.utf16_len());
        let longest = longest.max().unwrap_or(0);
        if hive.word(node.cell, field::MAX_VALUE_NAME).unwrap() != longest {
            hive.put_u32(node.cell, field::MAX_VALUE_NAME, longest).unwrap();
            corrected.push(node.name.to_string());
        }
    }
    assert_eq!(corrected, ["4500"]);
    let path = r"C:\Users\11\Desktop\1 - Copy\OldDirtyHive";
    base::set_file_name(&mut hive.data, path);
    hive.set_clock(base::last_written(&oracle));
    hive.modified = true;
    let saved = hive.to_bytes().unwrap();
    assert_eq!(differences(&saved, 0), Vec::<usize>::new(), "not the bytes of Windows 7");
}

/// A small dirty hive and logs of the new format, with three entries in two logs, made here.
fn sample() -> (Vec<u8>, [Vec<u8>; 2]) {
    use super::{CreateOptions, Data};
    use crate::FileTime;
    let options = CreateOptions {
        clock: Some(FileTime::from_ticks(133_000_000_000_000_000)),
        ..CreateOptions::default()
    };
    let mut hive = Hive::create_with("ROOT", &options).unwrap();
    hive.set_value("a", "v", &Data::binary(vec![1; 3000])).unwrap();
    let before = hive.to_bytes().unwrap();
    let mut logs = [log_header(&before, 7), log_header(&before, 9)];
    for (log, sequence) in [(0, 7), (0, 8), (1, 9)] {
        hive.set_value(format!("k{sequence}"), "v", &Data::binary(vec![2; 5000])).unwrap();
        let after = hive.to_bytes().unwrap();
        push_entry(&mut logs[log], sequence, &after);
    }
    let mut dirty = before;
    dirty[4..8].copy_from_slice(&8u32.to_le_bytes());
    dirty[8..12].copy_from_slice(&7u32.to_le_bytes());
    fix_checksum(&mut dirty);
    (dirty, logs)
}

fn log_header(hive: &[u8], sequence: u32) -> Vec<u8> {
    let mut log = hive[..base::SECTOR].to_vec();
    log[4..8].copy_from_slice(&sequence.to_le_bytes());
    log[8..12].copy_from_slice(&sequence.to_le_bytes());
    log[28..32].copy_from_slice(&6u32.to_le_bytes());
    fix_checksum(&mut log);
    log
}

/// An entry with all bins of a hive as they are, in one run of pages.
fn push_entry(log: &mut Vec<u8>, sequence: u32, hive: &[u8]) {
    let bins = &hive[base::SIZE..];
    let size = (48 + bins.len()).next_multiple_of(base::SECTOR);
    let start = log.len();
    let length = u32::try_from(bins.len()).unwrap();
    log.extend(b"HvLE");
    for word in [u32::try_from(size).unwrap(), 0, sequence, length, 1] {
        log.extend(word.to_le_bytes());
    }
    log.extend([0; 16]);
    for word in [0, length] {
        log.extend(word.to_le_bytes());
    }
    log.extend_from_slice(bins);
    log.resize(start + size, 0);
    fix_hashes(&mut log[start..]);
}

fn fix_hashes(entry: &mut [u8]) {
    let pages = marvin32(&entry[40..]).to_le_bytes();
    entry[24..32].copy_from_slice(&pages);
    let header = marvin32(&entry[..32]).to_le_bytes();
    entry[32..40].copy_from_slice(&header);
}

fn fix_checksum(bytes: &mut [u8]) {
    if let Some((_, computed)) = base::wrong_checksum(bytes) {
        bytes[508..512].copy_from_slice(&computed.to_le_bytes());
    }
}

/// Puts every hash and checksum of a log right, so that what lies behind them is reached.
fn fix_log(log: &mut [u8]) {
    if log.len() < base::SECTOR {
        return;
    }
    fix_checksum(log);
    let mut at = base::SECTOR;
    while log.get(at..at + 4) == Some(b"HvLE") && log.len() >= at + 8 {
        let size = u32::from_le_bytes(log[at + 4..at + 8].try_into().unwrap()) as usize;
        if size < 40 || size > log.len() - at {
            return;
        }
        fix_hashes(&mut log[at..at + size]);
        at += size;
    }
}

fn recover(hive: &[u8], logs: &[Vec<u8>]) -> Result<(Hive, super::Recovery), HiveError> {
    let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    Hive::recover(hive.to_vec(), &logs)
}

#[test]
fn entries_go_on_from_one_log_to_the_other() {
    let (dirty, logs) = sample();
    let [first, second] = logs.clone();
    for order in [[first.clone(), second.clone()], [second.clone(), first.clone()]] {
        let (hive, recovery) = recover(&dirty, &order).unwrap();
        assert_eq!(hive.root().unwrap().subkey_names().unwrap(), ["a", "k7", "k8", "k9"]);
        assert_eq!(hive.sequence_numbers(), (10, 10));
        let applied: Vec<_> = recovery.applied.iter().map(|log| (log.first, log.last)).collect();
        assert_eq!(applied, [(7, 8), (9, 9)], "{recovery}");
        assert!(recovery.left_out.is_empty());
    }
    // Of a log alone it is only asked that it is not earlier than the hive.
    let (hive, _) = recover(&dirty, &logs[1..]).unwrap();
    assert_eq!(hive.sequence_numbers(), (10, 10));
    let (hive, recovery) = recover(&dirty, &logs[..1]).unwrap();
    assert_eq!(hive.sequence_numbers(), (9, 9));
    assert_eq!(recovery.applied.len(), 1);

    // A gap between the logs ends the replay.
    let mut gap = second.clone();
    gap[4..8].copy_from_slice(&12u32.to_le_bytes());
    gap[8..12].copy_from_slice(&12u32.to_le_bytes());
    fix_checksum(&mut gap);
    let (hive, recovery) = recover(&dirty, &[first.clone(), gap]).unwrap();
    assert_eq!(hive.sequence_numbers(), (9, 9));
    assert_eq!(recovery.left_out[0].what, "it begins with entry 12, not 9");

    // A damaged entry ends it too, and is named with its place.
    let mut torn = first.clone();
    let entry = torn.len() - 1000;
    torn[entry] ^= 1;
    let (hive, recovery) = recover(&dirty, &[torn, second.clone()]).unwrap();
    assert_eq!(hive.sequence_numbers(), (8, 8));
    assert!(recovery.left_out[0].what.starts_with("entry 8 is damaged in its pages"), "{recovery}");
    assert!(recovery.left_out[0].offset.is_some());
    assert_eq!(recovery.left_out[1].what, "it begins with entry 9, not 8");

    // The first entry damaged: nothing can be applied.
    let mut torn = first;
    torn[600] ^= 1;
    let error = recover(&dirty, &[torn]).unwrap_err();
    assert!(matches!(error, HiveError::NoUsableLog { .. }), "{error}");
}

#[test]
fn sequence_numbers_wrap_around() {
    let (mut dirty, _) = sample();
    let hive = Hive::open_dirty(dirty.clone()).unwrap();
    let mut first = log_header(&hive.data, u32::MAX);
    push_entry(&mut first, u32::MAX, &hive.data);
    push_entry(&mut first, 0, &hive.data);
    let mut second = log_header(&hive.data, 1);
    push_entry(&mut second, 1, &hive.data);
    dirty[4..8].copy_from_slice(&0u32.to_le_bytes());
    dirty[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    fix_checksum(&mut dirty);
    let (hive, recovery) = recover(&dirty, &[second, first]).unwrap();
    assert_eq!(hive.sequence_numbers(), (2, 2), "{recovery}");
    assert_eq!(recovery.applied.len(), 2, "{recovery}");
}

#[test]
fn a_base_block_comes_back_from_the_later_log() {
    let (dirty, logs) = sample();
    for damage in [vec![(60, 0xff)], vec![(0, 0)], (0..512).map(|at| (at, 0xaa)).collect()] {
        let mut dirty = dirty.clone();
        damage.iter().for_each(|&(at, byte)| dirty[at] = byte);
        let (hive, recovery) = recover(&dirty, &logs).unwrap();
        assert_eq!(hive.sequence_numbers(), (10, 10));
        assert_eq!(recovery.base_block_from, Some(1), "{recovery}");
        assert_eq!(recovery.applied.len(), 1, "{recovery}");
        assert_eq!(hive.root().unwrap().subkey_names().unwrap(), ["a", "k7", "k8", "k9"]);
        Hive::recover(dirty, &[]).unwrap_err();
    }
    let mut no_checksum = dirty.clone();
    no_checksum[60] = 0xff;
    let error = Hive::recover(no_checksum, &[]).unwrap_err().to_string();
    assert!(error.contains("its transaction logs (.LOG1 and .LOG2, or .LOG) may hold"), "{error}");
    let mut nothing = dirty;
    nothing[..8192].fill(0);
    let error = recover(&nothing, &logs).unwrap_err();
    assert!(matches!(error, HiveError::NotAHive { .. }), "no base block and no bin: {error}");
}

#[test]
fn a_log_cannot_make_the_hive_huge() {
    let (dirty, [mut log, _]) = sample();
    log[base::SECTOR + 16..base::SECTOR + 20].copy_from_slice(&0x7fff_f000u32.to_le_bytes());
    fix_log(&mut log);
    let error = recover(&dirty, &[log]).unwrap_err();
    assert!(error.to_string().contains("more than it can fill"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whatever a log says, the result is a sound hive or an error.
    #[test]
    fn tampered_logs_are_applied_soundly_or_refused(
        changes in prop::collection::vec((any::<Index>(), 0usize..3, any::<u8>()), 1..12),
        which in any::<[bool; 2]>(),
        cut in prop::option::of(any::<Index>()),
        mend in any::<bool>(),
        no_base_block in any::<bool>(),
    ) {
        let (mut dirty, mut logs) = sample();
        for (log, tampered) in logs.iter_mut().zip(which) {
            if !tampered {
                continue;
            }
            for (place, region, byte) in &changes {
                // Most of a log is pages; headers deserve as many hits.
                let range = [0..base::SECTOR, base::SECTOR..base::SECTOR + 48, 0..log.len()];
                let range = range[*region].clone();
                log[range.start + place.index(range.len())] = *byte;
            }
            if let Some(cut) = &cut {
                log.truncate(cut.index(log.len()));
            }
            if mend {
                fix_log(log);
            }
        }
        if no_base_block {
            dirty[60] ^= 1;
        }
        if let Ok((mut hive, _)) = recover(&dirty, &logs) {
            let (primary, secondary) = hive.sequence_numbers();
            prop_assert_eq!(primary, secondary);
            hive.set_value(r"new\key", "value", &super::Data::dword(1)).unwrap();
            let again = Hive::open(hive.to_bytes().unwrap()).unwrap();
            for walked in again.walk() {
                walked.unwrap().key.values().unwrap();
            }
        }
    }
}

/// The same with logs of Windows, of both formats.
#[test]
fn real_logs_damaged_everywhere() {
    let sets = [("NewDirtyHive1/NewDirtyHive", 0x8200), ("OldDirtyHive/OldDirtyHive", 0x8400)];
    for (set, length) in sets {
        let read = |suffix: &str| artifacts::read(&format!("hives/yarp/{set}{suffix}"));
        let Some(dirty) = read("") else { return };
        let logs = [read(".LOG1").unwrap(), read(".LOG2").unwrap()];
        let (mut recovered, mut refused) = (0, 0);
        for at in (0..length).step_by(if length > 0x8300 { 97 } else { 37 }) {
            for log in 0..2 {
                let mut logs = logs.clone();
                if let Some(byte) = logs[log].get_mut(at) {
                    *byte ^= 0x55;
                    fix_log(&mut logs[log]);
                }
                match recover(&dirty, &logs) {
                    Ok((hive, _)) => {
                        assert!(Hive::open(hive.to_bytes().unwrap()).is_ok());
                        recovered += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        println!("{set}: {recovered} recovered, {refused} refused");
        assert!(recovered > 0 && refused > 0);
    }
}
