//! A machine that is off, as the fault catalogue wants it: the files, registry values and partitions of its
//! disk, its firmware variables, its TPM.

use std::collections::BTreeMap;
use std::path::PathBuf;

use disk::OfflineDisk;
use faults::{
    Edit, HiveName, KeyEntries, Offline, OfflineError, RegistryValue, TpmState, VolumeRole,
};
use inspect::DriveLetters;
use jiff::Timestamp;
use volume::{FileTime, Partition, Volume};
use winfmt::Guid;
use winfmt::hive::{Data, EMPTY_LOG, Hive, ValueType};
use winfmt::variables::{Variable, VariableStore};

use super::system_folder::SystemFolder;

use super::machine_files::{MachineFiles, TPM_STATE};

/// The volumes and hives of one disk. Hives are read when first needed and written back by `commit`.
pub(crate) struct WindowsDisk {
    windows: Box<dyn Volume>,
    /// Where on it the system lies.
    folder: String,
    /// Opened when first needed: not every image has them.
    recovery: Option<Box<dyn Volume>>,
    efi: Option<Box<dyn Volume>>,
    /// Other volumes that have a letter, by partition.
    others: BTreeMap<u32, Box<dyn Volume>>,
    drives: DriveLetters,
    disk: OfflineDisk,
    variables: Option<PathBuf>,
    tpm: Option<PathBuf>,
    clock: Option<FileTime>,
    system: OpenHive,
    software: OpenHive,
    components: OpenHive,
}

struct OpenHive {
    path: String,
    hive: Option<Hive>,
    /// Its transaction logs that are there and not empty.
    logs: Vec<String>,
    changed: bool,
}

impl OpenHive {
    fn at(root: &str, name: &str) -> Self {
        let path = format!(r"{root}\System32\config\{name}");
        Self { path, hive: None, logs: Vec::new(), changed: false }
    }

    fn get(&mut self, volume: &mut dyn Volume) -> Result<&mut Hive, OfflineError> {
        if self.hive.is_none() {
            let (hive, logs) = read_hive(volume, &self.path)?;
            self.logs = logs;
            self.hive = Some(hive);
        }
        self.hive.as_mut().ok_or_else(|| "the hive was not read".into())
    }

    /// The hive first, then its logs: see [`EMPTY_LOG`].
    fn write_back(&mut self, volume: &mut dyn Volume) -> Result<(), OfflineError> {
        if let Some(hive) = self.hive.take()
            && self.changed
        {
            volume.write(&self.path, &hive.to_bytes()?)?;
            for log in self.logs.drain(..) {
                volume.write(&log, EMPTY_LOG)?;
            }
        }
        self.changed = false;
        Ok(())
    }
}

/// A hive, brought up to date from its transaction logs as Windows would at its next start: else an edit
/// would be lost, or what the logs hold. With it the logs that are there and not empty.
pub(crate) fn read_hive(
    volume: &mut dyn Volume,
    path: &str,
) -> Result<(Hive, Vec<String>), OfflineError> {
    let bytes = volume.read(path)?;
    let (mut names, mut logs) = (Vec::new(), Vec::new());
    for suffix in ["LOG1", "LOG2", "LOG"] {
        let log = format!("{path}.{suffix}");
        // The older one counts only where the newer ones do not.
        if (suffix == "LOG" && !logs.is_empty()) || !volume.exists(&log)? {
            continue;
        }
        let held = volume.read(&log)?;
        if !held.is_empty() {
            names.push(log);
            logs.push(held);
        }
    }
    let logs: Vec<&[u8]> = logs.iter().map(Vec::as_slice).collect();
    let (hive, recovery) =
        Hive::recover(bytes, &logs).map_err(|error| format!("C:\\{path}: {error}"))?;
    if !recovery.clean {
        tracing::info!(hive = path, %recovery, "the hive was not written back by Windows");
    }
    Ok((hive, names))
}

