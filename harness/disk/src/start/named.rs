//! The partition of a disk that a device of a store names.

use volume::DiskId;
use winfmt::Guid;
use winfmt::bcd::{BcdError, BcdStore, DeviceKind, ElementId, ElementValue, Located};

use crate::offline::OfflineDisk;
use crate::summary::VolumeRole;

/// The device in an element of an entry, with what the entry inherits. One that is looked for by the path in another
/// element is given with that path. `None`: it has none.
///
/// # Errors
/// As [`BcdStore::effective`]. An element that holds no device gives [`DeviceKind::Unknown`].
pub fn entry_device(
    store: &BcdStore,
    entry: Guid,
    element: ElementId,
) -> Result<Option<DeviceKind>, BcdError> {
    let kind = match store.effective(entry, element)? {
        None => return Ok(None),
        Some(ElementValue::Device(device)) => device.kind(),
        Some(_) => DeviceKind::Unknown,
    };
    Ok(Some(match kind {
        DeviceKind::Locate(Located::Element(id)) => match store.string(entry, ElementId(id))? {
            Some(path) => DeviceKind::Locate(Located::Path(path)),
            None => DeviceKind::Locate(Located::Element(id)),
        },
        kind => kind,
    }))
}

impl OfflineDisk {
    /// The partition of this disk that a device of a store names; `None`: none of them. `started_from` is the
    /// partition that the store is on.
    ///
    /// # Errors
    /// Why it cannot be told, for people.
    pub fn partition_named(
        &self,
        device: &DeviceKind,
        started_from: u32,
    ) -> Result<Option<u32>, String> {
        let table = self.table();
        let found = match device {
            DeviceKind::Gpt { disk, partition } => table
                .partitions
                .iter()
                .find(|own| table.disk == DiskId::Guid(*disk) && own.id == Some(*partition)),
            DeviceKind::Mbr { signature, offset } => table
                .partitions
                .iter()
                .find(|own| table.disk == DiskId::Signature(*signature) && own.start == *offset),
            DeviceKind::Boot => return Ok(Some(started_from)),
            DeviceKind::Locate(Located::Path(path)) => return self.first_with(path),
            DeviceKind::File { .. } | DeviceKind::Locate(_) | DeviceKind::Unknown => {
                return Err(format!("{device} names no partition"));
            }
        };
        Ok(found.map(|own| own.number))
    }

    /// The first volume that has a path. One that cannot be read and comes before it may have it too.
    fn first_with(&self, path: &str) -> Result<Option<u32>, String> {
        let inner = path.trim_start_matches('\\');
        for volume in self.volumes().iter().filter(|one| one.role != VolumeRole::Reserved) {
            let number = volume.number;
            if volume.unreadable.is_some() {
                if volume.may_hide_a_system() {
                    return Err(format!(
                        "{path} is looked for on all volumes, and partition {number} cannot be read"
                    ));
                }
                continue;
            }
            let there = self.volume(number).map_err(|error| error.to_string())?.exists(inner);
            if there.map_err(|error| error.to_string())? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }
}
