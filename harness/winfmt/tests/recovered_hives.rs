//! Dirty hives brought up to date from their logs, compared with what Windows made of the same files;
//! and what happens to each hive among the artifacts. That of Windows 7 is compared in the crate's own
//! tests (`hive::recover_tests`), where the last of its bytes are explained.

use winfmt::hive::{Data, EMPTY_LOG, Hive, HiveError, LogFormat, Recovery};

#[path = "../src/artifacts.rs"]
mod artifacts;

/// What must become of a hive with its logs.
enum Expected {
    /// Clean: read, no log looked at.
    Read,
    /// Brought up to date: sequence numbers afterwards, keys, how many entries of which logs, and what
    /// Windows made of it.
    Recovered { sequence: u32, keys: usize, first: u32, last: u32, oracle: Option<&'static str> },
    /// Refused: parts of the message.
    Refused(&'static [&'static str]),
}

use Expected::{Read, Recovered, Refused};

const WINDOWS_10: Option<&str> = Some("hives/yarp/NewDirtyHive1/RecoveredHive_Windows10");
const DIRTY_ALONE: &str = "its transaction logs; put them beside it (the files of the same name";

/// Every hive of the artifacts, with the logs that are beside it.
const HIVES: &[(&str, &[&str], Expected)] = &[
    ("hives/system-win7sp1-x86.SYSTEM.xz", &[], Read),
    (
        "hives/system-win10-1903.SYSTEM.xz",
        &[],
        Refused(&["sequence numbers 4317 and 4316", DIRTY_ALONE]),
    ),
    (
        "hives/system-xp-corrupt.SYSTEM.xz",
        &[],
        Refused(&["offset 0x1a000", "does not begin with `hbin`"]),
    ),
    (
        "hives/amcache-win10-dirty.hve.xz",
        &[],
        Refused(&["sequence numbers 41 and 40", DIRTY_ALONE]),
    ),
    (
        "hives/ntuser-win10-logs/transactions_NTUSER.DAT.xz",
        &[
            "hives/ntuser-win10-logs/transactions_ntuser.dat.log1.xz",
            "hives/ntuser-win10-logs/transactions_ntuser.dat.log2.xz",
        ],
        Recovered { sequence: 589, keys: 3105, first: 566, last: 588, oracle: None },
    ),
    (
        "hives/yarp/NewDirtyHive1/NewDirtyHive",
        &[
            "hives/yarp/NewDirtyHive1/NewDirtyHive.LOG1",
            "hives/yarp/NewDirtyHive1/NewDirtyHive.LOG2",
        ],
        Recovered { sequence: 6, keys: 5, first: 2, last: 5, oracle: WINDOWS_10 },
    ),
    (
        "hives/yarp/NewDirtyHive2/NewDirtyHive",
        &[
            "hives/yarp/NewDirtyHive2/NewDirtyHive.LOG1",
            "hives/yarp/NewDirtyHive2/NewDirtyHive.LOG2",
        ],
        Recovered { sequence: 6, keys: 5, first: 3, last: 5, oracle: WINDOWS_10 },
    ),
    (
        "hives/yarp/OldDirtyHive/OldDirtyHive",
        &["hives/yarp/OldDirtyHive/OldDirtyHive.LOG1", "hives/yarp/OldDirtyHive/OldDirtyHive.LOG2"],
        Recovered { sequence: 6, keys: 5003, first: 5, last: 5, oracle: None },
    ),
    (
        "hives/yarp/BadLogHive1/BadLogHive",
        &["hives/yarp/BadLogHive1/BadLogHive.LOG1", "hives/yarp/BadLogHive1/BadLogHive.LOG2"],
        Refused(&[
            "sequence numbers 5 and 4",
            "log 1: base block checksum is 0x4c564e49, should be 0x0ccbac9d (at offset 0x1fc)",
            "log 2: it is empty",
        ]),
    ),
    ("hives/yarp/NewDirtyHive1/RecoveredHive_Windows10", &[], Read),
    ("hives/yarp/OldDirtyHive/RecoveredHive_Windows7", &[], Read),
    ("hives/openvmm-imc.hiv", &[], Read),
    ("hives/plaso-100_sub_keys.hiv", &[], Read),
    ("hives/yarp/BadListHive", &[], Refused(&["offset 0x12d0", "used twice"])),
    ("hives/yarp/BigDataHive", &[], Read),
    ("hives/yarp/CompHive", &[], Read),
    ("hives/yarp/DeletedTreeHive", &[], Read),
    (
        "hives/yarp/DuplicateSubkeysHive",
        &[],
        Refused(&["offset 0x6bde0", "two subkeys are called `4500`"]),
    ),
    (
        "hives/yarp/EffectiveSizeHive",
        &[],
        Refused(&["offset 0x1fc", "base block checksum", "(.LOG1 and .LOG2, or .LOG) may hold"]),
    ),
    ("hives/yarp/EmptyHive", &[], Read),
    ("hives/yarp/ExtendedASCIIHive", &[], Read),
    ("hives/yarp/HealedHive", &[], Read),
    ("hives/yarp/InvalidParentHive", &[], Refused(&["offset 0x75b08", "says its parent is at"])),
    ("hives/yarp/ManySubkeysHive", &[], Read),
    ("hives/yarp/MultiSzHive", &[], Read),
    ("hives/yarp/RemnantsHive", &[], Read),
    ("hives/yarp/StringValuesHive", &[], Read),
    ("hives/yarp/TruncatedHive", &[], Refused(&["offset 0x3000", "the file is cut off"])),
    ("hives/yarp/TruncatedPairHive", &[], Read),
    ("hives/yarp/UnicodeHive", &[], Read),
    ("hives/yarp/UpcaseHive", &[], Read),
    ("hives/yarp/ValuesOrderHive", &[], Read),
    ("hives/yarp/WrongOrderHive", &[], Refused(&["offset 0x1370", "`1` stands after `2`"])),
    ("bcd/ka-2022-03-01/BCD", &["bcd/ka-2022-03-01/BCD.LOG"], Read),
    ("bcd/ka-2022-03-03/BCD", &["bcd/ka-2022-03-03/BCD.LOG"], Read),
    ("bcd/ka-2022-03-01-recovery/BCD", &["bcd/ka-2022-03-01-recovery/BCD.LOG"], Read),
    ("bcd/win10-uefi-regipy.BCD", &[], Read),
    ("bcd/windeploy-bios.BCD", &[], Read),
];

