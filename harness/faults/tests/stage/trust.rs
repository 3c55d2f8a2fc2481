//! What is done to firmware variables and TPM, and undone.

use std::path::Path;

use faults::{Edit, Offline, Origin, VolumeRole, inert_control, stage};
use scenario::Scenario;
use winfmt::variables::{IMAGE_SECURITY, Variable, attributes};

use crate::disk::Disk;
use crate::trust as trusted;

fn scenario(change: &str) -> Scenario {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "format = 1\nname = \"t\"\ntitle = \"t\"\ndescription = \"t\"\n[machine]\nimage = \"understudy\"\n\
         start = \"cold\"\n[[given]]\nname = \"bitlocker\"\nkind = \"encryption\"\nregisters = [0, 7]\n\
         [[fault]]\nname = \"change\"\nkind = \"trust\"\nchange = \"{change}\"\n[expect]\nverdict = \"hung\"\n"
    );
    let folder = folder.path().join("t");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("scenario.toml"), text).unwrap();
    Scenario::load(Path::new(&folder)).unwrap()
}

/// The beginning of a program.
const PROGRAM: [&[u8]; 4] = [b"MZ", &[0; 58], &0x40_u32.to_le_bytes(), b"PE\0\0d\x86\x01\0\xff"];
const BOOT_MANAGERS: [&str; 2] = ["EFI\\Microsoft\\Boot\\bootmgfw.efi", "EFI\\Boot\\bootx64.efi"];

fn machine() -> Disk {
    let mut disk = Disk::with_windows();
    for path in BOOT_MANAGERS {
        let (volume, path) = (VolumeRole::System, path.to_owned());
        let write = Edit::WriteFile { volume, path, bytes: PROGRAM.concat(), modified: None };
        disk.edit(&write).unwrap();
    }
    let dbx = Variable::new(IMAGE_SECURITY, "dbx", attributes::SIGNATURES, b"there".to_vec());
    disk.variables.push(dbx);
    disk.tpm = Some(b"seeds".to_vec());
    disk
}

/// The machine after the first start's part and after the faults, both undone afterwards.
fn staged(scenario: &Scenario) -> (Disk, Disk) {
    let (given, faults) = stage(scenario, &trusted()).unwrap().before_and_after_a_start();
    let mut disk = machine();
    let first = given.apply(&mut disk).unwrap();
    assert!(matches!(&first.landed[..], [(Origin::Given(_), _)]));
    let before = disk.clone();
    let second = faults.apply(&mut disk).unwrap();
    assert!(matches!(&second.landed[..], [(Origin::Fault(_), lines)] if !lines.is_empty()));
    let after = disk.clone();
    for edit in second.undo.iter().chain(&first.undo) {
        disk.edit(edit).unwrap();
    }
    assert_eq!(disk, machine());
    (before, after)
}

#[test]
fn a_forbidden_program_is_added_to_what_is_there() {
    let scenario = scenario("secure-boot-database");
    let (before, after) = staged(&scenario);
    assert_eq!(before.variables, machine().variables);
    assert!(after.variables[0].data.starts_with(b"there"));
    assert_eq!(after.variables[0].data.len(), 5 + 28 + 48);
    let (_, inert) = staged(&inert_control(&scenario));
    assert_eq!(inert.variables[0], before.variables[0]);
    assert_eq!(inert.variables.len(), 2, "the same machinery writes another variable");
}

#[test]
fn a_cleared_tpm_has_no_state() {
    let scenario = scenario("tpm-cleared");
    assert_eq!(staged(&scenario).1.tpm, None);
    assert_eq!(staged(&inert_control(&scenario)).1.tpm, machine().tpm);
}

#[test]
fn a_changed_boot_manager_differs_in_its_time_only() {
    let scenario = scenario("boot-manager-changed");
    let program = PROGRAM.concat();
    let (_, mut after) = staged(&scenario);
    let (_, mut inert) = staged(&inert_control(&scenario));
    for path in BOOT_MANAGERS {
        let read = |disk: &mut Disk| disk.read_file(VolumeRole::System, path).unwrap().unwrap().0;
        let changed = read(&mut after);
        let differ = (0..program.len()).filter(|at| changed[*at] != program[*at]);
        assert_eq!(differ.collect::<Vec<_>>(), [0x48]);
        assert_eq!(read(&mut inert), program);
    }
}