impl WindowsDisk {
    /// Opens the Windows volume. `clock` is the time that new files get where none is given, in seconds
    /// since 1970.
    pub(crate) fn new(disk: OfflineDisk, clock: Option<u64>) -> Result<Self, disk::DiskError> {
        let folder = disk.system_root()?;
        let windows = SystemFolder::on(disk.windows_volume()?, &folder);
        // Where the system lies elsewhere, paths below this lead there.
        let root = if folder.is_empty() { "" } else { "Windows" };
        let mut opened = Self {
            windows,
            folder,
            recovery: None,
            efi: None,
            others: BTreeMap::new(),
            drives: DriveLetters::default(),
            disk,
            variables: None,
            tpm: None,
            clock: clock.map(FileTime::from_unix_seconds),
            system: OpenHive::at(root, "SYSTEM"),
            software: OpenHive::at(root, "SOFTWARE"),
            components: OpenHive::at(root, "COMPONENTS"),
        };
        set_clock(&mut *opened.windows, opened.clock);
        Ok(opened)
    }

    /// With what else the machine has, to be changed as well.
    pub(crate) fn with(self, parts: &MachineFiles) -> Self {
        Self { variables: parts.variables.clone(), tpm: parts.tpm.clone(), ..self }
    }

    /// With the letters that its system gave to volumes.
    pub(crate) fn with_drives(self, drives: DriveLetters) -> Self {
        Self { drives, ..self }
    }

    fn variables(&self) -> Result<(&PathBuf, VariableStore), OfflineError> {
        let path = self.variables.as_ref().ok_or("the machine has no firmware variables")?;
        let store = VariableStore::open(fs_err::read(path)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((path, store))
    }

    fn edit_variables(
        &self,
        change: impl FnOnce(&mut VariableStore) -> Result<(), OfflineError>,
    ) -> Result<(), OfflineError> {
        let (path, mut store) = self.variables()?;
        change(&mut store)?;
        Ok(fs_err::write(path, store.to_bytes())?)
    }

    fn tpm_state(&self) -> Result<PathBuf, OfflineError> {
        let folder = self.tpm.as_ref().ok_or("the machine has no TPM")?;
        Ok(folder.join(TPM_STATE))
    }

    pub(crate) fn windows(&mut self) -> &mut dyn Volume {
        &mut *self.windows
    }

    /// What a crash had left in the logs of the volumes that were opened, and was carried out, for people.
    pub(crate) fn replayed(&self) -> Vec<String> {
        self.disk.replayed()
    }

    /// Makes the Windows volume writable where a crash loop or a power cut left it as it was in the middle of its
    /// work. Gives what was given up by that, for people.
    pub(crate) fn accept_crash_state(&mut self) -> Result<Option<String>, volume::VolumeError> {
        let given_up = self.windows.accept_crash_state()?;
        Ok(given_up
            .map(|what| format!("the Windows volume was taken as the crash left it: {what}")))
    }

    /// Gives the disk back, with nothing of it open.
    pub(crate) fn into_disk(self) -> OfflineDisk {
        self.disk
    }

    /// The volume that a path lies on, and the path there. On the Windows volume's role a path is from the root of `C:`,
    /// or has another drive in front; what is below `Windows` lies in the folder of the system that starts.
    fn place<'p>(
        &mut self,
        role: VolumeRole,
        path: &'p str,
    ) -> Result<(&mut dyn Volume, &'p str), OfflineError> {
        if role != VolumeRole::Windows {
            return Ok((self.volume(role)?, path));
        }
        let (letter, inner) = split(path);
        if letter == self.drives.system || is_of_the_system(path) {
            return Ok((&mut *self.windows, inner));
        }
        let number = match self.drives.partitions.get(&letter) {
            Some(number) => *number,
            None => return Err(self.no_drive(letter).into()),
        };
        let volume = match self.others.remove(&number) {
            Some(volume) => volume,
            None => {
                let mut volume = self.disk.volume(number)?;
                set_clock(&mut *volume, self.clock);
                volume
            }
        };
        Ok((&mut **self.others.entry(number).or_insert(volume), inner))
    }

    fn no_drive(&self, letter: char) -> String {
        let known = self.drives.partitions.iter();
        let known: Vec<String> =
            known.map(|(letter, number)| format!("{letter}: partition {number}")).collect();
        format!(
            "the machine has no drive {letter}: on this disk; its Windows is {}:, and it knows {}",
            self.drives.system,
            if known.is_empty() { "no others".to_owned() } else { known.join(", ") }
        )
    }

