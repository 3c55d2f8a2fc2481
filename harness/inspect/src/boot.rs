//! How the system is started: the BCD store, or the `freeldr.ini` of ReactOS.

use disk::VolumeRole;
use serde::{Deserialize, Serialize};
use volume::DiskId;
use winfmt::Guid;
use winfmt::bcd::{
    BcdError, BcdStore, Device, DeviceKind, ElementId, ElementValue, LocalDevice, Object,
    ObjectType, known,
};
use winfmt::freeldr::FreeLdr;

use crate::Known;
use crate::opened_disk::{OpenedDisk, file_size, read_file, read_hive};

/// How the system is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum BootConfiguration {
    /// The boot configuration data of Windows.
    Bcd(Box<BcdFacts>),
    /// ReactOS's boot loader.
    Freeldr(FreeldrFacts),
}

impl BootConfiguration {
    /// The store, if it is one.
    pub fn bcd(&self) -> Option<&BcdFacts> {
        match self {
            Self::Bcd(facts) => Some(facts.as_ref()),
            Self::Freeldr(_) => None,
        }
    }
}

/// A BCD store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BcdFacts {
    /// The partition that it is on.
    pub partition: u32,
    /// The file, from the root of that partition.
    pub path: String,
    /// How many objects it holds.
    pub objects: usize,
    /// What the boot manager starts by default.
    pub default: Known<Loader>,
    /// Entries of the menu, in order.
    pub display_order: Vec<String>,
    /// What is started once, next.
    pub boot_sequence: Vec<String>,
    /// Seconds that the menu waits.
    pub timeout: Known<u64>,
    /// Loaders of recovery environments that the store holds, whoever points at them.
    pub recovery_loaders: Vec<RecoveryLoader>,
}

/// A loader of Windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Loader {
    /// Its object.
    pub id: String,
    /// What the menu calls it.
    pub description: Known<String>,
    /// Its file.
    pub path: Known<String>,
    /// The volume of Windows.
    pub device: Known<Place>,
    /// `recoveryenabled`. Absent means yes (windows-facts.md 3.1).
    pub recovery_enabled: Known<bool>,
    /// `recoverysequence`.
    pub recovery_sequence: Known<Vec<RecoveryLoader>>,
    /// `bootstatuspolicy`. Absent means that failures count (windows-facts.md 3.1).
    pub boot_status_policy: Known<String>,
    /// Whether that policy counts failed starts.
    pub counts_failed_starts: Known<bool>,
    /// `safeboot`, as stored.
    pub safe_boot: Known<u64>,
    /// `testsigning`.
    pub test_signing: Known<bool>,
    /// `nointegritychecks`.
    pub no_integrity_checks: Known<bool>,
    /// `disablecrashautoreboot`: after a stop it stands still, whatever `CrashControl` says.
    pub no_crash_restart: Known<bool>,
}

/// A loader of a recovery environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecoveryLoader {
    /// Its object.
    pub id: String,
    /// What the store calls it. Absent: there is no such object.
    pub description: Known<String>,
    /// Whether it is marked as Windows PE.
    pub win_pe: bool,
    /// The image file that it starts from.
    pub image: Known<ImagePlace>,
}

/// A volume as a store names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// In the store's terms.
    pub device: String,
    /// The partition of this disk that it is. Absent: none of them.
    pub partition: Known<u32>,
}

/// A file on a volume as a store names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImagePlace {
    /// In the store's terms.
    pub device: String,
    /// The partition of this disk that it is. Absent: none of them.
    pub partition: Known<u32>,
    /// The file, from the root of that partition.
    pub path: String,
    /// Its size in bytes. Absent: it is not there.
    pub size: Known<u64>,
}

/// A `freeldr.ini`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FreeldrFacts {
    /// The partition that it is on.
    pub partition: u32,
    /// `DefaultOS`.
    pub default: Known<String>,
    /// Its section's `SystemPath`.
    pub system_path: Known<String>,
    /// Its section's `Options`, one by one.
    pub options: Vec<String>,
    /// Names of all entries.
    pub entries: Vec<String>,
}

const EFI_STORE: &str = r"EFI\Microsoft\Boot\BCD";
const BIOS_STORE: &str = r"Boot\BCD";
const FREELDR: &str = "freeldr.ini";
const MAX_FREELDR: u64 = 1 << 20;
/// A store holds a few dozen objects; more entries than this are not followed.
const MAX_ENTRIES: usize = 64;

