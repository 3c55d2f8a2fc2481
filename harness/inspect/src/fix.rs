//! Edits that a person would make with `bcdedit`, `reg` and `reagentc`, made offline on a disk of its own.
//!
//! The image that is fixed is never touched: its disk becomes the backing file of an overlay, the edits
//! go there, and the result is a new disk that needs no other. It is inspected and qualified again, so
//! what counts is what is on it then, not that an edit went through.

use std::path::{Path, PathBuf};
use std::process::Command;

use disk::{Access, DiskError, OfflineDisk, OverlayError, create_overlay};
use serde::{Deserialize, Serialize};
use volume::{Volume, VolumeError};
use winfmt::Guid;
use winfmt::bcd::{BcdError, BcdStore, ElementId, ElementValue};
use winfmt::hive::{Data, EMPTY_LOG, HiveError};
use winfmt::recovery_settings::{AutoRemediation, RecoverySettings, RecoverySettingsError};
use words::CheckName;

use crate::Known;
use crate::boot::find_store;
use crate::check::{Answer, Check, Qualification};
use crate::inspection::Inspection;
use crate::opened_disk::{OpenedDisk, Source, read_file};
use crate::qualify::{qualify, restorable};

/// What was done to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fixed {
    /// Each edit, with the check that it is for.
    pub edits: Vec<Edit>,
    /// What a crash had left in the logs of volumes, and was carried out on the new disk first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replayed: Vec<String>,
    /// The new disk, read again.
    pub inspection: Inspection,
    /// What it can do now.
    pub qualification: Qualification,
}

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Edit {
    /// The check that it is for.
    pub check: CheckName,
    /// What was written where.
    pub what: String,
}

