//! Partitions and what is on them.

use disk::{OfflineDisk, VolumeRole};
use serde::{Deserialize, Serialize};
use volume::{DiskId, PartitionKind, TableStyle};

use crate::Known;

/// The disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Layout {
    /// How it is divided: `gpt`, `mbr`, or `none`, where the whole disk is one volume.
    pub style: String,
    /// The disk's own identifier: a GUID, or an MBR signature as eight hex digits.
    pub id: Known<String>,
    /// In the order of the table.
    pub partitions: Vec<PartitionFacts>,
    /// What is odd about the table.
    pub notes: Vec<String>,
}

/// One partition, or the whole disk where there is no table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartitionFacts {
    /// As `fdisk` counts.
    pub number: u32,
    /// First byte on the disk.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// Its type: a GUID, or two hex digits on an MBR disk.
    pub kind: String,
    /// Its own GUID, on a GPT disk.
    pub id: Known<String>,
    /// Its name, on a GPT disk.
    pub name: String,
    /// Whether it is the one that a BIOS starts.
    pub active: bool,
    /// What it is for: `windows`, `recovery`, `efi`, `boot`, `reserved`, `data`.
    pub role: String,
    /// What file system is on it, such as `NTFS`.
    pub file_system: String,
    /// The volume's label.
    pub label: Known<String>,
    /// Whether it is encrypted with BitLocker.
    pub encrypted: bool,
    /// Why the volume cannot be read, where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Why it is not written to, where it is not, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_writable: Option<String>,
}

impl Layout {
    /// The partition with a number.
    pub fn partition(&self, number: u32) -> Option<&PartitionFacts> {
        self.partitions.iter().find(|partition| partition.number == number)
    }
}

/// What the table and the volumes say.
pub(crate) fn read(disk: &OfflineDisk) -> Layout {
    let table = disk.table();
    let id = match table.disk {
        DiskId::None => Known::Absent,
        DiskId::Signature(signature) => Known::Known(format!("{signature:08x}")),
        DiskId::Guid(guid) => Known::Known(guid.without_braces().to_string()),
    };
    let partitions = disk
        .volumes()
        .iter()
        .map(|volume| {
            let partition = table.partition(volume.number);
            let kind = partition.map(|own| match own.kind {
                PartitionKind::Gpt(guid) => guid.without_braces().to_string(),
                PartitionKind::Mbr(kind) => format!("{kind:02x}"),
                PartitionKind::Whole => "whole".to_owned(),
            });
            let id = partition.and_then(|own| own.id).map(|id| id.without_braces().to_string());
            let encrypted = volume.file_system.starts_with("BitLocker");
            PartitionFacts {
                number: volume.number,
                start: volume.start,
                size: volume.len,
                kind: kind.unwrap_or_default(),
                id: id.map_or(Known::Absent, Known::Known),
                name: partition.map(|own| own.name.clone()).unwrap_or_default(),
                active: partition.is_some_and(|own| own.active),
                role: role(volume.role).to_owned(),
                file_system: volume.file_system.clone(),
                label: volume.label.clone().map_or(Known::Absent, Known::Known),
                encrypted,
                unreadable: volume.unreadable.clone(),
                not_writable: volume
                    .not_writable
                    .as_ref()
                    .map(|why| format!("{}; {}", why.reason, why.way_out)),
            }
        })
        .collect();
    Layout { style: style(table.style).to_owned(), id, partitions, notes: table.notes.clone() }
}

fn style(style: TableStyle) -> &'static str {
    match style {
        TableStyle::Gpt => "gpt",
        TableStyle::Mbr => "mbr",
        TableStyle::None => "none",
    }
}

fn role(role: VolumeRole) -> &'static str {
    match role {
        VolumeRole::Windows => "windows",
        VolumeRole::Recovery => "recovery",
        VolumeRole::Efi => "efi",
        VolumeRole::Boot => "boot",
        VolumeRole::Reserved => "reserved",
        VolumeRole::Data => "data",
    }
}
