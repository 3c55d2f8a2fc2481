//! How the system is started: the BCD store, or the `freeldr.ini` of ReactOS.

use disk::{BootStore, VolumeRole, entry_device};
use serde::{Deserialize, Serialize};
use winfmt::Guid;
use winfmt::bcd::{
    BcdError, BcdStore, DeviceKind, ElementId, LocalDevice, Object, ObjectType, known,
};
use winfmt::freeldr::FreeLdr;

use crate::Known;
use crate::opened_disk::{HiveFacts, OpenedDisk, file_size, read_file};

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
    /// Further stores that the firmware may start by, where nothing tells by which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_stores: Vec<OtherStore>,
}

/// A store beside the one that is described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OtherStore {
    /// The partition that it is on.
    pub partition: u32,
    /// The file, from the root of that partition.
    pub path: String,
    /// What it starts by default.
    pub default: Known<Loader>,
}

/// A loader of Windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Loader {
    /// Its object.
    pub id: String,
    /// What the menu calls it.
    pub description: Known<String>,
    /// Whether it is one: of another kind are the boot loader of Windows XP, and programs such as a memory test.
    pub windows: bool,
    /// Its file.
    pub path: Known<String>,
    /// The volume that its file is on.
    pub program_device: Known<Place>,
    /// The volume of Windows.
    pub device: Known<Place>,
    /// Windows' folder on that volume.
    pub system_root: Known<String>,
    /// The size of the file that is started, in bytes. Absent: it is not there.
    pub program: Known<u64>,
    /// The size of Windows' SYSTEM hive, in bytes. Absent: it is not there.
    pub registry: Known<u64>,
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

const FREELDR: &str = "freeldr.ini";
const MAX_FREELDR: u64 = 1 << 20;
/// A store holds a few dozen objects; more entries than this are not followed.
const MAX_ENTRIES: usize = 64;

/// The BCD store that the disk starts by, with its partition and path.
pub(crate) type FoundStore = (BcdStore, u32, String);

/// The BCD store that the disk starts by, and what else the firmware may come to. How each was read is noted.
pub(crate) fn find_store(opened: &mut OpenedDisk<'_>) -> Known<(FoundStore, Vec<BootStore>)> {
    let mut stores = opened.disk.starting_stores();
    opened.hives.extend(stores.iter().map(|store| HiveFacts {
        file: store.path.to_owned(),
        state: match &store.state {
            Ok(state) => Known::Known(state.clone()),
            Err(reason) => Known::Unknown(reason.clone()),
        },
    }));
    if stores.is_empty() {
        return Known::Absent;
    }
    let first = stores.iter().position(|store| store.store.is_ok()).unwrap_or_default();
    let first = stores.remove(first);
    let (partition, path) = (first.partition, first.path.to_owned());
    match first.store {
        Ok(store) => Known::Known(((store, partition, path), stores)),
        Err(reason) => Known::Unknown(format!("'{path}' of partition {partition}: {reason}")),
    }
}

/// Reads how the system is started.
pub(crate) fn read(opened: &mut OpenedDisk<'_>) -> Known<BootConfiguration> {
    match find_store(opened) {
        Known::Known((found, others)) => {
            let facts = bcd(opened, found).map(|mut facts| {
                facts.other_stores =
                    others.iter().map(|other| other_store(opened, other)).collect();
                facts
            });
            match facts {
                Ok(facts) => Known::Known(BootConfiguration::Bcd(Box::new(facts))),
                Err(error) => Known::Unknown(error.to_string()),
            }
        }
        Known::Absent => freeldr(opened).map(BootConfiguration::Freeldr),
        Known::Unknown(reason) => Known::Unknown(reason),
    }
}

fn other_store(opened: &OpenedDisk<'_>, other: &BootStore) -> OtherStore {
    let default = match &other.store {
        Ok(store) => Known::read(store.default_loader())
            .map(|object| loader(opened, store, other.partition, &object)),
        Err(reason) => Known::Unknown(reason.clone()),
    };
    OtherStore { partition: other.partition, path: other.path.to_owned(), default }
}

