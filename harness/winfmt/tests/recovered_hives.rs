//! Dirty hives brought up to date from their logs, compared with what Windows made of the same files.

#![expect(clippy::unwrap_used, reason = "a test: whatever fails shall stop it")]

use winfmt::hive::{Hive, HiveError, LogFormat, Recovery};

#[path = "../src/artifacts.rs"]
mod artifacts;

/// A hive and the logs beside it.
struct Set {
    hive: Vec<u8>,
    logs: Vec<Vec<u8>>,
}

impl Set {
    fn read(hive: &str, logs: &[&str]) -> Option<Self> {
        let logs = logs.iter().map(|log| artifacts::read(log)).collect::<Option<_>>()?;
        Some(Self { hive: artifacts::read(hive)?, logs })
    }

    fn recover(&self) -> Result<(Hive, Recovery), HiveError> {
        let logs: Vec<&[u8]> = self.logs.iter().map(Vec::as_slice).collect();
        Hive::recover(self.hive.clone(), &logs)
    }
}

#[test]
fn as_windows_10_did_it_byte_for_byte() {
    for set in ["NewDirtyHive1", "NewDirtyHive2"] {
        let name = |file: &str| format!("hives/yarp/{set}/{file}");
        let logs = [name("NewDirtyHive.LOG1"), name("NewDirtyHive.LOG2")];
        let logs = [logs[0].as_str(), logs[1].as_str()];
        let Some(set) = Set::read(&name("NewDirtyHive"), &logs) else { return };
        let oracle = artifacts::read("hives/yarp/NewDirtyHive1/RecoveredHive_Windows10").unwrap();
        let (hive, recovery) = set.recover().unwrap();
        println!("{recovery}");
        assert!(hive.to_bytes().unwrap() == oracle, "not the bytes of Windows");
        assert!(recovery.applied.iter().all(|applied| applied.format == LogFormat::Entries));
    }
}
