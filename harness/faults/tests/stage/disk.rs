//! A disk in memory.

use std::collections::{BTreeMap, BTreeSet};

use faults::{Edit, FileState, HiveName, Offline, OfflineError, RegistryValue, VolumeRole};

type FileKey = (VolumeRole, String);
type ValueKey = (HiveName, String, String);

/// A disk as maps. Names are folded to one case, as on Windows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Disk {
    files: BTreeMap<FileKey, FileState>,
    folders: BTreeSet<FileKey>,
    values: BTreeMap<ValueKey, RegistryValue>,
    keys: BTreeSet<(HiveName, String)>,
    /// Writes to this path are lost, as on a disk whose driver lies.
    pub(crate) loses: Option<String>,
}

fn above(path: &str) -> Vec<String> {
    path.match_indices('\\').map(|(at, _)| path[..at].to_owned()).collect()
}

impl Disk {
    pub(crate) fn with_windows() -> Self {
        let mut disk = Self::default();
        let file = Edit::WriteFile {
            volume: VolumeRole::Windows,
            path: "Windows\\System32\\drivers\\ntfs.sys".to_owned(),
            bytes: vec![1],
            modified: None,
        };
        disk.edit(&file).unwrap();
        let value = Edit::SetValue {
            hive: HiveName::System,
            key: "CurrentControlSet\\Services\\Ntfs".to_owned(),
            name: "Start".to_owned(),
            value: RegistryValue::Dword(0),
        };
        disk.edit(&value).unwrap();
        disk
    }
}

impl Offline for Disk {
    fn read_file(
        &mut self,
        volume: VolumeRole,
        path: &str,
    ) -> Result<Option<FileState>, OfflineError> {
        Ok(self.files.get(&(volume, path.to_lowercase())).cloned())
    }

    fn folder_exists(&mut self, volume: VolumeRole, path: &str) -> Result<bool, OfflineError> {
        Ok(self.folders.contains(&(volume, path.to_lowercase())))
    }

    fn read_value(
        &mut self,
        hive: HiveName,
        key: &str,
        name: &str,
    ) -> Result<Option<RegistryValue>, OfflineError> {
        Ok(self.values.get(&(hive, key.to_lowercase(), name.to_lowercase())).cloned())
    }

    fn key_exists(&mut self, hive: HiveName, key: &str) -> Result<bool, OfflineError> {
        Ok(self.keys.contains(&(hive, key.to_lowercase())))
    }

    fn edit(&mut self, edit: &Edit) -> Result<(), OfflineError> {
        match edit {
            Edit::WriteFile { volume, path, bytes, modified } => {
                let path = path.to_lowercase();
                self.folders.extend(above(&path).into_iter().map(|folder| (*volume, folder)));
                if self.loses.as_deref() != Some(&path) {
                    self.files.insert((*volume, path), (bytes.clone(), *modified));
                }
            }
            Edit::RemoveFile { volume, path } => {
                self.files.remove(&(*volume, path.to_lowercase())).ok_or("no such file")?;
            }
            Edit::RemoveFolder { volume, path } => {
                let path = path.to_lowercase();
                let below = format!("{path}\\");
                let inside = |(at, name): &FileKey| {
                    at == volume && (*name == path || name.starts_with(&below))
                };
                self.files.retain(|key, _| !inside(key));
                self.folders.retain(|key| !inside(key));
            }
            Edit::SetValue { hive, key, name, value } => {
                let key = key.to_lowercase();
                self.keys.extend(above(&key).into_iter().map(|above| (*hive, above)));
                self.keys.insert((*hive, key.clone()));
                self.values.insert((*hive, key, name.to_lowercase()), value.clone());
            }
            Edit::RemoveValue { hive, key, name } => {
                let at = (*hive, key.to_lowercase(), name.to_lowercase());
                self.values.remove(&at).ok_or("no such value")?;
            }
            Edit::RemoveKey { hive, key } => {
                let key = key.to_lowercase();
                let below = format!("{key}\\");
                let inside = |at: &HiveName, name: &str| {
                    at == hive && (name == key || name.starts_with(&below))
                };
                self.values.retain(|(at, key, _), _| !inside(at, key));
                self.keys.retain(|(at, key)| !inside(at, key));
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), OfflineError> {
        Ok(())
    }
}
