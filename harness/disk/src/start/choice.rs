//! Which Windows, EFI system partition and recovery partition are meant, where there are several.

use std::path::PathBuf;

use winfmt::variables::VariableStore;

use super::firmware_entry::first_partition;
use super::stores::{BootStore, EFI_STORE, Leads};
use crate::error::DiskError;
use crate::offline::OfflineDisk;
use crate::summary::{VolumeRole, VolumeSummary};

const RECOVERY_IMAGE: &str = r"Recovery\WindowsRE\Winre.wim";

/// What is known from outside the disk of how it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Starting {
    /// The partition of the Windows that someone named, whatever the stores say.
    pub chosen: Option<u32>,
    /// The partition of the Windows that started before anything was done to the disk, where that is known.
    pub windows: Option<u32>,
    /// The machine's own firmware variables, the file of QEMU's second flash chip.
    pub firmware_vars: Option<PathBuf>,
}

impl OfflineDisk {
    /// The same disk with what is known from outside of how it starts.
    ///
    /// # Errors
    /// [`DiskError::NoVolume`] where the partition that is named has no Windows.
    pub fn starting(mut self, starting: Starting) -> Result<Self, DiskError> {
        if let Some(number) = starting.chosen.or(starting.windows)
            && !self.systems().any(|one| one.number == number)
        {
            return Err(self.no_volume(format!("Windows on partition {number}")));
        }
        self.starting = starting;
        Ok(self)
    }

    fn systems(&self) -> impl Iterator<Item = &VolumeSummary> {
        self.volumes().iter().filter(|volume| volume.role == VolumeRole::Windows)
    }

    /// The Windows that starts: decided once, from the disk as it is then.
    pub(crate) fn windows(&self) -> Result<&VolumeSummary, DiskError> {
        let number = match self.decided.get() {
            Some(number) => *number,
            None => {
                let number = self.decide()?;
                *self.decided.get_or_init(|| number)
            }
        };
        let found = self.systems().find(|one| one.number == number);
        found.ok_or_else(|| self.no_volume(format!("Windows on partition {number}")))
    }

    fn decide(&self) -> Result<u32, DiskError> {
        if let Some(number) = self.starting.chosen.or(self.starting.windows) {
            return Ok(number);
        }
        let systems: Vec<u32> = self.systems().map(|one| one.number).collect();
        let Some(&first) = systems.first() else {
            return Err(self.no_volume("volume with a Windows folder".to_owned()));
        };
        let hidden = self.volumes().iter().any(VolumeSummary::may_hide_a_system);
        let only = (systems.len() == 1 && !hidden).then_some(first);
        let stores = self.starting_stores();
        let mut named = None;
        for store in &stores {
            let leads = self.leads(store);
            match (leads, only) {
                (Leads::Image(device), _) => {
                    return Err(self.not_certain(&format!(
                        "{} leads to a system in an image file, {device}",
                        place(store)
                    )));
                }
                (Leads::Partition(number), None) if systems.contains(&number) => {
                    if named.is_some_and(|other| other != number) {
                        return Err(self.not_certain("several boot configurations contradict"));
                    }
                    named = Some(number);
                }
                (Leads::Partition(number), None) => {
                    return Err(self.not_certain(&format!(
                        "{} leads to partition {number}, {}",
                        place(store),
                        self.what_is_on(number)
                    )));
                }
                (Leads::Nowhere, None) => {
                    return Err(self.not_certain(&format!(
                        "the default entry of {} leads to no partition of this disk",
                        place(store)
                    )));
                }
                (Leads::Unclear(reason), None) => {
                    return Err(self.not_certain(&format!("{}: {reason}", place(store))));
                }
                (_, Some(_)) => {}
            }
        }
        named
            .or(only)
            .ok_or_else(|| self.not_certain("there is no boot configuration that says it"))
    }

    /// What it was told of how it starts.
    pub fn told(&self) -> &Starting {
        &self.starting
    }

    /// The stores that may be the one that the firmware starts: where its own variables tell, just those on that
    /// partition. One that leads to the Windows that was named comes first.
    pub fn starting_stores(&self) -> Vec<BootStore> {
        let mut stores = self.boot_stores();
        if let Some(windows) = self.starting.chosen {
            stores.sort_by_key(|store| self.leads(store) != Leads::Partition(windows));
        }
        match self.firmware_partition() {
            Some(number) if stores.iter().any(|store| store.partition == number) => {
                stores.into_iter().filter(|store| store.partition == number).collect()
            }
            _ => stores,
        }
    }

