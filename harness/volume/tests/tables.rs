//! Partition tables and boot sectors of real disks, against `sfdisk`.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is the report")]

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use volume::{
    DiskId, FileSystemKind, MemoryDevice, PartitionKind, PartitionTable, SECTOR, SubDevice,
    TableStyle, probe, probe_boot_sector, read_partitions,
};

mod artifacts;

/// What `sfdisk` says of a disk.
fn sfdisk(image: &Path) -> Value {
    let output = Command::new("sfdisk").arg("-J").arg(image).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["partitiontable"].clone()
}

/// Holds a table against what `sfdisk` says.
fn compare(image: &Path) -> PartitionTable {
    let table = read_partitions(&mut artifacts::open(image)).unwrap();
    let theirs = sfdisk(image);
    let style = match table.style {
        TableStyle::Gpt => "gpt",
        _ => "dos",
    };
    assert_eq!(theirs["label"], style);
    assert_eq!(theirs["id"].as_str().unwrap().to_lowercase(), table.disk.to_string());
    let none = Vec::new();
    let others = theirs["partitions"].as_array().unwrap_or(&none);
    assert_eq!(others.len(), table.partitions.len());
    println!("{}: {} {}", image.display(), table.style, table.disk);
    for (own, other) in table.partitions.iter().zip(others) {
        println!("{own:?}");
        let node = other["node"].as_str().unwrap();
        assert!(node.ends_with(&format!("disk.raw{}", own.number)), "{node}");
        assert_eq!(other["start"].as_u64().unwrap() * SECTOR, own.start);
        assert_eq!(other["size"].as_u64().unwrap() * SECTOR, own.len);
        assert_eq!(other["bootable"].as_bool().unwrap_or(false), own.active);
        let kind = match own.kind {
            PartitionKind::Gpt(guid) => guid.without_braces().to_string(),
            PartitionKind::Mbr(byte) => format!("{byte:x}"),
            PartitionKind::Whole => panic!("not of a table"),
        };
        assert_eq!(other["type"].as_str().unwrap().to_lowercase(), kind);
        let id = own.id.map(|id| id.without_braces().to_string());
        assert_eq!(other["uuid"].as_str().map(str::to_lowercase), id);
        assert_eq!(other["name"].as_str().unwrap_or_default(), own.name);
    }
    table
}

fn kinds(image: &Path, table: &PartitionTable) -> Vec<FileSystemKind> {
    let disk = artifacts::open(image);
    let mut kinds = Vec::new();
    for partition in &table.partitions {
        let mut part = SubDevice::new(disk.clone(), partition.start, partition.len).unwrap();
        let found = probe(&mut part);
        println!("{}: {} ({})", partition.number, found.kind, found.evidence);
        kinds.push(found.kind);
    }
    kinds
}

#[test]
fn real_disks_are_read_as_sfdisk_reads_them() {
    use FileSystemKind::{Ntfs, Unknown};
    if !artifacts::tool("sfdisk") {
        return;
    }
    for (name, style, wanted) in [
        // Its partitions were never formatted.
        ("mbr-win-512.raw.tar", TableStyle::Mbr, vec![Unknown; 8]),
        ("vss_2_stor.tar.gz", TableStyle::Gpt, vec![Unknown, Ntfs]),
        ("ntfs_index.raw.gz", TableStyle::Mbr, vec![Ntfs]),
        ("fixed-win.vhd", TableStyle::Mbr, vec![]),
    ] {
        let Some((_dir, image)) = artifacts::disk(name) else { return };
        let table = compare(&image);
        assert_eq!(table.style, style, "{name}");
        assert_eq!(kinds(&image, &table), wanted, "{name}");
        assert_eq!(table.notes.is_empty(), name != "fixed-win.vhd", "{:?}", table.notes);
    }
}

#[test]
fn disks_that_are_one_volume_have_no_table() {
    for name in ["windows_volume.qcow2", "ntfs3_attrlist.raw.gz"] {
        let Some((_dir, image)) = artifacts::disk(name) else { return };
        let table = read_partitions(&mut artifacts::open(&image)).unwrap();
        assert_eq!((table.style, table.disk), (TableStyle::None, DiskId::None), "{name}");
        assert_eq!(kinds(&image, &table), [FileSystemKind::Ntfs]);
        let mut volume = volume::open(artifacts::last_volume(&image)).unwrap();
        assert!(!volume.list("").unwrap().is_empty(), "{name}");
    }
}

#[test]
fn what_was_made_here_sfdisk_reads_the_same_way() {
    use volume::{MBR_EXTENDED, MBR_FAT16, MBR_NTFS, MBR_RECOVERY, Partition, create_partitions};
    if !artifacts::tool("sfdisk") {
        return;
    }
    const MIB: u64 = 1 << 20;
    let part = |number, kind, start: u64, len: u64| {
        Partition::mbr(number, PartitionKind::Mbr(kind), start * MIB, len * MIB)
    };
    let partitions = vec![
        Partition { active: true, ..part(1, MBR_NTFS, 1, 2) },
        part(2, MBR_RECOVERY, 3, 1),
        part(4, MBR_EXTENDED, 4, 6),
        part(5, MBR_FAT16, 5, 1),
        part(6, MBR_NTFS, 7, 2),
    ];
    let made = PartitionTable::mbr(0x1234_abcd, partitions);
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("disk.raw");
    std::fs::File::create_new(&image).unwrap().set_len(12 * MIB).unwrap();
    create_partitions(&mut artifacts::open(&image), &made).unwrap();
    assert_eq!(compare(&image), made);
    let verified = Command::new("sfdisk").arg("--verify").arg(&image).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stdout).to_lowercase();
    assert!(verified.status.success() && !said.contains("overlap"), "{verified:?}");
}

#[test]
fn boot_sectors_of_every_cluster_size() {
    let Some(volumes) = artifacts::volumes() else { return };
    for (name, cluster) in [("512", 512), ("4k", 4096), ("64k", 65536), ("128k", 131_072)] {
        let boot = std::fs::read(volumes.join(format!("boot-{name}.boot"))).unwrap();
        let found = probe_boot_sector(boot[..].try_into().unwrap()).unwrap();
        assert_eq!((found.kind, found.cluster), (FileSystemKind::Ntfs, Some(cluster)), "{name}");
    }
}

#[test]
fn an_encrypted_volume_is_told_and_refused_with_a_way_out() {
    let Some(volumes) = artifacts::volumes() else { return };
    let bytes = std::fs::read(volumes.join("bdetogo-head.raw")).unwrap();
    let mut device = MemoryDevice::new(bytes);
    assert_eq!(probe(&mut device).kind, FileSystemKind::BitLockerToGo);
    let error = volume::open(device).err().unwrap();
    let volume::Reason::Guarded(guard) = &error.reason else { panic!("{error}") };
    assert_eq!((guard.kind, guard.is_readable()), (volume::GuardKind::Encrypted, false));
    assert_eq!(
        error.to_string(),
        "cannot open '\\' on the BitLocker To Go volume: it is encrypted by BitLocker To Go; start \
         the machine, decrypt the volume (manage-bde -off), wait until that is done (manage-bde \
         -status), and shut the machine down"
    );
}
