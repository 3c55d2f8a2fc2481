//! What the layer `host-repair` does to a disk.

use faults::{Edit, Offline, VolumeRole, repair};
use scenario::{HostRepair, RepairAction, Scenario};

use crate::disk::Disk;
use crate::load;

fn scenario(actions: serde_json::Value) -> Scenario {
    let mut scenario = load("channel-file-291");
    let action: Vec<RepairAction> = serde_json::from_value(actions).unwrap();
    scenario.host_repair = Some(HostRepair { action });
    scenario
}

fn with_file(mut disk: Disk, path: &str, bytes: &[u8], modified: &str) -> Disk {
    let edit = Edit::WriteFile {
        volume: VolumeRole::Windows,
        path: path.to_owned(),
        bytes: bytes.to_vec(),
        modified: Some(modified.parse().unwrap()),
    };
    disk.edit(&edit).unwrap();
    disk
}

fn file(disk: &mut Disk, path: &str) -> Option<Vec<u8>> {
    disk.read_file(VolumeRole::Windows, path).unwrap().map(|(bytes, _)| bytes)
}

#[test]
fn files_of_a_pattern_go_where_they_are_old_enough() {
    let disk = with_file(Disk::with_windows(), r"data\c-1.sys", b"bad", "2024-07-19T04:09:00Z");
    let disk = with_file(disk, r"data\c-2.sys", b"good", "2024-07-19T05:27:00Z");
    let mut disk = with_file(disk, r"data\other.sys", b"other", "2024-07-18T00:00:00Z");
    let delete = serde_json::json!([{ "delete": {
        "path": r"C:\data\C-*.sys", "modified-before": "2024-07-19T05:27:00Z",
    }}]);
    let plan = repair(&scenario(delete.clone()), &mut disk, &mut Disk::default()).unwrap();
    let applied = plan.apply(&mut disk).unwrap();
    assert_eq!(applied.landed[0].1, [r"C:\data\c-1.sys removed"]);
    assert_eq!(file(&mut disk, r"data\c-1.sys"), None);
    assert!(file(&mut disk, r"data\c-2.sys").is_some());
    assert!(file(&mut disk, r"data\other.sys").is_some());

    let error = repair(&scenario(delete), &mut disk, &mut Disk::default()).unwrap_err();
    let said = r"there is no `C:\data\C-*.sys` from before 2024-07-19T05:27:00Z to delete";
    assert_eq!(error.to_string(), said);
}

#[test]
fn files_come_back_from_the_disk_or_from_the_image() {
    let path = r"Windows\System32\svchost.exe";
    let kept = r"Quarantine\svchost.exe";
    let mut backup = with_file(Disk::default(), path, b"sealed", "2024-01-01T00:00:00Z");
    let mut disk = with_file(Disk::with_windows(), kept, b"kept", "2024-01-02T00:00:00Z");
    for (action, bytes) in [
        (
            serde_json::json!([{ "restore": r"C:\Windows\System32\svchost.exe" }]),
            b"sealed".as_slice(),
        ),
        (
            serde_json::json!([{ "copy": {
                "from": r"C:\Quarantine\svchost.exe", "to": r"C:\Windows\System32\svchost.exe",
            }}]),
            b"kept",
        ),
    ] {
        let plan = repair(&scenario(action), &mut disk, &mut backup).unwrap();
        plan.apply(&mut disk).unwrap();
        assert_eq!(file(&mut disk, path).as_deref(), Some(bytes));
    }
    let missing = serde_json::json!([{ "restore": r"C:\Windows\other.exe" }]);
    let error = repair(&scenario(missing), &mut disk, &mut backup).unwrap_err();
    assert_eq!(error.to_string(), r"there is no `C:\Windows\other.exe` in the image to bring back");
}

#[test]
fn files_are_written_and_values_changed() {
    let mut disk = Disk::with_windows();
    let actions = serde_json::json!([
        { "write": { "path": r"C:\data\new.txt", "content": { "text": "new" } } },
        { "registry": { "key": r"CurrentControlSet\Services\Ntfs", "value": "Start", "to": { "dword": 4 } } },
        { "registry": { "key": r"CurrentControlSet\Control", "value": "List", "to": { "multi-text": ["a", "b"] } } },
    ]);
    let plan = repair(&scenario(actions), &mut disk, &mut Disk::default()).unwrap();
    let applied = plan.apply(&mut disk).unwrap();
    let [(_, proof)] = &applied.landed[..] else { panic!("{applied:?}") };
    assert!(proof[1].ends_with(r"Services\Ntfs\Start = REG_DWORD 0x4"), "{proof:?}");
    assert_eq!(file(&mut disk, r"data\new.txt").as_deref(), Some(&b"new"[..]));

    let gone = serde_json::json!([
        { "registry": { "key": r"CurrentControlSet\Control", "value": "List", "to": "removed" } },
    ]);
    let plan = repair(&scenario(gone), &mut disk, &mut Disk::default()).unwrap();
    let applied = plan.apply(&mut disk).unwrap();
    assert!(applied.landed[0].1[0].ends_with(r"Control\List removed"), "{applied:?}");
}
