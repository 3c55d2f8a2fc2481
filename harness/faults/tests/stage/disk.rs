//! A disk in memory.

use std::collections::{BTreeMap, BTreeSet};

use faults::{
    Edit, FileState, HiveName, KeyEntries, Offline, OfflineError, RegistryValue, TpmState,
    VolumeRole,
};
use volume::{EFI_SYSTEM, Partition};
use winfmt::Guid;
use winfmt::variables::Variable;

type FileKey = (VolumeRole, String);
type ValueKey = (HiveName, String, String);

/// A disk as maps. Names are folded to one case, as on Windows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    files: BTreeMap<FileKey, FileState>,
    folders: BTreeSet<FileKey>,
    values: BTreeMap<ValueKey, RegistryValue>,
    keys: BTreeSet<(HiveName, String)>,
    pub(crate) free: BTreeMap<VolumeRole, u64>,
    /// The table's entry of the EFI system partition, which is slot 1.
    pub(crate) efi: Option<Partition>,
    /// How often everything was brought to the disk.
    pub(crate) commits: u32,
    pub(crate) variables: Vec<Variable>,
    pub(crate) tpm: Option<Vec<u8>>,
    /// Writes to this path are lost, as on a disk whose driver lies.
    pub(crate) loses: Option<String>,
}

/// A key as it is looked up: `CurrentControlSet` is the set that [`Disk::with_windows`] has.
fn folded(key: &str) -> String {
    key.to_lowercase().replace("currentcontrolset", "controlset001")
}

impl PartialEq for Disk {
    fn eq(&self, other: &Self) -> bool {
        (&self.files, &self.folders, &self.values, &self.keys, &self.efi)
            == (&other.files, &other.folders, &other.values, &other.keys, &other.efi)
    }
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
        for (key, name, number) in
            [("Select", "Current", 1), ("ControlSet001\\Services\\Ntfs", "Start", 0)]
        {
            let value = RegistryValue::Dword(number);
            let (hive, key, name) = (HiveName::System, key.to_owned(), name.to_owned());
            disk.edit(&Edit::SetValue { hive, key, name, value }).unwrap();
        }
        let efi = Partition::gpt(EFI_SYSTEM, volume::Guid::from_u128(1), 1 << 20, 64 << 20, "EFI");
        disk.efi = Some(Partition { number: 1, ..efi });
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

    fn file_names(
        &mut self,
        volume: VolumeRole,
        folder: &str,
    ) -> Result<Vec<String>, OfflineError> {
        let folder = format!("{}\\", folder.to_lowercase());
        let inside = self.files.keys().filter(|(at, _)| *at == volume);
        let names = inside.filter_map(|(_, path)| path.strip_prefix(&folder));
        Ok(names.filter(|name| !name.contains('\\')).map(str::to_owned).collect())
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
        Ok(self.values.get(&(hive, folded(key), name.to_lowercase())).cloned())
    }

    fn key_exists(&mut self, hive: HiveName, key: &str) -> Result<bool, OfflineError> {
        Ok(self.keys.contains(&(hive, folded(key))))
    }

    fn key_entries(
        &mut self,
        hive: HiveName,
        key: &str,
    ) -> Result<Option<KeyEntries>, OfflineError> {
        let key = folded(key);
        if !self.keys.contains(&(hive, key.clone())) {
            return Ok(None);
        }
        let values = self.values.keys().filter(|(own, at, _)| *own == hive && *at == key);
        let start = format!("{key}\\");
        let below = self.keys.iter().filter(|(own, _)| *own == hive);
        let keys = below.filter_map(|(_, other)| other.strip_prefix(&start));
        Ok(Some(KeyEntries {
            values: values.map(|(.., name)| name.clone()).collect(),
            keys: keys.filter(|rest| !rest.contains('\\')).map(str::to_owned).collect(),
        }))
    }

    fn free_space(&mut self, volume: VolumeRole) -> Result<u64, OfflineError> {
        Ok(self.free.get(&volume).copied().unwrap_or_default())
    }

    fn partition_of(&mut self, volume: VolumeRole) -> Result<Option<u32>, OfflineError> {
        Ok((volume == VolumeRole::System && self.efi.is_some()).then_some(1))
    }

    fn read_partition(&mut self, number: u32) -> Result<Option<Partition>, OfflineError> {
        Ok(self.efi.clone().filter(|efi| efi.number == number))
    }

    fn read_variable(
        &mut self,
        vendor: Guid,
        name: &str,
    ) -> Result<Option<Variable>, OfflineError> {
        let same = |own: &&Variable| own.vendor == vendor && own.name == name;
        Ok(self.variables.iter().find(same).cloned())
    }

    fn read_tpm(&mut self) -> Result<Option<Vec<u8>>, OfflineError> {
        Ok(self.tpm.clone())
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
                let key = folded(key);
                self.keys.extend(above(&key).into_iter().map(|above| (*hive, above)));
                self.keys.insert((*hive, key.clone()));
                self.values.insert((*hive, key, name.to_lowercase()), value.clone());
            }
            Edit::RemoveValue { hive, key, name } => {
                let at = (*hive, folded(key), name.to_lowercase());
                self.values.remove(&at).ok_or("no such value")?;
            }
            Edit::RemoveKey { hive, key } => {
                let key = folded(key);
                let below = format!("{key}\\");
                let inside = |at: &HiveName, name: &str| {
                    at == hive && (name == key || name.starts_with(&below))
                };
                self.values.retain(|(at, key, _), _| !inside(at, key));
                self.keys.retain(|(at, key)| !inside(at, key));
            }
            Edit::SetPartition { partition, .. } => self.efi = partition.clone(),
            Edit::ExtendVariable(added) => {
                match self.variables.iter_mut().find(|own| own.name == added.name) {
                    Some(own) => own.data.extend(&added.data),
                    None => self.variables.push(added.clone()),
                }
            }
            Edit::SetVariable(variable) | Edit::RemoveVariable(variable) => {
                self.variables.retain(|own| own.name != variable.name);
                if matches!(edit, Edit::SetVariable(_)) {
                    self.variables.push(variable.clone());
                }
            }
            Edit::ReplaceTpm(TpmState::New) => self.tpm = None,
            Edit::ReplaceTpm(TpmState::Same) => {}
            Edit::ReplaceTpm(TpmState::These(state)) => self.tpm = Some(state.clone()),
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), OfflineError> {
        self.commits += 1;
        Ok(())
    }
}
