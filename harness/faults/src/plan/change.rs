//! Changes that depend on what is there, and what they come to on one disk.

use volume::Partition;
use winfmt::bcd::{BcdStore, ElementId, ElementValue};
use winfmt::hive::{Data, ValueType};

use super::edit::{Edit, HiveName, RegistryValue, VolumeRole};
use super::offline::{Offline, OfflineError, real_key};
use super::servicing::Servicing;

/// Largest file that is made to fill a volume, in bytes: it is held in memory.
const FILLER_LIMIT: u64 = 1 << 30;

/// One planned change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The same on every disk.
    Edit(Edit),
    /// Texts are added to a list (REG_MULTI_SZ), those that are there stay. A missing list is made.
    AddTexts {
        /// The hive.
        hive: HiveName,
        /// The key.
        key: String,
        /// The value's name.
        name: String,
        /// The texts.
        texts: Vec<String>,
    },
    /// A file becomes another one, computed from what it holds.
    Rewrite {
        /// The volume.
        volume: VolumeRole,
        /// The file; it must be there.
        path: String,
        /// How.
        how: Rewrite,
    },
    /// A second file with what this one holds, and its time.
    Copy {
        /// The volume.
        volume: VolumeRole,
        /// The file; it must be there.
        from: String,
        /// The new one; what is there is replaced.
        to: String,
    },
    /// A file of zeros that leaves this many bytes free, about.
    Fill {
        /// The volume.
        volume: VolumeRole,
        /// The file.
        path: String,
        /// Bytes that stay free.
        leave: u64,
    },
    /// The entry of the volume's partition in the partition table.
    List {
        /// The volume.
        volume: VolumeRole,
        /// It stays as it is; else the table no longer names the partition.
        listed: bool,
    },
    /// A value is written as it is.
    Keep {
        /// The hive.
        hive: HiveName,
        /// The key; the value must be there.
        key: String,
        /// The value's name.
        name: String,
    },
    /// What the servicing stack writes down of what is there.
    Servicing(Servicing),
    /// A program gets another version.
    Version {
        /// The volume.
        volume: VolumeRole,
        /// The program.
        path: String,
        /// The numbers in its version resource; `None` leaves them as they are.
        version: Option<[u16; 4]>,
        /// A program of that version, where there is none yet, or one without a version.
        made: Vec<u8>,
        /// Where that goes if the version is to stay as it is.
        beside: String,
    },
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewrite {
    /// As it is.
    Same,
    /// Its first bytes are these, or as many of them as it is long.
    Begin(Vec<u8>),
    /// These bytes at this offset; a file that ends before it stays as it is.
    Overwrite(u64, Vec<u8>),
    /// Cut off in the middle.
    Cut,
    /// As long, but all zeros.
    Zeros,
    /// Nothing is in it.
    Empty,
    /// A boot configuration store: elements of its default entry are set, or taken out.
    DefaultEntry(Vec<(ElementId, Option<ElementValue>)>),
    /// A program: another time in its header, which is part of what the firmware measures and a signature
    /// covers.
    Time,
    /// A program: the numbers in its version resource.
    Version([u16; 4]),
    /// A Windows image file: the build that it says it holds is an older one.
    OlderImage,
}

impl From<Edit> for Change {
    fn from(edit: Edit) -> Self {
        Self::Edit(edit)
    }
}

impl Change {
    /// The file, value or volume that is changed, for people.
    pub fn object(&self) -> String {
        match self {
            Self::Edit(edit) => edit.object(),
            Self::AddTexts { hive, key, name, .. } => format!("{hive}\\{key}\\{name}"),
            Self::Rewrite { volume, path, .. } | Self::Fill { volume, path, .. } => {
                volume.path(path)
            }
            Self::Copy { volume, to, .. } => volume.path(to),
            Self::Keep { hive, key, name } => format!("{hive}\\{key}\\{name}"),
            Self::Version { volume, path, .. } => volume.path(path),
            Self::Servicing(servicing) => servicing.object(),
            Self::List { volume, .. } => {
                format!("the entry of the {volume} in the partition table")
            }
        }
    }

    /// What it comes to on this disk.
    pub(super) fn resolved(&self, disk: &mut dyn Offline) -> Result<Vec<Edit>, OfflineError> {
        let edit = match self {
            Self::Servicing(servicing) => return servicing.resolved(disk),
            Self::Edit(edit) => edit.clone(),
            Self::AddTexts { hive, key, name, texts } => {
                let key = real_key(*hive, key, disk)?;
                let there = disk.read_value(*hive, &key, name)?;
                let value = with_texts(there, texts)?;
                Edit::SetValue { hive: *hive, key, name: name.clone(), value }
            }
            Self::Rewrite { volume, path, how } => {
                let (bytes, modified) = there(*volume, path, disk)?;
                let bytes = how.apply(bytes)?;
                Edit::WriteFile { volume: *volume, path: path.clone(), bytes, modified }
            }
            Self::Copy { volume, from, to } => {
                let (bytes, modified) = there(*volume, from, disk)?;
                Edit::WriteFile { volume: *volume, path: to.clone(), bytes, modified }
            }
            Self::Fill { volume, path, leave } => {
                let free = disk.free_space(*volume)?;
                let size = free.checked_sub(*leave).ok_or_else(|| {
                    format!("{leave} bytes are to stay free, and there are only {free}")
                })?;
                if size > FILLER_LIMIT {
                    return Err(format!(
                        "it would have {size} bytes; a volume with more than {FILLER_LIMIT} bytes \
                         to fill is not filled"
                    )
                    .into());
                }
                let bytes = vec![0; usize::try_from(size)?];
                Edit::WriteFile { volume: *volume, path: path.clone(), bytes, modified: None }
            }
            Self::List { volume, listed } => {
                let number = disk
                    .partition_of(*volume)?
                    .ok_or_else(|| format!("the disk has no {volume} of its own"))?;
                let partition = if *listed { disk.read_partition(number)? } else { None };
                Edit::SetPartition { number, partition }
            }
            Self::Keep { hive, key, name } => {
                let key = real_key(*hive, key, disk)?;
                let value = disk
                    .read_value(*hive, &key, name)?
                    .ok_or("there is no such value, so there is nothing to keep")?;
                Edit::SetValue { hive: *hive, key, name: name.clone(), value }
            }
            Self::Version { volume, path, version, made, beside } => {
                let (path, bytes, modified) = match (disk.read_file(*volume, path)?, version) {
                    (Some((bytes, modified)), Some(version)) => {
                        // One without a version resource has no room for one.
                        let rewritten = Rewrite::Version(*version).apply(bytes);
                        (path, rewritten.unwrap_or_else(|_| made.clone()), modified)
                    }
                    (Some((bytes, modified)), None) => (path, bytes, modified),
                    (None, Some(_)) => (path, made.clone(), None),
                    (None, None) => (beside, made.clone(), None),
                };
                Edit::WriteFile { volume: *volume, path: path.clone(), bytes, modified }
            }
        };
        Ok(vec![edit.in_the_real_set(disk)?])
    }
}

