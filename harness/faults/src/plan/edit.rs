//! The changes of a disk themselves.

use jiff::Timestamp;
use volume::Partition;
use winfmt::variables::Variable;

/// A volume of the machine's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VolumeRole {
    /// Where paths of scenarios lead, from the root of `C:`, or with another drive in front (`D:\\data`). A path below
    /// `Windows` lies in the folder of the system that starts, whatever its drive.
    Windows,
    /// The volume of the recovery environment.
    Recovery,
    /// The EFI system partition.
    System,
}

impl VolumeRole {
    /// A path on it, for people.
    pub fn path(self, path: &str) -> String {
        match self {
            Self::Windows if path.as_bytes().get(1) == Some(&b':') => path.to_owned(),
            Self::Windows => format!("C:\\{path}"),
            Self::Recovery | Self::System => format!("{self} \\{path}"),
        }
    }
}

impl std::fmt::Display for VolumeRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Windows => "Windows volume",
            Self::Recovery => "recovery volume",
            Self::System => "EFI system partition",
        })
    }
}

/// A registry hive of the Windows volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HiveName {
    /// `C:\Windows\System32\config\SYSTEM`.
    System,
    /// `C:\Windows\System32\config\SOFTWARE`.
    Software,
    /// `C:\Windows\System32\config\COMPONENTS`: that of the servicing stack. Not every system has one; without it
    /// there is none of its keys.
    Components,
}

impl HiveName {
    /// Its file on `C:`.
    pub const fn file(self) -> &'static str {
        match self {
            Self::System => "Windows\\System32\\config\\SYSTEM",
            Self::Software => "Windows\\System32\\config\\SOFTWARE",
            Self::Components => "Windows\\System32\\config\\COMPONENTS",
        }
    }
}

/// A registry value with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryValue {
    /// REG_SZ.
    Text(String),
    /// REG_EXPAND_SZ.
    ExpandText(String),
    /// REG_BINARY.
    Binary(Vec<u8>),
    /// REG_DWORD.
    Dword(u32),
    /// Any other type, as its number and bytes: what was there before may be of any.
    Other(u32, Vec<u8>),
}

/// One offline change. Paths are relative to the volume's root, with `\`. In a plan a key of the SYSTEM
/// hive that begins with `CurrentControlSet\` means the set that `Select\Current` names when it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Writes a file; missing folders above it are made.
    WriteFile {
        /// The volume.
        volume: VolumeRole,
        /// The file.
        path: String,
        /// Its content.
        bytes: Vec<u8>,
        /// Time of creation and last modification; `None` leaves it to the file system.
        modified: Option<Timestamp>,
    },
    /// Deletes a file.
    RemoveFile {
        /// The volume.
        volume: VolumeRole,
        /// The file.
        path: String,
    },
    /// Deletes a folder with what is in it. Part of undoing.
    RemoveFolder {
        /// The volume.
        volume: VolumeRole,
        /// The folder.
        path: String,
    },
    /// Sets a value; missing keys above it are made.
    SetValue {
        /// The hive.
        hive: HiveName,
        /// The key.
        key: String,
        /// The value's name.
        name: String,
        /// The value.
        value: RegistryValue,
    },
    /// Deletes a value.
    RemoveValue {
        /// The hive.
        hive: HiveName,
        /// The key.
        key: String,
        /// The value's name.
        name: String,
    },
    /// Deletes a key with what is in it. Part of undoing.
    RemoveKey {
        /// The hive.
        hive: HiveName,
        /// The key.
        key: String,
    },
    /// Puts a partition into a slot of the partition table, or clears the slot.
    SetPartition {
        /// The slot, from 1.
        number: u32,
        /// The partition.
        partition: Option<Partition>,
    },
    /// Adds data to the end of a firmware variable. One that is not there is made.
    ExtendVariable(Variable),
    /// Puts a firmware variable back as it was. Part of undoing.
    SetVariable(Variable),
    /// Takes a firmware variable out. Part of undoing.
    RemoveVariable(Variable),
    /// Gives the machine another TPM, or rather the state of one.
    ReplaceTpm(TpmState),
}

/// What a TPM remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TpmState {
    /// Nothing: at the next start it is as new, with other seeds.
    New,
    /// What there is, written anew.
    Same,
    /// This. Part of undoing.
    These(Vec<u8>),
}

/// A file as it is on the disk: its content, and the time of last modification where the volume knows
/// one.
pub type FileState = (Vec<u8>, Option<Timestamp>);

/// What was there before a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// A file.
    File(FileState),
    /// No file; this topmost folder was missing too, where there is one.
    NoFile {
        /// The folder that the change made first.
        made: Option<String>,
    },
    /// A value.
    Value(RegistryValue),
    /// A firmware variable.
    Variable(Variable),
    /// No such variable.
    NoVariable,
    /// What the TPM remembered.
    Tpm(Option<Vec<u8>>),
    /// No value; this topmost key was missing too, where there is one.
    NoValue {
        /// The key that the change made first.
        made: Option<String>,
    },
    /// What the slot of the partition table held.
    Partition(Option<Partition>),
}

pub(crate) fn file_proof(path: &str, bytes: &[u8]) -> String {
    format!("{path}: {} bytes, blake3 {}", bytes.len(), blake3::hash(bytes).to_hex())
}
