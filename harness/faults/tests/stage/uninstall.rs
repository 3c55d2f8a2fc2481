//! What the layer `uninstall-update` takes back from a disk.

use faults::{
    Edit, HiveName, Offline, Origin, RegistryValue, UninstallError, VolumeRole, inert_control,
    stage, uninstall,
};
use scenario::{LATEST, Layer, Scenario, UninstallUpdate};

use crate::disk::Disk;
use crate::trust;

const STORED: &str = r"Windows\WinSxS\Manifests";

fn package(package: &str) -> UninstallUpdate {
    UninstallUpdate { package: Some(package.to_owned()), ..UninstallUpdate::default() }
}

fn write(disk: &mut Disk, path: &str, bytes: &[u8]) {
    let (volume, path, bytes) = (VolumeRole::Windows, path.to_owned(), bytes.to_vec());
    disk.edit(&Edit::WriteFile { volume, path, bytes, modified: None }).unwrap();
}

fn set(disk: &mut Disk, hive: HiveName, key: &str, name: &str, value: RegistryValue) {
    let (key, name) = (key.to_owned(), name.to_owned());
    disk.edit(&Edit::SetValue { hive, key, name, value }).unwrap();
}

fn file(disk: &mut Disk, path: &str) -> Option<Vec<u8>> {
    disk.read_file(VolumeRole::Windows, path).unwrap().map(|(bytes, _)| bytes)
}

fn value(disk: &mut Disk, key: &str, name: &str) -> Option<RegistryValue> {
    disk.read_value(HiveName::System, key, name).unwrap()
}

/// A disk with the faults of a scenario's first variant.
fn staged(variants: &Scenario, mut disk: Disk) -> Disk {
    stage(variants, &trust()).unwrap().apply(&mut disk).unwrap();
    disk
}

fn first(folder: &str) -> Scenario {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(folder);
    Scenario::load_all(&folder).unwrap().swap_remove(0)
}

fn refused(what: &UninstallUpdate, disk: &mut Disk) -> UninstallError {
    uninstall(what, None, disk).unwrap_err()
}

const DRIVER: &str = r"Windows\System32\drivers\lbvirt.sys";
const SERVICE: &str = r"ControlSet001\Services\lbvirt";
const MUM: &str =
    r"Windows\servicing\Packages\Package_for_KB5039302~6c6f6f7062726561~amd64~~26100.1.1.0.mum";

#[test]
fn what_an_update_brought_new_goes_with_it() {
    let mut disk = staged(&first("kb5039302"), Disk::with_windows());
    assert!(file(&mut disk, DRIVER).is_some() && file(&mut disk, MUM).is_some());
    let plan = uninstall(&package(LATEST), None, &mut disk).unwrap();
    let applied = plan.apply(&mut disk).unwrap();
    assert_eq!(applied.landed[0].0, Origin::Layer(Layer::UninstallUpdate));
    assert_eq!(file(&mut disk, DRIVER), None);
    assert_eq!(file(&mut disk, MUM), None);
    assert!(!disk.key_exists(HiveName::System, SERVICE).unwrap());
    // What was there before the update is there still.
    assert_eq!(
        value(&mut disk, r"ControlSet001\Services\Ntfs", "Start"),
        Some(RegistryValue::Dword(0))
    );
    assert!(matches!(refused(&package(LATEST), &mut disk), UninstallError::NoUpdate));
}

#[test]
fn what_was_there_before_comes_back_from_the_component_store() {
    let mut disk = Disk::with_windows();
    write(&mut disk, DRIVER, b"an older driver");
    for (name, number) in [("Start", 3), ("Flags", 7)] {
        set(&mut disk, HiveName::System, SERVICE, name, RegistryValue::Dword(number));
    }
    let mut disk = staged(&first("kb5039302"), disk);
    assert_eq!(value(&mut disk, SERVICE, "Start"), Some(RegistryValue::Dword(1)));
    let plan = uninstall(&package("kb5039302"), None, &mut disk).unwrap();
    plan.apply(&mut disk).unwrap();
    assert_eq!(file(&mut disk, DRIVER).as_deref(), Some(&b"an older driver"[..]));
    assert_eq!(value(&mut disk, SERVICE, "Start"), Some(RegistryValue::Dword(3)));
    assert_eq!(value(&mut disk, SERVICE, "Flags"), Some(RegistryValue::Dword(7)));
    assert_eq!(value(&mut disk, SERVICE, "ImagePath"), None);
}

