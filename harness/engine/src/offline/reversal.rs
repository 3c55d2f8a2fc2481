//! Proof that what is staged can be undone: a disk is compared with itself before and after.

use std::collections::BTreeMap;
use std::path::Path;

use disk::{Access, DiskError, Noise, OfflineDisk, Tree};
use faults::{HiveName, Offline};
use volume::{Volume, VolumeError};
use winfmt::hive::{Hive, HiveError};
use winfmt::variables::VariableStore;

use super::machine_files::{MachineFiles, TPM_STATE};
use super::windows_disk::{WindowsDisk, read_hive};
use crate::error::RunError;
use crate::preflight::Prepared;

/// What came of staging a scenario's offline part and undoing it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reversal {
    /// What differed once it was staged: files, registry keys and partitions, by their names.
    pub(crate) staged: Vec<String>,
    /// What still differed once it was undone: nothing, where the reversal is clean.
    pub(crate) left: Vec<String>,
}

impl Prepared {
    /// Stages all that the scenario stages offline onto a fresh overlay of its image, undoes it, and compares
    /// the partition table, firmware variables, TPM and every volume that can be read with before: files by
    /// their content and time of last modification, the SYSTEM and SOFTWARE hives by their keys and values,
    /// since their cells may move. `scratch` is a directory with a short path.
    ///
    /// # Errors
    /// As a run up to its first boot. A change that cannot be undone is an error, too.
    pub(crate) fn reversal(&self, scratch: &Path) -> Result<Reversal, RunError> {
        let scratch = tempfile::Builder::new().prefix("undo").tempdir_in(scratch)?;
        let scratch = scratch.path();
        let parts = MachineFiles {
            disk: scratch.join("disk.qcow2"),
            variables: self.image.firmware_vars().map(|_| scratch.join("vars.fd")),
            tpm: self.profile.tpm.map(|_| scratch.join("tpm")),
        };
        self.lay_out(&parts)?;
        if let Some(state) = parts.tpm.as_ref().map(|folder| folder.join(TPM_STATE))
            && !state.exists()
        {
            // A TPM has one from its first start on, which is not done here: this stands for it.
            fs_err::write(state, b"what a TPM remembers")?;
        }
        let open = |access| OfflineDisk::open_overlay(&parts.disk, access, scratch);
        let picture = || Picture::of_machine(open(Access::ReadOnly)?, &parts);
        let writable = || -> Result<WindowsDisk, DiskError> {
            let opened = open(Access::ReadWrite)?.starting(self.starting())?;
            Ok(WindowsDisk::new(opened, self.plan.clock)?
                .with(&parts)
                .with_drives(self.drives.clone()))
        };
        let before = picture()?;
        let mut disk = writable()?;
        let applied = self.stage.apply(&mut disk)?;
        disk.into_disk().close_checked_whole()?;
        let staged = before.differences(&picture()?);
        // A partition that the table no longer names is known again only once the disk is opened anew.
        let (table, rest): (Vec<_>, Vec<_>) =
            applied.undo.into_iter().partition(faults::Edit::is_of_the_table);
        for edits in [table, rest] {
            let mut disk = writable()?;
            for edit in &edits {
                disk.edit(edit)
                    .map_err(|source| RunError::NotUndone { object: edit.object(), source })?;
            }
            disk.commit().map_err(|source| RunError::NotUndone {
                object: "the end of the changes".to_owned(),
                source,
            })?;
            disk.into_disk().close_checked_whole()?;
        }
        let left = before.differences(&picture()?);
        Ok(Reversal { staged, left })
    }
}

/// All that is on a disk, each by its name with what tells whether it is the same.
#[derive(Debug, PartialEq, Eq)]
struct Picture(BTreeMap<String, String>);

