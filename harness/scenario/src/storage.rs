//! Trouble with the disk itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use words::Span;

use crate::moment::Moment;
use words::WindowsPath;

/// Trouble between the machine and its disk. Nothing on the disk is changed by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StorageFault {
    /// Unique within the scenario.
    pub name: String,
    /// `staged`: from power-on; `healthy`: once the machine is up.
    #[serde(default)]
    pub when: Moment,
    /// What goes wrong.
    pub trouble: StorageTrouble,
    /// It is over after this many boots, the one in which it begins included [default: it stays].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub boots: Option<u32>,
    /// The same machinery without the trouble. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// What goes wrong between a machine and its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorageTrouble {
    /// Reads fail (EIO).
    ReadError(Extent),
    /// Writes fail (EIO).
    WriteError(Extent),
    /// Every request takes longer.
    Slow(SlowDisk),
    /// Writes to where the machine has not written before fail (ENOSPC): the host has no room for more.
    Full,
}

/// A part of the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Extent {
    /// Where this file's data lies on the disk when the machine is switched on. A small file lies in the
    /// volume's file table, with others beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<WindowsPath>,
    /// These sectors of 512 bytes, counted from the disk's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sectors: Option<Sectors>,
}

/// Sectors of 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Sectors {
    /// The first.
    pub first: u64,
    /// How many.
    #[schemars(range(min = 1))]
    pub count: u64,
}

/// A slow disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SlowDisk {
    /// So much longer takes each request.
    pub latency: Span,
}
