//! The part of an inspection that decides a machine profile.

use inspect::crash::DumpKind;
use inspect::services::{Service, Start};
use inspect::{Inspection, Known};

/// What a machine profile is decided from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Partition table: `gpt`, `mbr`, `none`.
    pub style: String,
    /// It has an EFI system partition.
    pub has_efi_partition: bool,
    /// It has an active partition.
    pub has_active_partition: bool,
    /// The program that starts the system, as the boot configuration has it.
    pub loader: Option<String>,
    /// The partition of the system, where there are several systems on the disk.
    pub windows_partition: Option<u32>,
    /// The system's folder: `Windows`, `WINNT`, `ReactOS`.
    pub folder: Option<String>,
    /// Its name for itself.
    pub product: Option<String>,
    /// Its build number.
    pub build: Option<u32>,
    /// Its version, in its own words: `24H2`.
    pub version: Option<String>,
    /// `InstallationType`: `Client`, `Server`, `Server Core`.
    pub installation: Option<String>,
    /// `x86-64`, `x86`, `arm64`.
    pub architecture: Option<String>,
    /// Drivers that start with the loader and whose files are there, lower case.
    pub boot_drivers: Vec<String>,
    /// Services that start at all, lower case.
    pub services: Vec<String>,
    /// Why services are not known, where they are not.
    pub services_unknown: Option<String>,
    /// The guest agent is installed and starts by itself.
    pub has_agent: bool,
    /// Secure boot is on in the variables that came along; `None` where none came.
    pub secure_boot: Option<bool>,
    /// TPM state came along.
    pub has_tpm_state: bool,
    /// Set-up has not come to its end: a generalised image before its first start.
    pub setup_in_progress: bool,
    /// It writes a dump at a stop.
    pub writes_dumps: bool,
    /// `NMICrashDump` is set.
    pub nmi_crash_dump: bool,
    /// `DumpFile`, as stored.
    pub dump_file: Option<String>,
    /// `MinidumpDir`, as stored.
    pub minidump_folder: Option<String>,
}

impl Facts {
    /// Takes from an inspection what decides a profile.
    pub fn of(inspection: &Inspection) -> Self {
        let layout = &inspection.layout;
        let system = &inspection.system;
        let services = inspection.services.known();
        let named = |wanted: &dyn Fn(&Service) -> bool| -> Vec<String> {
            let all = services.iter().flat_map(|services| &services.services);
            all.filter(|one| wanted(one)).map(|one| one.name.to_lowercase()).collect()
        };
        let crash = inspection.crash.known();
        let text = |value: Option<&Known<String>>| value.and_then(Known::known).cloned();
        let loader = inspection.boot.known().and_then(|boot| boot.bcd());
        let loader = loader.and_then(|bcd| bcd.default.known()?.path.known().cloned());
        let agent = inspection.agent.known();
        let systems = layout.partitions.iter().filter(|one| one.role == "windows").count();
        Self {
            style: layout.style.clone(),
            has_efi_partition: layout.partitions.iter().any(|one| one.role == "efi"),
            has_active_partition: layout.partitions.iter().any(|one| one.active),
            loader,
            windows_partition: system.partition.known().copied().filter(|_| systems > 1),
            folder: text(Some(&system.folder)),
            product: text(Some(&system.product)),
            build: system.build.known().map(|build| build.number),
            version: text(Some(&system.version)),
            installation: text(Some(&system.installation)),
            architecture: text(Some(&system.architecture)),
            boot_drivers: named(&|one| one.starts() == Start::Boot && one.file != Known::Absent),
            services: named(&|one| one.starts() != Start::Disabled),
            services_unknown: inspection.services.reason().map(str::to_owned),
            has_agent: agent.is_some_and(|agent| {
                matches!(agent.service.known(), Some(Start::Automatic | Start::System))
            }),
            secure_boot: inspection.firmware.secure_boot.known().map(|state| state.enabled),
            has_tpm_state: inspection.firmware.tpm.known().is_some(),
            setup_in_progress: inspection.pending.setup_in_progress.known() == Some(&true),
            writes_dumps: crash.is_some_and(|crash| {
                crash.dump.known().is_some_and(|kind| *kind != DumpKind::None)
            }),
            nmi_crash_dump: crash.is_some_and(|crash| crash.nmi_crash_dump.known() == Some(&true)),
            dump_file: text(crash.map(|crash| &crash.dump_file)),
            minidump_folder: text(crash.map(|crash| &crash.minidump_folder)),
        }
    }
}
