//! The registry: the SYSTEM and SOFTWARE hives of drive `C:`, as drivers and commands name their keys.
//!
//! Windows writes changes to a log at once and to the hive later; here the whole hive is written at
//! each change, so that a stop loses nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use winfmt::hive::{Data, Hive, HiveError, ValueType};

use super::Drive;
use super::last_known_good::{fall_back, keep};
use crate::kernel::{NtStatus, RegistryValue};
use crate::loader::SafeMode;

/// Where the hives lie.
pub const SYSTEM_HIVE: &str = "\\Windows\\System32\\config\\SYSTEM";
/// See [`SYSTEM_HIVE`].
pub const SOFTWARE_HIVE: &str = "\\Windows\\System32\\config\\SOFTWARE";

/// Why a hive could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file could not be read.
    #[error("registry hive C:{path}: {source}")]
    Read {
        /// File of the hive.
        path: &'static str,
        /// Why.
        source: Box<volume::VolumeError>,
    },
    /// It is no clean hive.
    #[error("registry hive C:{path}: {source}")]
    Hive {
        /// File of the hive.
        path: &'static str,
        /// Why.
        source: HiveError,
    },
    /// The SYSTEM hive has no control set to start with.
    #[error("registry hive C:{SYSTEM_HIVE}: Select names no control set that exists")]
    NoControlSet,
}

/// The mounted hives.
#[derive(Debug)]
pub struct Registry {
    drive: Arc<Drive>,
    hives: Mutex<Hives>,
    control_set: String,
    safe_mode: Option<SafeMode>,
}

#[derive(Debug)]
struct Hives {
    system: Hive,
    software: Hive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    System,
    Software,
}

/// Loads one hive.
pub fn load_hive(drive: &Drive, path: &'static str) -> Result<Hive, RegistryError> {
    let bytes = drive
        .read(path)
        .map_err(|source| RegistryError::Read { path, source: Box::new(source) })?;
    Hive::open(bytes).map_err(|source| RegistryError::Hive { path, source })
}

impl Registry {
    /// Key of the SOFTWARE hive that names the update service, in its value `WUServer`.
    pub const UPDATE_POLICY: &str = "Policies\\Microsoft\\Windows\\WindowsUpdate";

    /// The key that says which safe mode this is, in its value `OptionValue`. Windows makes it anew at each start in a
    /// safe mode and never writes it to the hive (windows-facts.md 4).
    const SAFE_BOOT_OPTION: &str = "Control\\SafeBoot\\Option";

    /// Mounts both hives, with `control_set` in use.
    pub fn mount(drive: Arc<Drive>, system: Hive, software: Hive, control_set: String) -> Self {
        Self { drive, hives: Mutex::new(Hives { system, software }), control_set, safe_mode: None }
    }

    /// The same in a safe mode.
    pub fn in_safe_mode(self, safe_mode: Option<SafeMode>) -> Self {
        Self { safe_mode, ..self }
    }

    /// The safe mode that this is.
    pub fn safe_mode(&self) -> Option<SafeMode> {
        self.safe_mode
    }

    /// `OptionValue`, where that is what a path names in a safe mode.
    fn safe_boot_option(&self, path: &str) -> Option<RegistryValue> {
        let mode = self.safe_mode?;
        let (which, inside) = self.locate(path)?;
        let key = format!("{}\\{}", self.control_set, Self::SAFE_BOOT_OPTION);
        (which == Which::System && inside.eq_ignore_ascii_case(&key)).then(|| RegistryValue {
            name: "OptionValue".to_owned(),
            kind: ValueType::Dword.into(),
            data: mode.option().to_le_bytes().to_vec(),
        })
    }

    /// The control set in use.
    pub fn control_set(&self) -> &str {
        &self.control_set
    }