fn there(
    volume: VolumeRole,
    path: &str,
    disk: &mut dyn Offline,
) -> Result<super::edit::FileState, OfflineError> {
    disk.read_file(volume, path)?.ok_or_else(|| format!("there is no {}", volume.path(path)).into())
}

impl Rewrite {
    /// The new content.
    fn apply(&self, mut bytes: Vec<u8>) -> Result<Vec<u8>, OfflineError> {
        match self {
            Self::Same => {}
            Self::Begin(begin) => overwrite(&mut bytes, 0, begin),
            Self::Overwrite(offset, part) => {
                overwrite(&mut bytes, usize::try_from(*offset)?, part);
            }
            Self::Cut => bytes.truncate(bytes.len() / 2),
            Self::Zeros => bytes.fill(0),
            Self::Empty => bytes.clear(),
            Self::DefaultEntry(elements) => {
                let mut store = BcdStore::open(bytes)?;
                let entry = store
                    .default_loader()?
                    .ok_or("the boot configuration store has no default entry")?
                    .id;
                for (element, value) in elements {
                    match value {
                        Some(value) => store.set(entry, *element, value)?,
                        None => {
                            store.delete(entry, *element)?;
                        }
                    }
                }
                bytes = store.to_bytes()?;
            }
            Self::Time => {
                let header = bytes.get(0x3C..0x40).and_then(|at| at.try_into().ok());
                let at = header.map(u32::from_le_bytes).ok_or("it is not a program")? as usize;
                // Behind the signature, the machine and the number of sections.
                let signed = bytes.get(at..).is_some_and(|rest| rest.starts_with(b"PE\0\0"));
                match bytes.get_mut(at + 8).filter(|_| signed) {
                    Some(time) => *time = time.wrapping_add(1),
                    None => return Err("it is not a program".into()),
                }
            }
            Self::Version(version) => crate::driver::set_version(&mut bytes, *version)?,
            Self::OlderImage => winfmt::wim::make_older(&mut bytes)?,
        }
        Ok(bytes)
    }
}

fn overwrite(bytes: &mut [u8], offset: usize, part: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(offset).zip(part) {
        *to = *from;
    }
}

impl Edit {
    /// `CurrentControlSet\…` is a link that only a running Windows has; offline it is the set that
    /// `Select\Current` names (windows-facts section 4).
    fn in_the_real_set(mut self, disk: &mut dyn Offline) -> Result<Self, OfflineError> {
        if let Self::SetValue { hive, key, .. }
        | Self::RemoveValue { hive, key, .. }
        | Self::RemoveKey { hive, key } = &mut self
        {
            *key = real_key(*hive, key, disk)?;
        }
        Ok(self)
    }
}

/// The list with these texts at its end, each once.
fn with_texts(
    there: Option<RegistryValue>,
    added: &[String],
) -> Result<RegistryValue, OfflineError> {
    let mut list = match there {
        Some(value) => value
            .as_texts()
            .ok_or_else(|| format!("it is {value}, not a list that can be added to"))?,
        None => Vec::new(),
    };
    for text in added {
        if !list.contains(text) {
            list.push(text.clone());
        }
    }
    Ok(RegistryValue::texts(&list))
}

impl RegistryValue {
    /// As a hive has it.
    pub fn data(&self) -> Data {
        match self {
            Self::Text(text) => Data::string(text),
            Self::ExpandText(text) => Data::expand_string(text),
            Self::Binary(bytes) => Data::binary(bytes.clone()),
            Self::Dword(number) => Data::dword(*number),
            Self::Other(kind, bytes) => Data { kind: ValueType::from(*kind), bytes: bytes.clone() },
        }
    }

    /// A list of texts (REG_MULTI_SZ).
    pub fn texts<S: AsRef<str>>(texts: &[S]) -> Self {
        let data = Data::multi_string(texts);
        Self::Other(data.kind.into(), data.bytes)
    }

    /// The texts of a list, `None` of another value.
    pub fn as_texts(&self) -> Option<Vec<String>> {
        let Self::Other(kind, bytes) = self else { return None };
        Data { kind: ValueType::from(*kind), bytes: bytes.clone() }.as_multi_string()
    }
}

/// A partition's entry, for people.
pub(super) fn described(partition: &Partition) -> String {
    format!("{} partition of {} bytes at byte {}", partition.kind, partition.len, partition.start)
}
