//! What the layer `host-repair` does to a disk: from the scenario's actions, and what is on the disk, to
//! changes.

use scenario::{BootEntry, Delete, FileCopy, FileWrite, RepairAction, Scenario};
use winfmt::bcd::{ElementId, ElementValue};
use winfmt::paths::glob_matches;

use crate::boot_configuration::{STORE, rewrite};
use crate::content::bytes_of;
use crate::placing::on_drive;
use crate::plan::{
    Change, Edit, Offline, OfflineError, Origin, Rewrite, StagePlan, StagedEdit, VolumeRole,
};
use crate::registry;
use crate::stage_error::StageError;

/// Why a disk cannot be repaired as the scenario says.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// What is to be deleted is not there.
    #[error("there is no `{pattern}`{condition} to delete")]
    NoneToDelete {
        /// The pattern.
        pattern: String,
        /// What else it has to be.
        condition: String,
    },
    /// What is to be brought back is not in the image.
    #[error("there is no `{path}` in the image to bring back")]
    NotInImage {
        /// The file.
        path: String,
    },
    /// What is to be switched off is not there.
    #[error("there is no service `{name}` to switch off")]
    NoService {
        /// The service.
        name: String,
    },
    /// A file has a name that the guest agent cannot be given.
    #[error("`{}` cannot be named to the guest agent: {why}", winfmt::escaped(path))]
    Name {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// It cannot be planned.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The disk cannot be read.
    #[error("the disk cannot be read: {0}")]
    Disk(#[source] OfflineError),
}

/// Who wants it, in errors.
const OBJECT: &str = "host repair";
const C: VolumeRole = VolumeRole::Windows;

/// Plans what the scenario does from the host to the powered-off `disk` of its machine. `backup` is the disk
/// of the image.
///
/// # Errors
/// Something that an action needs is not there.
pub fn repair(
    scenario: &Scenario,
    disk: &mut dyn Offline,
    backup: &mut dyn Offline,
) -> Result<StagePlan, RepairError> {
    let mut plan = StagePlan::default();
    for action in scenario.host_repair.iter().flat_map(|repair| &repair.action) {
        let changes = match action {
            RepairAction::Delete(delete) => self::delete(delete, disk)?,
            RepairAction::Copy(FileCopy { from, to }) => {
                let (from, to) = (on_drive(from), on_drive(to));
                vec![Change::Copy { volume: C, from, to }]
            }
            RepairAction::Restore(path) => {
                let file = backup.read_file(C, &on_drive(path)).map_err(RepairError::Disk)?;
                let missing = || RepairError::NotInImage { path: path.to_string() };
                let (bytes, modified) = file.ok_or_else(missing)?;
                let path = on_drive(path);
                vec![Edit::WriteFile { volume: C, path, bytes, modified }.into()]
            }
            RepairAction::Write(FileWrite { path, content }) => {
                let bytes = bytes_of(scenario, OBJECT, content)?;
                let path = on_drive(path);
                vec![Edit::WriteFile { volume: C, path, bytes, modified: None }.into()]
            }
            RepairAction::Registry(change) => vec![registry::value(change, false)],
            RepairAction::BootEntry(entry) => vec![boot_entry(entry)],
        };
        let staged = |change| StagedEdit { origin: Origin::HostRepair, change };
        plan.staged.extend(changes.into_iter().map(staged));
    }
    Ok(plan)
}

fn delete(delete: &Delete, disk: &mut dyn Offline) -> Result<Vec<Change>, RepairError> {
    let files = matching(delete, disk)?;
    Ok(files.into_iter().map(|path| Edit::RemoveFile { volume: C, path }.into()).collect())
}

/// The files that are meant, as edits have them.
pub(crate) fn matching(
    delete: &Delete,
    disk: &mut dyn Offline,
) -> Result<Vec<String>, RepairError> {
    let path = on_drive(&delete.path);
    let (folder, pattern) = path.rsplit_once('\\').unwrap_or(("", &path));
    let mut files = Vec::new();
    for name in disk.file_names(C, folder).map_err(RepairError::Disk)? {
        if !glob_matches(pattern, &name) {
            continue;
        }
        let path = if folder.is_empty() { name } else { format!("{folder}\\{name}") };
        let file = disk.read_file(C, &path).map_err(RepairError::Disk)?;
        let modified = file.and_then(|(_, modified)| modified);
        if delete.modified_before.is_none_or(|limit| modified.is_some_and(|time| time < limit)) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let condition =
            delete.modified_before.map_or_else(String::new, |time| format!(" from before {time}"));
        return Err(RepairError::NoneToDelete { pattern: delete.path.to_string(), condition });
    }
    Ok(files)
}

fn boot_entry(entry: &BootEntry) -> Change {
    let mut elements = Vec::new();
    if let Some(enabled) = entry.recovery_enabled {
        elements.push((ElementId::RECOVERY_ENABLED, Some(ElementValue::Boolean(enabled))));
    }
    if entry.remove_safe_boot {
        elements.push((ElementId::SAFE_BOOT, None));
    }
    rewrite(VolumeRole::System, STORE, Rewrite::DefaultEntry(elements))
}
