//! The machine profile that an image seems to want, with the reason for each choice.
//!
//! Every value says in a comment why it was chosen, or that nothing on the disk decides it and it is a
//! default. Sources: windows-facts.md 0, 0.1, 4, 6 and 7.

use hypervisor::{
    Architecture, ClockBase, DiskBus, Display, EvidencePaths, Firmware, FirmwareKind, Hang,
    MachineProfile, MemorySize, NetworkModel, PROFILE_FORMAT, PanicDevice, TpmVersion,
};
use timeline::{Marker, Phase, ScreenKind, Source};

use super::facts::Facts;
use super::line::{is_own_model, proposed_line};

/// A profile, and why it is as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedProfile {
    /// The profile.
    pub profile: MachineProfile,
    reasons: Reasons,
}

/// Why each value was chosen, in words for a comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Reasons {
    model: String,
    line: String,
    architecture: String,
    machine: String,
    memory: String,
    vcpus: String,
    cpu: String,
    firmware: String,
    secure_boot: String,
    disk_bus: String,
    network: String,
    panic: String,
    tpm: String,
    clock: String,
    resets: String,
    dumps: String,
    hang: String,
    markers: String,
}

/// Which generation of systems it is, as far as hardware goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generation {
    /// ReactOS, Windows XP, Server 2003 and before: no AHCI, no e1000e.
    Old,
    /// Windows Vista to 7 and their servers.
    Vista,
    /// Windows 8 to 10 and their servers.
    Eight,
    /// Windows 11, Server 2022 and later.
    Eleven,
    /// It cannot be told.
    Unknown,
}

impl Generation {
    fn of(facts: &Facts) -> Self {
        let folder = facts.folder.as_deref().unwrap_or_default();
        if folder.eq_ignore_ascii_case("ReactOS") || folder.eq_ignore_ascii_case("WINNT") {
            return Self::Old;
        }
        match facts.build {
            Some(..6000) => Self::Old,
            Some(6000..9200) => Self::Vista,
            Some(9200..20348) => Self::Eight,
            Some(_) => Self::Eleven,
            None => Self::Unknown,
        }
    }
}

impl ProposedProfile {
    /// Decides. `firmware` is what a person said, which outweighs the disk.
    pub fn new(facts: &Facts, firmware: Option<FirmwareKind>) -> Self {
        let generation = Generation::of(facts);
        let mut why = Reasons::default();
        let kind = firmware_kind(facts, firmware, &mut why);
        let is_model = is_model(facts, &mut why);
        let (line, reason) = proposed_line(facts);
        why.line = reason;
        let architecture = architecture(facts, &mut why);
        let disk_bus = disk_bus(facts, generation, kind, &mut why);
        let machine = machine(kind, disk_bus, &mut why);
        let network = network(facts, generation, &mut why);
        let (memory, vcpus) = size(facts, generation, architecture, &mut why);
        let cpu = cpu(generation, architecture, &mut why);
        let profile = MachineProfile {
            format: PROFILE_FORMAT,
            is_model,
            line,
            architecture,
            machine,
            memory,
            vcpus,
            cpu,
            hyperv: matches!(
                generation,
                Generation::Vista | Generation::Eight | Generation::Eleven
            ),
            firmware: Firmware {
                kind,
                secure_boot: secure_boot(facts, kind, &mut why),
                ..Firmware::default()
            },
            disk_bus,
            network,
            display: Display::Vga,
            panic: panic_device(facts, &mut why),
            tpm: tpm(facts, &mut why),
            clock: clock(&mut why),
            expected_resets: expected_resets(facts, &mut why),
            time_scale: None,
            noise: noise(facts),
            windows_partition: facts.windows_partition,
            evidence: evidence(facts, &mut why),
            hang: Hang { nmi: stops_at_an_nmi(facts, generation, is_model, &mut why) },
            kernel_exports: Vec::new(),
            markers: markers(facts, &mut why),
            witnesses: Vec::new(),
        };
        Self { profile, reasons: why }
    }