#[test]
fn the_latest_is_the_one_that_was_installed_last() {
    let mut scenario = first("kb5039302");
    let earlier = r#"{"kind":"quality-update","name":"earlier","kb":"KB5000001"}"#;
    scenario.given.push(serde_json::from_str(earlier).unwrap());
    let mut disk = staged(&scenario, Disk::with_windows());
    uninstall(&package(LATEST), None, &mut disk).unwrap().apply(&mut disk).unwrap();
    assert_eq!(file(&mut disk, DRIVER), None);
    assert!(file(&mut disk, r"Windows\Temp\earlier.txt").is_some());
    uninstall(&package(LATEST), None, &mut disk).unwrap().apply(&mut disk).unwrap();
    assert_eq!(file(&mut disk, r"Windows\Temp\earlier.txt"), None);
}

#[test]
fn an_update_is_undone_with_its_record_and_an_inert_one_brings_nothing() {
    let scenario = first("kb5039302");
    let before = Disk::with_windows();
    let mut disk = before.clone();
    let applied = stage(&scenario, &trust()).unwrap().apply(&mut disk).unwrap();
    for edit in &applied.undo {
        disk.edit(edit).unwrap();
    }
    assert_eq!(disk, before);
    let mut inert = staged(&inert_control(&scenario), before);
    uninstall(&package(LATEST), None, &mut inert).unwrap().apply(&mut inert).unwrap();
    assert!(file(&mut inert, DRIVER).is_some(), "the package had not brought it");
}

#[test]
fn what_is_not_whole_in_the_store_is_left_alone() {
    let whole = staged(&first("kb5039302"), Disk::with_windows());
    let mut disk = whole.clone();
    let mut names = disk.file_names(VolumeRole::Windows, STORED).unwrap();
    names.sort();
    let [_, newer] = &names[..] else { panic!("{names:?}") };
    let manifest = format!("{STORED}\\{newer}");
    write(&mut disk, &manifest, b"DCM\x01 and more");
    let error = refused(&package(LATEST), &mut disk);
    assert!(error.to_string().contains("compressed"), "{error}");
    let (volume, path) = (VolumeRole::Windows, manifest);
    disk.edit(&Edit::RemoveFile { volume, path }).unwrap();
    assert!(matches!(refused(&package(LATEST), &mut disk), UninstallError::NotInStore { .. }));

    let mut disk = whole.clone();
    write(&mut disk, MUM, b"<assembly/>");
    assert!(matches!(refused(&package("KB5039302"), &mut disk), UninstallError::Servicing { .. }));
    let error = refused(&package("KB5000002"), &mut disk).to_string();
    assert_eq!(error, "there is no installed package of KB5000002");

    // What another update may have put in place is not touched.
    let mut disk = whole.clone();
    let later = newer.replace("10.0.26100.2", "10.0.26100.3");
    write(&mut disk, &format!("{STORED}\\{later}"), b"of any form");
    assert!(matches!(refused(&package(LATEST), &mut disk), UninstallError::Later { .. }));

    // The earlier version is listed, and its file is not there.
    let mut disk = Disk::with_windows();
    write(&mut disk, DRIVER, b"an older driver");
    let mut disk = staged(&first("kb5039302"), disk);
    let folder = names[0].strip_suffix(".manifest").unwrap();
    let (volume, path) = (VolumeRole::Windows, format!("Windows\\WinSxS\\{folder}\\lbvirt.sys"));
    disk.edit(&Edit::RemoveFile { volume, path }).unwrap();
    assert!(matches!(refused(&package(LATEST), &mut disk), UninstallError::NotInStore { .. }));
}

#[test]
fn what_another_update_put_into_a_key_stays_there() {
    let mut disk = staged(&first("kb5039302"), Disk::with_windows());
    set(&mut disk, HiveName::System, SERVICE, "Other", RegistryValue::Dword(9));
    let below = format!("{SERVICE}\\Parameters");
    set(&mut disk, HiveName::System, &below, "", RegistryValue::Dword(8));
    uninstall(&package(LATEST), None, &mut disk).unwrap().apply(&mut disk).unwrap();
    assert_eq!(value(&mut disk, SERVICE, "Start"), None);
    assert_eq!(value(&mut disk, SERVICE, "Other"), Some(RegistryValue::Dword(9)));
    assert_eq!(value(&mut disk, &below, ""), Some(RegistryValue::Dword(8)));
}

