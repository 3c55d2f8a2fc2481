//! What a plan needs of a powered-off machine.

use volume::Partition;
use winfmt::Guid;
use winfmt::variables::Variable;

use super::edit::{Edit, FileState, HiveName, RegistryValue, VolumeRole};

/// Why a disk could not do something: its own words.
pub type OfflineError = Box<dyn std::error::Error + Send + Sync>;

/// The names of what is in a key of the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyEntries {
    /// Its values.
    pub values: Vec<String>,
    /// The keys right below it.
    pub keys: Vec<String>,
}

/// A powered-off machine's disk, as far as a plan needs it. Paths as in [`Edit`], keys from the hive's root.
pub trait Offline {
    /// A file, `None` if there is none.
    fn read_file(
        &mut self,
        volume: VolumeRole,
        path: &str,
    ) -> Result<Option<FileState>, OfflineError>;

    /// The names of the files in a folder; none where there is no such folder.
    fn file_names(&mut self, volume: VolumeRole, folder: &str)
    -> Result<Vec<String>, OfflineError>;

    /// True if there is a folder.
    fn folder_exists(&mut self, volume: VolumeRole, path: &str) -> Result<bool, OfflineError>;

    /// A value, `None` if it or its key is not there.
    fn read_value(
        &mut self,
        hive: HiveName,
        key: &str,
        name: &str,
    ) -> Result<Option<RegistryValue>, OfflineError>;

    /// True if there is a key.
    fn key_exists(&mut self, hive: HiveName, key: &str) -> Result<bool, OfflineError>;

    /// What is right in a key, `None` if there is no such key.
    fn key_entries(
        &mut self,
        hive: HiveName,
        key: &str,
    ) -> Result<Option<KeyEntries>, OfflineError>;

    /// Bytes that a volume has free.
    fn free_space(&mut self, volume: VolumeRole) -> Result<u64, OfflineError>;

    /// The slot of the partition table that a volume has, `None` if there is no such volume.
    fn partition_of(&mut self, volume: VolumeRole) -> Result<Option<u32>, OfflineError>;

    /// What a slot of the partition table holds.
    fn read_partition(&mut self, number: u32) -> Result<Option<Partition>, OfflineError>;

    /// A firmware variable, `None` if it is not there.
    fn read_variable(&mut self, vendor: Guid, name: &str)
    -> Result<Option<Variable>, OfflineError>;

    /// What the TPM remembers, `None` if nothing.
    fn read_tpm(&mut self) -> Result<Option<Vec<u8>>, OfflineError>;

    /// Does one change.
    fn edit(&mut self, edit: &Edit) -> Result<(), OfflineError>;

    /// Brings everything to the disk and drops what is cached, so that what is read afterwards comes
    /// from there.
    fn commit(&mut self) -> Result<(), OfflineError>;
}

/// A key from the hive's root, with the control set that is in use in the place of `CurrentControlSet`.
pub(crate) fn real_key(
    hive: HiveName,
    key: &str,
    disk: &mut dyn Offline,
) -> Result<String, OfflineError> {
    const CURRENT: &str = "CurrentControlSet";
    let is_current =
        key.get(..CURRENT.len()).is_some_and(|head| head.eq_ignore_ascii_case(CURRENT));
    if hive != HiveName::System || !is_current {
        return Ok(key.to_owned());
    }
    match disk.read_value(hive, "Select", "Current")? {
        Some(RegistryValue::Dword(number)) => {
            Ok(format!("ControlSet{number:03}{}", &key[CURRENT.len()..]))
        }
        _ => Err("the hive has no number Select\\Current".into()),
    }
}