    /// As it is written to `profile.toml`.
    pub fn to_toml(&self) -> String {
        let why = &self.reasons;
        let own = toml::Value::try_from(&self.profile).expect("a profile is plain data");
        let mut text = String::from(
            "# What hardware this image expects, proposed from what is on its disk. Change what is wrong:\n\
             # `loopbreak image profile NAME --edit FILE --name NEW` makes an image of it.\n",
        );
        let mut key = |name: &str, reason: &str| {
            if let Some(value) = own.get(name) {
                text += &comment(reason);
                text += &format!("{name} = {value}\n");
            }
        };
        key("format", "");
        key("is-model", &why.model);
        key("line", &why.line);
        key("architecture", &why.architecture);
        key("machine", &why.machine);
        key("memory", &why.memory);
        key("vcpus", &why.vcpus);
        key("cpu", &why.cpu);
        key("hyperv", "Hyper-V enlightenments: used under KVM, left out under software emulation.");
        key("disk-bus", &why.disk_bus);
        key("network", &why.network);
        key("display", "A default: every system has a driver for it.");
        key("panic", &why.panic);
        if self.profile.tpm.is_some() {
            key("tpm", &why.tpm);
        } else {
            text += &comment(&why.tpm);
        }
        let mut key = |name: &str, reason: &str| {
            if let Some(value) = own.get(name) {
                text += &comment(reason);
                text += &format!("{name} = {value}\n");
            }
        };
        key("clock", &why.clock);
        key("expected-resets", &why.resets);
        key("windows-partition", "There are several. This one was named, or starts by default.");
        text += &comment(
            "A default: what such a system writes by itself, left out of the list of changes.",
        );
        text += &list("noise", &self.profile.noise);
        text += "\n[firmware]\n";
        text += &comment(&why.firmware);
        let bios = self.profile.firmware.kind == FirmwareKind::Bios;
        text += &format!("kind = \"{}\"\n", if bios { "bios" } else { "uefi" });
        text += &comment(&why.secure_boot);
        text += &format!("secure-boot = {}\n", self.profile.firmware.secure_boot);
        text += "\n[evidence]\n";
        text += &comment(&why.dumps);
        text += &list("dumps", &self.profile.evidence.dumps);
        text += &comment(
            "Where Startup Repair, the test mode of Quick Machine Recovery and the set-up of the recovery environment write.",
        );
        text += &list("recovery-logs", &self.profile.evidence.recovery_logs);
        text += "\n[hang]\n";
        text += &comment(&why.hang);
        text += &format!("nmi = {}\n\n", self.profile.hang.nmi);
        text += &comment(&why.markers);
        if let Some(markers) = own.get("markers").and_then(|markers| markers.as_array()) {
            for marker in markers {
                text += "[[markers]]\n";
                text += &marker.to_string_table();
            }
        }
        text
    }
}

/// The keys of a table, one a line.
trait TableText {
    fn to_string_table(&self) -> String;
}

impl TableText for toml::Value {
    fn to_string_table(&self) -> String {
        // What is empty is left out, as it is the default.
        let table = self.as_table().into_iter().flatten();
        let said = table.filter(|(_, value)| value.as_str() != Some(""));
        said.map(|(key, value)| format!("{key} = {value}\n")).collect()
    }
}

fn list(name: &str, values: &[String]) -> String {
    // Paths of Windows: a literal string needs no doubled backslashes. None has a quote in it.
    let lines: String = values
        .iter()
        .map(|value| match value.contains('\'') {
            false => format!("    '{value}',\n"),
            true => format!("    {},\n", toml::Value::from(value.clone())),
        })
        .collect();
    format!("{name} = [\n{lines}]\n")
}

