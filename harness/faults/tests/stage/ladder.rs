//! What the layers with a start of their own do to a disk, and that nothing of it is left.

use faults::{
    Edit, HiveName, Offline, RegistryValue, SafeModeAct, VolumeRole, into_last_known_good,
    into_safe_mode, left_over, not_repaired, out_of_last_known_good, out_of_safe_mode, select,
};
use scenario::{LastKnownGood, SafeMode, Scenario};
use winfmt::Guid;
use winfmt::bcd::{BcdStore, ElementId, ElementValue, StandardStore, known};

use crate::disk::Disk;
use crate::load;

const STORE: &str = r"EFI\Microsoft\Boot\BCD";
const LISTED: &str = r"CurrentControlSet\Control\SafeBoot\Minimal\QEMU-GA";
const LOADER: Guid = Guid::from_bytes([11; 16]);

fn write(disk: &mut Disk, volume: VolumeRole, path: &str, bytes: Vec<u8>) {
    disk.edit(&Edit::WriteFile { volume, path: path.to_owned(), bytes, modified: None }).unwrap();
}

/// A Windows with a boot configuration store and one bad file.
fn disk() -> Disk {
    let id = |number| Guid::from_bytes([number; 16]);
    let store = StandardStore {
        disk: id(7),
        system_partition: id(1),
        windows_partition: id(1),
        recovery_partition: id(2),
        loader: LOADER,
        recovery_loader: id(12),
        recovery_options: id(13),
        description: "Windows".to_owned(),
        locale: "en-US".to_owned(),
        timeout: 0,
    };
    let store = store.build(winfmt::FileTime::from_ticks(1)).unwrap();
    let mut disk = Disk::with_windows();
    write(&mut disk, VolumeRole::System, STORE, store.to_bytes().unwrap());
    write(&mut disk, VolumeRole::Windows, r"data\bad.sys", b"bad".to_vec());
    disk
}

fn element(disk: &mut Disk, id: ElementId) -> Option<ElementValue> {
    let (bytes, _) = disk.read_file(VolumeRole::System, STORE).unwrap().unwrap();
    BcdStore::open(bytes).unwrap().get(LOADER, id).unwrap()
}

/// A disk without its store, whose bytes count how often it was written.
fn beside_the_store(mut disk: Disk) -> Disk {
    write(&mut disk, VolumeRole::System, STORE, Vec::new());
    disk
}

fn change(disk: &mut Disk, change: impl FnOnce(&mut BcdStore)) {
    let (bytes, _) = disk.read_file(VolumeRole::System, STORE).unwrap().unwrap();
    let mut store = BcdStore::open(bytes).unwrap();
    change(&mut store);
    write(disk, VolumeRole::System, STORE, store.to_bytes().unwrap());
}

fn safe(actions: serde_json::Value) -> SafeMode {
    serde_json::from_value(serde_json::json!({ "action": actions })).unwrap()
}

fn scenario(safe: &SafeMode) -> Scenario {
    let mut scenario = load("channel-file-291");
    scenario.safe_mode = Some(safe.clone());
    scenario.last_known_good = Some(LastKnownGood { enabled: true });
    scenario
}

