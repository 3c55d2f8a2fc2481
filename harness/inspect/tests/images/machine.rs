//! A small UEFI disk with all that an inspection looks at, and what can be wrong with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use disk::{Access, OfflineDisk};
use inspect::{Inspection, Source};
use volume::{
    BASIC_DATA, EFI_SYSTEM, Fat, FatFormat, FatKind, FileDevice, FileTime, Ntfs, NtfsFormat,
    Partition, PartitionTable, SharedDevice, SubDevice, Volume, WINDOWS_RECOVERY,
    create_partitions,
};
use winfmt::bcd::{BcdStore, Device, ElementId, ElementValue, StandardStore};
use winfmt::hive::{Data, Hive};
use winfmt::recovery_settings::{AutoRemediation, RecoverySettings};
use winfmt::{Guid, reagent, wim};

const MIB: u64 = 1 << 20;

/// An id of the made-up disk.
pub(crate) fn id(number: u8) -> Guid {
    let mut bytes = *b"loopbreak test 0";
    bytes[15] = number;
    Guid::from_bytes(bytes)
}

pub(crate) const DISK: u8 = 1;
pub(crate) const ESP: u8 = 2;
pub(crate) const WINDOWS: u8 = 3;
pub(crate) const RECOVERY: u8 = 4;
pub(crate) const LOADER: u8 = 5;
pub(crate) const RECOVERY_LOADER: u8 = 6;
const OPTIONS: u8 = 7;

/// Where the recovery image is put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Image {
    OwnPartition,
    OnWindows,
    Nowhere,
}

/// What goes onto a disk.
pub(crate) struct Recipe {
    pub(crate) store: BcdStore,
    pub(crate) system: Hive,
    pub(crate) software: Hive,
    pub(crate) image: Image,
    /// The build that it says it is of.
    /// Without a boot configuration store.
    pub(crate) without_store: bool,
    pub(crate) image_build: u32,
    /// Further files of the Windows volume.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// One of them that was written later than the others, and when, in seconds since 1970.
    pub(crate) later: Option<(String, u64)>,
}

impl Recipe {
    /// A machine that can recover.
    pub(crate) fn sound() -> Self {
        let clock = winfmt::FileTime::from_ticks(133_600_000_000_000_000);
        let store = StandardStore {
            disk: id(DISK),
            system_partition: id(ESP),
            windows_partition: id(WINDOWS),
            recovery_partition: id(RECOVERY),
            loader: id(LOADER),
            recovery_loader: id(RECOVERY_LOADER),
            recovery_options: id(OPTIONS),
            description: "Windows 11".to_owned(),
            locale: "en-US".to_owned(),
            timeout: 30,
        };
        Self {
            store: store.build(clock).unwrap(),
            system: system(),
            software: software(),
            image: Image::OwnPartition,
            image_build: 26100,
            without_store: false,
            files: Vec::new(),
            later: None,
        }
    }

    pub(crate) fn set(&mut self, element: ElementId, value: ElementValue) {
        self.store.set(id(LOADER), element, &value).unwrap();
    }

    pub(crate) fn crash(&mut self, name: &str, data: &Data) {
        self.system.set_value(r"ControlSet001\Control\CrashControl", name, data).unwrap();
    }

    /// The recovery environment in the Windows volume, as set-up makes it where there is no partition.
    pub(crate) fn recovery_on_windows(mut self) -> Self {
        self.image = Image::OnWindows;
        let device =
            Device::ramdisk(id(OPTIONS), id(DISK), id(WINDOWS), r"\Recovery\WindowsRE\Winre.wim");
        for element in [ElementId::DEVICE, ElementId::OS_DEVICE] {
            let value = ElementValue::Device(device.clone());
            self.store.set(id(RECOVERY_LOADER), element, &value).unwrap();
        }
        self
    }

    pub(crate) fn build(self) -> Machine {
        let directory = tempfile::tempdir().unwrap();
        let raw = directory.path().join("disk.raw");
        self.write(&raw);
        let disk = directory.path().join("disk.qcow2");
        let made = Command::new("qemu-img")
            .args(["convert", "-f", "raw", "-O", "qcow2"])
            .args([&raw, &disk])
            .status()
            .unwrap();
        assert!(made.success());
        Machine { directory }
    }

