//! Changes that depend on what is there: what they come to, and that they are undone.

use faults::{Change, Edit, HiveName, Offline, Origin, Rewrite, StagePlan, StagedEdit, VolumeRole};

use crate::disk::Disk;

const WINDOWS: VolumeRole = VolumeRole::Windows;
const NTFS: &str = "Windows\\System32\\drivers\\ntfs.sys";

fn plan(changes: impl IntoIterator<Item = Change>) -> StagePlan {
    let origin = Origin::Fault("fault".to_owned());
    let staged =
        changes.into_iter().map(|change| StagedEdit { origin: origin.clone(), change }).collect();
    StagePlan { staged, online: Vec::new() }
}

/// A disk with a file of these bytes in the place of a driver.
fn disk(bytes: &[u8]) -> Disk {
    let mut disk = Disk::with_windows();
    let (path, bytes) = (NTFS.to_owned(), bytes.to_vec());
    let modified = Some("2024-01-01T00:00:00Z".parse().unwrap());
    disk.edit(&Edit::WriteFile { volume: WINDOWS, path, bytes, modified }).unwrap();
    disk
}

/// Does the changes, looks at the disk, undoes them, and wants it as it was. Gives the lines of proof.
fn there_and_back(
    before: &Disk,
    changes: impl IntoIterator<Item = Change>,
    look: impl FnOnce(&mut Disk),
) -> Vec<String> {
    let mut disk = before.clone();
    let applied = plan(changes).apply(&mut disk).unwrap();
    assert_ne!(&disk, before);
    look(&mut disk);
    for edit in &applied.undo {
        disk.edit(edit).unwrap();
    }
    assert_eq!(&disk, before);
    applied.landed.into_iter().flat_map(|(_, lines)| lines).collect()
}

fn rewrite(how: Rewrite) -> Change {
    Change::Rewrite { volume: WINDOWS, path: NTFS.to_owned(), how }
}

#[test]
fn a_file_becomes_another_one_and_comes_back() {
    for (how, wanted) in [
        (Rewrite::Begin(vec![9; 2]), &[9, 9, 3, 4][..]),
        (Rewrite::Begin(vec![9; 6]), &[9; 4]),
        (Rewrite::Overwrite(3, vec![7, 7]), &[1, 2, 3, 7]),
        (Rewrite::Cut, &[1, 2]),
        (Rewrite::Zeros, &[0; 4]),
        (Rewrite::Empty, &[]),
    ] {
        let proof = there_and_back(&disk(&[1, 2, 3, 4]), [rewrite(how.clone())], |disk| {
            let (bytes, modified) = disk.read_file(WINDOWS, NTFS).unwrap().unwrap();
            assert_eq!(bytes, wanted, "{how:?}");
            assert!(modified.is_some(), "{how:?} changed the file's time");
        });
        assert!(proof[0].starts_with(&format!("C:\\{NTFS}: {} bytes", wanted.len())), "{proof:?}");
    }
}

#[test]
fn what_is_removed_comes_back_with_its_time() {
    let copy = "Windows\\Temp\\kept\\ntfs.sys";
    let changes = [
        Change::Copy { volume: WINDOWS, from: NTFS.to_owned(), to: copy.to_owned() },
        Edit::RemoveFile { volume: WINDOWS, path: NTFS.to_owned() }.into(),
        Edit::RemoveValue {
            hive: HiveName::System,
            key: "CurrentControlSet\\Services\\Ntfs".to_owned(),
            name: "Start".to_owned(),
        }
        .into(),
    ];
    let proof = there_and_back(&disk(&[5]), changes, |disk| {
        assert_eq!(disk.read_file(WINDOWS, NTFS).unwrap(), None);
        let (bytes, modified) = disk.read_file(WINDOWS, copy).unwrap().unwrap();
        assert_eq!((bytes, modified.is_some()), (vec![5], true));
    });
    assert_eq!(proof[1], format!("C:\\{NTFS} removed"));
    assert_eq!(proof[2], "HKLM\\SYSTEM\\ControlSet001\\Services\\Ntfs\\Start removed");
}

#[test]
fn a_volume_is_filled_to_what_is_left() {
    let mut before = Disk::with_windows();
    before.free.insert(VolumeRole::System, 5000);
    let path = "loopbreak.fil".to_owned();
    let fill = |leave| Change::Fill { volume: VolumeRole::System, path: path.clone(), leave };
    there_and_back(&before, [fill(1000)], |disk| {
        let (bytes, _) = disk.read_file(VolumeRole::System, "loopbreak.fil").unwrap().unwrap();
        assert_eq!(bytes.len(), 4000);
    });
    let error = plan([fill(5001)]).apply(&mut before).unwrap_err().to_string();
    assert!(error.contains("5001 bytes are to stay free, and there are only 5000"), "{error}");
}

#[test]
fn a_partition_leaves_the_table_and_comes_back() {
    let unlist = Change::List { volume: VolumeRole::System, listed: false };
    let proof = there_and_back(&Disk::with_windows(), [unlist], |disk| assert_eq!(disk.efi, None));
    assert_eq!(proof, ["slot 1 of the partition table: nothing"]);
    let unlist = Change::List { volume: VolumeRole::Recovery, listed: false };
    let error = plan([unlist]).apply(&mut Disk::with_windows()).unwrap_err().to_string();
    assert!(error.contains("the disk has no recovery volume of its own"), "{error}");
}

#[test]
fn values_are_proved_before_their_hive_is_damaged() {
    let mut before = Disk::with_windows();
    let path = HiveName::System.file().to_owned();
    let (bytes, modified) = (b"regf".to_vec(), None);
    before.edit(&Edit::WriteFile { volume: WINDOWS, path: path.clone(), bytes, modified }).unwrap();
    let start = Edit::SetValue {
        hive: HiveName::System,
        key: "CurrentControlSet\\Services\\Ntfs".to_owned(),
        name: "Start".to_owned(),
        value: faults::RegistryValue::Dword(4),
    };
    let damage = Change::Rewrite { volume: WINDOWS, path, how: Rewrite::Zeros };
    let commits = |changes: Vec<Change>| {
        let mut disk = before.clone();
        plan(changes).apply(&mut disk).unwrap();
        disk.commits
    };
    assert_eq!(commits(vec![start.clone().into()]), 1);
    assert_eq!(commits(vec![start.into(), damage]), 2);
}