/// Where a boot configuration is looked for: the volumes that firmware can start from.
fn candidates(opened: &OpenedDisk<'_>) -> Vec<(u32, &'static str)> {
    let mut places = Vec::new();
    for volume in opened.readable() {
        let files: &[&str] = match volume.role {
            VolumeRole::Efi => &[EFI_STORE],
            VolumeRole::Boot | VolumeRole::Windows => &[BIOS_STORE, EFI_STORE, FREELDR],
            VolumeRole::Recovery | VolumeRole::Reserved | VolumeRole::Data => continue,
        };
        let rank = usize::from(volume.role == VolumeRole::Windows);
        places.extend(files.iter().map(|file| (rank, volume.number, *file)));
    }
    places.sort_by_key(|(rank, ..)| *rank);
    places.into_iter().map(|(_, number, file)| (number, file)).collect()
}

/// The BCD store that the disk starts by, opened, with its partition and path. `facts` gets how it was
/// read.
pub(crate) fn find_store(opened: &mut OpenedDisk<'_>) -> Known<(BcdStore, u32, String)> {
    let mut unreadable = None;
    for (number, file) in candidates(opened) {
        if file == FREELDR {
            continue;
        }
        let found = opened.volume(number).and_then(|mut volume| {
            let (hive, facts) = read_hive(&mut *volume, file);
            opened.hives.extend(facts);
            hive
        });
        match found.and_then(|hive| Known::read(BcdStore::from_hive(hive).map(Some))) {
            Known::Known(store) => return Known::Known((store, number, file.to_owned())),
            Known::Absent => {}
            Known::Unknown(reason) => {
                unreadable.get_or_insert(format!("'{file}' of partition {number}: {reason}"));
            }
        }
    }
    match unreadable {
        Some(reason) => Known::Unknown(reason),
        None => Known::Absent,
    }
}

/// Reads how the system is started.
pub(crate) fn read(opened: &mut OpenedDisk<'_>) -> Known<BootConfiguration> {
    match find_store(opened) {
        Known::Known((store, partition, path)) => {
            let facts = bcd(opened, &store, partition, path);
            match facts {
                Ok(facts) => Known::Known(BootConfiguration::Bcd(Box::new(facts))),
                Err(error) => Known::Unknown(error.to_string()),
            }
        }
        Known::Absent => freeldr(opened).map(BootConfiguration::Freeldr),
        Known::Unknown(reason) => Known::Unknown(reason),
    }
}

fn bcd(
    opened: &OpenedDisk<'_>,
    store: &BcdStore,
    partition: u32,
    path: String,
) -> Result<BcdFacts, BcdError> {
    let objects = store.objects()?;
    let named = |element| {
        let list = store.objects_of(known::BOOT_MANAGER, element).unwrap_or_default();
        list.iter().take(MAX_ENTRIES).map(|id| id.to_string()).collect()
    };
    let recovery_loaders = objects
        .iter()
        .filter(|object| object.kind == ObjectType::OS_LOADER && object.is_win_pe())
        .take(MAX_ENTRIES)
        .map(|object| recovery_loader(opened, store, object.id))
        .collect();
    Ok(BcdFacts {
        partition,
        path,
        objects: objects.len(),
        default: Known::read(store.default_loader()).map(|object| loader(opened, store, &object)),
        display_order: named(ElementId::DISPLAY_ORDER),
        boot_sequence: named(ElementId::BOOT_SEQUENCE),
        timeout: Known::read(store.integer(known::BOOT_MANAGER, ElementId::TIMEOUT)),
        recovery_loaders,
    })
}

fn loader(opened: &OpenedDisk<'_>, store: &BcdStore, object: &Object) -> Loader {
    let id = object.id;
    let boolean = |element| Known::read(store.boolean(id, element));
    let policy = Known::read(store.boot_status_policy(id));
    let sequence = Known::read(store.recovery_sequence(id).map(Some)).and_then(|ids| {
        if ids.is_empty() {
            return Known::Absent;
        }
        let ids = ids.into_iter().take(MAX_ENTRIES);
        Known::Known(ids.map(|id| recovery_loader(opened, store, id)).collect())
    });
    Loader {
        id: id.to_string(),
        description: Known::read(store.string(id, ElementId::DESCRIPTION)),
        path: Known::read(store.string(id, ElementId::PATH)),
        device: device(store, id, ElementId::OS_DEVICE).map(|device| Place {
            partition: partition_of(opened, &device.kind()),
            device: device.kind().to_string(),
        }),
        recovery_enabled: boolean(ElementId::RECOVERY_ENABLED),
        recovery_sequence: sequence,
        counts_failed_starts: policy.clone().map(|policy| policy.counts_failed_starts()),
        boot_status_policy: policy.map(|policy| policy.to_string()),
        safe_boot: Known::read(store.integer(id, ElementId::SAFE_BOOT)),
        test_signing: boolean(ElementId::TEST_SIGNING),
        no_integrity_checks: boolean(ElementId::NO_INTEGRITY_CHECKS),
        no_crash_restart: boolean(ElementId::DISABLE_CRASH_AUTO_REBOOT),
    }
}

