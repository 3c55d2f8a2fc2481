//! What happens on a stop: `CrashControl` and page files (windows-facts.md 4).

use serde::{Deserialize, Serialize};

use crate::Known;
use crate::drives::Drives;
use crate::opened_disk::OpenedDisk;
use crate::services::{Services, Start};

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
    /// `NMICrashDump`: a non-maskable interrupt makes it stop. Windows 8 and later do so in any case (windows-facts 6.7).
    #[serde(default = "absent")]
    pub nmi_crash_dump: Known<bool>,
    /// `DumpFilters`: drivers that the dump goes through.
    pub dump_filters: Known<Vec<String>>,
    /// `PagingFiles`: what a dump goes through on its way, as stored.
    pub page_files: Known<Vec<String>>,
    /// The partition that holds the dump file's volume.
    pub dump_partition: Known<u32>,
    /// Drivers of storage controllers that start with the loader. The dump is written by a copy of the
    /// one that the system disk hangs on, so a fault in that one takes the dump with it.
    pub dump_drivers: Known<Vec<String>>,
}

/// What inspections of before this was read say of it.
fn absent() -> Known<bool> {
    Known::Absent
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

const CRASH_CONTROL: &str = r"Control\CrashControl";
const MEMORY_MANAGEMENT: &str = r"Control\Session Manager\Memory Management";

/// Reads `CrashControl` and the page files.
pub(crate) fn read(opened: &OpenedDisk<'_>, services: &Known<Services>) -> Known<CrashSettings> {
    let drives = Drives::read(opened);
    opened.control().and_then(|control| {
        match control.hive.find_key(control.path(CRASH_CONTROL)) {
            Ok(Some(_)) => {}
            Ok(None) => return Known::Absent,
            Err(error) => return Known::Unknown(error.to_string()),
        }
        let flag = |name| control.flag(CRASH_CONTROL, name);
        let text = |name| control.string(CRASH_CONTROL, name);
        let filter_pages = flag("FilterPages").known().copied().unwrap_or_default();
        let dump_file = text("DumpFile");
        let dedicated_dump_file = text("DedicatedDumpFile");
        let written = match &dedicated_dump_file {
            Known::Known(path) => Some(path.as_str()),
            _ => dump_file.known().map(String::as_str),
        };
        // Without a value Windows takes its default, `%SystemRoot%\MEMORY.DMP`.
        let dump_partition = drives.partition_of(written.unwrap_or(r"%SystemRoot%\MEMORY.DMP"));
        let page_files = control.strings(MEMORY_MANAGEMENT, "PagingFiles");
        Known::Known(CrashSettings {
            automatic_restart: flag("AutoReboot"),
            dump: control
                .dword(CRASH_CONTROL, "CrashDumpEnabled")
                .map(|number| DumpKind::new(number, filter_pages)),
            dump_file,
            dedicated_dump_file,
            minidump_folder: text("MinidumpDir"),
            overwrite: flag("Overwrite"),
            log_event: flag("LogEvent"),
            always_keep: flag("AlwaysKeepMemoryDump"),
            nmi_crash_dump: flag("NMICrashDump"),
            dump_filters: control.strings(CRASH_CONTROL, "DumpFilters"),
            page_files: page_files
                .map(|files| files.into_iter().filter(|file| !file.is_empty()).collect()),
            dump_partition,
            dump_drivers: dump_drivers(services),
        })
    })
}

/// Drivers of storage controllers that the loader brings: the dump is written by copies of the one that
/// the system disk hangs on. Which of them that is depends on the machine.
fn dump_drivers(services: &Known<Services>) -> Known<Vec<String>> {
    services.as_ref().map(|services| {
        services
            .starting(Start::Boot)
            .filter(|service| {
                service.is_driver()
                    && service
                        .group
                        .as_ref()
                        .is_some_and(|group| group.eq_ignore_ascii_case("SCSI miniport"))
            })
            .map(|service| service.name.clone())
            .collect()
    })
}
