//! Each thing that can be wrong names exactly its check, and what can be fixed is.

use std::path::Path;

use inspect::{Answer, CheckName, FixError, Fixed, Source, fix, qualify};
use winfmt::bcd::{Device, ElementId, ElementValue};
use winfmt::hive::Data;

use crate::machine::{Image, LOADER, Machine, RECOVERY_LOADER, Recipe, id};

fn failing(machine: &Machine) -> Vec<CheckName> {
    qualify(&machine.inspect()).failing().map(|check| check.name).collect()
}

fn fixed(machine: &Machine, to: &Path) -> Result<Fixed, FixError> {
    let disk = machine.open();
    let source = Source { disk: &disk, firmware_vars: None, tpm: None };
    fix(source, to, None, machine.directory.path())
}

/// The machine has just this fault, which can be fixed, and the original stays as it was.
fn assert_fixable(recipe: Recipe, name: CheckName, edit: &str) {
    let machine = recipe.build();
    assert_eq!(failing(&machine), [name]);
    let before = std::fs::read(machine.disk()).unwrap();
    let to = machine.directory.path().join("fixed.qcow2");
    let fixed = fixed(&machine, &to).unwrap();
    assert!(fixed.qualification.qualifies(), "{:?}", fixed.qualification);
    assert!(fixed.edits.iter().any(|own| own.check == name && own.what.contains(edit)));
    assert_eq!(std::fs::read(machine.disk()).unwrap(), before);
    // The new disk needs no other: it is refused here if it refers to one.
    let alone = disk::OfflineDisk::open(&to, disk::Access::ReadOnly, machine.directory.path());
    let source = Source { disk: &alone.unwrap(), firmware_vars: None, tpm: None };
    assert!(qualify(&inspect::inspect(source)).qualifies());
}

#[test]
fn a_sound_machine_qualifies() {
    let machine = Recipe::sound().build();
    let qualification = qualify(&machine.inspect());
    assert!(qualification.qualifies(), "{qualification:?}");
    let passing = qualification.checks.iter().filter(|check| check.answer == Answer::Pass);
    assert!(passing.count() == 14, "{qualification:?}");
    let to = machine.directory.path().join("fixed.qcow2");
    let named = fixed(&machine, &to).unwrap_err().to_string();
    assert!(named.contains("nothing can be fixed"), "{named}");
    assert!(!to.exists());
}

/// The answer to one check, with its evidence.
fn answer(machine: &Machine, name: CheckName) -> (Answer, String) {
    let qualification = qualify(&machine.inspect());
    let check = qualification.check(name).unwrap();
    (check.answer, check.evidence.clone())
}

/// An entry that leads nowhere is told with the status that the screen would show.
#[test]
fn a_default_entry_that_does_not_start() {
    let nowhere = Device::gpt(id(1), id(99));
    let esp = Device::gpt(id(1), id(2));
    let device = |device: &Device| ElementValue::Device(device.clone());
    let path = |path: &str| ElementValue::String(path.to_owned());
    let cases = [
        (ElementId::DEVICE, device(&nowhere), "0xC000000E"),
        (ElementId::OS_DEVICE, device(&nowhere), "0xC000000E"),
        (ElementId::DEVICE, device(&esp), "0xC000000F"),
        (ElementId::OS_DEVICE, device(&esp), r"no \Windows\System32\config\SYSTEM is"),
        (ElementId::PATH, path(r"\Windows\System32\gone.efi"), "0xC000000F"),
        (ElementId::PATH, path(r"\Windows\System32\drivers\disk.sys"), "no loader for UEFI"),
    ];
    for (element, value, says) in cases {
        let mut recipe = Recipe::sound();
        recipe.set(element, value);
        let (answer, evidence) = answer(&recipe.build(), CheckName::DefaultEntry);
        assert_eq!(answer, Answer::Fail, "{evidence}");
        assert!(evidence.contains(says), "{evidence}");
    }
    for (element, says) in [
        (ElementId::DEVICE, "no `device`: the boot manager stops with 0xC0000034"),
        (ElementId::PATH, "no `path`: the boot manager stops with 0xC0000034"),
        (ElementId::OS_DEVICE, "no `osdevice`: the boot manager stops with 0xC0000225"),
    ] {
        let mut recipe = Recipe::sound();
        recipe.store.delete(id(LOADER), element).unwrap();
        let (answer, evidence) = answer(&recipe.build(), CheckName::DefaultEntry);
        assert_eq!(answer, Answer::Fail, "{evidence}");
        assert!(evidence.contains(says), "{evidence}");
    }
}

/// What images for deployment write: the first volume that has the path.
#[test]
fn a_windows_that_is_looked_for_is_found() {
    let mut recipe = Recipe::sound();
    for (element, path) in
        [(ElementId::DEVICE, r"\Windows\System32\winload.efi"), (ElementId::OS_DEVICE, r"\Windows")]
    {
        recipe.set(element, ElementValue::Device(Device::locate(path)));
    }
    let machine = recipe.build();
    let (answer, evidence) = answer(&machine, CheckName::DefaultEntry);
    assert_eq!(answer, Answer::Pass, "{evidence}");
    assert!(evidence.contains("the Windows on partition 2"), "{evidence}");
    let found = machine.inspect();
    let loader = found.boot.known().unwrap().bcd().unwrap().default.known().unwrap().clone();
    assert_eq!(loader.device.known().unwrap().device, r"locate=\Windows");
}

