//! The plans of the scenarios that come with the project, done to a disk in memory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changes;
mod disk;
mod ladder;
mod repair;
mod trust;
mod uninstall;
mod vendor;

use std::path::Path;

use disk::Disk;
use faults::{
    ApplyError, Change, Edit, HiveName, Offline, Origin, RegistryValue, StageError, StagePlan,
    Trust, VolumeRole, inert_control, stage,
};
use scenario::{Scenario, Verdict};

fn load(name: &str) -> Scenario {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(name);
    Scenario::load(&folder).unwrap()
}

fn trust() -> Trust {
    Trust { root: b"root".to_vec(), publisher: b"publisher".to_vec() }
}

fn plan(name: &str) -> StagePlan {
    stage(&load(name), &trust()).unwrap()
}

#[test]
fn the_sensor_is_a_service_that_starts_with_the_system() {
    let mut disk = Disk::with_windows();
    plan("channel-file-291").apply(&mut disk).unwrap();
    let mut value = |key: &str, name| {
        let key = format!("CurrentControlSet\\Services\\csagent{key}");
        disk.read_value(HiveName::System, &key, name).unwrap().unwrap()
    };
    assert_eq!(value("", "Type"), RegistryValue::Dword(1));
    assert_eq!(value("", "Start"), RegistryValue::Dword(1));
    assert_eq!(
        value("", "ImagePath"),
        RegistryValue::ExpandText("system32\\drivers\\csagent.sys".to_owned())
    );
    assert_eq!(
        value("\\Parameters", "ContentFolder"),
        RegistryValue::Text("\\SystemRoot\\System32\\drivers\\CrowdStrike".to_owned())
    );
    let driver = "Windows\\System32\\drivers\\csagent.sys";
    let (bytes, _) = disk.read_file(VolumeRole::Windows, driver).unwrap().unwrap();
    assert!(bytes.starts_with(b"MZ"));
}

#[test]
fn the_recovery_settings_are_the_documented_ones_on_both_volumes() {
    let mut disk = Disk::with_windows();
    plan("channel-file-291").apply(&mut disk).unwrap();
    let places = [
        (VolumeRole::Windows, "Windows\\System32\\Recovery\\SrSettings.ini"),
        (VolumeRole::Recovery, "Recovery\\WindowsRE\\SrSettings.ini"),
    ];
    for (volume, path) in places {
        let (bytes, _) = disk.read_file(volume, path).unwrap().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("<CloudRemediation state=\"1\""), "{text}");
        assert!(text.contains("totalwaittime=\"40\" waitinterval=\"2\""), "{text}");
    }
}

#[test]
fn the_machine_trusts_the_service_that_it_is_told_of() {
    let mut disk = Disk::with_windows();
    plan("channel-file-291").apply(&mut disk).unwrap();
    let server = disk
        .read_value(HiveName::Software, "Policies\\Microsoft\\Windows\\WindowsUpdate", "WUServer")
        .unwrap();
    assert_eq!(server, Some(RegistryValue::Text("https://update.loopbreak.test".to_owned())));
    for (store, der) in [("ROOT", "root"), ("TrustedPublisher", "publisher")] {
        let key = format!(
            "Microsoft\\SystemCertificates\\{store}\\Certificates\\{}",
            winfmt::certificates::thumbprint(der.as_bytes())
        );
        let Some(RegistryValue::Binary(blob)) =
            disk.read_value(HiveName::Software, &key, "Blob").unwrap()
        else {
            panic!("no certificate at {key}");
        };
        assert_eq!(winfmt::certificates::decode(&blob).unwrap(), der.as_bytes());
    }
}

#[test]
fn what_goes_wrong_comes_through_the_agent() {
    let plan = plan("channel-file-291");
    assert!(plan.staged.iter().all(|edit| !matches!(edit.origin, Origin::Fault(_))));
    let write = only_write(&plan);
    let fields = faults::content::parse(&write.bytes).unwrap();
    assert_eq!(fields.len(), 21);
    assert!(matches!(fields[20], faults::content::Field::Pattern(_)));
    assert!(write.proof().contains("C-00000291-00000000-00000032.sys: "));
}

