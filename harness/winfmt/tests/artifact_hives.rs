//! Every hive among the artifacts: clean ones are read whole, dirty ones refused as dirty, damaged ones
//! refused with the place.

use winfmt::hive::{Data, Hive, HiveError, ValueType};

#[path = "../src/artifacts.rs"]
mod artifacts;

/// What a file must give.
enum Expected {
    /// Opens; so many keys and values, counted once with another reader (`hivexml`, see
    /// [`another_reader_counts_the_same`]).
    Clean { keys: usize, values: usize },
    /// Refused as dirty with these sequence numbers; opened dirty, so many keys can be read.
    Dirty { primary: u32, secondary: u32, keys: usize },
    /// Refused, at this offset, for this reason.
    Damaged { offset: u64, what: &'static str },
    /// Not a hive at all.
    NotAHive,
}

use Expected::{Clean, Damaged, Dirty, NotAHive};

const HIVES: &[(&str, Expected)] = &[
    ("hives/system-win7sp1-x86.SYSTEM.xz", Clean { keys: 30756, values: 73456 }),
    ("hives/openvmm-imc.hiv", Clean { keys: 9, values: 15 }),
    ("hives/plaso-100_sub_keys.hiv", Clean { keys: 101, values: 100 }),
    ("hives/yarp/BigDataHive", Clean { keys: 2, values: 2 }),
    ("hives/yarp/CompHive", Clean { keys: 4, values: 0 }),
    ("hives/yarp/DeletedTreeHive", Clean { keys: 3, values: 0 }),
    ("hives/yarp/EmptyHive", Clean { keys: 1, values: 0 }),
    ("hives/yarp/ExtendedASCIIHive", Clean { keys: 2, values: 1 }),
    ("hives/yarp/HealedHive", Clean { keys: 4, values: 1 }),
    ("hives/yarp/ManySubkeysHive", Clean { keys: 5003, values: 0 }),
    ("hives/yarp/MultiSzHive", Clean { keys: 2, values: 2 }),
    ("hives/yarp/NewDirtyHive1/RecoveredHive_Windows10", Clean { keys: 5, values: 1 }),
    ("hives/yarp/OldDirtyHive/RecoveredHive_Windows7", Clean { keys: 5003, values: 1 }),
    ("hives/yarp/RemnantsHive", Clean { keys: 1, values: 0 }),
    ("hives/yarp/StringValuesHive", Clean { keys: 2, values: 4 }),
    ("hives/yarp/TruncatedPairHive", Clean { keys: 4, values: 0 }),
    ("hives/yarp/UnicodeHive", Clean { keys: 3, values: 0 }),
    ("hives/yarp/UpcaseHive", Clean { keys: 4, values: 0 }),
    ("hives/yarp/ValuesOrderHive", Clean { keys: 1, values: 3 }),
    ("bcd/ka-2022-03-01/BCD", Clean { keys: 132, values: 103 }),
    ("bcd/ka-2022-03-03/BCD", Clean { keys: 132, values: 103 }),
    ("bcd/ka-2022-03-01-recovery/BCD", Clean { keys: 64, values: 43 }),
    ("bcd/win10-uefi-regipy.BCD", Clean { keys: 132, values: 103 }),
    ("bcd/windeploy-bios.BCD", Clean { keys: 78, values: 55 }),
    ("hives/system-win10-1903.SYSTEM.xz", Dirty { primary: 4317, secondary: 4316, keys: 43211 }),
    ("hives/amcache-win10-dirty.hve.xz", Dirty { primary: 41, secondary: 40, keys: 2105 }),
    (
        "hives/ntuser-win10-logs/transactions_NTUSER.DAT.xz",
        Dirty { primary: 567, secondary: 566, keys: 2590 },
    ),
    ("hives/yarp/NewDirtyHive1/NewDirtyHive", Dirty { primary: 3, secondary: 2, keys: 5 }),
    ("hives/yarp/NewDirtyHive2/NewDirtyHive", Dirty { primary: 4, secondary: 3, keys: 5 }),
    ("hives/yarp/OldDirtyHive/OldDirtyHive", Dirty { primary: 5, secondary: 4, keys: 5003 }),
    ("hives/yarp/BadLogHive1/BadLogHive", Dirty { primary: 5, secondary: 4, keys: 5003 }),
    (
        "hives/system-xp-corrupt.SYSTEM.xz",
        Damaged { offset: 0x1a000, what: "a bin does not begin with `hbin`" },
    ),
    (
        "hives/yarp/BadListHive",
        Damaged { offset: 0x12d0, what: "used twice: as a list of subkeys" },
    ),
    (
        "hives/yarp/DuplicateSubkeysHive",
        Damaged { offset: 0x6bde0, what: "two subkeys are called `4500`" },
    ),
    ("hives/yarp/EffectiveSizeHive", Damaged { offset: 508, what: "base block checksum" }),
    (
        "hives/yarp/InvalidParentHive",
        Damaged { offset: 0x75b08, what: "key `4900` is listed under the key at 0x140" },
    ),
    ("hives/yarp/TruncatedHive", Damaged { offset: 0x3000, what: "the file is cut off" }),
    ("hives/yarp/WrongOrderHive", Damaged { offset: 0x1370, what: "`1` stands after `2`" }),
    ("hives/ntuser-win10-logs/transactions_ntuser.dat.log1.xz", NotAHive),
    ("hives/ntuser-win10-logs/transactions_ntuser.dat.log2.xz", NotAHive),
    ("hives/yarp/NewDirtyHive1/NewDirtyHive.LOG1", NotAHive),
    ("hives/yarp/NewDirtyHive1/NewDirtyHive.LOG2", NotAHive),
    ("hives/yarp/OldDirtyHive/OldDirtyHive.LOG1", NotAHive),
    ("hives/yarp/OldDirtyHive/OldDirtyHive.LOG2", NotAHive),
    ("hives/yarp/NewDirtyHive2/NewDirtyHive.LOG1", NotAHive),
    ("hives/yarp/NewDirtyHive2/NewDirtyHive.LOG2", NotAHive),
    (
        "hives/yarp/BadLogHive1/BadLogHive.LOG1",
        Damaged { offset: 508, what: "base block checksum" },
    ),
    ("hives/yarp/BadLogHive1/BadLogHive.LOG2", NotAHive),
    ("bcd/ka-2022-03-01/BCD.LOG", NotAHive),
    ("bcd/ka-2022-03-03/BCD.LOG", NotAHive),
    ("bcd/ka-2022-03-01-recovery/BCD.LOG", NotAHive),
];

/// Reads every key and value; gives their numbers and how many keys could not be read.
fn read_all(hive: &Hive) -> (usize, usize, usize) {
    let (mut keys, mut values, mut errors) = (0, 0, 0);
    for walked in hive.walk() {
        match walked.and_then(|walked| walked.key.values()) {
            Ok(found) => {
                keys += 1;
                values += found.len();
            }
            Err(_) => errors += 1,
        }
    }
    (keys, values, errors)
}

#[test]
fn every_hive_gives_what_the_manifest_says() {
    if artifacts::folder().is_none() {
        return;
    }
    for (file, expected) in HIVES {
        let Some(bytes) = artifacts::read(file) else { return };
        let opened = Hive::open(bytes.clone());
        match expected {
            Clean { keys, values } => {
                let hive = opened.unwrap_or_else(|error| panic!("{file}: {error}"));
                assert_eq!(read_all(&hive), (*keys, *values, 0), "{file}");
                assert!(hive.to_bytes().unwrap() == bytes, "{file}: not the same when written");
            }
            Dirty { primary, secondary, keys } => {
                let dirty = HiveError::Dirty { primary: *primary, secondary: *secondary };
                assert_eq!(opened.unwrap_err(), dirty, "{file}");
                let mut hive = Hive::open_dirty(bytes).unwrap();
                let (read, _, errors) = read_all(&hive);
                assert_eq!((read, errors), (*keys, 0), "{file}");
                assert_eq!(hive.create_key("new"), Err(HiveError::ReadOnly), "{file}");
                assert_eq!(hive.to_bytes(), Err(HiveError::ReadOnly), "{file}");
            }
            Damaged { offset, what } => match opened.unwrap_err() {
                HiveError::Damaged { offset: found, what: why } => {
                    assert_eq!(found, *offset, "{file}: {why}");
                    assert!(why.contains(what), "{file}: {why}");
                }
                other => panic!("{file}: {other}"),
            },
            NotAHive => {
                let error = opened.unwrap_err();
                assert!(matches!(error, HiveError::NotAHive { .. }), "{file}: {error}");
            }
        }
    }
}

/// No file of the manifest is left out of the table.
#[test]
fn the_table_is_complete() {
    let Some(manifest) = artifacts::read("MANIFEST.tsv") else { return };
    let manifest = String::from_utf8(manifest).unwrap();
    let files = manifest.lines().skip(1).filter_map(|line| line.split('\t').next());
    for file in files.filter(|file| file.starts_with("hives/") || file.starts_with("bcd/")) {
        let known = HIVES.iter().any(|(own, _)| own == &file);
        assert!(known || file.ends_with("BOOTSTAT.DAT"), "{file} is in the manifest only");
    }
}

#[test]
fn another_reader_counts_the_same() {
    for (file, expected) in HIVES {
        let Clean { keys, values } = expected else { continue };
        let Some(bytes) = artifacts::read(file) else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hive");
        std::fs::write(&path, bytes).unwrap();
        let Ok(output) = std::process::Command::new("hivexml").arg(&path).output() else {
            println!("skipped: `hivexml` is not installed (Debian package libhivex-bin)");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            // libhivex gives up on names that are no text; nothing else may stop it.
            assert_eq!(*file, "hives/yarp/TruncatedPairHive", "hivexml failed");
            continue;
        }
        assert_eq!(text.matches("<node ").count(), *keys, "{file}");
        // Binary strings show as several elements, all inside one `<value>`.
        assert_eq!(text.matches("<value ").count(), *values, "{file}");
    }
}

#[test]
fn the_system_hive_of_windows_7() {
    let Some(bytes) = artifacts::read("hives/system-win7sp1-x86.SYSTEM.xz") else { return };
    let hive = Hive::open(bytes).unwrap();
    assert_eq!(hive.version().to_string(), "1.5");
    assert_eq!(hive.sequence_numbers(), (13983, 13983));
    let select = |name| hive.get_dword("Select", name).unwrap();
    let all = ["Current", "Default", "Failed", "LastKnownGood"].map(select);
    assert_eq!(all, [Some(1), Some(1), Some(0), Some(2)]);
    let services = hive.key(r"ControlSet001\services").unwrap().subkeys().unwrap();
    assert_eq!(services.len(), 467);
    let boot_start = services.iter().filter(|service| {
        service.value("Start").unwrap().and_then(|data| data.as_dword()) == Some(0)
    });
    assert_eq!(boot_start.count(), 36);
    let order = r"ControlSet001\Control\ServiceGroupOrder";
    let groups = hive.get_multi_string(order, "list").unwrap().unwrap();
    assert!(groups.contains(&"Boot Bus Extender".to_owned()), "{groups:?}");
    let image = hive.get_string(r"ControlSet001\services\Tcpip", "ImagePath").unwrap();
    assert_eq!(image.as_deref(), Some(r"System32\drivers\tcpip.sys"));
    let wrong = hive.get_dword(order, "List").unwrap_err();
    assert!(matches!(wrong, HiveError::WrongType { found: ValueType::MultiString, .. }), "{wrong}");
    assert!(hive.key(r"ControlSet001\Control\Lsa\JD").unwrap().class().unwrap().is_some());
    let descriptor = hive.root().unwrap().security_descriptor().unwrap().unwrap();
    assert_eq!(descriptor[0], 1, "revision of the security descriptor");
}

#[test]
fn the_edge_cases_of_names_and_data() {
    let open = |name: &str| artifacts::read(name).map(|bytes| Hive::open(bytes).unwrap());
    let Some(big) = open("hives/yarp/BigDataHive") else { return };
    let root = big.root().unwrap();
    let keys = root.subkeys().unwrap();
    let values: Vec<_> = keys.iter().chain([&root]).flat_map(|key| key.values().unwrap()).collect();
    let lengths: Vec<usize> = values.iter().map(|value| value.data.bytes.len()).collect();
    assert!(lengths.iter().any(|&length| length > 16_344), "{lengths:?}");

    let Some(unicode) = open("hives/yarp/UnicodeHive") else { return };
    let names: Vec<String> = unicode.walk().map(|key| key.unwrap().path.to_string()).collect();
    assert!(names.iter().any(|name| name == "Привет\\Ключ"), "{names:?}");
    for name in names {
        assert!(unicode.find_key(name.to_uppercase()).unwrap().is_some(), "{name}");
    }

    // A name that is half of a surrogate pair survives, and is found by its units.
    let Some(pair) = open("hives/yarp/TruncatedPairHive") else { return };
    let broken: Vec<_> = pair
        .walk()
        .map(|key| key.unwrap().path)
        .filter(|path| path.names().iter().any(|name| name.text().contains('\u{fffd}')))
        .collect();
    assert!(!broken.is_empty());
    for path in &broken {
        assert!(pair.find_key(path).unwrap().is_some());
        assert!(pair.find_key(path.to_string()).unwrap().is_none());
    }
    let mut pair = pair;
    let below = broken[0].join("below");
    pair.set_value(&below, "value", &Data::dword(1)).unwrap();
    let again = Hive::open(pair.to_bytes().unwrap()).unwrap();
    assert_eq!(again.get_dword(&below, "value").unwrap(), Some(1));
}