/// `StartOverride` outweighs `Start`, and a driver without its file starts nothing.
#[test]
fn a_disk_driver_that_does_not_start() {
    let service = r"ControlSet001\Services\storahci";
    let mut recipe = Recipe::sound();
    let overridden = format!(r"{service}\StartOverride");
    recipe.system.set_value(overridden.as_str(), "0", &Data::dword(3)).unwrap();
    let (fails, evidence) = answer(&recipe.build(), CheckName::BootDiskDriver);
    assert_eq!(fails, Answer::Fail);
    assert!(evidence.contains("sata no (storahci has a StartOverride: demand)"), "{evidence}");
    let mut recipe = Recipe::sound();
    let gone = Data::expand_string(r"System32\drivers\none.sys");
    recipe.system.set_value(service, "ImagePath", &gone).unwrap();
    let (_, evidence) = answer(&recipe.build(), CheckName::BootDiskDriver);
    assert!(evidence.contains("sata no (the file of storahci is missing)"), "{evidence}");
    let mut recipe = Recipe::sound();
    recipe.system.delete_key(r"ControlSet001\Services\PartMgr").unwrap();
    let (fails, evidence) = answer(&recipe.build(), CheckName::BootDiskDriver);
    assert_eq!(fails, Answer::Fail);
    assert!(evidence.contains("filter of class DiskDrive: PartMgr is not installed"), "{evidence}");
}

/// Windows XP keeps its build elsewhere, and knows neither store nor recovery environment.
#[test]
fn an_old_windows_is_not_measured_by_what_came_later() {
    let mut recipe = Recipe::sound();
    let version = r"Microsoft\Windows NT\CurrentVersion";
    for (name, text) in [
        ("ProductName", "Microsoft Windows XP"),
        ("CurrentBuild", "1.511.1 () (Obsolete data - do not use)"),
        ("CurrentBuildNumber", "2600"),
    ] {
        recipe.software.set_value(version, name, &Data::string(text)).unwrap();
    }
    recipe.without_store = true;
    let machine = recipe.build();
    assert_eq!(machine.inspect().system.build.known().unwrap().number, 2600);
    for name in [
        CheckName::DefaultEntry,
        CheckName::RecoveryEnabled,
        CheckName::BootStatusPolicy,
        CheckName::RecoveryImage,
        CheckName::RecoveryPartition,
        CheckName::RecoveryRoom,
        CheckName::QuickMachineRecovery,
    ] {
        let (answer, evidence) = answer(&machine, name);
        assert_eq!(answer, Answer::NotApplicable, "{name}: {evidence}");
    }
}

/// An update needs room beside the image that is in use: told, and no failure today.
#[test]
fn a_recovery_partition_without_room_is_warned_of() {
    let machine = Recipe::sound().build();
    let (answer, evidence) = answer(&machine, CheckName::RecoveryRoom);
    assert_eq!(answer, Answer::Warn);
    assert!(evidence.contains("partition 3") && evidence.contains("0x80070643"), "{evidence}");
    assert!(evidence.contains("behind the Windows volume"), "{evidence}");
    assert!(qualify(&machine.inspect()).qualifies());
}

#[test]
fn recovery_that_is_switched_off() {
    let mut recipe = Recipe::sound();
    recipe.set(ElementId::RECOVERY_ENABLED, ElementValue::Boolean(false));
    assert_fixable(recipe, CheckName::RecoveryEnabled, "recoveryenabled Yes");
}

#[test]
fn failures_that_are_ignored() {
    let mut recipe = Recipe::sound();
    recipe.set(ElementId::BOOT_STATUS_POLICY, ElementValue::Integer(1));
    assert_fixable(recipe, CheckName::BootStatusPolicy, "removed");
}

/// Removing the element from the loader is not enough where it inherits another.
#[test]
fn failures_that_are_ignored_by_inheritance() {
    let mut recipe = Recipe::sound();
    let shared = winfmt::bcd::known::BOOT_LOADER_SETTINGS;
    let ignore = ElementValue::Integer(1);
    recipe.store.set(shared, ElementId::BOOT_STATUS_POLICY, &ignore).unwrap();
    assert_fixable(recipe, CheckName::BootStatusPolicy, "DisplayAllFailures");
}

#[test]
fn a_machine_that_stands_still_after_a_stop() {
    let mut recipe = Recipe::sound();
    recipe.crash("AutoReboot", &Data::dword(0));
    assert_fixable(recipe, CheckName::AutomaticRestart, "AutoReboot");
    let mut recipe = Recipe::sound();
    recipe.set(ElementId::DISABLE_CRASH_AUTO_REBOOT, ElementValue::Boolean(true));
    assert_fixable(recipe, CheckName::AutomaticRestart, "disablecrashautoreboot");
}

