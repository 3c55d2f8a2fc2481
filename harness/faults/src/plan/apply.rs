//! Doing the offline part, proving it, and undoing it.

use std::collections::HashMap;
use std::fmt;

use volume::Partition;
use winfmt::escaped;

use super::change::described;
use super::edit::{Before, Edit, HiveName, RegistryValue, TpmState, VolumeRole, file_proof};
use super::offline::{Offline, OfflineError};
use super::stage_plan::{Origin, StagePlan};

/// Why a plan could not be done. The disk is then in an unknown state: throw it away.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The disk refused.
    #[error("staging `{origin}` failed at {}: {source}", escaped(object))]
    Disk {
        /// What the change was for.
        origin: Origin,
        /// File or value.
        object: String,
        /// Why.
        source: OfflineError,
    },
    /// What was read back is not what was written.
    #[error(
        "staging `{origin}` did not land: {} {}; the disk's driver is at fault",
        escaped(object),
        escaped(found)
    )]
    NotLanded {
        /// What the change was for.
        origin: Origin,
        /// File or value.
        object: String,
        /// What was found instead.
        found: String,
    },
}

/// A plan that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// For each given or fault, in order: its name and what was read back, one line each.
    pub landed: Vec<(Origin, Vec<String>)>,
    /// The changes that undo it, in the order in which to do them.
    pub undo: Vec<Edit>,
}

impl StagePlan {
    /// Does all that is staged, reads each change back from the disk, and says how to undo it.
    ///
    /// # Errors
    /// The disk refused something, or what it holds afterwards differs.
    pub fn apply(&self, disk: &mut dyn Offline) -> Result<Applied, ApplyError> {
        self.work(true, disk)
    }

    /// Does it, and keeps nothing of what was there before: what was read back, one line each.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_for_good(&self, disk: &mut dyn Offline) -> Result<Vec<String>, ApplyError> {
        Ok(self.work(false, disk)?.proof())
    }

    fn work(&self, keeps: bool, disk: &mut dyn Offline) -> Result<Applied, ApplyError> {
        let mut applied = Applied { landed: Vec::new(), undo: Vec::new() };
        let mut done = Vec::new();
        for staged in &self.staged {
            let fail = |source| ApplyError::Disk {
                origin: staged.origin.clone(),
                object: staged.change.object(),
                source,
            };
            for edit in staged.change.resolved(disk).map_err(fail)? {
                if edit.replaces_a_hive() {
                    // The values that were set before cannot be read from it afterwards.
                    applied.settle(&mut done, disk)?;
                }
                let before = edit.before(disk).map_err(fail)?;
                disk.edit(&edit).map_err(fail)?;
                applied.undo.extend(before.filter(|_| keeps).map(|before| edit.undone(before)));
                done.push((&staged.origin, edit));
            }
        }
        applied.settle(&mut done, disk)?;
        applied.undo.reverse();
        Ok(applied)
    }
}

impl Applied {
    /// What was read back, one line each.
    pub fn proof(self) -> Vec<String> {
        self.landed.into_iter().flat_map(|(_, lines)| lines).collect()
    }

    /// Brings what was done to the disk and reads it back.
    fn settle(
        &mut self,
        done: &mut Vec<(&Origin, Edit)>,
        disk: &mut dyn Offline,
    ) -> Result<(), ApplyError> {
        if let Some((origin, _)) = done.last() {
            disk.commit().map_err(|source| ApplyError::Disk {
                origin: (*origin).clone(),
                object: "the end of the changes".to_owned(),
                source,
            })?;
        }
        let objects = done.iter().map(|(_, edit)| edit.object()).enumerate();
        let last: HashMap<String, usize> = objects.map(|(index, object)| (object, index)).collect();
        for (index, (origin, edit)) in done.iter().enumerate() {
            // What a later change wrote over cannot be found any more; that change has its own proof.
            if last.get(&edit.object()) != Some(&index) {
                continue;
            }
            let line = prove(origin, edit, disk)?;
            match self.landed.iter_mut().find(|(known, _)| known == *origin) {
                Some((_, lines)) => lines.push(line),
                None => self.landed.push(((*origin).clone(), vec![line])),
            }
        }
        done.clear();
        Ok(())
    }
}