#[test]
fn a_component_that_a_package_names_twice_is_taken_back_once() {
    let mut disk = staged(&first("kb5039302"), Disk::with_windows());
    let text = String::from_utf8(file(&mut disk, MUM).unwrap()).unwrap();
    let (start, rest) = text.split_once("<component>").unwrap();
    let (component, end) = rest.split_once("</component>").unwrap();
    let again = format!("<component>{component}</component>");
    let twice = format!("{start}{again}</update><update name=\"again\">{again}{end}");
    write(&mut disk, MUM, twice.as_bytes());
    uninstall(&package(LATEST), None, &mut disk).unwrap().apply(&mut disk).unwrap();
    assert_eq!(file(&mut disk, DRIVER), None);
}

/// A folder's name may be that of another component, as long names are shortened in it.
#[test]
fn a_manifest_of_another_component_is_not_looked_at() {
    let mut disk = Disk::with_windows();
    write(&mut disk, DRIVER, b"an older driver");
    let mut disk = staged(&first("kb5039302"), disk);
    let mut names = disk.file_names(VolumeRole::Windows, STORED).unwrap();
    names.sort();
    let earlier = format!("{STORED}\\{}", names[0]);
    let text = String::from_utf8(file(&mut disk, &earlier).unwrap()).unwrap();
    let other = text.replacen("<assemblyIdentity name=\"", "<assemblyIdentity name=\"another-", 1);
    assert_ne!(text, other);
    write(&mut disk, &earlier, other.as_bytes());
    uninstall(&package(LATEST), None, &mut disk).unwrap().apply(&mut disk).unwrap();
    assert_eq!(file(&mut disk, DRIVER), None, "the other component's file is not put there");
}

const MANAGER: &str = r"ControlSet001\Control\Session Manager";
const PENDING: &str = r"Windows\WinSxS\pending.xml";

fn half_done() -> Disk {
    let mut disk = Disk::with_windows();
    write(&mut disk, PENDING, b"<PendingTransaction/>");
    let order = [r"\SystemRoot\System32\poqexec.exe \SystemRoot\WinSxS\pending.xml", "other.exe"];
    set(&mut disk, HiveName::System, MANAGER, "SetupExecute", RegistryValue::texts(&order));
    let identifier = RegistryValue::Binary(vec![1]);
    set(&mut disk, HiveName::Components, "", "PendingXmlIdentifier", identifier);
    disk
}

#[test]
fn what_an_update_left_to_be_done_is_given_up() {
    let pending = UninstallUpdate { pending_actions: true, ..UninstallUpdate::default() };
    let mut disk = half_done();
    uninstall(&pending, None, &mut disk).unwrap().apply(&mut disk).unwrap();
    assert_eq!(file(&mut disk, PENDING), None);
    assert!(file(&mut disk, r"Windows\WinSxS\pending.xml.old").is_some());
    let rest = value(&mut disk, MANAGER, "SetupExecute").unwrap();
    assert_eq!(rest.as_texts().unwrap(), ["other.exe"]);
    let left = disk.read_value(HiveName::Components, "", "PendingXmlIdentifier").unwrap();
    assert_eq!(left, None);
    assert!(matches!(refused(&pending, &mut disk), UninstallError::NothingPending));
}

/// As with DISM: nothing else before that.
#[test]
fn nothing_is_uninstalled_while_an_update_waits_for_the_next_start() {
    let mut disk = staged(&first("kb5039302"), half_done());
    assert!(matches!(refused(&package(LATEST), &mut disk), UninstallError::Pending));
    let both = UninstallUpdate { pending_actions: true, ..package(LATEST) };
    uninstall(&both, None, &mut disk).unwrap().apply(&mut disk).unwrap();
    assert_eq!((file(&mut disk, PENDING), file(&mut disk, DRIVER)), (None, None));
}