#[test]
fn every_plan_lands_and_is_undone() {
    for listed in
        scenario::list(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")).unwrap()
    {
        let scenario = listed.scenario.unwrap();
        // What the others change only an image has, and their runs prove it.
        let needs_an_image = scenario
            .given
            .iter()
            .any(|given| matches!(given, scenario::Fault::BootConfiguration(_)))
            || scenario.last_known_good.is_some()
            || scenario.safe_mode.is_some();
        if needs_an_image || !scenario.name.starts_with("channel-file") {
            continue;
        }
        let before = Disk::with_windows();
        let mut disk = before.clone();
        let plan = stage(&scenario, &trust()).unwrap();
        let applied = plan.apply(&mut disk).unwrap();
        let lines: usize = applied.landed.iter().map(|(_, lines)| lines.len()).sum();
        // What the servicing stack writes down is a change with several lines.
        let records =
            plan.staged.iter().any(|staged| matches!(staged.change, Change::Servicing(_)));
        assert!(lines == plan.staged.len() || records && lines > plan.staged.len());
        assert_ne!(disk, before);
        for edit in &applied.undo {
            disk.edit(edit).unwrap_or_else(|error| panic!("{}: {error}", edit.object()));
        }
        assert_eq!(disk, before, "{}", scenario.name);
    }
}

#[test]
fn what_was_there_before_comes_back() {
    let mut before = Disk::with_windows();
    let old = Edit::WriteFile {
        volume: VolumeRole::Windows,
        path: "Windows\\System32\\drivers\\csagent.sys".to_owned(),
        bytes: b"an older driver".to_vec(),
        modified: Some("2024-01-01T00:00:00Z".parse().unwrap()),
    };
    before.edit(&old).unwrap();
    let start = Edit::SetValue {
        hive: HiveName::System,
        key: "CurrentControlSet\\Services\\csagent".to_owned(),
        name: "Start".to_owned(),
        value: RegistryValue::Other(7, vec![0]),
    };
    before.edit(&start).unwrap();
    let mut disk = before.clone();
    let applied = plan("channel-file-291").apply(&mut disk).unwrap();
    for edit in &applied.undo {
        disk.edit(edit).unwrap();
    }
    assert_eq!(disk, before);
}

#[test]
fn a_write_that_is_lost_is_noticed() {
    let mut disk = Disk::with_windows();
    disk.loses = Some("windows\\system32\\drivers\\csagent.sys".to_owned());
    let error = plan("channel-file-291").apply(&mut disk).unwrap_err();
    assert!(
        matches!(&error, ApplyError::NotLanded { origin: Origin::Given(name), .. } if name == "sensor")
    );
    assert!(error.to_string().contains("C:\\Windows\\System32\\drivers\\csagent.sys is not there"));
}

#[test]
fn the_staged_part_is_told_apart_by_what_is_in_it() {
    let main = plan("channel-file-291").staged_digest();
    assert_eq!(main, plan("channel-file-291").staged_digest());
    // Only what happens later differs: one checkpoint serves both.
    assert_eq!(main, plan("channel-file-291-unpublished").staged_digest());
    // Other settings are on the disk.
    assert_ne!(main, plan("channel-file-291-cloud-off").staged_digest());
    let other = Trust { root: b"other".to_vec(), ..trust() };
    assert_ne!(main, stage(&load("channel-file-291"), &other).unwrap().staged_digest());
}

#[test]
fn an_inert_control_differs_in_the_payload_only() {
    let scenario = load("channel-file-291");
    let control = inert_control(&scenario);
    assert_eq!(control.expect.verdict, Verdict::Unaffected);
    let (armed, inert) = (plan("channel-file-291"), stage(&control, &trust()).unwrap());
    assert_eq!(armed.staged, inert.staged);
    assert_eq!(only_write(&armed).path, only_write(&inert).path);
    let fields = faults::content::parse(&only_write(&inert).bytes).unwrap();
    assert_eq!(fields, vec![faults::content::Field::Wildcard; 21]);
}

#[test]
fn a_file_that_was_not_loaded_is_asked_for() {
    let text = serde_json::to_string(&load("channel-file-291")).unwrap();
    let text = text.replace("{\"channel-file\":{\"fields\":21}}", "{\"file\":\"x.bin\"}");
    let scenario: Scenario = serde_json::from_str(&text).unwrap();
    let error = stage(&scenario, &trust()).unwrap_err();
    assert!(matches!(error, StageError::File { file, .. } if file == "x.bin"));
}

fn only_write(plan: &faults::StagePlan) -> &faults::OnlineWrite {
    match &plan.online[..] {
        [faults::Online::Write(write)] => write,
        other => panic!("one write, not {other:?}"),
    }
}