    fn volume(&mut self, role: VolumeRole) -> Result<&mut dyn Volume, OfflineError> {
        let (slot, open): (_, fn(&OfflineDisk) -> _) = match role {
            VolumeRole::Windows => return Ok(&mut *self.windows),
            VolumeRole::Recovery => (&mut self.recovery, OfflineDisk::recovery_volume),
            VolumeRole::System => (&mut self.efi, OfflineDisk::efi_volume),
        };
        let volume = match slot.take() {
            Some(volume) => volume,
            None => {
                let mut volume = open(&self.disk)?;
                set_clock(&mut *volume, self.clock);
                volume
            }
        };
        Ok(&mut **slot.insert(volume))
    }

    /// A hive whose file is read or changed as a file is no longer held open.
    fn let_go(&mut self, volume: VolumeRole, path: &str) -> Result<(), OfflineError> {
        let (letter, inner) = split(path);
        if letter != self.drives.system && !is_of_the_system(path) {
            return Ok(());
        }
        let path = inner;
        for hive in [&mut self.system, &mut self.software, &mut self.components] {
            if volume == VolumeRole::Windows && hive.path.eq_ignore_ascii_case(path) {
                hive.write_back(&mut *self.windows)?;
            }
        }
        Ok(())
    }

    fn hive(&mut self, name: HiveName) -> (&mut OpenHive, &mut dyn Volume) {
        match name {
            HiveName::System => (&mut self.system, &mut *self.windows),
            HiveName::Software => (&mut self.software, &mut *self.windows),
            HiveName::Components => (&mut self.components, &mut *self.windows),
        }
    }
}

impl WindowsDisk {
    /// A path of the Windows volume as edits have it: from the root of `C:`, with another drive in front where that is
    /// the volume's.
    pub(crate) fn on_its_drive(&self, path: &str) -> String {
        match self.drives.system {
            'C' => path.to_owned(),
            _ if is_of_the_system(path) => path.to_owned(),
            letter => format!("{letter}:\\{path}"),
        }
    }

    /// The hive of the servicing stack is the only one that a system may be without.
    fn has_hive(&mut self, name: HiveName) -> Result<bool, OfflineError> {
        let (open, volume) = self.hive(name);
        Ok(name != HiveName::Components || open.hive.is_some() || volume.exists(&open.path)?)
    }
}

/// The drive of a path, and what follows it.
fn split(path: &str) -> (char, &str) {
    match path.as_bytes() {
        [letter, b':', ..] => {
            (char::from(letter.to_ascii_uppercase()), path[2..].trim_start_matches('\\'))
        }
        _ => ('C', path),
    }
}

/// Whether a path without a drive leads into the folder of the system.
fn is_of_the_system(path: &str) -> bool {
    let first = path.split('\\').next().unwrap_or_default();
    first.eq_ignore_ascii_case("Windows")
}

fn set_clock(volume: &mut dyn Volume, clock: Option<FileTime>) {
    if let Some(clock) = clock {
        volume.set_clock(clock);
    }
}

impl Offline for WindowsDisk {
    fn read_file(
        &mut self,
        volume: VolumeRole,
        path: &str,
    ) -> Result<Option<(Vec<u8>, Option<Timestamp>)>, OfflineError> {
        self.let_go(volume, path)?;
        let (volume, path) = self.place(volume, path)?;
        if !volume.exists(path)? {
            return Ok(None);
        }
        let modified = volume.metadata(path)?.modified;
        let modified = modified.to_timestamp();
        Ok(Some((volume.read(path)?, modified)))
    }

    fn file_names(
        &mut self,
        volume: VolumeRole,
        folder: &str,
    ) -> Result<Vec<String>, OfflineError> {
        let (volume, folder) = self.place(volume, folder)?;
        if !folder.is_empty() && !volume.exists(folder)? {
            return Ok(Vec::new());
        }
        let entries = volume.list(folder)?;
        Ok(entries
            .into_iter()
            .filter(|entry| entry.kind == volume::Kind::File)
            .map(|entry| entry.name)
            .collect())
    }