/// A version of a driver package, as `oemN.inf` and in the driver store, installed.
fn driver_package(disk: &mut Disk, version: &str) {
    driver_package_with(disk, version, &format!("MZ {version}"));
}

fn driver_package_with(disk: &mut Disk, version: &str, driver: &str) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("package");
    let inf = crate::vendor::INF.replace("StartType=3", &format!("StartType={version}"));
    let text = "format = 1\nname = \"package\"\ntitle = \"t\"\ndescription = \"d\"\n[machine]\nimage = \"x\"\n\
         [[fault]]\nname = \"package\"\nkind = \"driver-package\"\ninf = \"own/filter.inf\"\n\
         [expect]\nverdict = \"unaffected\"\n";
    for (name, bytes) in [
        ("scenario.toml", text.as_bytes()),
        ("own/filter.inf", inf.as_bytes()),
        ("own/filter.sys", driver.as_bytes()),
    ] {
        let path = place.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let scenario = Scenario::load(&place).unwrap_or_else(|error| panic!("{error}"));
    stage(&scenario, &trust()).unwrap().apply(disk).unwrap();
}

const FILTER: &str = r"Windows\System32\drivers\filter.sys";
const CLASS: &str = r"ControlSet001\Control\Class\{c}";

fn driver() -> UninstallUpdate {
    UninstallUpdate { driver: Some("Filter.inf".to_owned()), ..UninstallUpdate::default() }
}

#[test]
fn a_driver_package_goes_with_all_that_its_inf_put_in_place() {
    let mut before = Disk::with_windows();
    let filters = RegistryValue::texts(&["PartMgr"]);
    set(&mut before, HiveName::System, CLASS, "UpperFilters", filters.clone());
    let mut disk = before.clone();
    driver_package(&mut disk, "0");
    assert!(file(&mut disk, r"Windows\INF\oem0.inf").is_some());
    assert!(file(&mut disk, FILTER).is_some());
    uninstall(&driver(), None, &mut disk).unwrap().apply(&mut disk).unwrap();
    for path in [FILTER, r"Windows\INF\oem0.inf"] {
        assert_eq!(file(&mut disk, path), None, "{path}");
    }
    assert_eq!(value(&mut disk, CLASS, "UpperFilters"), Some(filters));
    for key in [r"ControlSet001\Services\filter", r"DriverDatabase\DriverInfFiles\oem0.inf"] {
        assert!(!disk.key_exists(HiveName::System, key).unwrap(), "{key}");
    }
    let error = refused(&driver(), &mut disk).to_string();
    assert_eq!(error, "there is no driver package Filter.inf in the driver store");
}

#[test]
fn the_driver_package_from_before_comes_back_from_the_driver_store() {
    let mut disk = Disk::with_windows();
    driver_package(&mut disk, "3");
    driver_package(&mut disk, "0");
    assert_eq!(
        value(&mut disk, r"ControlSet001\Services\filter", "Start"),
        Some(RegistryValue::Dword(0))
    );
    uninstall(&driver(), None, &mut disk).unwrap().apply(&mut disk).unwrap();
    assert_eq!(file(&mut disk, FILTER).as_deref(), Some(&b"MZ 3"[..]));
    assert_eq!(
        value(&mut disk, r"ControlSet001\Services\filter", "Start"),
        Some(RegistryValue::Dword(3))
    );
    let filters = value(&mut disk, CLASS, "UpperFilters").unwrap();
    assert_eq!(filters.as_texts().unwrap(), ["filter"]);
    assert!(file(&mut disk, r"Windows\INF\oem0.inf").is_some());
    assert_eq!(file(&mut disk, r"Windows\INF\oem1.inf"), None);
    uninstall(&driver(), None, &mut disk).unwrap().apply(&mut disk).unwrap();
    assert_eq!(file(&mut disk, FILTER), None);
    assert_eq!(value(&mut disk, CLASS, "UpperFilters"), None);
}

#[test]
fn two_driver_packages_with_one_inf_are_left_alone() {
    let mut disk = Disk::with_windows();
    driver_package_with(&mut disk, "3", "MZ good");
    driver_package_with(&mut disk, "3", "MZ bad");
    let before = disk.clone();
    let error = refused(&driver(), &mut disk);
    assert!(matches!(error, UninstallError::SharedFolder { .. }), "{error}");
    assert_eq!(disk, before);
}