fn recover(hive: &[u8], logs: &[Vec<u8>]) -> Result<(Hive, Recovery), HiveError> {
    let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    Hive::recover(hive.to_vec(), &logs)
}

fn read_all(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().filter_map(|name| artifacts::read(name)).collect()
}

#[test]
fn what_becomes_of_every_hive() {
    if artifacts::folder().is_none() {
        return;
    }
    for (file, logs, expected) in HIVES {
        let bytes = artifacts::read(file).unwrap();
        let result = recover(&bytes, &read_all(logs));
        match expected {
            Read => {
                let (hive, recovery) = result.unwrap_or_else(|error| panic!("{file}: {error}"));
                assert!(recovery.clean, "{file}: {recovery}");
                assert!(hive.to_bytes().unwrap() == bytes, "{file}: not the bytes that it had");
                println!("{file}: read, {} keys", hive.walk().count());
            }
            Recovered { sequence, keys, first, last, oracle } => {
                let (hive, recovery) = result.unwrap_or_else(|error| panic!("{file}: {error}"));
                assert!(!recovery.clean, "{file}");
                assert_eq!(hive.sequence_numbers(), (*sequence, *sequence), "{file}");
                assert_eq!(hive.walk().map(Result::unwrap).count(), *keys, "{file}");
                assert_eq!(recovery.applied[0].first, *first, "{file}");
                assert_eq!(recovery.applied.last().unwrap().last, *last, "{file}");
                let same = match oracle {
                    Some(oracle) => {
                        let oracle = artifacts::read(oracle).unwrap();
                        assert!(
                            hive.to_bytes().unwrap() == oracle,
                            "{file}: not as Windows did it"
                        );
                        ", the bytes of Windows"
                    }
                    None => "",
                };
                println!("{file}: recovered{same}, {keys} keys; {recovery}");
            }
            Refused(parts) => {
                let error = result.err().unwrap_or_else(|| panic!("{file} opened")).to_string();
                for part in *parts {
                    assert!(error.contains(part), "{file}: no `{part}` in: {error}");
                }
                println!("{file}: refused: {error}");
            }
        }
    }
}