/// Reads one change back.
fn prove(origin: &Origin, edit: &Edit, disk: &mut dyn Offline) -> Result<String, ApplyError> {
    let object = edit.object();
    let failed =
        |source| ApplyError::Disk { origin: origin.clone(), object: edit.object(), source };
    let differs = |found: String| ApplyError::NotLanded {
        origin: origin.clone(),
        object: edit.object(),
        found,
    };
    match edit {
        Edit::WriteFile { volume, path, bytes, .. } => {
            match disk.read_file(*volume, path).map_err(failed)? {
                Some((found, _)) if found == *bytes => Ok(file_proof(&object, bytes)),
                Some((found, _)) => Err(differs(format!(
                    "holds {} bytes that differ from the {} written",
                    found.len(),
                    bytes.len()
                ))),
                None => Err(differs("is not there".to_owned())),
            }
        }
        Edit::SetValue { hive, key, name, value } => {
            match disk.read_value(*hive, key, name).map_err(failed)? {
                Some(found) if found == *value => Ok(format!("{object} = {value}")),
                Some(found) => Err(differs(format!("is {found}, not {value}"))),
                None => Err(differs("is not there".to_owned())),
            }
        }
        Edit::RemoveFile { volume, path } => {
            match disk.read_file(*volume, path).map_err(failed)? {
                None => Ok(format!("{object} removed")),
                Some(_) => Err(differs("is still there".to_owned())),
            }
        }
        Edit::RemoveFolder { volume, path } => {
            match disk.folder_exists(*volume, path).map_err(failed)? {
                false => Ok(format!("{object} removed")),
                true => Err(differs("is still there".to_owned())),
            }
        }
        Edit::RemoveValue { hive, key, name } => {
            match disk.read_value(*hive, key, name).map_err(failed)? {
                None => Ok(format!("{object} removed")),
                Some(_) => Err(differs("is still there".to_owned())),
            }
        }
        Edit::RemoveKey { hive, key } => match disk.key_exists(*hive, key).map_err(failed)? {
            false => Ok(format!("{object} removed")),
            true => Err(differs("is still there".to_owned())),
        },
        Edit::SetPartition { number, partition } => {
            let said =
                |slot: &Option<Partition>| slot.as_ref().map_or("nothing".to_owned(), described);
            match disk.read_partition(*number).map_err(failed)? {
                found if found == *partition => Ok(format!("{object}: {}", said(partition))),
                found => Err(differs(format!("holds {}, not {}", said(&found), said(partition)))),
            }
        }
        Edit::ExtendVariable(variable) | Edit::SetVariable(variable) => {
            let found = disk.read_variable(variable.vendor, &variable.name).map_err(failed)?;
            match found.map(|found| found.data) {
                Some(data) if data.ends_with(&variable.data) => Ok(file_proof(&object, &data)),
                Some(data) => Err(differs(format!(
                    "holds {} bytes that do not end with the {} written",
                    data.len(),
                    variable.data.len()
                ))),
                None => Err(differs("is not there".to_owned())),
            }
        }
        Edit::RemoveVariable(variable) => {
            match disk.read_variable(variable.vendor, &variable.name).map_err(failed)? {
                None => Ok(format!("{object} removed")),
                Some(_) => Err(differs("is still there".to_owned())),
            }
        }
        Edit::ReplaceTpm(state) => match (state, disk.read_tpm().map_err(failed)?) {
            (TpmState::New, None) => Ok(format!("{object} removed, so that it is as new")),
            (TpmState::New, Some(_)) => Err(differs("is still there".to_owned())),
            (TpmState::Same, Some(found)) => Ok(file_proof(&object, &found)),
            (TpmState::These(bytes), Some(found)) if found == *bytes => {
                Ok(file_proof(&object, &found))
            }
            (TpmState::These(_), Some(_)) => Err(differs("is not what was written".to_owned())),
            (_, None) => Err(differs("is not there".to_owned())),
        },
    }
}

impl Edit {
    /// The file, folder, key or value that is changed, for people.
    pub fn object(&self) -> String {
        match self {
            Self::WriteFile { volume, path, .. }
            | Self::RemoveFile { volume, path }
            | Self::RemoveFolder { volume, path } => volume.path(path),
            Self::SetValue { hive, key, name, .. } | Self::RemoveValue { hive, key, name } => {
                format!("{hive}\\{key}\\{name}")
            }
            Self::RemoveKey { hive, key } => format!("{hive}\\{key}"),
            Self::SetPartition { number, .. } => format!("slot {number} of the partition table"),
            Self::ExtendVariable(variable)
            | Self::SetVariable(variable)
            | Self::RemoveVariable(variable) => {
                format!("firmware variable {} of {}", variable.name, variable.vendor)
            }
            Self::ReplaceTpm(_) => "state of the TPM".to_owned(),
        }
    }

    /// True of a change of the partition table. Undoing goes through such changes first, and opens the disk
    /// anew before the others: they may be on a partition that it brings back.
    pub fn is_of_the_table(&self) -> bool {
        matches!(self, Self::SetPartition { .. })
    }

    /// True of a change of a hive's file as such.
    fn replaces_a_hive(&self) -> bool {
        matches!(self,
            Self::WriteFile { volume: VolumeRole::Windows, path, .. }
            | Self::RemoveFile { volume: VolumeRole::Windows, path }
                if [HiveName::System, HiveName::Software, HiveName::Components]
                    .iter()
                    .any(|hive| path.eq_ignore_ascii_case(hive.file())))
    }