    fn write(self, path: &Path) {
        let file = std::fs::File::create_new(path).unwrap();
        file.set_len(130 * MIB).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let mut device = SharedDevice::new(FileDevice::new(file).unwrap());
        let table = PartitionTable::gpt(
            id(DISK),
            vec![
                Partition::gpt(EFI_SYSTEM, id(ESP), MIB, 36 * MIB, "EFI"),
                Partition::gpt(BASIC_DATA, id(WINDOWS), 37 * MIB, 60 * MIB, "Basic data"),
                Partition::gpt(WINDOWS_RECOVERY, id(RECOVERY), 97 * MIB, 24 * MIB, "Recovery"),
            ],
        );
        create_partitions(&mut device, &table).unwrap();
        let part = |index: usize| {
            let partition = &table.partitions[index];
            SubDevice::new(device.clone(), partition.start, partition.len).unwrap()
        };
        let format = FatFormat { kind: FatKind::Fat32, id: 1, label: "SYSTEM".to_owned() };
        let mut esp = Fat::format(part(0), &format).unwrap();
        esp.create_dir_all(r"EFI\Microsoft\Boot").unwrap();
        if !self.without_store {
            esp.write(r"EFI\Microsoft\Boot\BCD", &self.store.to_bytes().unwrap()).unwrap();
        }
        esp.flush().unwrap();
        let ntfs = |index, label: &str| {
            let time = FileTime::from_unix_seconds(1_720_000_000);
            let format = NtfsFormat { label: label.to_owned(), serial: 7, time };
            Ntfs::format(part(index), &format).unwrap()
        };
        let mut windows = ntfs(1, "Windows");
        let mut recovery = ntfs(2, "Recovery");
        for folder in [
            r"Windows\System32\config",
            r"Windows\System32\drivers",
            r"Windows\System32\Recovery",
            r"Program Files\Qemu-ga",
        ] {
            windows.create_dir_all(folder).unwrap();
        }
        let config = r"Windows\System32\config";
        windows.write(&format!(r"{config}\SYSTEM"), &self.system.to_bytes().unwrap()).unwrap();
        windows.write(&format!(r"{config}\SOFTWARE"), &self.software.to_bytes().unwrap()).unwrap();
        for file in [
            r"Windows\System32\winload.efi",
            r"Windows\System32\drivers\disk.sys",
            r"Windows\System32\drivers\partmgr.sys",
            r"Windows\System32\drivers\storahci.sys",
            r"Windows\System32\drivers\vioser.sys",
            r"Program Files\Qemu-ga\qemu-ga.exe",
        ] {
            windows.write(file, b"MZ").unwrap();
        }
        for (file, bytes) in &self.files {
            if let Some((folder, _)) = file.rsplit_once('\\') {
                windows.create_dir_all(folder).unwrap();
            }
            windows.write(file, bytes).unwrap();
        }
        if let Some((file, seconds)) = &self.later {
            let time = FileTime::from_unix_seconds(*seconds);
            windows.set_times(file, time, time).unwrap();
        }
        let agent = reagent::ReAgent {
            winre_bcd: Some(id(RECOVERY_LOADER)),
            installed: Some(true),
            winre_location: Some(reagent::Location {
                path: r"\Recovery\WindowsRE".to_owned(),
                disk_id: 0,
                offset: 97 * MIB,
                disk: id(DISK),
            }),
            ..reagent::ReAgent::default()
        };
        windows.write(r"Windows\System32\Recovery\ReAgent.xml", agent.to_xml().as_bytes()).unwrap();
        let place: Option<&mut Ntfs> = match self.image {
            Image::OwnPartition => Some(&mut recovery),
            Image::OnWindows => Some(&mut windows),
            Image::Nowhere => None,
        };
        if let Some(volume) = place {
            volume.create_dir_all(r"Recovery\WindowsRE").unwrap();
            let clock = winfmt::FileTime::from_ticks(133_600_000_000_000_000);
            let name = "Microsoft Windows Recovery Environment";
            let image = wim::empty_windows_image(id(8), name, (self.image_build, 1), clock);
            volume.write(r"Recovery\WindowsRE\Winre.wim", &image).unwrap();
            let settings = RecoverySettings {
                cloud_remediation: Some(true),
                auto_remediation: Some(AutoRemediation {
                    enabled: true,
                    total_wait: None,
                    wait_interval: None,
                }),
                ..RecoverySettings::default()
            };
            volume
                .write(r"Recovery\WindowsRE\SrSettings.ini", settings.to_xml().as_bytes())
                .unwrap();
        }
        windows.flush().unwrap();
        recovery.flush().unwrap();
    }
}

