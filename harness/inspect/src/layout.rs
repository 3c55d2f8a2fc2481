//! Partitions and what is on them.

use serde::{Deserialize, Serialize};

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