/// Comment lines of at most about 100 columns. What a guest says of itself stays on its line.
fn comment(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() > 96 {
            lines += &format!("# {line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().filter(|c| !c.is_control()));
    }
    if !line.is_empty() {
        lines += &format!("# {line}\n");
    }
    lines
}

fn firmware_kind(facts: &Facts, given: Option<FirmwareKind>, why: &mut Reasons) -> FirmwareKind {
    let loader = facts.loader.as_deref().unwrap_or_default().to_lowercase();
    let (kind, reason) = if let Some(kind) = given {
        (kind, "Given with --firmware.")
    } else if facts.has_efi_partition && facts.has_active_partition {
        if loader.ends_with(".exe") {
            (
                FirmwareKind::Bios,
                "It could start with either; its boot configuration names a loader for a BIOS.",
            )
        } else {
            (FirmwareKind::Uefi, "It could start with either; UEFI is what newer systems expect.")
        }
    } else if facts.has_efi_partition {
        (FirmwareKind::Uefi, "It has an EFI system partition.")
    } else if facts.has_active_partition {
        (FirmwareKind::Bios, "It has an MBR with an active partition and no EFI system partition.")
    } else if facts.style == "gpt" {
        (
            FirmwareKind::Uefi,
            "A default: a GPT disk without an EFI system partition starts with neither.",
        )
    } else {
        (
            FirmwareKind::Bios,
            "A default: there is neither an EFI system partition nor an active one.",
        )
    };
    why.firmware = reason.to_owned();
    kind
}

fn secure_boot(facts: &Facts, kind: FirmwareKind, why: &mut Reasons) -> bool {
    let (on, reason) = match (kind, facts.secure_boot) {
        (FirmwareKind::Bios, _) => (false, "A BIOS has none."),
        (_, Some(true)) => {
            (true, "The firmware variables have a platform key and do not switch it off.")
        }
        (_, Some(false)) => {
            (false, "The firmware variables have no platform key, or switch it off.")
        }
        (_, None) => (
            false,
            "A default: no firmware variables came with the disk. Drivers that are only test-signed need it off.",
        ),
    };
    why.secure_boot = reason.to_owned();
    on
}

/// Only what is a model says that it is one: of a system that nobody here knows it is not assumed.
fn is_model(facts: &Facts, why: &mut Reasons) -> bool {
    let product = facts.product.as_deref().unwrap_or_default();
    let is_model = is_own_model(facts);
    why.model = if is_model {
        format!("It calls itself \"{product}\". Reports say that it is a model.")
    } else if product.is_empty() {
        "A default: the disk does not say which product it is.".to_owned()
    } else {
        format!("It calls itself \"{product}\".")
    };
    is_model
}

fn architecture(facts: &Facts, why: &mut Reasons) -> Architecture {
    let (value, reason) = match facts.architecture.as_deref() {
        Some("x86") => (Architecture::I686, "Its system is 32-bit x86.".to_owned()),
        Some("x86-64") => (Architecture::X86_64, "Its system is 64-bit x86.".to_owned()),
        Some(other) => (
            Architecture::X86_64,
            format!("Its system is for {other}, which no machine here runs; this is a default."),
        ),
        None => (Architecture::X86_64, "A default: the disk does not say.".to_owned()),
    };
    why.architecture = reason;
    value
}

fn disk_bus(
    facts: &Facts,
    generation: Generation,
    kind: FirmwareKind,
    why: &mut Reasons,
) -> DiskBus {
    let boots = |name: &str| facts.boot_drivers.iter().any(|driver| driver == name);
    let hint = "Its recovery environment sees the disk only if that driver is in winre.wim too.";
    let ide_possible = kind == FirmwareKind::Bios;
    let ide = ["atapi", "intelide", "pciide", "uniata"].into_iter().find(|name| boots(name));
    let (bus, reason) = if boots("viostor") {
        (DiskBus::Virtio, format!("Driver viostor starts with the loader. {hint}"))
    } else if boots("vioscsi") {
        (DiskBus::Scsi, format!("Driver vioscsi starts with the loader. {hint}"))
    } else if boots("storahci") || boots("msahci") {
        let name = if boots("storahci") { "storahci" } else { "msahci" };
        (
            DiskBus::Sata,
            format!("Driver {name} starts with the loader, and every recovery environment has it."),
        )
    } else if let (Some(name), true) = (ide, ide_possible) {
        (
            DiskBus::Ide,
            format!("Driver {name} starts with the loader, and none for AHCI or virtio does."),
        )
    } else if generation == Generation::Old && ide_possible {
        (DiskBus::Ide, "A default for a system of this age.".to_owned())
    } else if boots("stornvme") {
        (DiskBus::Sata, "Only stornvme starts with the loader, and no machine here has an NVMe disk: it may stop with INACCESSIBLE_BOOT_DEVICE. Let it start once on SATA first.".to_owned())
    } else if let Some(reason) = &facts.services_unknown {
        (DiskBus::Sata, format!("A default: its services cannot be read ({reason})."))
    } else {
        (DiskBus::Sata, "A default: no driver of a storage controller that is known here starts with the loader.".to_owned())
    };
    why.disk_bus = reason;
    bus
}

fn machine(kind: FirmwareKind, bus: DiskBus, why: &mut Reasons) -> String {
    let (machine, reason) = match (kind, bus) {
        (FirmwareKind::Bios, DiskBus::Ide) => ("pc", "The machine type that has IDE."),
        _ => ("q35", "A default: PCI Express, which UEFI and AHCI need."),
    };
    why.machine = reason.to_owned();
    machine.to_owned()
}

fn network(facts: &Facts, generation: Generation, why: &mut Reasons) -> NetworkModel {
    let (model, reason) = if facts.services.iter().any(|name| name == "netkvm") {
        (
            NetworkModel::Virtio,
            "Driver netkvm is installed. Its recovery environment has a network only if that driver is in winre.wim too.",
        )
    } else if generation == Generation::Old {
        (NetworkModel::Rtl8139, "Systems of this age bring a driver for it.")
    } else if generation == Generation::Unknown {
        (NetworkModel::E1000e, "A default: Windows 7 and later bring a driver for it.")
    } else {
        (
            NetworkModel::E1000e,
            "Driver netkvm is not installed; Windows and its recovery environment bring a driver for this one.",
        )
    };
    why.network = reason.to_owned();
    model
}

fn size(
    facts: &Facts,
    generation: Generation,
    architecture: Architecture,
    why: &mut Reasons,
) -> (MemorySize, u32) {
    let (mebibytes, vcpus) = match (generation, architecture) {
        (Generation::Old, _) => (1024, 1),
        (_, Architecture::I686) => (2048, 1),
        (Generation::Unknown | Generation::Vista, _) => (4096, 1),
        (Generation::Eight | Generation::Eleven, _) => (4096, 2),
    };
    let product = facts.product.as_deref().unwrap_or("a system that is not known");
    why.memory = format!("A default for {product}.");
    why.vcpus = match generation {
        Generation::Eleven => "Windows 11 asks for two.".to_owned(),
        _ => "A default.".to_owned(),
    };
    (MemorySize::from_mebibytes(mebibytes).expect("a few gibibytes are in range"), vcpus)
}

fn cpu(generation: Generation, architecture: Architecture, why: &mut Reasons) -> String {
    let (cpu, reason) = match (generation, architecture) {
        (Generation::Old, Architecture::I686) => {
            ("pentium3", "A default that systems of this age know.")
        }
        (Generation::Eight | Generation::Eleven, Architecture::X86_64) => (
            "Nehalem",
            "The oldest model with SSE4.2 and POPCNT, without which Windows 11 24H2 does not start; hosts have had both since 2008.",
        ),
        _ => ("qemu64", "A default: a model that every host can show."),
    };
    why.cpu = reason.to_owned();
    cpu.to_owned()
}

fn panic_device(facts: &Facts, why: &mut Reasons) -> PanicDevice {
    let driver = facts.services.iter().any(|name| name == "pvpanic");
    why.panic = if driver {
        "Driver pvpanic is installed. \"hyperv\" would carry the stop code too, and needs no driver, but is there under KVM only."
    } else {
        "A default that every host has; without driver pvpanic it stays silent, and a stop shows on the screen. \"hyperv\" needs no driver and carries the stop code, but is there under KVM only."
    }
    .to_owned();
    PanicDevice::Isa
}

fn tpm(facts: &Facts, why: &mut Reasons) -> Option<TpmVersion> {
    let (version, reason) = if facts.has_tpm_state {
        (Some(TpmVersion::V2), "TPM state came with the disk.")
    } else {
        (None, "No TPM state came with the disk, so there is no `tpm = \"2.0\"`.")
    };
    why.tpm = reason.to_owned();
    version
}

fn clock(why: &mut Reasons) -> ClockBase {
    why.clock = "A default: Windows expects local time of the clock chip.".to_owned();
    ClockBase::Localtime
}

fn expected_resets(facts: &Facts, why: &mut Reasons) -> u32 {
    if facts.setup_in_progress {
        why.resets = "Set-up has not come to its end: a generalised image starts again after `specialize` and before the first sign-in.".to_owned();
        return 2;
    }
    why.resets = "Set-up is complete: no reset is expected.".to_owned();
    0
}

fn evidence(facts: &Facts, why: &mut Reasons) -> EvidencePaths {
    let dump = facts.dump_file.as_deref().map(|path| expanded(path, facts));
    let small = facts.minidump_folder.as_deref().map(|path| expanded(path, facts));
    why.dumps = match (&dump, &small) {
        (Some(Some(_)), Some(Some(_))) => {
            "As CrashControl has it: DumpFile and MinidumpDir.".to_owned()
        }
        (None, None) => "A default: CrashControl names no place.".to_owned(),
        _ => {
            "As CrashControl has it where it names a place on C:, else Windows' default.".to_owned()
        }
    };
    let root = root(facts);
    let dump = dump.flatten().unwrap_or_else(|| format!(r"{root}\MEMORY.DMP"));
    let small = small.flatten().unwrap_or_else(|| format!(r"{root}\Minidump"));
    EvidencePaths {
        dumps: vec![dump, format!(r"{}\*.dmp", small.trim_end_matches('\\'))],
        recovery_logs: [
            r"System32\LogFiles\Srt\*",
            r"System32\Recovery\RecoverySimulationResults.ini",
            r"Logs\ReAgent\*",
        ]
        .map(|path| format!(r"{root}\{path}"))
        .into(),
    }
}

/// Whether a machine that hangs is made to write a dump (windows-facts 6.7).
fn stops_at_an_nmi(
    facts: &Facts,
    generation: Generation,
    is_model: bool,
    why: &mut Reasons,
) -> bool {
    let (stops, reason) = match generation {
        _ if is_model => {
            (false, "A default: what a model does at a non-maskable interrupt is its own.")
        }
        _ if !facts.writes_dumps => {
            (false, "CrashControl does not say that it writes a dump at a stop.")
        }
        Generation::Eight | Generation::Eleven => (
            true,
            "Windows 8 and later stop at a non-maskable interrupt, and CrashControl has them write a dump: of a machine that hangs, before it is switched off.",
        ),
        _ if facts.nmi_crash_dump => (
            true,
            "NMICrashDump is set, and CrashControl has it write a dump: of a machine that hangs, before it is switched off.",
        ),
        _ => (
            false,
            "Systems before Windows 8 stop at a non-maskable interrupt only with NMICrashDump.",
        ),
    };
    why.hang = reason.to_owned();
    stops
}

fn root(facts: &Facts) -> String {
    format!(r"C:\{}", facts.folder.as_deref().unwrap_or("Windows"))
}

/// A path of the registry as the harness reads it; `None` where it is not on C: or makes no sense.
fn expanded(path: &str, facts: &Facts) -> Option<String> {
    let root = root(facts);
    let lower = path.to_ascii_lowercase();
    let path = ["%systemroot%", "%windir%"]
        .into_iter()
        .find_map(|name| lower.starts_with(name).then(|| format!("{root}{}", &path[name.len()..])))
        .or_else(|| lower.starts_with("%systemdrive%").then(|| format!("C:{}", &path[13..])))
        .unwrap_or_else(|| path.to_owned());
    let plain = path.len() <= 260
        && path.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("C:\\"))
        && !path.contains(['*', '?', '%', '"', '<', '>', '|'])
        && !path.chars().any(char::is_control);
    plain.then_some(path)
}