fn device(store: &BcdStore, object: Guid, element: ElementId) -> Known<Device> {
    Known::read(store.effective(object, element)).and_then(|value| match value {
        ElementValue::Device(device) => Known::Known(device),
        _ => Known::Unknown("it is not a device".to_owned()),
    })
}

fn recovery_loader(opened: &OpenedDisk<'_>, store: &BcdStore, id: Guid) -> RecoveryLoader {
    let object = match store.object(id) {
        Ok(object) => object,
        Err(error) => {
            let reason = error.to_string();
            return RecoveryLoader {
                id: id.to_string(),
                description: Known::Unknown(reason.clone()),
                win_pe: false,
                image: Known::Unknown(reason),
            };
        }
    };
    let image = device(store, id, ElementId::OS_DEVICE).and_then(|device| match device.kind() {
        DeviceKind::File { local: LocalDevice::Ramdisk, parent, path } => {
            Known::Known(image_place(opened, &parent, path))
        }
        other => Known::Unknown(format!("it does not start from an image, but from {other}")),
    });
    RecoveryLoader {
        id: id.to_string(),
        description: match &object {
            Some(object) => {
                Known::Known(object.description().unwrap_or("(no description)").to_owned())
            }
            None => Known::Absent,
        },
        win_pe: object.as_ref().is_some_and(Object::is_win_pe),
        image,
    }
}

/// A file on a volume as the store names it, looked up on this disk.
fn image_place(opened: &OpenedDisk<'_>, device: &DeviceKind, path: String) -> ImagePlace {
    let path = path.trim_start_matches('\\').to_owned();
    let partition = partition_of(opened, device);
    let size = partition
        .clone()
        .and_then(|number| opened.volume(number))
        .and_then(|mut volume| file_size(&mut *volume, &path));
    ImagePlace { device: device.to_string(), partition, path, size }
}

/// The partition of this disk that a device names.
pub(crate) fn partition_of(opened: &OpenedDisk<'_>, device: &DeviceKind) -> Known<u32> {
    let table = opened.disk.table();
    let found = match device {
        DeviceKind::Gpt { disk, partition } => {
            if table.disk != DiskId::Guid(*disk) {
                return Known::Absent;
            }
            table.partitions.iter().find(|own| own.id == Some(*partition))
        }
        DeviceKind::Mbr { signature, offset } => {
            if table.disk != DiskId::Signature(*signature) {
                return Known::Absent;
            }
            table.partitions.iter().find(|own| own.start == *offset)
        }
        DeviceKind::Boot => return boot_partition(opened),
        DeviceKind::File { .. } | DeviceKind::Locate | DeviceKind::Unknown => {
            return Known::Unknown(format!("{device} names no partition"));
        }
    };
    found.map_or(Known::Absent, |own| Known::Known(own.number))
}

/// The volume that the boot manager started from.
fn boot_partition(opened: &OpenedDisk<'_>) -> Known<u32> {
    match candidates(opened).first() {
        Some((number, _)) => Known::Known(*number),
        None => Known::Absent,
    }
}

fn freeldr(opened: &OpenedDisk<'_>) -> Known<FreeldrFacts> {
    for (number, file) in candidates(opened) {
        if file != FREELDR {
            continue;
        }
        let found = opened
            .volume(number)
            .and_then(|mut volume| read_file(&mut *volume, file, MAX_FREELDR))
            .and_then(|bytes| Known::read(FreeLdr::parse(&bytes).map(Some)))
            .map(|configuration| freeldr_facts(number, &configuration));
        if found != Known::Absent {
            return found;
        }
    }
    Known::Absent
}

fn freeldr_facts(partition: u32, configuration: &FreeLdr) -> FreeldrFacts {
    let default = configuration.default_entry();
    let path = default.as_ref().and_then(|entry| entry.system_path.clone());
    FreeldrFacts {
        partition,
        system_path: path.map_or(Known::Absent, Known::Known),
        options: default.as_ref().map(|entry| entry.options.clone()).unwrap_or_default(),
        default: default.map_or(Known::Absent, |entry| Known::Known(entry.name)),
        entries: configuration.entries().into_iter().map(|entry| entry.name).collect(),
    }
}
