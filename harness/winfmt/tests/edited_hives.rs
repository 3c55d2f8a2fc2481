//! A service is added to each readable hive of the artifacts, changed and deleted again: to libhivex
//! the hive is then the same as before, times included.
//!
//! The clock of the edits is set to the time that the key above has already, and that of saving to the
//! time in the base block, so that nothing has to be left out of the comparison.

#![expect(clippy::unwrap_used, reason = "a test: whatever fails shall stop it")]

use std::process::Command;

use winfmt::FileTime;
use winfmt::hive::{Data, Hive, KeyPath, Value};

#[path = "../src/artifacts.rs"]
mod artifacts;

/// Hives that are read or recovered, with their logs.
const HIVES: &[(&str, &[&str])] = &[
    ("hives/system-win7sp1-x86.SYSTEM.xz", &[]),
    (
        "hives/ntuser-win10-logs/transactions_NTUSER.DAT.xz",
        &["hives/ntuser-win10-logs/transactions_ntuser.dat.log1.xz"],
    ),
    (
        "hives/yarp/NewDirtyHive1/NewDirtyHive",
        &[
            "hives/yarp/NewDirtyHive1/NewDirtyHive.LOG1",
            "hives/yarp/NewDirtyHive1/NewDirtyHive.LOG2",
        ],
    ),
    ("hives/yarp/NewDirtyHive2/NewDirtyHive", &["hives/yarp/NewDirtyHive2/NewDirtyHive.LOG2"]),
    ("hives/yarp/OldDirtyHive/OldDirtyHive", &["hives/yarp/OldDirtyHive/OldDirtyHive.LOG1"]),
    ("hives/yarp/NewDirtyHive1/RecoveredHive_Windows10", &[]),
    ("hives/yarp/OldDirtyHive/RecoveredHive_Windows7", &[]),
    ("hives/openvmm-imc.hiv", &[]),
    ("hives/plaso-100_sub_keys.hiv", &[]),
    ("hives/yarp/BigDataHive", &[]),
    ("hives/yarp/CompHive", &[]),
    ("hives/yarp/DeletedTreeHive", &[]),
    ("hives/yarp/EmptyHive", &[]),
    ("hives/yarp/ExtendedASCIIHive", &[]),
    ("hives/yarp/HealedHive", &[]),
    ("hives/yarp/ManySubkeysHive", &[]),
    ("hives/yarp/MultiSzHive", &[]),
    ("hives/yarp/RemnantsHive", &[]),
    ("hives/yarp/StringValuesHive", &[]),
    ("hives/yarp/TruncatedPairHive", &[]),
    ("hives/yarp/UnicodeHive", &[]),
    ("hives/yarp/UpcaseHive", &[]),
    ("hives/yarp/ValuesOrderHive", &[]),
    ("bcd/ka-2022-03-01/BCD", &[]),
    ("bcd/ka-2022-03-03/BCD", &[]),
    ("bcd/ka-2022-03-01-recovery/BCD", &[]),
    ("bcd/win10-uefi-regipy.BCD", &[]),
    ("bcd/windeploy-bios.BCD", &[]),
];

/// libhivex gives up on names that are no text.
const NOT_FOR_HIVEXML: &str = "hives/yarp/TruncatedPairHive";