impl Picture {
    fn of_machine(disk: OfflineDisk, parts: &MachineFiles) -> Result<Self, RunError> {
        let mut picture = Self::of(disk)?;
        if let Some(path) = &parts.variables
            && let Ok(store) = VariableStore::open(fs_err::read(path)?)
        {
            let variables = store.variables().iter();
            picture.0.extend(variables.map(|variable| {
                let name = format!("firmware variable {} of {}", variable.name, variable.vendor);
                (name, format!("{variable:?}"))
            }));
        }
        if let Some(folder) = &parts.tpm {
            let state = folder.join(TPM_STATE);
            let state = if state.exists() { Some(fs_err::read(state)?) } else { None };
            picture.0.insert("state of the TPM".to_owned(), format!("{state:?}"));
        }
        Ok(picture)
    }

    fn of(disk: OfflineDisk) -> Result<Self, DiskError> {
        let mut picture = Self(BTreeMap::new());
        for partition in &disk.table().partitions {
            picture.0.insert(format!("partition {}", partition.number), format!("{partition:?}"));
        }
        for summary in disk.volumes().iter().filter(|summary| summary.unreadable.is_none()) {
            let Ok(mut volume) = disk.volume(summary.number) else { continue };
            let hives: Vec<String> = match &summary.system_root {
                Some(_) => [HiveName::System, HiveName::Software]
                    .map(|hive| hive.file().to_owned())
                    .to_vec(),
                None => Vec::new(),
            };
            picture
                .add_volume(summary.number, &mut *volume, &hives)
                .map_err(Box::new)
                .map_err(|source| DiskError::Volume { path: disk.path().to_path_buf(), source })?;
        }
        Ok(picture)
    }

    fn add_volume(
        &mut self,
        number: u32,
        volume: &mut dyn Volume,
        hives: &[String],
    ) -> Result<(), VolumeError> {
        for (path, mark) in Tree::read(volume, &Noise::default())?.files() {
            let name = format!("partition {number} \\{path}");
            // A hive with its logs is one thing; it is compared by what is in it, where it can be read.
            let hive = hives.iter().find(|hive| {
                path.get(..hive.len()).is_some_and(|start| start.eq_ignore_ascii_case(hive))
            });
            match hive {
                Some(hive) if path.len() == hive.len() => {
                    match read_hive(volume, path).map(|(hive, _)| hive) {
                        Ok(hive) if self.add_hive(&name, &hive).is_ok() => {}
                        _ => {
                            self.0.insert(name, mark.to_string());
                        }
                    }
                }
                Some(hive) if path[hive.len()..].to_ascii_uppercase().starts_with(".LOG") => {}
                _ => {
                    let modified = volume.metadata(path)?.modified.ticks();
                    self.0.insert(name, format!("{mark}, modified {modified}"));
                }
            }
        }
        Ok(())
    }

    fn add_hive(&mut self, name: &str, hive: &Hive) -> Result<(), HiveError> {
        let mut keys = BTreeMap::new();
        for walked in hive.walk() {
            let walked = walked?;
            let mut values: Vec<String> = walked
                .key
                .values()?
                .into_iter()
                .map(|value| format!("{}={:?}", value.name, value.data))
                .collect();
            values.sort();
            let digest = blake3::hash(values.join("\n").as_bytes()).to_hex().to_string();
            keys.insert(format!("{name}\\{}", walked.path), digest);
        }
        self.0.extend(keys);
        Ok(())
    }

    /// What differs in `other`, by name.
    fn differences(&self, other: &Self) -> Vec<String> {
        let word = |name: &String| match (self.0.get(name), other.0.get(name)) {
            (Some(one), Some(two)) if one == two => None,
            (Some(_), Some(_)) => Some(format!("{name} changed")),
            (Some(_), None) => Some(format!("{name} removed")),
            (None, _) => Some(format!("{name} added")),
        };
        let added = other.0.keys().filter(|name| !self.0.contains_key(*name));
        self.0.keys().chain(added).filter_map(word).collect()
    }
}