    /// What is there before this change; `None` for the removals that only undoing does.
    fn before(&self, disk: &mut dyn Offline) -> Result<Option<Before>, OfflineError> {
        match self {
            Self::WriteFile { volume, path, .. } => {
                if let Some(file) = disk.read_file(*volume, path)? {
                    return Ok(Some(Before::File(file)));
                }
                let made = topmost_missing(path, |folder| disk.folder_exists(*volume, folder))?;
                Ok(Some(Before::NoFile { made }))
            }
            Self::SetValue { hive, key, name, .. } => {
                if let Some(value) = disk.read_value(*hive, key, name)? {
                    return Ok(Some(Before::Value(value)));
                }
                // The key itself counts: `topmost_missing` looks at what is above a last component.
                let made =
                    topmost_missing(&format!("{key}\\{name}"), |key| disk.key_exists(*hive, key))?;
                Ok(Some(Before::NoValue { made }))
            }
            Self::RemoveFile { volume, path } => match disk.read_file(*volume, path)? {
                Some(file) => Ok(Some(Before::File(file))),
                None => Err("there is no such file to delete".into()),
            },
            Self::RemoveValue { hive, key, name } => match disk.read_value(*hive, key, name)? {
                Some(value) => Ok(Some(Before::Value(value))),
                None => Err("there is no such value to delete".into()),
            },
            Self::SetPartition { number, .. } => {
                Ok(Some(Before::Partition(disk.read_partition(*number)?)))
            }
            Self::RemoveFolder { .. } | Self::RemoveKey { .. } => Ok(None),
            Self::ExtendVariable(variable)
            | Self::SetVariable(variable)
            | Self::RemoveVariable(variable) => {
                let before = disk.read_variable(variable.vendor, &variable.name)?;
                Ok(Some(before.map_or(Before::NoVariable, Before::Variable)))
            }
            Self::ReplaceTpm(_) => Ok(Some(Before::Tpm(disk.read_tpm()?))),
        }
    }

    /// The change that brings back what was there before this one.
    fn undone(&self, before: Before) -> Self {
        match (self.clone(), before) {
            (
                Self::WriteFile { volume, path, .. } | Self::RemoveFile { volume, path },
                Before::File((bytes, modified)),
            ) => Self::WriteFile { volume, path, bytes, modified },
            (Self::WriteFile { volume, .. }, Before::NoFile { made: Some(path) }) => {
                Self::RemoveFolder { volume, path }
            }
            (Self::WriteFile { volume, path, .. }, _) => Self::RemoveFile { volume, path },
            (
                Self::SetValue { hive, key, name, .. } | Self::RemoveValue { hive, key, name },
                Before::Value(value),
            ) => Self::SetValue { hive, key, name, value },
            (Self::SetValue { hive, .. }, Before::NoValue { made: Some(key) }) => {
                Self::RemoveKey { hive, key }
            }
            (Self::SetValue { hive, key, name, .. }, _) => Self::RemoveValue { hive, key, name },
            (Self::SetPartition { number, .. }, Before::Partition(partition)) => {
                Self::SetPartition { number, partition }
            }
            (
                Self::ExtendVariable(_) | Self::SetVariable(_) | Self::RemoveVariable(_),
                Before::Variable(variable),
            ) => Self::SetVariable(variable),
            (Self::ExtendVariable(variable) | Self::SetVariable(variable), _) => {
                Self::RemoveVariable(variable)
            }
            (Self::ReplaceTpm(_), Before::Tpm(state)) => {
                Self::ReplaceTpm(state.map_or(TpmState::New, TpmState::These))
            }
            (removal, _) => removal,
        }
    }
}

/// The first of the components above the last one that is not there yet.
fn topmost_missing(
    path: &str,
    mut exists: impl FnMut(&str) -> Result<bool, OfflineError>,
) -> Result<Option<String>, OfflineError> {
    for (at, _) in path.match_indices('\\') {
        if !exists(&path[..at])? {
            return Ok(Some(path[..at].to_owned()));
        }
    }
    Ok(None)
}

impl fmt::Display for HiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "HKLM\\SYSTEM",
            Self::Software => "HKLM\\SOFTWARE",
            Self::Components => "HKLM\\COMPONENTS",
        })
    }
}

impl fmt::Display for RegistryValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "REG_SZ {text}"),
            Self::ExpandText(text) => write!(f, "REG_EXPAND_SZ {text}"),
            Self::Binary(bytes) => {
                write!(
                    f,
                    "REG_BINARY {} bytes, blake3 {}",
                    bytes.len(),
                    blake3::hash(bytes).to_hex()
                )
            }
            Self::Dword(number) => write!(f, "REG_DWORD {number:#x}"),
            Self::Other(kind, bytes) => write!(f, "type {kind}, {} bytes", bytes.len()),
        }
    }
}