/// A hive as `hivexml` shows it; `None` if that is not installed.
fn hivexml(bytes: &[u8]) -> Option<Result<String, String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    std::fs::write(&path, bytes).unwrap();
    let Ok(output) = Command::new("hivexml").arg(&path).output() else {
        println!("skipped: `hivexml` is not installed (Debian package libhivex-bin)");
        return None;
    };
    if !output.status.success() {
        return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    // Strings that are no text come out as they are.
    Some(Ok(String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// A key with all that it holds: what `hivexml` does not show is here too.
#[derive(PartialEq)]
struct Content {
    path: KeyPath,
    last_written: FileTime,
    values: Vec<Value>,
    class: Option<String>,
    security_descriptor: Option<Vec<u8>>,
}

/// All keys of a hive, as this crate reads it.
fn contents(hive: &Hive) -> Vec<Content> {
    hive.walk()
        .map(|walked| {
            let walked = walked.unwrap();
            let key = walked.key;
            Content {
                path: walked.path,
                last_written: key.last_written(),
                values: key.values().unwrap(),
                class: key.class().unwrap(),
                security_descriptor: key.security_descriptor().unwrap().map(<[u8]>::to_vec),
            }
        })
        .collect()
}

fn values(round: u32) -> [(&'static str, Data); 5] {
    let text = format!("round {round}");
    [
        ("ImagePath", Data::expand_string(&format!(r"system32\drivers\{round}.sys"))),
        ("Start", Data::dword(round)),
        ("DisplayName", Data::string(&text.repeat(round as usize * 40))),
        ("DependOnService", Data::multi_string([text.as_str(), "Tcpip"])),
        ("Blob", Data::binary(vec![7; round as usize * 20_000])),
    ]
}

#[test]
fn a_service_comes_changes_and_goes() {
    if artifacts::folder().is_none() {
        return;
    }
    let mut compared = 0;
    for (file, logs) in HIVES {
        let logs: Vec<Vec<u8>> = logs.iter().map(|log| artifacts::read(log).unwrap()).collect();
        let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
        let (mut hive, _) = Hive::recover(artifacts::read(file).unwrap(), &logs).unwrap();
        let before = hive.to_bytes().unwrap();
        let contents_before = contents(&hive);

        let services = KeyPath::from(r"ControlSet001\services");
        let above = match hive.find_key(&services).unwrap() {
            Some(_) => services,
            None => KeyPath::default(),
        };
        hive.set_clock(hive.key(&above).unwrap().last_written());
        let key = above.join("loopbreak-test");
        assert!(hive.create_key(&key).unwrap(), "{file}");
        for round in [1, 2] {
            for (name, data) in values(round) {
                hive.set_value(&key, name, &data).unwrap();
            }
            let again = Hive::open(hive.to_bytes().unwrap()).unwrap();
            let own = again.key(&key).unwrap();
            assert_eq!(own.value_count(), 5, "{file}");
            for (name, data) in values(round) {
                assert_eq!(own.value(name).unwrap(), Some(data), "{file}: {name}");
            }
            let parent = again.key(&above).unwrap();
            let inherited = parent.security_descriptor().unwrap();
            assert_eq!(own.security_descriptor().unwrap(), inherited, "{file}");
        }
        let with_service = hive.to_bytes().unwrap();
        assert!(hive.delete_value(&key, "Start").unwrap());
        assert!(hive.delete_key(&key).unwrap());
        hive.set_clock(hive.last_written());
        let after = hive.to_bytes().unwrap();

        let again = Hive::open(after.clone()).unwrap();
        assert!(contents(&again) == contents_before, "{file}: not what it was");
        // A second time it takes no more room: all cells came back.
        let size = after.len();
        assert!(size <= before.len() + 128 * 1024, "{file}: {} to {size} bytes", before.len());
        hive.set_value(&key, "Blob", &values(2)[4].1).unwrap();
        hive.delete_key(&key).unwrap();
        assert_eq!(hive.size(), size, "{file}");

        let Some(xml_before) = hivexml(&before) else { return };
        if *file == NOT_FOR_HIVEXML {
            assert!(xml_before.is_err());
            println!("{file}: not compared, hivexml does not read it");
            continue;
        }
        let (xml_before, xml_after) = (xml_before.unwrap(), hivexml(&after).unwrap().unwrap());
        assert!(xml_before == xml_after, "{file}: hivexml shows a difference");
        // The comparison can fail: with the service there, it does.
        assert!(xml_before != hivexml(&with_service).unwrap().unwrap(), "{file}");
        compared += 1;
        println!("{file}: the same {} bytes of hivexml", xml_after.len());
    }
    assert_eq!(compared, HIVES.len() - 1);
}