    fn folder_exists(&mut self, volume: VolumeRole, path: &str) -> Result<bool, OfflineError> {
        let (volume, path) = self.place(volume, path)?;
        Ok(path.is_empty() || volume.exists(path)?)
    }

    fn read_value(
        &mut self,
        hive: HiveName,
        key: &str,
        name: &str,
    ) -> Result<Option<RegistryValue>, OfflineError> {
        if !self.has_hive(hive)? {
            return Ok(None);
        }
        let (open, volume) = self.hive(hive);
        let hive = open.get(volume)?;
        Ok(hive.get(key, name)?.map(from_data))
    }

    fn key_exists(&mut self, hive: HiveName, key: &str) -> Result<bool, OfflineError> {
        if !self.has_hive(hive)? {
            return Ok(false);
        }
        let (open, volume) = self.hive(hive);
        let hive = open.get(volume)?;
        Ok(hive.find_key(key)?.is_some())
    }

    fn key_entries(
        &mut self,
        hive: HiveName,
        key: &str,
    ) -> Result<Option<KeyEntries>, OfflineError> {
        if !self.has_hive(hive)? {
            return Ok(None);
        }
        let (open, volume) = self.hive(hive);
        let Some(key) = open.get(volume)?.find_key(key)? else { return Ok(None) };
        let values = key.values()?.iter().map(|value| value.name.text()).collect();
        let keys = key.subkeys()?.iter().map(|key| key.name().text()).collect();
        Ok(Some(KeyEntries { values, keys }))
    }

    fn free_space(&mut self, volume: VolumeRole) -> Result<u64, OfflineError> {
        Ok(self.volume(volume)?.free_space()?)
    }