#[test]
fn safe_mode_is_entered_with_an_agent_and_left_without_a_trace() {
    let (before, mut disk) = (disk(), disk());
    let delete = safe(serde_json::json!([{ "delete": { "path": r"C:\data\b*.sys" } }]));
    let into = into_safe_mode(&delete, &mut disk).unwrap();
    assert_eq!(into.acts, [SafeModeAct::Delete(r"C:\data\bad.sys".parse().unwrap())]);
    let applied = into.edits.apply(&mut disk).unwrap();
    assert_eq!(element(&mut disk, ElementId::SAFE_BOOT), Some(ElementValue::Integer(0)));
    let listed = disk.read_value(HiveName::System, LISTED, "").unwrap();
    assert_eq!(listed, Some(RegistryValue::Text("Service".to_owned())));
    let left = left_over(&scenario(&delete), &mut disk).unwrap();
    assert_eq!(left, ["safeboot of the default entry"]);
    assert!(not_repaired(&mut disk, &into.acts).unwrap().unwrap().contains("bad.sys"));

    // The boot manager may write to the store in the meantime.
    change(&mut disk, |store| {
        store.set(LOADER, ElementId::RECOVERY_ENABLED, &ElementValue::Boolean(false)).unwrap();
    });
    out_of_safe_mode(&applied.undo).apply(&mut disk).unwrap();
    assert_eq!(element(&mut disk, ElementId::SAFE_BOOT), None);
    let kept = element(&mut disk, ElementId::RECOVERY_ENABLED);
    assert_eq!(kept, Some(ElementValue::Boolean(false)));
    assert!(!disk.key_exists(HiveName::System, LISTED).unwrap());
    assert_eq!(left_over(&scenario(&delete), &mut disk).unwrap(), [""; 0]);
    change(&mut disk, |store| {
        store.set(LOADER, ElementId::RECOVERY_ENABLED, &ElementValue::Boolean(true)).unwrap();
    });
    assert_eq!(beside_the_store(disk.clone()), beside_the_store(before.clone()));
}

#[test]
fn what_is_to_be_done_in_safe_mode_has_to_be_there() {
    let mut disk = disk();
    let none = safe(serde_json::json!([{ "delete": { "path": r"C:\data\x*.sys" } }]));
    let error = into_safe_mode(&none, &mut disk).unwrap_err().to_string();
    assert_eq!(error, r"there is no `C:\data\x*.sys` to delete");
    let gone = safe(serde_json::json!([{ "disable-service": "gone" }]));
    let error = into_safe_mode(&gone, &mut disk).unwrap_err().to_string();
    assert_eq!(error, "there is no service `gone` to switch off");
    let ntfs = safe(serde_json::json!([{ "disable-service": "Ntfs" }]));
    let acts = into_safe_mode(&ntfs, &mut disk).unwrap().acts;
    assert!(not_repaired(&mut disk, &acts).unwrap().unwrap().contains("Ntfs"));
    let (hive, key) = (HiveName::System, r"ControlSet001\Services\Ntfs".to_owned());
    let value = RegistryValue::Dword(4);
    disk.edit(&Edit::SetValue { hive, key, name: "Start".to_owned(), value }).unwrap();
    assert_eq!(not_repaired(&mut disk, &acts).unwrap(), None);
}

#[test]
fn the_last_known_good_set_is_asked_for_once_and_select_is_read() {
    let (before, mut disk) = (disk(), disk());
    let scenario = scenario(&safe(serde_json::json!([])));
    into_last_known_good().apply(&mut disk).unwrap();
    let left = left_over(&scenario, &mut disk).unwrap();
    assert_eq!(left, ["lastknowngood of the default entry"]);
    out_of_last_known_good().apply(&mut disk).unwrap();
    assert_eq!(beside_the_store(disk.clone()), beside_the_store(before.clone()));
    let once = |store: &mut BcdStore| {
        let list = ElementValue::ObjectList(vec![LOADER]);
        store.set(known::BOOT_MANAGER, ElementId::BOOT_SEQUENCE, &list).unwrap();
    };
    change(&mut disk, once);
    let left = left_over(&scenario, &mut disk).unwrap();
    assert_eq!(left, ["a one-time entry of the boot manager"]);

    let error = select(&mut disk).unwrap_err().to_string();
    assert!(error.contains(r"no number Select\Default"), "{error}");
    for (name, number) in [("Default", 1), ("Failed", 0), ("LastKnownGood", 2)] {
        let (hive, key) = (HiveName::System, "Select".to_owned());
        let value = RegistryValue::Dword(number);
        disk.edit(&Edit::SetValue { hive, key, name: name.to_owned(), value }).unwrap();
    }
    let said = select(&mut disk).unwrap().to_string();
    assert_eq!(said, "(Current 1, Default 1, Failed 0, LastKnownGood 2)");
}
