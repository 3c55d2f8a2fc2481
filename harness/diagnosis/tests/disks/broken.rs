//! One thing wrong with each disk.

use diagnosis::{Condition, reproduction};
use scenario::Scenario;
use serde_json::json;
use winfmt::hive::Data;

use crate::recipe::{diagnosed, driver, dump, healthy, last_start, put, read, repair, suspect};

#[test]
fn a_healthy_disk_has_no_suspect() {
    let diagnosis = diagnosed(healthy());
    assert_eq!(diagnosis.condition, Condition::NothingFound, "{}", diagnosis::render(&diagnosis));
    assert_eq!(diagnosis.suspects, []);
    assert!(!diagnosis.has_stopped());
}

/// Where nothing tells of the last start, that something changed makes nobody suspect.
#[test]
fn a_disk_that_has_never_started_has_no_suspect() {
    let mut recipe = healthy();
    driver(&mut recipe, "new", 1);
    recipe.files.retain(|(path, _)| !path.ends_with("bootstat.dat"));
    let diagnosis = diagnosed(recipe);
    assert_eq!(diagnosis.condition, Condition::NotKnown);
    assert_eq!(diagnosis.suspects, []);
}

/// A dump that is on the disk of a machine which was shut down cleanly after a good start blames nobody.
#[test]
fn what_is_over_makes_no_suspect() {
    let mut recipe = healthy();
    driver(&mut recipe, "old", 1);
    put(&mut recipe, r"Windows\Minidump\1.dmp", &dump(0x50, "old.sys", 1));
    let diagnosis = diagnosed(recipe);
    assert_eq!(diagnosis.stops.len(), 1);
    assert_eq!(diagnosis.condition, Condition::NothingFound);
    assert_eq!(diagnosis.suspects, []);
}

/// The recovery environment ends well where Windows did not, and has its boot status in the same place.
#[test]
fn the_good_end_of_the_recovery_environment_is_none_of_windows() {
    let mut recipe = healthy();
    driver(&mut recipe, "culprit", 1);
    put(&mut recipe, r"Windows\Minidump\1.dmp", &dump(0x50, "culprit.sys", 1));
    put(&mut recipe, r"Windows\System32\LogFiles\Srt\SrtTrail.txt", REPAIR_LOG.as_bytes());
    let diagnosis = diagnosed(recipe);
    // Which of the two came last is not recorded on this disk.
    assert_eq!(diagnosis.condition, Condition::NotKnown, "{}", diagnosis::render(&diagnosis));
    assert!(diagnosis.suspects.iter().any(|own| own.name == "culprit.sys"));
    assert!(diagnosis.tried.iter().any(|own| own.text.contains("failed with 0x57")));
}

const REPAIR_LOG: &str = "Startup Repair diagnosis and repair log\r\n---------------------------\r\nNumber of repair attempts: 1\r\n\r\nSession details\r\n---------------------------\r\nSystem Disk = \\Device\\Harddisk0\r\nWindows directory = C:\\Windows\r\nAutoChk Run = 0\r\nNumber of root causes = 1\r\n\r\nRoot cause found: \r\n---------------------------\r\nBoot critical file c:\\windows\\system32\\drivers\\culprit.sys is corrupt.\r\n\r\nRepair action: File repair\r\nResult: Failed. Error code =  0x57\r\nTime taken = 2625 ms\r\n\r\n---------------------------\r\n---------------------------\r\n";

#[test]
fn the_module_that_all_dumps_blame_comes_first() {
    let mut recipe = healthy();
    driver(&mut recipe, "culprit", 1);
    driver(&mut recipe, "bystander", 1);
    last_start(&mut recipe, false);
    put(&mut recipe, r"Windows\Minidump\1.dmp", &dump(0x50, "culprit.sys", 1));
    put(&mut recipe, r"Windows\Minidump\2.dmp", &dump(0x50, "Culprit.sys", 90));
    // The large dump of the second stop.
    put(&mut recipe, r"Windows\MEMORY.DMP", &dump(0x50, "culprit.sys", 90));
    put(&mut recipe, r"Windows\Minidump\3.dmp", b"no dump");
    let diagnosis = diagnosed(recipe);
    assert_eq!(diagnosis.condition, Condition::DoesNotStart);
    assert!(diagnosis.has_stopped());
    assert_eq!(diagnosis.stops.len(), 2, "{:?}", diagnosis.stops);
    let first = &diagnosis.suspects[0];
    assert_eq!((first.what, first.name.as_str()), ("driver", "culprit.sys"));
    assert!(first.reasons[0].statement.text.starts_with("2 stops blame it"), "{first:?}");
    let expected = json!([{ "registry": { "hive": "system",
        "key": r"CurrentControlSet\Services\culprit", "value": "Start", "to": { "dword": 4 } } }]);
    assert_eq!(repair(first), expected);
    let page = diagnosis::render(&diagnosis);
    assert!(page.contains("a dump cannot be read"), "{page}");
    assert!(page.contains("repair: set Start to 4"), "{page}");
}