/// A disk that was made.
pub(crate) struct Machine {
    pub(crate) directory: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.path().join("disk.qcow2")
    }

    pub(crate) fn open(&self) -> OfflineDisk {
        OfflineDisk::open(&self.disk(), Access::ReadOnly, self.directory.path()).unwrap()
    }

    pub(crate) fn inspect(&self) -> Inspection {
        let disk = self.open();
        inspect::inspect(Source { disk: &disk, firmware_vars: None, tpm: None })
    }
}

fn system() -> Hive {
    let mut hive = Hive::create("ROOT").unwrap();
    for (name, number) in [("Current", 1), ("Default", 1), ("Failed", 0), ("LastKnownGood", 1)] {
        hive.set_value("Select", name, &Data::dword(number)).unwrap();
    }
    let set = "ControlSet001";
    for (name, kind, start, group, path) in [
        ("disk", 1, 0, "SCSI miniport", r"System32\drivers\disk.sys"),
        ("PartMgr", 1, 0, "Boot Bus Extender", r"System32\drivers\partmgr.sys"),
        ("storahci", 1, 0, "SCSI miniport", r"System32\drivers\storahci.sys"),
        ("gone", 1, 0, "Base", r"\SystemRoot\System32\drivers\gone.sys"),
        ("VirtioSerial", 1, 3, "", r"System32\drivers\vioser.sys"),
        ("QEMU-GA", 0x10, 2, "", r#""C:\Program Files\Qemu-ga\qemu-ga.exe" -d"#),
    ] {
        let key = format!(r"{set}\Services\{name}");
        hive.set_value(key.as_str(), "Type", &Data::dword(kind)).unwrap();
        hive.set_value(key.as_str(), "Start", &Data::dword(start)).unwrap();
        hive.set_value(key.as_str(), "ErrorControl", &Data::dword(1)).unwrap();
        hive.set_value(key.as_str(), "ImagePath", &Data::expand_string(path)).unwrap();
        if !group.is_empty() {
            hive.set_value(key.as_str(), "Group", &Data::string(group)).unwrap();
        }
    }
    hive.create_key(format!(r"{set}\Services\.NET CLR Data")).unwrap();
    let crash = format!(r"{set}\Control\CrashControl");
    for (name, number) in [("AutoReboot", 1), ("CrashDumpEnabled", 7)] {
        hive.set_value(crash.as_str(), name, &Data::dword(number)).unwrap();
    }
    let file = Data::expand_string(r"%SystemRoot%\MEMORY.DMP");
    hive.set_value(crash.as_str(), "DumpFile", &file).unwrap();
    let manager = format!(r"{set}\Control\Session Manager");
    let memory = format!(r"{manager}\Memory Management");
    let pages = Data::multi_string([r"?:\pagefile.sys"]);
    hive.set_value(memory.as_str(), "PagingFiles", &pages).unwrap();
    let environment = format!(r"{manager}\Environment");
    let architecture = Data::string("AMD64");
    hive.set_value(environment.as_str(), "PROCESSOR_ARCHITECTURE", &architecture).unwrap();
    let class = format!(r"{set}\Control\Class\{{4d36e967-e325-11ce-bfc1-08002be10318}}");
    hive.set_value(class.as_str(), "Class", &Data::string("DiskDrive")).unwrap();
    hive.set_value(class.as_str(), "UpperFilters", &Data::multi_string(["PartMgr"])).unwrap();
    for (service, altitude) in [("low", "40500"), ("high", "328010.5")] {
        let instances = format!(r"{set}\Services\{service}\Instances");
        let instance = format!(r"{instances}\{service} Instance");
        hive.set_value(instance.as_str(), "Altitude", &Data::string(altitude)).unwrap();
        let default = Data::string(&format!("{service} Instance"));
        hive.set_value(instances.as_str(), "DefaultInstance", &default).unwrap();
    }
    hive
}

fn software() -> Hive {
    let mut hive = Hive::create("ROOT").unwrap();
    let version = r"Microsoft\Windows NT\CurrentVersion";
    for (name, text) in [
        ("ProductName", "Windows 10 Pro"),
        ("EditionID", "Professional"),
        ("CurrentBuild", "26100"),
        ("DisplayVersion", "24H2"),
        ("SystemRoot", r"C:\Windows"),
    ] {
        hive.set_value(version, name, &Data::string(text)).unwrap();
    }
    hive.set_value(version, "UBR", &Data::dword(4770)).unwrap();
    hive.set_value(version, "InstallDate", &Data::dword(1_720_000_000)).unwrap();
    hive
}