/// An image could not be fixed. Nothing was left behind.
#[derive(Debug, thiserror::Error)]
pub enum FixError {
    /// Nothing that can be fixed.
    #[error("nothing can be fixed without a person; {0}")]
    Nothing(String),
    /// The disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The overlay.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// A volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A hive.
    #[error("the hive '{file}' cannot be edited: {source}")]
    Hive {
        /// The hive.
        file: String,
        /// Why.
        source: HiveError,
    },
    /// The boot configuration.
    #[error("the boot configuration cannot be edited: {0}")]
    Bcd(#[from] BcdError),
    /// The settings of Quick Machine Recovery.
    #[error(transparent)]
    Settings(#[from] RecoverySettingsError),
    /// What an edit needs is not there any more.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The new disk could not be written.
    #[error("{path} cannot be written: {reason}")]
    Flatten {
        /// The new disk.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file of the host.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Writes a new disk `to` (qcow2, needs no other file) that is `source` with everything fixed that can be.
///
/// `wanted` names the checks to fix; `None` takes those that fail or are not known. What an image chose,
/// such as Quick Machine Recovery switched off, is only changed if it is named. `scratch` is a directory
/// with a short path.
///
/// # Errors
/// [`FixError`]. `to` is there only if all went well.
pub fn fix(
    source: Source<'_>,
    to: &Path,
    wanted: Option<&[CheckName]>,
    scratch: &Path,
) -> Result<Fixed, FixError> {
    let before = crate::inspect(source);
    let qualification = qualify(&before);
    let checks: Vec<&Check> = qualification
        .checks
        .iter()
        .filter(|check| match wanted {
            Some(wanted) => wanted.contains(&check.name) && check.answer != Answer::Pass,
            None => matches!(check.answer, Answer::Fail | Answer::Unknown),
        })
        .collect();
    if !checks.iter().any(|check| check.fixable) {
        let left: Vec<String> = checks
            .iter()
            .filter_map(|check| Some(format!("{}: {}", check.name, check.remedy.as_ref()?)))
            .collect();
        let left = if left.is_empty() { "nothing fails".to_owned() } else { left.join("; ") };
        return Err(FixError::Nothing(left));
    }
    let names: Vec<CheckName> =
        checks.iter().filter(|check| check.fixable).map(|check| check.name).collect();
    let work = tempfile::Builder::new().prefix("fix").tempdir_in(scratch)?;
    let overlay = work.path().join("overlay.qcow2");
    create_overlay(&overlay, &std::fs::canonicalize(source.disk.path())?)?;
    let told = || source.disk.told().clone();
    let disk = OfflineDisk::open_overlay(&overlay, Access::ReadWrite, scratch)?.starting(told())?;
    let edits = edit(&disk, &before, &names)?;
    let replayed = disk.replayed();
    disk.close()?;
    flatten(&overlay, to)?;
    let disk = OfflineDisk::open(to, Access::ReadOnly, scratch)?.starting(told())?;
    let inspection = crate::inspect(Source { disk: &disk, ..source });
    let qualification = qualify(&inspection);
    Ok(Fixed { edits, replayed, inspection, qualification })
}

/// Makes the edits on a disk that is open for writing.
fn edit(
    disk: &OfflineDisk,
    before: &Inspection,
    names: &[CheckName],
) -> Result<Vec<Edit>, FixError> {
    let mut edits = Edits { names, done: Vec::new() };
    // One volume is open for writing at a time: two views of one would not see each other's writes.
    boot(disk, before, &mut edits)?;
    system(disk, before, &mut edits)?;
    settings(disk, before, &mut edits)?;
    Ok(edits.done)
}

struct Edits<'n> {
    names: &'n [CheckName],
    done: Vec<Edit>,
}

impl Edits<'_> {
    fn wants(&self, name: CheckName) -> bool {
        self.names.contains(&name)
    }

    fn note(&mut self, check: CheckName, what: impl Into<String>) {
        self.done.push(Edit { check, what: what.into() });
    }
}

fn boot(disk: &OfflineDisk, before: &Inspection, edits: &mut Edits<'_>) -> Result<(), FixError> {
    let recovery = edits.wants(CheckName::RecoveryEnabled) || edits.wants(CheckName::RecoveryImage);
    let policy = edits.wants(CheckName::BootStatusPolicy);
    let restart = edits.wants(CheckName::AutomaticRestart);
    if !recovery && !policy && !restart {
        return Ok(());
    }
    let mut opened = OpenedDisk::open(disk);
    let (mut store, partition, path) = match find_store(&mut opened) {
        Known::Known((found, others)) if others.is_empty() || disk.told().chosen.is_some() => found,
        Known::Known((found, others)) => {
            let places: Vec<String> = [found.1]
                .into_iter()
                .chain(others.iter().map(|other| other.partition))
                .map(|number| format!("partition {number}"))
                .collect();
            let reason = format!(
                "there is one each on {}, and nothing tells which one the firmware starts by",
                places.join(" and ")
            );
            return Err(unreadable("the boot configuration", &reason));
        }
        // A restart is decided in the SYSTEM hive too, and a ReactOS disk has only that.
        Known::Absent if !recovery && !policy => return Ok(()),
        Known::Absent => return Err(unreadable("the boot configuration", "there is none")),
        Known::Unknown(reason) => return Err(unreadable("the boot configuration", &reason)),
    };
    drop(opened);
    let Some(loader) = store.default_loader()?.map(|loader| loader.id) else {
        return Err(unreadable("the default loader", "there is none"));
    };
    let had = edits.done.len();
    if recovery {
        enable_recovery(&mut store, loader, before, edits)?;
    }
    if policy {
        let id = ElementId::BOOT_STATUS_POLICY;
        store.delete(loader, id)?;
        let inherited = store.boot_status_policy(loader)?;
        if inherited.is_some_and(|policy| !policy.counts_failed_starts()) {
            store.set(loader, id, &ElementValue::Integer(0))?;
            edits.note(
                CheckName::BootStatusPolicy,
                format!("BCD: bootstatuspolicy DisplayAllFailures on loader {loader}"),
            );
        } else {
            edits.note(
                CheckName::BootStatusPolicy,
                format!("BCD: bootstatuspolicy removed from loader {loader}"),
            );
        }
    }
    let id = ElementId::DISABLE_CRASH_AUTO_REBOOT;
    if restart && store.boolean(loader, id)? == Some(true) {
        store.set(loader, id, &ElementValue::Boolean(false))?;
        edits.note(
            CheckName::AutomaticRestart,
            format!("BCD: disablecrashautoreboot No on loader {loader}"),
        );
    }
    if edits.done.len() > had {
        let mut volume = disk.volume(partition)?;
        write_hive(&mut *volume, &path, &store.to_bytes()?)?;
        volume.flush()?;
    }
    Ok(())
}

fn enable_recovery(
    store: &mut BcdStore,
    loader: Guid,
    before: &Inspection,
    edits: &mut Edits<'_>,
) -> Result<(), FixError> {
    let name = CheckName::RecoveryEnabled;
    if !store.recovery_enabled(loader)? {
        store.set(loader, ElementId::RECOVERY_ENABLED, &ElementValue::Boolean(true))?;
        edits.note(name, format!("BCD: recoveryenabled Yes on loader {loader}"));
    }
    let target = store.recovery_sequence(loader)?.first().copied();
    let leads_somewhere = match target {
        Some(target) => store.object(target)?.is_some(),
        None => false,
    };
    if !leads_somewhere
        && let Some(found) = restorable(before)
        && let Ok(id) = found.id.parse()
    {
        store.set(loader, ElementId::RECOVERY_SEQUENCE, &ElementValue::ObjectList(vec![id]))?;
        edits.note(name, format!("BCD: recoverysequence {id} on loader {loader}"));
    }
    Ok(())
}

const CRASH_CONTROL: &str = r"Control\CrashControl";
const MEMORY_MANAGEMENT: &str = r"Control\Session Manager\Memory Management";

fn system(disk: &OfflineDisk, before: &Inspection, edits: &mut Edits<'_>) -> Result<(), FixError> {
    let crash = before.crash.known();
    let mut values: Vec<(CheckName, String, &str, Data)> = Vec::new();
    let mut set = |check, key: &str, name, data| values.push((check, key.to_owned(), name, data));
    if edits.wants(CheckName::AutomaticRestart)
        && crash.is_none_or(|crash| crash.automatic_restart != Known::Known(true))
    {
        set(CheckName::AutomaticRestart, CRASH_CONTROL, "AutoReboot", Data::dword(1));
    }
    if edits.wants(CheckName::CrashDump) {
        set(CheckName::CrashDump, CRASH_CONTROL, "CrashDumpEnabled", Data::dword(2));
    }
    let path = CheckName::CrashDumpPath;
    let mut lost_file = false;
    if edits.wants(path)
        && let Some(crash) = crash
    {
        if crash.dump_partition == Known::Absent {
            lost_file = crash.dedicated_dump_file.known().is_some();
            let file = Data::expand_string(r"%SystemRoot%\MEMORY.DMP");
            set(path, CRASH_CONTROL, "DumpFile", file);
        }
        if crash.page_files.known().is_none_or(Vec::is_empty) {
            // Windows chooses volume and size.
            let files = Data::multi_string([r"?:\pagefile.sys"]);
            set(path, MEMORY_MANAGEMENT, "PagingFiles", files);
        }
    }
    if edits.wants(CheckName::GuestAgent) {
        set(CheckName::GuestAgent, r"Services\QEMU-GA", "Start", Data::dword(2));
    }
    if values.is_empty() && !lost_file {
        return Ok(());
    }
    let mut opened = OpenedDisk::open(disk);
    let control_set = match &opened.control_set {
        Known::Known(set) => set.clone(),
        other => return Err(unreadable("the control set", other.reason().unwrap_or("none"))),
    };
    let (partition, root) = match &opened.place {
        Known::Known(place) => place.clone(),
        other => return Err(unreadable("the Windows volume", other.reason().unwrap_or("none"))),
    };
    let mut hive = match std::mem::replace(&mut opened.system, Known::Absent) {
        Known::Known(hive) => hive,
        other => return Err(unreadable("the SYSTEM hive", other.reason().unwrap_or("none"))),
    };
    drop(opened);
    let file = format!(r"{root}\System32\config\SYSTEM");
    let failed = |source| FixError::Hive { file: file.clone(), source };
    for (check, key, name, data) in values {
        let key = format!(r"{control_set}\{key}");
        hive.set_value(key.as_str(), name, &data).map_err(failed)?;
        edits.note(check, format!(r"SYSTEM: {key}\{name} = {data}"));
    }
    if lost_file {
        let key = format!(r"{control_set}\{CRASH_CONTROL}");
        hive.delete_value(key.as_str(), "DedicatedDumpFile").map_err(failed)?;
        edits.note(path, format!(r"SYSTEM: {key}\DedicatedDumpFile deleted"));
    }
    let bytes = hive.to_bytes().map_err(failed)?;
    let mut volume = disk.volume(partition)?;
    write_hive(&mut *volume, &file, &bytes)?;
    volume.flush()?;
    Ok(())
}

/// Switches Quick Machine Recovery on, beside the image and in the copy on the Windows volume. What the
/// files say beyond that stays. The waiting times are those of Microsoft's own sample (windows-facts.md
/// 1.4).
fn settings(
    disk: &OfflineDisk,
    before: &Inspection,
    edits: &mut Edits<'_>,
) -> Result<(), FixError> {
    const MINUTE: u64 = 60;
    if !edits.wants(CheckName::QuickMachineRecovery) {
        return Ok(());
    }
    let mut places = Vec::new();
    if let Some(image) = before.recovery.image.known()
        && let Some(partition) = image.place.partition.known()
    {
        let folder = image.place.path.rsplit_once('\\').map_or("", |(folder, _)| folder);
        places.push((*partition, folder.to_owned()));
    }
    if let (Some(partition), Some(root)) =
        (before.system.partition.known(), before.system.folder.known())
    {
        places.push((*partition, format!(r"{root}\System32\Recovery")));
    }
    for (partition, folder) in places {
        let file = format!(r"{folder}\SrSettings.ini");
        let mut volume = disk.volume(partition)?;
        let mut settings = match read_file(&mut *volume, &file, 1 << 20) {
            Known::Known(bytes) => RecoverySettings::parse(&bytes)?,
            Known::Absent => RecoverySettings::default(),
            Known::Unknown(reason) => return Err(unreadable("SrSettings.ini", &reason)),
        };
        settings.cloud_remediation = Some(true);
        let (total, interval) = match settings.auto_remediation {
            Some(AutoRemediation {
                total_wait: Some(total),
                wait_interval: Some(interval),
                ..
            }) => (total, interval),
            _ => (
                std::time::Duration::from_secs(2400 * MINUTE),
                std::time::Duration::from_secs(120 * MINUTE),
            ),
        };
        settings.auto_remediation = Some(AutoRemediation {
            enabled: true,
            total_wait: Some(total),
            wait_interval: Some(interval),
        });
        volume.create_dir_all(&folder)?;
        volume.write(&file, settings.to_xml().as_bytes())?;
        volume.flush()?;
        edits.note(
            CheckName::QuickMachineRecovery,
            format!("\\{file} on partition {partition}: cloud and automatic on"),
        );
    }
    Ok(())
}

/// Writes a hive in its place, which keeps the file's owner and rights, and empties its logs: they must
/// not be taken for what came after it.
fn write_hive(volume: &mut dyn Volume, file: &str, bytes: &[u8]) -> Result<(), VolumeError> {
    volume.write(file, bytes)?;
    for ending in ["LOG", "LOG1", "LOG2"] {
        let log = format!("{file}.{ending}");
        if volume.exists(&log)? {
            volume.write(&log, EMPTY_LOG)?;
        }
    }
    Ok(())
}

/// The overlay and what is below it as one file, written beside its place and moved there when whole.
fn flatten(overlay: &Path, to: &Path) -> Result<(), FixError> {
    let failed = |reason: String| FixError::Flatten { path: to.to_path_buf(), reason };
    let folder = to.parent().unwrap_or(Path::new("."));
    let partial = tempfile::Builder::new().prefix(".fix-").tempdir_in(folder)?;
    let file = partial.path().join("disk.qcow2");
    let output = Command::new("qemu-img")
        .args(["convert", "-q", "-f", "qcow2", "-O", "qcow2"])
        .args([overlay, &file])
        .output()
        .map_err(|error| failed(format!("qemu-img cannot be started: {error}")))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    std::fs::rename(&file, to)?;
    Ok(())
}

fn unreadable(what: &'static str, reason: &str) -> FixError {
    FixError::Unreadable { what, reason: reason.to_owned() }
}