    fn partition_of(&mut self, volume: VolumeRole) -> Result<Option<u32>, OfflineError> {
        let role = match volume {
            VolumeRole::Windows => disk::VolumeRole::Windows,
            VolumeRole::Recovery => disk::VolumeRole::Recovery,
            VolumeRole::System => disk::VolumeRole::Efi,
        };
        match self.disk.partition_of(role) {
            Ok(number) => Ok(Some(number)),
            Err(disk::DiskError::NoVolume { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn read_partition(&mut self, number: u32) -> Result<Option<Partition>, OfflineError> {
        Ok(self.disk.read_table()?.partition(number).cloned())
    }

    fn read_variable(
        &mut self,
        vendor: Guid,
        name: &str,
    ) -> Result<Option<Variable>, OfflineError> {
        Ok(self.variables()?.1.get(vendor, name).cloned())
    }

    fn read_tpm(&mut self) -> Result<Option<Vec<u8>>, OfflineError> {
        match fs_err::read(self.tpm_state()?) {
            Ok(state) => Ok(Some(state)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn edit(&mut self, edit: &Edit) -> Result<(), OfflineError> {
        match edit {
            Edit::WriteFile { volume, path, bytes, modified } => {
                self.let_go(*volume, path)?;
                let (volume, path) = self.place(*volume, path)?;
                if let Some((folder, _)) = path.rsplit_once('\\') {
                    volume.create_dir_all(folder)?;
                }
                volume.write(path, bytes)?;
                if let Some(modified) = modified {
                    let time = FileTime::from_timestamp(*modified);
                    volume.set_times(path, time, time)?;
                }
            }
            Edit::RemoveFile { volume, path } => {
                self.let_go(*volume, path)?;
                let (volume, path) = self.place(*volume, path)?;
                volume.remove_file(path)?;
            }
            Edit::RemoveFolder { volume, path } => {
                let (volume, path) = self.place(*volume, path)?;
                volume.remove_dir_all(path)?;
            }
            Edit::SetValue { hive, key, name, value } => {
                self.edit_hive(*hive, key, |hive, key| {
                    hive.set_value(key, name.as_str(), &value.data())
                })?;
            }
            Edit::RemoveValue { hive, key, name } => {
                self.edit_hive(*hive, key, |hive, key| {
                    hive.delete_value(key, name.as_str()).map(|_| ())
                })?;
            }
            Edit::RemoveKey { hive, key } => {
                self.edit_hive(*hive, key, |hive, key| hive.delete_key(key).map(|_| ()))?;
            }
            Edit::SetPartition { number, partition } => {
                self.disk.set_partition(*number, partition.as_ref())?;
            }
            Edit::ExtendVariable(added) => self.edit_variables(|store| {
                let mut whole = added.clone();
                if let Some(there) = store.get(added.vendor, &added.name) {
                    whole.data = [there.data.as_slice(), &added.data].concat();
                }
                Ok(store.set(whole)?)
            })?,
            Edit::SetVariable(variable) => {
                self.edit_variables(|store| Ok(store.set(variable.clone())?))?;
            }
            Edit::RemoveVariable(variable) => self.edit_variables(|store| {
                store.remove(variable.vendor, &variable.name);
                Ok(())
            })?,
            Edit::ReplaceTpm(TpmState::New) => match fs_err::remove_file(self.tpm_state()?) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err("the TPM has not been used yet; there is nothing to clear".into());
                }
                removed => removed?,
            },
            Edit::ReplaceTpm(TpmState::Same) => {
                let state = self.read_tpm()?.ok_or("the TPM has not been used yet")?;
                fs_err::write(self.tpm_state()?, state)?;
            }
            Edit::ReplaceTpm(TpmState::These(state)) => fs_err::write(self.tpm_state()?, state)?,
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), OfflineError> {
        self.system.write_back(&mut *self.windows)?;
        self.software.write_back(&mut *self.windows)?;
        self.components.write_back(&mut *self.windows)?;
        self.windows.flush()?;
        // What is read from here on comes from the disk.
        let others = std::mem::take(&mut self.others).into_values();
        for mut volume in
            [self.recovery.take(), self.efi.take()].into_iter().flatten().chain(others)
        {
            volume.flush()?;
        }
        self.windows = SystemFolder::on(self.disk.windows_volume()?, &self.folder);
        set_clock(&mut *self.windows, self.clock);
        Ok(())
    }
}

impl WindowsDisk {
    fn edit_hive(
        &mut self,
        name: HiveName,
        key: &str,
        change: impl FnOnce(&mut Hive, &str) -> Result<(), winfmt::hive::HiveError>,
    ) -> Result<(), OfflineError> {
        let (open, volume) = self.hive(name);
        let hive = open.get(volume)?;
        change(hive, key)?;
        open.changed = true;
        Ok(())
    }
}

fn from_data(data: Data) -> RegistryValue {
    // What does not survive the way through text is kept as it is.
    let typed = match data.kind {
        ValueType::String => data.as_string().map(RegistryValue::Text),
        ValueType::ExpandString => data.as_string().map(RegistryValue::ExpandText),
        ValueType::Dword => data.as_dword().map(RegistryValue::Dword),
        ValueType::Binary => Some(RegistryValue::Binary(data.bytes.clone())),
        _ => None,
    };
    typed
        .filter(|value| value.data() == data)
        .unwrap_or_else(|| RegistryValue::Other(data.kind.into(), data.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::Access;
    use std::path::{Path, PathBuf};
    use volume::{Fat, FatFormat, FatKind, FileDevice};

    fn artifacts() -> Option<PathBuf> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let given = std::env::var_os("LOOPBREAK_ARTIFACTS").map(PathBuf::from);
        let hives = given
            .unwrap_or_else(|| workspace.join("../shared/artifacts"))
            .join("hives/yarp/NewDirtyHive1");
        if !hives.is_dir() {
            println!("skipped: there is no {}", hives.display());
            return None;
        }
        Some(hives)
    }

    /// A FAT disk without a table, as ReactOS may have one, whose SYSTEM hive Windows did not write back.
    #[test]
    fn a_dirty_hive_is_recovered_before_it_is_edited() {
        let Some(hives) = artifacts() else { return };
        let artifact = |name: &str| std::fs::read(hives.join(name)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        let file =
            std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(64 << 20).unwrap();
        let options = FatFormat { kind: FatKind::Fat32, id: 1, label: "REACTOS".to_owned() };
        let mut fat = Fat::format(FileDevice::new(file).unwrap(), &options).unwrap();
        fat.create_dir_all(r"ReactOS\system32\config").unwrap();
        let config = r"ReactOS\system32\config\system";
        fat.write(config, &artifact("NewDirtyHive")).unwrap();
        fat.write(&format!("{config}.log1"), &artifact("NewDirtyHive.LOG1")).unwrap();
        fat.write(&format!("{config}.log2"), &artifact("NewDirtyHive.LOG2")).unwrap();
        fat.flush().unwrap();
        drop(fat);

        let open = |access| {
            let disk = OfflineDisk::open(&path, access, directory.path()).unwrap();
            WindowsDisk::new(disk, None).unwrap()
        };
        let recovered = Hive::open(artifact("RecoveredHive_Windows10")).unwrap();
        let keys = |hive: &Hive| hive.walk().count();
        let value = RegistryValue::Dword(4);
        let mut disk = open(Access::ReadWrite);
        let (key, name) = ("Added".to_owned(), "Start".to_owned());
        let hive = HiveName::System;
        disk.edit(&Edit::SetValue { hive, key, name, value: value.clone() }).unwrap();
        disk.commit().unwrap();
        assert_eq!(disk.read_value(hive, "added", "START").unwrap(), Some(value));
        disk.into_disk().close().unwrap();

        let mut disk = open(Access::ReadOnly);
        let edited = Hive::open(disk.windows().read(config).unwrap()).unwrap();
        assert_eq!(keys(&edited), keys(&recovered) + 1, "what the logs held was lost");
        for log in ["LOG1", "LOG2"] {
            let log = disk.windows().metadata(&format!("{config}.{log}")).unwrap();
            assert_eq!(log.size, 0, "Windows would replay the log over the edit");
        }
    }

    /// A FAT disk of ReactOS's layout, as a crash leaves it: the system lies in a folder of its own name, and the
    /// volume was not let go of.
    #[test]
    fn what_goes_to_the_windows_folder_goes_to_the_systems_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        let file =
            std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(64 << 20).unwrap();
        let options = FatFormat { kind: FatKind::Fat32, id: 1, label: "REACTOS".to_owned() };
        let mut fat = Fat::format(FileDevice::new(file).unwrap(), &options).unwrap();
        fat.create_dir_all(r"ReactOS\system32\config").unwrap();
        let hive = Hive::create("SYSTEM").unwrap();
        fat.write(r"ReactOS\system32\config\system", &hive.to_bytes().unwrap()).unwrap();
        fat.flush().unwrap();
        drop(fat);
        let mark = std::fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&mark, &[1], 0x41).unwrap();

        let open = |access| {
            let disk = OfflineDisk::open(&path, access, directory.path()).unwrap();
            WindowsDisk::new(disk, None).unwrap()
        };
        let mut disk = open(Access::ReadWrite);
        let driver = r"Windows\System32\drivers\bad.sys";
        let write = Edit::WriteFile {
            volume: VolumeRole::Windows,
            path: driver.to_owned(),
            bytes: b"MZ".to_vec(),
            modified: None,
        };
        let error = disk.edit(&write).unwrap_err().to_string();
        assert!(error.contains("marked as dirty"), "{error}");
        let given_up = disk.accept_crash_state().unwrap().unwrap();
        assert!(given_up.contains("as the crash left it"), "{given_up}");
        disk.edit(&write).unwrap();
        let (key, name) = (r"ControlSet001\Services\bad".to_owned(), "Start".to_owned());
        let value = RegistryValue::Dword(1);
        disk.edit(&Edit::SetValue { hive: HiveName::System, key, name, value }).unwrap();
        disk.commit().unwrap();
        assert!(disk.read_file(VolumeRole::Windows, driver).unwrap().is_some());
        disk.into_disk().close().unwrap();

        let bare = OfflineDisk::open(&path, Access::ReadOnly, directory.path()).unwrap();
        let mut volume = bare.windows_volume().unwrap();
        assert!(volume.exists(r"ReactOS\System32\drivers\bad.sys").unwrap());
        assert!(!volume.exists("Windows").unwrap(), "nothing lies where nobody reads it");
    }
}