    fn hives(&self) -> MutexGuard<'_, Hives> {
        self.hives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`fall_back`]. False too where the hive cannot be written.
    pub fn fall_back(&self) -> bool {
        let in_use = self.control_set.clone();
        let path = "\\Registry\\Machine\\System\\Select";
        self.change(path, |hive, _| fall_back(hive, &in_use)).unwrap_or(false)
    }

    /// Keeps the control set in use as the last known good one, where that is on; see [`keep`]. A hive that cannot be
    /// written keeps the older one.
    pub fn keep_last_known_good(&self) -> bool {
        let in_use = self.control_set.clone();
        let path = "\\Registry\\Machine\\System\\Select";
        self.change(path, |hive, _| keep(hive, &in_use)).unwrap_or(false)
    }

    /// A list of the control set in use; empty where it is missing.
    pub fn control_list(&self, key: &str, name: &str) -> Vec<String> {
        let key = format!("{}\\{key}", self.control_set);
        self.hives().system.get_multi_string(&key, name).ok().flatten().unwrap_or_default()
    }

    /// A number of the control set in use; `None` where it is missing or something else.
    pub fn control_dword(&self, key: &str, name: &str) -> Option<u32> {
        let key = format!("{}\\{key}", self.control_set);
        self.hives().system.get_dword(&key, name).ok().flatten()
    }

    /// A text of the control set in use.
    pub fn control_string(&self, key: &str, name: &str) -> Option<String> {
        let key = format!("{}\\{key}", self.control_set);
        self.hives().system.get_string(&key, name).ok().flatten()
    }

    /// A text of the SOFTWARE hive.
    pub fn software_string(&self, key: &str, name: &str) -> Option<String> {
        self.hives().software.get_string(key, name).ok().flatten()
    }

    /// Which hive, and the path in it.
    fn locate(&self, path: &str) -> Option<(Which, String)> {
        let path = path.trim_matches('\\');
        let heads: [(&str, Option<Which>); 7] = [
            ("registry\\machine\\system", Some(Which::System)),
            ("registry\\machine\\software", Some(Which::Software)),
            ("hklm\\system", Some(Which::System)),
            ("hklm\\software", Some(Which::Software)),
            ("hkey_local_machine\\system", Some(Which::System)),
            ("hkey_local_machine\\software", Some(Which::Software)),
            ("registry\\machine", None),
        ];
        let lower = path.to_ascii_lowercase();
        let (head, which) = heads.iter().find(|(head, _)| {
            lower.strip_prefix(head).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
        })?;
        let rest = path[head.len()..].trim_start_matches('\\');
        let which = (*which)?;
        if which == Which::System {
            let (first, below) = rest.split_once('\\').unwrap_or((rest, ""));
            if first.eq_ignore_ascii_case("CurrentControlSet") {
                return Some((which, format!("{}\\{below}", self.control_set)));
            }
        }
        Some((which, rest.to_owned()))
    }

    fn look<T>(
        &self,
        path: &str,
        work: impl FnOnce(&Hive, &str) -> Result<T, HiveError>,
    ) -> Result<T, NtStatus> {
        let (which, inside) = self.locate(path).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let hives = self.hives();
        let hive = match which {
            Which::System => &hives.system,
            Which::Software => &hives.software,
        };
        work(hive, &inside).map_err(status)
    }

    fn change<T>(
        &self,
        path: &str,
        work: impl FnOnce(&mut Hive, &str) -> Result<T, HiveError>,
    ) -> Result<T, NtStatus> {
        let (which, inside) = self.locate(path).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let mut hives = self.hives();
        let (hive, file) = match which {
            Which::System => (&mut hives.system, SYSTEM_HIVE),
            Which::Software => (&mut hives.software, SOFTWARE_HIVE),
        };
        let done = work(hive, &inside).map_err(status)?;
        let bytes = hive.to_bytes().map_err(status)?;
        let mut volume = self.drive.volume();
        volume
            .write(file, &bytes)
            .and_then(|()| volume.flush())
            .map_err(|_| NtStatus::IO_DEVICE_ERROR)?;
        Ok(done)
    }

    /// True where the key exists.
    pub fn key_exists(&self, path: &str) -> Result<(), NtStatus> {
        self.look(path, |hive, inside| hive.key(inside).map(|_| ()))
    }

    /// Creates a key below an existing one. True if it is new.
    pub fn create_key(&self, path: &str) -> Result<bool, NtStatus> {
        let parent = path.rsplit_once('\\').map_or("", |(parent, _)| parent);
        self.key_exists(parent)?;
        self.change(path, |hive, inside| hive.create_key(inside))
    }

    /// Deletes a key without subkeys.
    pub fn delete_key(&self, path: &str) -> Result<(), NtStatus> {
        if !self.subkeys(path)?.is_empty() {
            return Err(NtStatus::CANNOT_DELETE);
        }
        self.change(path, |hive, inside| hive.delete_key(inside).map(|_| ()))
    }

    /// Names of the subkeys.
    pub fn subkeys(&self, path: &str) -> Result<Vec<String>, NtStatus> {
        self.look(path, |hive, inside| hive.key(inside)?.subkey_names())
    }

    /// The values.
    pub fn values(&self, path: &str) -> Result<Vec<RegistryValue>, NtStatus> {
        if let Some(option) = self.safe_boot_option(path) {
            return Ok(vec![option]);
        }
        self.look(path, |hive, inside| {
            Ok(hive
                .key(inside)?
                .values()?
                .into_iter()
                .map(|value| RegistryValue {
                    name: value.name.text(),
                    kind: value.data.kind.into(),
                    data: value.data.bytes,
                })
                .collect())
        })
    }

    /// One value.
    pub fn value(&self, path: &str, name: &str) -> Result<RegistryValue, NtStatus> {
        if let Some(option) = self.safe_boot_option(path) {
            let asked = option.name.eq_ignore_ascii_case(name);
            return if asked { Ok(option) } else { Err(NtStatus::OBJECT_NAME_NOT_FOUND) };
        }
        let data = self.look(path, |hive, inside| hive.key(inside)?.value(name))?;
        let data = data.ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        Ok(RegistryValue { name: name.to_owned(), kind: data.kind.into(), data: data.bytes })
    }

    /// Writes one value of an existing key.
    pub fn set_value(&self, path: &str, value: &RegistryValue) -> Result<(), NtStatus> {
        self.key_exists(path)?;
        let data = Data { kind: ValueType::from(value.kind), bytes: value.data.clone() };
        self.change(path, |hive, inside| hive.set_value(inside, value.name.as_str(), &data))
    }

    /// Deletes one value.
    pub fn delete_value(&self, path: &str, name: &str) -> Result<(), NtStatus> {
        match self.change(path, |hive, inside| hive.delete_value(inside, name))? {
            true => Ok(()),
            false => Err(NtStatus::OBJECT_NAME_NOT_FOUND),
        }
    }

    /// A key, or one value of it, as `reg query` prints it.
    pub fn describe(&self, path: &str, name: Option<&str>) -> Option<String> {
        let values = match name {
            Some(name) => vec![self.value(path, name).ok()?],
            None => self.values(path).ok()?,
        };
        let mut text = format!("\r\n{path}\r\n");
        for value in values {
            let data = Data { kind: ValueType::from(value.kind), bytes: value.data };
            let shown = match data.kind {
                ValueType::String | ValueType::ExpandString => data.as_string().unwrap_or_default(),
                ValueType::Dword => format!("0x{:x}", data.as_dword().unwrap_or_default()),
                ValueType::Qword => format!("0x{:x}", data.as_qword().unwrap_or_default()),
                ValueType::MultiString => data.as_multi_string().unwrap_or_default().join("\\0"),
                _ => data.bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
            };
            let name = if value.name.is_empty() { "(Default)" } else { &value.name };
            text += &format!("    {name}    {}    {shown}\r\n", data.kind);
        }
        if name.is_none() {
            text += "\r\n";
            for subkey in self.subkeys(path).ok()? {
                text += &format!("{path}\\{subkey}\r\n");
            }
        }
        Some(text)
    }
}

fn status(error: HiveError) -> NtStatus {
    match error {
        HiveError::NoKey { .. } => NtStatus::OBJECT_NAME_NOT_FOUND,
        HiveError::BadName { .. } => NtStatus::OBJECT_NAME_INVALID,
        HiveError::TooLarge { .. } => NtStatus::INSUFFICIENT_RESOURCES,
        _ => NtStatus::FILE_CORRUPT_ERROR,
    }
}