/// No hive and no log of the manifest is left out of the table.
#[test]
fn the_table_is_complete() {
    let Some(manifest) = artifacts::read("MANIFEST.tsv") else { return };
    let manifest = String::from_utf8(manifest).unwrap();
    let files = manifest.lines().skip(1).filter_map(|line| line.split('\t').next());
    for file in files.filter(|file| file.starts_with("hives/") || file.starts_with("bcd/")) {
        let known = HIVES.iter().any(|(hive, logs, _)| *hive == file || logs.contains(&file));
        assert!(known || file.ends_with("BOOTSTAT.DAT"), "{file} is in the manifest only");
    }
}

/// The formats are told from the logs themselves, and `Recovery` says what was left out.
#[test]
fn a_recovery_says_what_it_did() {
    for (file, logs, expected) in HIVES {
        let Recovered { .. } = expected else { continue };
        let Some(bytes) = artifacts::read(file) else { return };
        let (_, recovery) = recover(&bytes, &read_all(logs)).unwrap();
        let old = file.contains("OldDirtyHive");
        let format = if old { LogFormat::DirtyVector } else { LogFormat::Entries };
        assert!(recovery.applied.iter().all(|log| log.format == format && log.bytes > 0), "{file}");
        assert_eq!(recovery.base_block_from, None);
        assert_eq!(recovery.applied.len() + recovery.left_out.len(), 2, "{file}: {recovery}");
        let json = serde_json::to_string(&recovery).unwrap();
        assert_eq!(serde_json::from_str::<Recovery>(&json).unwrap(), recovery);
    }
}

/// What is edited and saved is clean, and so stays what it is, whatever lies in the logs.
#[test]
fn a_recovered_hive_is_edited_and_saved() {
    for (file, logs, expected) in HIVES {
        let Recovered { sequence, .. } = expected else { continue };
        let Some(bytes) = artifacts::read(file) else { return };
        let mut logs = read_all(logs);
        let (mut hive, _) = recover(&bytes, &logs).unwrap();
        hive.set_value(r"loopbreak\test", "Start", &Data::dword(3)).unwrap();
        let saved = hive.to_bytes().unwrap();
        for emptied in [false, true] {
            if emptied {
                logs.fill(EMPTY_LOG.to_vec());
            }
            let (again, recovery) = recover(&saved, &logs).unwrap();
            assert!(recovery.clean);
            assert_eq!(again.sequence_numbers(), (sequence + 1, sequence + 1), "{file}");
            assert_eq!(again.get_dword(r"loopbreak\test", "Start").unwrap(), Some(3));
        }
    }
}

/// A damaged base block comes back from a log: of the new format from the later one.
#[test]
fn a_damaged_base_block_is_taken_from_the_log() {
    for (file, logs, expected) in HIVES {
        let Recovered { sequence, keys, .. } = expected else { continue };
        let Some(mut bytes) = artifacts::read(file) else { return };
        bytes[..512].fill(0);
        let logs = read_all(logs);
        let later = if file.contains("NewDirtyHive") { 1 } else { 0 };
        let (hive, recovery) = recover(&bytes, &logs).unwrap();
        assert_eq!(recovery.base_block_from, Some(later), "{file}: {recovery}");
        assert_eq!(hive.sequence_numbers(), (*sequence, *sequence), "{file}");
        assert_eq!(hive.walk().map(Result::unwrap).count(), *keys, "{file}");
    }
}