fn bcd(
    opened: &OpenedDisk<'_>,
    (store, partition, path): FoundStore,
) -> Result<BcdFacts, BcdError> {
    let store = &store;
    let objects = store.objects()?;
    let named = |element| {
        let list = store.objects_of(known::BOOT_MANAGER, element).unwrap_or_default();
        list.iter().take(MAX_ENTRIES).map(|id| id.to_string()).collect()
    };
    let recovery_loaders = objects
        .iter()
        .filter(|object| object.kind == ObjectType::OS_LOADER && object.is_win_pe())
        .take(MAX_ENTRIES)
        .map(|object| recovery_loader(opened, store, partition, object.id))
        .collect();
    Ok(BcdFacts {
        partition,
        path,
        objects: objects.len(),
        default: Known::read(store.default_loader())
            .map(|object| loader(opened, store, partition, &object)),
        display_order: named(ElementId::DISPLAY_ORDER),
        boot_sequence: named(ElementId::BOOT_SEQUENCE),
        timeout: Known::read(store.integer(known::BOOT_MANAGER, ElementId::TIMEOUT)),
        recovery_loaders,
        other_stores: Vec::new(),
    })
}

fn loader(opened: &OpenedDisk<'_>, store: &BcdStore, on: u32, object: &Object) -> Loader {
    let id = object.id;
    let boolean = |element| Known::read(store.boolean(id, element));
    let policy = Known::read(store.boot_status_policy(id));
    let sequence = Known::read(store.recovery_sequence(id).map(Some)).and_then(|ids| {
        if ids.is_empty() {
            return Known::Absent;
        }
        let ids = ids.into_iter().take(MAX_ENTRIES);
        Known::Known(ids.map(|id| recovery_loader(opened, store, on, id)).collect())
    });
    let path = Known::read(store.string(id, ElementId::PATH));
    let program_device = place(opened, store, on, id, ElementId::DEVICE);
    let windows_device = place(opened, store, on, id, ElementId::OS_DEVICE);
    let system_root = Known::read(store.string(id, ElementId::SYSTEM_ROOT));
    let root = system_root.known().map_or(r"\Windows", String::as_str);
    let hive = format!(r"{}\System32\config\SYSTEM", root.trim_end_matches('\\'));
    Loader {
        id: id.to_string(),
        description: Known::read(store.string(id, ElementId::DESCRIPTION)),
        program: path.as_ref().and_then(|path| size_on(opened, &program_device, path)),
        registry: size_on(opened, &windows_device, &hive),
        windows: object.kind == ObjectType::OS_LOADER,
        path,
        program_device,
        device: windows_device,
        system_root,
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

/// The size of a file on a volume that an entry names.
fn size_on(opened: &OpenedDisk<'_>, place: &Known<Place>, file: &str) -> Known<u64> {
    place
        .as_ref()
        .and_then(|place| place.partition.clone())
        .and_then(|number| opened.volume(number))
        .and_then(|mut volume| file_size(&mut *volume, file.trim_start_matches('\\')))
}

fn place(
    opened: &OpenedDisk<'_>,
    store: &BcdStore,
    on: u32,
    entry: Guid,
    element: ElementId,
) -> Known<Place> {
    Known::read(entry_device(store, entry, element)).map(|kind| Place {
        partition: Known::read(opened.disk.partition_named(&kind, on)),
        device: kind.to_string(),
    })
}

fn recovery_loader(opened: &OpenedDisk<'_>, store: &BcdStore, on: u32, id: Guid) -> RecoveryLoader {
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
    let device = Known::read(entry_device(store, id, ElementId::OS_DEVICE));
    let image = device.and_then(|device| match device {
        DeviceKind::File { local: LocalDevice::Ramdisk, parent, path } => {
            Known::Known(image_place(opened, &parent, on, path))
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
fn image_place(opened: &OpenedDisk<'_>, device: &DeviceKind, on: u32, path: String) -> ImagePlace {
    let path = path.trim_start_matches('\\').to_owned();
    let partition = Known::read(opened.disk.partition_named(device, on));
    let size = partition
        .clone()
        .and_then(|number| opened.volume(number))
        .and_then(|mut volume| file_size(&mut *volume, &path));
    ImagePlace { device: device.to_string(), partition, path, size }
}

/// Where ReactOS's configuration is looked for: the volumes that a BIOS can start from.
fn freeldr_volumes(opened: &OpenedDisk<'_>) -> Vec<u32> {
    let is = |role: VolumeRole| opened.readable().filter(move |one| one.role == role);
    is(VolumeRole::Boot).chain(is(VolumeRole::Windows)).map(|one| one.number).collect()
}

fn freeldr(opened: &OpenedDisk<'_>) -> Known<FreeldrFacts> {
    for number in freeldr_volumes(opened) {
        let found = opened
            .volume(number)
            .and_then(|mut volume| read_file(&mut *volume, FREELDR, MAX_FREELDR))
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