/// What a blamed driver reads, and came after it, is suspected before the driver itself.
#[test]
fn content_that_a_blamed_driver_reads_comes_before_the_driver() {
    let mut recipe = healthy();
    driver(&mut recipe, "csagent", 1);
    let path = r"Windows\System32\drivers\CrowdStrike\C-291.sys";
    let text: Vec<u8> =
        r"\drivers\CrowdStrike\C-*.sys".encode_utf16().flat_map(u16::to_le_bytes).collect();
    put(&mut recipe, r"Windows\System32\drivers\csagent.sys", &text);
    put(&mut recipe, r"Windows\System32\drivers\CrowdStrike\C-291.sys", b"content");
    put(&mut recipe, r"Windows\System32\drivers\Other\C-291.sys", b"content of somebody else");
    last_start(&mut recipe, false);
    put(&mut recipe, r"Windows\Minidump\1.dmp", &dump(0x50, "csagent.sys", 1));
    // 2025, long after all that is on the disk.
    recipe.later = Some((path.to_owned(), 1_750_000_000));
    let diagnosis = diagnosed(recipe);
    let first = &diagnosis.suspects[0];
    let path = r"C:\Windows\System32\drivers\CrowdStrike\C-291.sys";
    assert_eq!((first.what, first.name.as_str()), ("file", path));
    assert_eq!(repair(first), json!([{ "delete": { "path": path } }]));
    let driver = suspect(&diagnosis, "csagent.sys");
    assert!(driver.weight < first.weight);
    assert!(driver.reasons.iter().any(|reason| reason.weight.0 < 0), "{driver:?}");
    assert!(!diagnosis.suspects.iter().any(|own| own.name.contains("Other")));
}

#[test]
fn a_missing_program_is_copied_back_from_where_it_lies() {
    let mut recipe = healthy();
    recipe.files.retain(|(path, _)| !path.ends_with("winlogon.exe"));
    put(&mut recipe, r"Quarantine\winlogon.exe", b"MZ");
    let diagnosis = diagnosed(recipe);
    // The last start was a good one; the next cannot be.
    assert_eq!(diagnosis.condition, Condition::DoesNotStart);
    let [only] = &diagnosis.suspects[..] else { panic!("{:?}", diagnosis.suspects) };
    let expected = json!([{ "copy": { "from": r"C:\Quarantine\winlogon.exe",
        "to": r"C:\Windows\System32\winlogon.exe" } }]);
    assert_eq!(repair(only), expected);
}

#[test]
fn a_disk_driver_that_is_switched_off() {
    let mut recipe = healthy();
    let key = r"ControlSet001\Services\disk";
    recipe.system.set_value(key, "Start", &Data::dword(4)).unwrap();
    let diagnosis = diagnosed(recipe);
    assert_eq!(diagnosis.condition, Condition::DoesNotStart);
    let expected = json!([{ "registry": { "hive": "system",
        "key": r"CurrentControlSet\Services\disk", "value": "Start", "to": { "dword": 0 } } }]);
    assert_eq!(repair(suspect(&diagnosis, "disk")), expected);
}

/// What Windows reaches its disk by is never switched off as a repair.
#[test]
fn a_driver_of_the_disk_that_is_blamed_is_brought_back() {
    let mut recipe = healthy();
    last_start(&mut recipe, false);
    put(&mut recipe, r"Windows\Minidump\1.dmp", &dump(0x50, "partmgr.sys", 1));
    let diagnosis = diagnosed(recipe);
    let file = r"C:\Windows\System32\drivers\partmgr.sys";
    assert_eq!(repair(suspect(&diagnosis, "partmgr.sys")), json!([{ "restore": file }]));
}

