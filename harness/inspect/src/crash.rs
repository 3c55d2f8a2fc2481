//! What happens on a stop: `CrashControl` and page files (windows-facts.md 4).

use serde::{Deserialize, Serialize};

use crate::Known;

/// What happens on a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CrashSettings {
    /// `AutoReboot`: Windows starts again by itself.
    pub automatic_restart: Known<bool>,
    /// `CrashDumpEnabled`.
    pub dump: Known<DumpKind>,
    /// `DumpFile`, as stored.
    pub dump_file: Known<String>,
    /// `DedicatedDumpFile`, as stored.
    pub dedicated_dump_file: Known<String>,
    /// `MinidumpDir`, as stored.
    pub minidump_folder: Known<String>,
    /// `Overwrite`.
    pub overwrite: Known<bool>,
    /// `LogEvent`.
    pub log_event: Known<bool>,
    /// `AlwaysKeepMemoryDump`.
    pub always_keep: Known<bool>,
    /// `DumpFilters`: drivers that the dump goes through.
    pub dump_filters: Known<Vec<String>>,
    /// `PagingFiles`: what a dump goes through on its way, as stored.
    pub page_files: Known<Vec<String>>,
    /// The partition that holds the dump file's volume.
    pub dump_partition: Known<u32>,
    /// Services of the disk that the dump is written through: their files are loaded by the loader a
    /// second time, as `dump_<file>`. A fault in one of these takes the dump with it.
    pub dump_drivers: Known<Vec<String>>,
}

/// `CrashDumpEnabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DumpKind {
    /// 0: none.
    None,
    /// 1: all memory.
    Complete,
    /// 1 with `FilterPages`: memory in use.
    Active,
    /// 2: the kernel's memory.
    Kernel,
    /// 3: small.
    Small,
    /// 7: the kernel's memory, with a page file that grows by need.
    Automatic,
    /// Any other number.
    Other(u32),
}

impl DumpKind {
    /// From `CrashDumpEnabled` and `FilterPages`.
    pub fn new(number: u32, filter_pages: bool) -> Self {
        match number {
            0 => Self::None,
            1 if filter_pages => Self::Active,
            1 => Self::Complete,
            2 => Self::Kernel,
            3 => Self::Small,
            7 => Self::Automatic,
            other => Self::Other(other),
        }
    }

    /// What it means, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::None => "no dump",
            Self::Complete => "complete memory dump",
            Self::Active => "active memory dump",
            Self::Kernel => "kernel memory dump",
            Self::Small => "small memory dump",
            Self::Automatic => "automatic memory dump",
            Self::Other(_) => "a kind of dump that is not known",
        }
    }
}