#[test]
fn no_dump_and_no_page_file() {
    let mut recipe = Recipe::sound();
    recipe.crash("CrashDumpEnabled", &Data::dword(0));
    assert_fixable(recipe, CheckName::CrashDump, "CrashDumpEnabled");
    let mut recipe = Recipe::sound();
    let key = r"ControlSet001\Control\Session Manager\Memory Management";
    recipe.system.delete_value(key, "PagingFiles").unwrap();
    assert_fixable(recipe, CheckName::CrashDumpPath, "PagingFiles");
    let mut recipe = Recipe::sound();
    recipe.crash("DumpFile", &Data::expand_string(r"D:\MEMORY.DMP"));
    assert_fixable(recipe, CheckName::CrashDumpPath, "DumpFile");
}

/// The loader and its image are there; only nobody points at them.
#[test]
fn a_recovery_sequence_that_was_lost() {
    let mut recipe = Recipe::sound();
    recipe.store.delete(id(LOADER), ElementId::RECOVERY_SEQUENCE).unwrap();
    let machine = recipe.build();
    assert_eq!(failing(&machine), [CheckName::RecoveryEnabled, CheckName::RecoveryImage]);
    let to = machine.directory.path().join("fixed.qcow2");
    let fixed = fixed(&machine, &to).unwrap();
    assert!(fixed.qualification.qualifies(), "{:?}", fixed.qualification);
    let wanted = format!("recoverysequence {}", id(RECOVERY_LOADER));
    assert!(fixed.edits.iter().any(|edit| edit.what.contains(&wanted)), "{:?}", fixed.edits);
}

#[test]
fn an_image_that_is_missing_cannot_be_fixed() {
    let mut recipe = Recipe::sound();
    recipe.image = Image::Nowhere;
    let machine = recipe.build();
    assert_eq!(failing(&machine), [CheckName::RecoveryImage]);
    let to = machine.directory.path().join("fixed.qcow2");
    let error = fixed(&machine, &to).unwrap_err();
    assert!(matches!(error, FixError::Nothing(_)));
    assert!(error.to_string().contains("reagentc /enable"), "{error}");
    assert!(!to.exists());
}

#[test]
fn an_image_of_another_build_is_told() {
    let mut recipe = Recipe::sound();
    recipe.image_build = 22621;
    let machine = recipe.build();
    assert_eq!(failing(&machine), [CheckName::RecoveryImageBuild]);
    let evidence = qualify(&machine.inspect()).failing().next().unwrap().evidence.clone();
    assert!(evidence.contains("22621.1") && evidence.contains("26100.4770"), "{evidence}");
}

#[test]
fn an_image_on_the_windows_volume_cannot_be_fixed() {
    let machine = Recipe::sound().recovery_on_windows().build();
    assert_eq!(failing(&machine), [CheckName::RecoveryPartition]);
    let to = machine.directory.path().join("fixed.qcow2");
    assert!(matches!(fixed(&machine, &to).unwrap_err(), FixError::Nothing(_)));
}

/// Off is the image's choice: no fault, but not what a scenario can rest on. On by name only.
#[test]
fn quick_machine_recovery_is_switched_on_by_name() {
    let mut recipe = Recipe::sound();
    recipe.crash("AutoReboot", &Data::dword(0));
    let machine = recipe.build();
    let work = machine.directory.path();
    let name = CheckName::QuickMachineRecovery;
    assert_eq!(qualify(&machine.inspect()).check(name).unwrap().answer, Answer::Pass);
    let off = work.join("off.qcow2");
    std::fs::copy(machine.disk(), &off).unwrap();
    let open = |path: &Path, access| disk::OfflineDisk::open(path, access, work).unwrap();
    let writable = open(&off, disk::Access::ReadWrite);
    let mut volume = writable.recovery_volume().unwrap();
    let xml = br#"<WindowsRE><WifiCredential><Wifi ssid="s" password="p"/></WifiCredential>
        <CloudRemediation state="0"/><AutoRemediation state="0"/></WindowsRE>"#;
    volume.write(r"Recovery\WindowsRE\SrSettings.ini", xml).unwrap();
    volume.flush().unwrap();
    drop(volume);
    writable.close().unwrap();
    let source = open(&off, disk::Access::ReadOnly);
    let source = Source { disk: &source, firmware_vars: None, tpm: None };
    let answer = qualify(&inspect::inspect(source)).check(name).unwrap().answer;
    assert_eq!(answer, Answer::NotApplicable);
    let to = work.join("on.qcow2");
    let fixed = fix(source, &to, Some(&[name]), work).unwrap();
    assert_eq!(fixed.qualification.check(name).unwrap().answer, Answer::Pass);
    let left: Vec<_> = fixed.qualification.failing().map(|check| check.name).collect();
    assert_eq!(left, [CheckName::AutomaticRestart], "only what was named");
    let written = open(&to, disk::Access::ReadOnly)
        .recovery_volume()
        .unwrap()
        .read(r"Recovery\WindowsRE\SrSettings.ini")
        .unwrap();
    let settings = winfmt::recovery_settings::RecoverySettings::parse(&written).unwrap();
    assert_eq!(settings.wifi.unwrap().ssid, "s", "what else it said stays");
}