#[test]
fn a_filter_of_disks_without_a_service_is_taken_out() {
    let mut recipe = healthy();
    let class = r"ControlSet001\Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318}";
    let names = Data::multi_string(["partmgr", "gonefilter"]);
    recipe.system.set_value(class, "UpperFilters", &names).unwrap();
    let diagnosis = diagnosed(recipe);
    let repair = repair(suspect(&diagnosis, "gonefilter"));
    assert_eq!(repair[0]["registry"]["value"], "UpperFilters");
    assert_eq!(repair[0]["registry"]["to"], json!({ "multi-text": ["partmgr"] }));
}

#[test]
fn a_hive_that_is_no_hive_is_brought_back() {
    let mut recipe = healthy();
    put(&mut recipe, r"Windows\System32\config\SYSTEM", &[0; 8192]);
    let diagnosis = diagnosed(recipe);
    let file = r"C:\Windows\System32\config\SYSTEM";
    assert_eq!(repair(suspect(&diagnosis, file)), json!([{ "restore": file }]));
}

#[test]
fn a_disk_without_windows_is_called_so() {
    let mut recipe = healthy();
    recipe.files.retain(|(path, _)| !path.starts_with("Windows"));
    let machine = recipe.build();
    let raw = machine.directory.path().join("other.raw");
    let mut bytes = vec![0; 8 << 20];
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(&raw, bytes).unwrap();
    let disk =
        disk::OfflineDisk::open(&raw, disk::Access::ReadOnly, machine.directory.path()).unwrap();
    let source = inspect::Source { disk: &disk, firmware_vars: None, tpm: None };
    let inspection = inspect::inspect(source);
    let traces = inspect::traces::traces(source, &inspection);
    let diagnosis = diagnosis::diagnose(&inspection, &traces);
    assert_eq!(diagnosis.suspects, []);
    assert!(
        matches!(diagnosis.condition, Condition::NoWindows | Condition::CannotBeRead),
        "{}",
        diagnosis::render(&diagnosis)
    );
    assert!(!diagnosis.has_stopped());
}

/// Names of a guest steer no terminal.
#[test]
fn hostile_names_are_escaped() {
    let mut recipe = healthy();
    driver(&mut recipe, "evil\u{202e}\u{85}", 1);
    last_start(&mut recipe, false);
    put(&mut recipe, r"Windows\Minidump\1.dmp", &dump(0x50, "evil\u{202e}\u{85}.sys", 1));
    let diagnosis = diagnosed(recipe);
    assert!(diagnosis.suspects[0].name.contains('\u{202e}'));
    let page = diagnosis::render(&diagnosis);
    assert!(!page.contains(['\u{202e}', '\u{85}']), "{page}");
}

/// What is written is a scenario that `scenario check` accepts, with the proposed repair.
#[test]
fn a_scenario_is_made_of_the_first_suspect() {
    let mut recipe = healthy();
    driver(&mut recipe, "culprit", 1);
    last_start(&mut recipe, false);
    put(&mut recipe, r"Windows\Minidump\1.dmp", &dump(0x50, "culprit.sys", 1));
    let (inspection, traces) = read(recipe);
    let diagnosis = diagnosis::diagnose(&inspection, &traces);
    let made = reproduction(&diagnosis, &inspection, &traces, "again", "understudy").unwrap();
    assert_eq!(
        made.files,
        [("culprit.sys".to_owned(), r"Windows\System32\drivers\culprit.sys".to_owned())]
    );
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("again");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("scenario.toml"), &made.text).unwrap();
    std::fs::write(home.join("culprit.sys"), b"MZ").unwrap();
    let scenario = Scenario::load(&home).unwrap_or_else(|error| panic!("{error}\n{}", made.text));
    assert_eq!(scenario.expect.stop.unwrap().bug_check, 0x50);
    assert_eq!(scenario.host_repair.unwrap().action, diagnosis.suspects[0].repair);

    let healthy = read(healthy());
    let none = diagnosis::diagnose(&healthy.0, &healthy.1);
    let why = reproduction(&none, &healthy.0, &healthy.1, "again", "understudy").unwrap_err();
    assert!(why.to_string().contains("no suspect"));
}