    /// The partition that the machine's own variables start from.
    pub fn firmware_partition(&self) -> Option<u32> {
        let file = self.starting.firmware_vars.as_ref()?;
        let variables = VariableStore::open(fs_err::read(file).ok()?).ok()?;
        let id = first_partition(&variables)?;
        let found = self.table().partitions.iter().find(|one| one.id == Some(id));
        found.map(|one| one.number)
    }

    /// The EFI system partition that the machine starts from.
    pub(crate) fn efi(&self) -> Result<&VolumeSummary, DiskError> {
        let all = self.with_role(VolumeRole::Efi);
        let [first, _, ..] = all[..] else {
            return all
                .first()
                .copied()
                .ok_or_else(|| self.no_volume("EFI system partition".to_owned()));
        };
        if let Some(number) = self.firmware_partition()
            && let Some(one) = all.iter().find(|one| one.number == number)
        {
            return Ok(one);
        }
        let stores = self.boot_stores();
        let on = |number| stores.iter().filter(move |store| store.partition == number);
        let with_store = the_only(&all, |one| on(one.number).next().is_some());
        let for_windows = self.starting.chosen.and_then(|windows| {
            the_only(&all, |one| {
                on(one.number).any(|own| self.leads(own) == Leads::Partition(windows))
            })
        });
        // A store that was taken away leaves its folder.
        let folder = EFI_STORE.rsplit_once('\\').map_or(EFI_STORE, |(folder, _)| folder);
        let with_folder =
            || the_only(&all, |one| self.has(one.number, folder)).filter(|_| stores.is_empty());
        let one = with_store.or(for_windows).or_else(with_folder);
        one.ok_or_else(|| DiskError::Uncertain {
            path: self.path().to_path_buf(),
            what: "EFI system partition".to_owned(),
            reason: format!(
                "there are {} from partition {} on, and neither its firmware variables nor its stores tell",
                all.len(),
                first.number
            ),
            choices: self.described(&all),
            remedy: "import it with its own firmware variables (`--vars FILE`), or name the Windows that starts \
                     (`--windows PARTITION`)",
        })
    }

    /// The recovery partition that a failed start leads to.
    pub(crate) fn recovery(&self) -> Result<&VolumeSummary, DiskError> {
        let all = self.with_role(VolumeRole::Recovery);
        if let [one] = all[..] {
            return Ok(one);
        }
        if all.is_empty() {
            return Err(self.no_volume("recovery partition".to_owned()));
        }
        let stores = self.starting_stores();
        let mut named: Vec<u32> = stores.iter().filter_map(|one| self.recovery_of(one)).collect();
        named.dedup();
        let by_store = match named[..] {
            [number] => all.iter().find(|one| one.number == number).copied(),
            _ => None,
        };
        let by_image = || the_only(&all, |one| self.has(one.number, RECOVERY_IMAGE));
        by_store.or_else(by_image).ok_or_else(|| DiskError::Uncertain {
            path: self.path().to_path_buf(),
            what: "recovery partition".to_owned(),
            reason: "there are several, and its boot configuration names none of them".to_owned(),
            choices: self.described(&all),
            remedy: "remove those that are not used, or run `reagentc /disable` and `reagentc /enable` in Windows",
        })
    }

    fn with_role(&self, role: VolumeRole) -> Vec<&VolumeSummary> {
        self.volumes().iter().filter(|volume| volume.role == role).collect()
    }

    fn has(&self, number: u32, file: &str) -> bool {
        self.volume(number).is_ok_and(|mut volume| volume.exists(file).unwrap_or(false))
    }

    fn not_certain(&self, reason: &str) -> DiskError {
        let may = |one: &&VolumeSummary| one.role == VolumeRole::Windows || one.may_hide_a_system();
        let choices: Vec<&VolumeSummary> = self.volumes().iter().filter(may).collect();
        DiskError::Uncertain {
            path: self.path().to_path_buf(),
            what: "Windows".to_owned(),
            reason: reason.to_owned(),
            choices: self.described(&choices),
            remedy: "name one that can be read with `--windows PARTITION`",
        }
    }

    fn what_is_on(&self, number: u32) -> String {
        let volume = self.volumes().iter().find(|one| one.number == number);
        match volume.and_then(|one| one.unreadable.as_ref()) {
            Some(reason) => format!("which cannot be read: {reason}"),
            None => "which has no Windows".to_owned(),
        }
    }
}

fn the_only<'v>(
    all: &[&'v VolumeSummary],
    is: impl Fn(&VolumeSummary) -> bool,
) -> Option<&'v VolumeSummary> {
    let mut found = all.iter().filter(|one| is(one));
    let first = found.next().copied()?;
    found.next().is_none().then_some(first)
}

fn place(store: &BootStore) -> String {
    format!(r"\{} on partition {}", store.path, store.partition)
}
