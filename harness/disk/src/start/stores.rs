//! The boot configuration stores that a firmware can come to.

use volume::TableStyle;
use winfmt::bcd::{BcdStore, DeviceKind, ElementId, LocalDevice, ObjectType, known};

use super::hive::read_hive;
use super::named::entry_device;
use crate::offline::OfflineDisk;
use crate::summary::{VolumeRole, VolumeSummary};

/// The store of a UEFI machine, from the root of the EFI system partition.
pub(super) const EFI_STORE: &str = r"EFI\Microsoft\Boot\BCD";
/// The store of a BIOS machine, from the root of the active partition.
const BIOS_STORE: &str = r"Boot\BCD";

/// A file that is a boot configuration store, or should be.
#[derive(Debug)]
pub struct BootStore {
    /// The partition that it is on.
    pub partition: u32,
    /// The file, from the root of that partition.
    pub path: &'static str,
    /// How it was read, for people; why it cannot be read.
    pub state: Result<String, String>,
    /// What is in it; why it is no store.
    pub store: Result<BcdStore, String>,
}

/// Where a store leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leads {
    /// To the system on a partition of this disk, or what should be one.
    Partition(u32),
    /// To a system inside an image file.
    Image(String),
    /// To nothing that would start.
    Nowhere,
    /// It cannot be told.
    Unclear(String),
}

impl OfflineDisk {
    /// The stores that a firmware can come to, in the order in which partitions lie: on EFI system partitions, and on
    /// the active partition of a BIOS disk. Where there is none, those on the volumes of systems, which something
    /// else would have to start.
    pub fn boot_stores(&self) -> Vec<BootStore> {
        let style = self.table().style;
        let active = |volume: &VolumeSummary| match style {
            TableStyle::Gpt => false,
            TableStyle::Mbr => self.table().partition(volume.number).is_some_and(|one| one.active),
            TableStyle::None => true,
        };
        let first = self.volumes().iter().flat_map(|volume| {
            let files: &[_] = match volume.role {
                VolumeRole::Efi => &[EFI_STORE],
                VolumeRole::Reserved => &[],
                _ if active(volume) => &[BIOS_STORE, EFI_STORE],
                _ => &[],
            };
            self.stores_on(volume, files)
        });
        let found: Vec<BootStore> = first.collect();
        if !found.is_empty() {
            return found;
        }
        let systems = self.volumes().iter().filter(|volume| volume.role == VolumeRole::Windows);
        systems.flat_map(|volume| self.stores_on(volume, &[BIOS_STORE, EFI_STORE])).collect()
    }

    fn stores_on(&self, volume: &VolumeSummary, files: &[&'static str]) -> Vec<BootStore> {
        if volume.unreadable.is_some() || files.is_empty() {
            return Vec::new();
        }
        let Ok(mut opened) = self.volume(volume.number) else { return Vec::new() };
        // Of two on one volume the first counts: a BIOS does not come to the other.
        let stores = files.iter().filter_map(|path| {
            let (state, store) = match read_hive(&mut *opened, path) {
                Ok(None) => return None,
                Ok(Some(read)) => (
                    Ok(read.state),
                    BcdStore::from_hive(read.hive).map_err(|error| error.to_string()),
                ),
                Err(reason) => (Err(reason.clone()), Err(reason)),
            };
            Some(BootStore { partition: volume.number, path, state, store })
        });
        stores.take(1).collect()
    }

    /// Where the next start by a store leads.
    pub(super) fn leads(&self, store: &BootStore) -> Leads {
        let opened = match &store.store {
            Ok(opened) => opened,
            Err(reason) => return Leads::Unclear(reason.clone()),
        };
        let default = match opened.default_loader() {
            Ok(Some(entry)) => self.entry_leads(opened, store.partition, entry.id),
            _ => Leads::Nowhere,
        };
        let once = opened.objects_of(known::BOOT_MANAGER, ElementId::BOOT_SEQUENCE);
        match once.unwrap_or_default().first() {
            Some(&once) if self.entry_leads(opened, store.partition, once) != default => {
                Leads::Unclear(format!("it starts {once} once, before its default entry"))
            }
            _ => default,
        }
    }

    fn entry_leads(&self, store: &BcdStore, on: u32, entry: winfmt::Guid) -> Leads {
        match store.object(entry) {
            Ok(Some(object)) if object.kind != ObjectType::OS_LOADER => {
                return Leads::Unclear(format!("{entry} is no loader of Windows"));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Leads::Nowhere,
            Err(error) => return Leads::Unclear(error.to_string()),
        }
        match entry_device(store, entry, ElementId::OS_DEVICE) {
            Ok(None) => Leads::Nowhere,
            Ok(Some(device)) => match self.partition_named(&device, on) {
                Ok(Some(number)) => Leads::Partition(number),
                Ok(None) => Leads::Nowhere,
                Err(_) if matches!(device, DeviceKind::File { .. }) => {
                    Leads::Image(device.to_string())
                }
                Err(reason) => Leads::Unclear(reason),
            },
            Err(error) => Leads::Unclear(error.to_string()),
        }
    }

    /// The partition of the recovery image that a failed start of the default entry leads to.
    pub(super) fn recovery_of(&self, store: &BootStore) -> Option<u32> {
        let opened = store.store.as_ref().ok()?;
        let default = opened.default_loader().ok()??;
        let loader = *opened.recovery_sequence(default.id).ok()?.first()?;
        match entry_device(opened, loader, ElementId::OS_DEVICE).ok()?? {
            DeviceKind::File { local: LocalDevice::Ramdisk, parent, .. } => {
                self.partition_named(&parent, store.partition).ok()?
            }
            _ => None,
        }
    }
}
