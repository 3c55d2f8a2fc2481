//! All traces of a disk.

use serde::{Deserialize, Serialize};

use super::core_files::{self, MissingFile, Twins};
use super::driver_files::{self, FileTrace, Mention};
use super::dumps::{self, DumpTrace};
use super::registered::{self, PackageTrace, ServiceTrace};
use super::setup_log::{self, SetupLog};
use crate::opened_disk::{OpenedDisk, Source};
use crate::{Inspection, Known};

/// What else stands on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Traces {
    /// Crash dumps, the oldest first.
    pub dumps: Known<Vec<DumpTrace>>,
    /// Files below `System32\drivers`.
    pub driver_files: Known<Vec<FileTrace>>,
    /// Folders below it that a driver which a dump blames names.
    pub mentions: Vec<Mention>,
    /// When the keys of services were last written.
    pub services: Known<Vec<ServiceTrace>>,
    /// Packages of component servicing, the latest last.
    pub packages: Known<Vec<PackageTrace>>,
    /// `INF\setupapi.dev.log`.
    pub setup_log: Known<SetupLog>,
    /// Files that no start goes without, and that are not there.
    pub missing: Known<Vec<MissingFile>>,
    /// Files that are in `System32` and in `System32\drivers`, with different versions.
    pub twins: Known<Vec<Twins>>,
    /// The system's own minutes from local time to UTC (`TimeZoneInformation\ActiveTimeBias`).
    pub minutes_to_utc: Known<i32>,
}

/// Reads the traces of the disk that `inspection` is of.
///
/// It cannot fail as a whole: what could not be read says so in its place.
pub fn traces(source: Source<'_>, inspection: &Inspection) -> Traces {
    let mut opened = OpenedDisk::open(source.disk);
    let dumps = dumps::read(&mut opened, inspection);
    let driver_files = driver_files::read(&mut opened);
    let mentions = driver_files::mentions(&mut opened, inspection, &dumps, &driver_files);
    let minutes_to_utc = registered::minutes_to_utc(&opened);
    Traces {
        mentions,
        services: registered::services(&opened),
        packages: registered::packages(&opened),
        setup_log: setup_log::read(&mut opened),
        missing: core_files::missing(&mut opened),
        twins: core_files::twins(&mut opened),
        dumps,
        driver_files,
        minutes_to_utc,
    }
}
