//! What the hives say of when things were registered.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use winfmt::hive::{Data, Key};

use crate::Known;
use crate::opened_disk::{OpenedDisk, Registry};

const PACKAGES: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages";
/// Windows has some thousands of services' and packages' keys.
const MOST: usize = 20_000;
/// The latest packages are kept up to this number.
const LATEST: usize = 64;

/// A key below `Services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceTrace {
    /// Its name.
    pub name: String,
    /// When the key was last written.
    pub written: Option<Timestamp>,
}

/// A package of component servicing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageTrace {
    /// Its name, such as `Package_for_KB5034441~31bf3856ad364e35~amd64~~22621.3007.1.2`.
    pub name: String,
    /// When it was installed (`InstallTimeHigh`, `InstallTimeLow`).
    pub installed: Option<Timestamp>,
}

pub(super) fn services(opened: &OpenedDisk<'_>) -> Known<Vec<ServiceTrace>> {
    opened.control().and_then(|control| {
        let keys = Known::read(control.hive.find_key(control.path("Services")));
        keys.and_then(|key| Known::read(key.subkeys().map(Some))).map(|keys| {
            let trace = |key: &Key<'_>| ServiceTrace {
                name: key.name().text(),
                written: key.last_written().to_timestamp(),
            };
            keys.iter().take(MOST).map(trace).collect()
        })
    })
}

pub(super) fn packages(opened: &OpenedDisk<'_>) -> Known<Vec<PackageTrace>> {
    let software = opened.software.as_ref();
    let keys = software.and_then(|hive| Known::read(hive.find_key(PACKAGES)));
    keys.and_then(|key| Known::read(key.subkeys().map(Some))).map(|keys| {
        let trace =
            |key: &Key<'_>| PackageTrace { name: key.name().text(), installed: install_time(key) };
        let mut packages: Vec<PackageTrace> = keys.iter().take(MOST).map(trace).collect();
        packages.sort_by_key(|package| package.installed);
        let older = packages.len().saturating_sub(LATEST);
        packages.split_off(older)
    })
}

fn install_time(key: &Key<'_>) -> Option<Timestamp> {
    let half = |name: &str| key.value(name).ok()?.as_ref().and_then(Data::as_dword).map(u64::from);
    let ticks = half("InstallTimeHigh")? << 32 | half("InstallTimeLow")?;
    winfmt::FileTime::from_ticks(ticks).to_timestamp()
}

pub(super) fn minutes_to_utc(opened: &OpenedDisk<'_>) -> Known<i32> {
    let bias =
        |control: Registry<'_>| control.dword(r"Control\TimeZoneInformation", "ActiveTimeBias");
    opened.control().and_then(bias).map(u32::cast_signed)
}