fn noise(facts: &Facts) -> Vec<String> {
    let root = root(facts);
    let within = [
        "bootstat.dat",
        r"Logs\**",
        "MEMORY.DMP",
        r"Minidump\**",
        r"Prefetch\**",
        r"ServiceProfiles\**",
        r"SoftwareDistribution\**",
        r"System32\config\**",
        r"System32\LogFiles\**",
        r"System32\sru\**",
        r"System32\winevt\Logs\**",
        r"Temp\**",
    ];
    let beside = [
        "hiberfil.sys",
        "pagefile.sys",
        "swapfile.sys",
        r"System Volume Information\**",
        r"ProgramData\Microsoft\Windows\WER\**",
        r"Users\*\AppData\Local\**",
        r"Users\*\NTUSER.DAT*",
    ];
    let within = within.iter().map(|path| format!(r"{root}\{path}"));
    within.chain(beside.iter().map(|path| format!(r"C:\{path}"))).collect()
}

fn markers(facts: &Facts, why: &mut Reasons) -> Vec<Marker> {
    let marker =
        |source, screen, phase| Marker { source, starts_with: String::new(), screen, phase };
    let healthy = if facts.has_agent {
        why.markers =
            "The guest agent starts by itself: its first answer means that the machine is healthy."
                .to_owned();
        marker(Source::Agent, None, Phase::Healthy)
    } else {
        why.markers = "No guest agent starts by itself, so a machine counts as healthy only once its display has stood still on a desktop or a log-on page for the whole of `limits.silence`. That is slow, and less sure than an answer: install the agent, or name a line that the system writes to its serial port: source = \"serial\", starts_with = \"…\", phase = \"healthy\".".to_owned();
        marker(Source::Screen, Some(ScreenKind::Desktop), Phase::Healthy)
    };
    vec![healthy, marker(Source::Screen, Some(ScreenKind::Recovery), Phase::Recovery)]
}

#[cfg(test)]
mod tests;
