//! The libvirt domain of a machine, built as data.
//!
//! What libvirt models well is said in its own elements (disk, firmware, serial port, display, panic
//! device, fw_cfg). Three things go to QEMU directly, by `<qemu:commandline>`: the panic action (else a
//! panicked guest never writes its dump), the guest agent's port (libvirt refuses its own agent calls
//! for ever after the first panic, because it takes the domain for crashed) and the network cable
//! (libvirt has no element for a stream socket). They all keep their place on the bus, so that a RAM
//! checkpoint fits every machine of the same profile. (windows-facts.md section 0)

mod by_hand;
mod xml;

use std::path::{Path, PathBuf};

use serde::Serialize as _;

use crate::accelerator::Accelerator;
use crate::api::MachineSpec;
use crate::daemon::Labels;
use crate::error::HypervisorError;
use crate::firmware::FirmwareFiles;
use crate::profile::{
    ClockBase, DiskBus, Display, FirmwareKind, MachineProfile, PanicDevice, check_fw_cfg_name,
};
pub use by_hand::{ByHand, command_line};
use xml::{
    Arg, Audio, Balloon, Boot, Clock, Commandline, Controller, Cpu, CpuModel, Devices, Disk,
    DiskHost, DiskSource, Domain, Driver, Empty, Enabled, Entry, Features, Hyperv, Loader, Memory,
    Os, OsType, Panic, PciAddress, Pm, SecurityLabel, Serial, SerialTarget, SocketSource,
    Spinlocks, State, Sysinfo, Target, Tcg, Timer, Vcpu, Video, VideoModel,
};

/// QEMU's id of the guest agent's port, as `VSERPORT_CHANGE` names it.
pub(crate) const AGENT_PORT: &str = "loopbreak-agent";
/// Every machine has a network of its own, so all may have the same address; a restored guest expects
/// the one it was frozen with.
pub const MAC_ADDRESS: &str = "52:54:00:1b:00:01";

/// Slots on the root bus for what libvirt does not place. It fills from below.
const NIC_SLOT: &str = "0x1d";
const PVPANIC_SLOT: &str = "0x1c";
const AGENT_SLOT: &str = "0x1b";
/// Without a place libvirt would put a virtio disk behind a PCI Express port of its own, and another port
/// beside it, which firmware and guest would look through at each start.
const DISK_SLOT: &str = "0x1a";

/// How much translated code QEMU's emulator keeps; by itself it keeps up to 1 GiB. A reset does not throw
/// it away, and the next boot writes over the code that it came from, a slow path for each page: the
/// third boot of a loop took up to three times as long as the first (QEMU 7.2).
const TRANSLATION_CACHE_MIB: u32 = 32;

/// What else a definition depends on, besides the spec.
#[derive(Debug, Clone)]
pub(crate) struct Host<'a> {
    pub(crate) accelerator: Accelerator,
    pub(crate) emulator: &'a Path,
    /// Present where the profile's firmware is UEFI.
    pub(crate) firmware: Option<&'a FirmwareFiles>,
    /// QEMU does not wait for the host's disk: right for overlays that are thrown away.
    pub(crate) unsafe_cache: bool,
    /// Of a daemon's machines; the embedded driver's run as this process does.
    pub(crate) labels: &'a Labels,
    /// The exact machine type of a checkpoint, which outlives an update of QEMU.
    pub(crate) machine_type: Option<&'a str>,
}

/// Socket paths of a machine, all in its own socket directory.
#[derive(Debug, Clone)]
pub(crate) struct Sockets {
    pub(crate) serial: PathBuf,
    pub(crate) agent: PathBuf,
    pub(crate) tpm: PathBuf,
    /// The pipe through which a restore reads its checkpoint.
    pub(crate) restore: PathBuf,
    /// Not a socket: the picture that QEMU leaves for us.
    pub(crate) screen: PathBuf,
}

impl Sockets {
    pub(crate) fn of(directory: &Path) -> Result<Self, HypervisorError> {
        let sockets = Self {
            serial: directory.join("serial0"),
            agent: directory.join("agent"),
            tpm: directory.join("tpm"),
            restore: directory.join("restore"),
            screen: directory.join("screen"),
        };
        for path in sockets.all() {
            check_socket_path(path)?;
        }
        Ok(sockets)
    }

    pub(crate) fn all(&self) -> [&Path; 5] {
        [&self.serial, &self.agent, &self.tpm, &self.restore, &self.screen]
    }
}

/// The kernel's limit is 108 bytes with the final zero (unix(7)).
pub(crate) fn check_socket_path(path: &Path) -> Result<(), HypervisorError> {
    let length = path.as_os_str().len();
    if length > 107 {
        return Err(HypervisorError::SocketPathTooLong { path: path.to_owned(), length });
    }
    Ok(())
}

/// The definition of a machine, as libvirt takes it.
pub(crate) fn definition(spec: &MachineSpec, host: &Host<'_>) -> Result<String, HypervisorError> {
    let profile = &spec.profile;
    if profile.panic == PanicDevice::Hyperv && host.accelerator != Accelerator::Kvm {
        return Err(HypervisorError::Unsupported {
            what: "panic device `hyperv`".to_owned(),
            why: "it exists under KVM only, and this host has no working KVM; use `isa` or `pvpanic-pci`"
                .to_owned(),
        });
    }
    let sockets = Sockets::of(&spec.sockets)?;
    let domain = Domain {
        kind: host.accelerator.domain_type(),
        namespace: "http://libvirt.org/schemas/domain/qemu/1.0",
        name: spec.name.clone(),
        uuid: uuid_of(&spec.name),
        memory: Memory { unit: "MiB", amount: profile.memory.mebibytes() },
        vcpu: Vcpu { placement: "static", count: profile.vcpus },
        sysinfo: fw_cfg(spec)?,
        os: os(spec, host)?,
        features: features(profile, host.accelerator),
        cpu: Cpu {
            mode: "custom",
            match_: "exact",
            check: "none",
            model: CpuModel { fallback: "forbid", name: profile.cpu.clone() },
        },
        clock: clock(spec),
        on_poweroff: "destroy",
        on_reboot: "restart",
        on_crash: "preserve",
        pm: Pm { mem: Enabled { enabled: "no" }, disk: Enabled { enabled: "no" } },
        devices: devices(spec, host, &sockets)?,
        seclabel: security_labels(host.labels),
        commandline: commandline(spec, &sockets)?,
    };
    let mut text = String::new();
    let mut serializer = quick_xml::se::Serializer::new(&mut text);
    serializer.indent(' ', 2);
    domain.serialize(serializer).map_err(|error| HypervisorError::Unsupported {
        what: format!("the definition of machine {}", spec.name),
        why: error.to_string(),
    })?;
    Ok(text)
}

/// A version-8 UUID (free form) from the name: unique as the name is, and the same every time.
fn uuid_of(name: &str) -> String {
    let hash = blake3::hash(name.as_bytes());
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    bytes[6] = (bytes[6] & 0x0F) | 0x80;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn fw_cfg(spec: &MachineSpec) -> Result<Option<Sysinfo>, HypervisorError> {
    let mut entries = Vec::new();
    for (name, value) in &spec.fw_cfg {
        check_fw_cfg_name(name).map_err(|why| HypervisorError::Unsupported {
            what: format!("fw_cfg item {name}"),
            why,
        })?;
        entries.push(Entry { name: name.clone(), value: value.clone() });
    }
    Ok((!entries.is_empty()).then_some(Sysinfo { kind: "fwcfg", entry: entries }))
}

fn os(spec: &MachineSpec, host: &Host<'_>) -> Result<Os, HypervisorError> {
    let profile = &spec.profile;
    let (loader, nvram) = match profile.firmware.kind {
        FirmwareKind::Bios => (None, None),
        FirmwareKind::Uefi => {
            let unsupported = |why: &str| HypervisorError::Unsupported {
                what: format!("UEFI for machine {}", spec.name),
                why: why.to_owned(),
            };
            let files = host.firmware.ok_or_else(|| {
                unsupported(
                    "no OVMF was found; install the package `ovmf`, or run `loopbreak doctor`",
                )
            })?;
            let variables = spec
                .firmware_vars
                .as_ref()
                .ok_or_else(|| unsupported("the machine has no copy of the firmware variables"))?;
            let loader = Loader {
                readonly: "yes",
                secure: profile.firmware.secure_boot.then_some("yes"),
                kind: "pflash",
                path: text(spec.firmware_code.as_ref().unwrap_or(&files.code))?,
            };
            (Some(loader), Some(text(variables)?))
        }
    };
    Ok(Os {
        kind: OsType {
            arch: profile.architecture.as_str(),
            machine: host.machine_type.unwrap_or(&profile.machine).to_owned(),
            name: "hvm",
        },
        loader,
        nvram,
        boot: Boot { dev: "hd" },
    })
}

fn features(profile: &MachineProfile, accelerator: Accelerator) -> Features {
    let on = State { state: "on" };
    Features {
        acpi: Empty {},
        apic: Empty {},
        smm: profile.firmware.secure_boot.then_some(on),
        hyperv: (profile.hyperv && accelerator == Accelerator::Kvm).then_some(Hyperv {
            relaxed: on,
            vapic: on,
            spinlocks: Spinlocks { state: "on", retries: 8191 },
            vpindex: on,
            runtime: on,
            synic: on,
            stimer: on,
            frequencies: on,
        }),
        tcg: (accelerator == Accelerator::Emulation)
            .then_some(Tcg { tb_cache: Memory { unit: "MiB", amount: TRANSLATION_CACHE_MIB } }),
    }
}

fn clock(spec: &MachineSpec) -> Clock {
    match spec.clock {
        // The clock chip counts guest time, so that a machine frozen for a week wakes up at the moment
        // at which it was frozen, and two forks of one checkpoint see the same time.
        Some(start) => Clock {
            offset: "absolute",
            start: Some(start),
            timer: Some(Timer { name: "rtc", track: "guest" }),
        },
        None => Clock {
            offset: match spec.profile.clock {
                ClockBase::Utc => "utc",
                ClockBase::Localtime => "localtime",
            },
            start: None,
            timer: None,
        },
    }
}

fn devices(
    spec: &MachineSpec,
    host: &Host<'_>,
    sockets: &Sockets,
) -> Result<Devices, HypervisorError> {
    let profile = &spec.profile;
    let (target, bus) = match profile.disk_bus {
        DiskBus::Virtio => ("vda", "virtio"),
        DiskBus::Sata => ("sda", "sata"),
        DiskBus::Ide => ("hda", "ide"),
        DiskBus::Scsi => ("sda", "scsi"),
    };
    let mut controller = vec![Controller { kind: "usb", index: 0, model: "none" }];
    if profile.disk_bus == DiskBus::Scsi {
        controller.push(Controller { kind: "scsi", index: 0, model: "virtio-scsi" });
    }
    let panic = match profile.panic {
        PanicDevice::Isa => Some(Panic { model: "isa" }),
        PanicDevice::Hyperv => Some(Panic { model: "hyperv" }),
        PanicDevice::None | PanicDevice::PvpanicPci => None,
    };
    Ok(Devices {
        emulator: text(host.emulator)?,
        disk: disk(spec, host, Target { dev: target, bus })?,
        controller,
        serial: Serial {
            kind: "unix",
            source: SocketSource { mode: "connect", path: text(&sockets.serial)? },
            target: SerialTarget { kind: "isa-serial", port: 0 },
        },
        audio: Audio { id: 1, kind: "none" },
        video: Video {
            model: VideoModel {
                kind: match profile.display {
                    Display::Vga => "vga",
                    Display::Virtio => "virtio",
                },
                heads: 1,
                primary: "yes",
            },
        },
        memballoon: Balloon { model: "none" },
        panic,
    })
}

/// Files stay with their owner: the account is ours, and what is ours it can reach.
fn security_labels(labels: &Labels) -> Vec<SecurityLabel> {
    let account = labels.account.iter().map(|account| SecurityLabel {
        kind: "static",
        model: "dac".to_owned(),
        relabel: Some("no"),
        label: Some(account.clone()),
    });
    let unconfined = labels.unconfined.iter().map(|model| SecurityLabel {
        kind: "none",
        model: model.clone(),
        relabel: None,
        label: None,
    });
    account.chain(unconfined).collect()
}

/// A file that QEMU opens; or what the harness serves, whose cache is the harness's to keep or lose: QEMU
/// passes each flush on, and each error to the guest.
fn disk(spec: &MachineSpec, host: &Host<'_>, target: Target) -> Result<Disk, HypervisorError> {
    let address = (spec.profile.disk_bus == DiskBus::Virtio).then_some(PciAddress {
        kind: "pci",
        bus: "0x00",
        slot: DISK_SLOT,
    });
    let driver = Driver {
        name: "qemu",
        kind: "qcow2",
        cache: if host.unsafe_cache { "unsafe" } else { "writeback" },
        error_policy: None,
        rerror_policy: None,
        discard: "unmap",
    };
    Ok(match &spec.disk_socket {
        None => Disk {
            kind: "file",
            device: "disk",
            driver,
            source: DiskSource { file: Some(text(&spec.disk)?), ..DiskSource::default() },
            target,
            address,
        },
        Some(socket) => {
            check_socket_path(socket)?;
            Disk {
                kind: "network",
                device: "disk",
                driver: Driver {
                    kind: "raw",
                    cache: "writeback",
                    error_policy: Some("report"),
                    rerror_policy: Some("report"),
                    ..driver
                },
                source: DiskSource {
                    protocol: Some("nbd"),
                    name: Some("disk"),
                    host: Some(DiskHost { transport: "unix", socket: text(socket)? }),
                    ..DiskSource::default()
                },
                target,
                address,
            }
        }
    })
}

fn commandline(spec: &MachineSpec, sockets: &Sockets) -> Result<Commandline, HypervisorError> {
    let profile = &spec.profile;
    let bus = if profile.is_q35() { "pcie.0" } else { "pci.0" };
    let mut arguments: Vec<String> = Vec::new();
    let mut pass = |option: &str, value: String| {
        arguments.push(option.to_owned());
        arguments.push(value);
    };
    pass("-action", "panic=none".to_owned());
    // libvirt leaves out a controller that none of its own channels uses.
    pass(
        "-device",
        format!("virtio-serial-pci,id={AGENT_PORT}-bus,bus={bus},addr={AGENT_SLOT},max_ports=2"),
    );
    pass("-chardev", format!("socket,id={AGENT_PORT}-chardev,path={}", option(&sockets.agent)?));
    pass(
        "-device",
        format!(
            "virtserialport,bus={AGENT_PORT}-bus.0,nr=1,chardev={AGENT_PORT}-chardev,id={AGENT_PORT},name=org.qemu.guest_agent.0"
        ),
    );
    match &spec.cable {
        Some(cable) => {
            check_socket_path(cable)?;
            pass(
                "-netdev",
                format!("stream,id=cable,server=off,addr.type=unix,addr.path={}", option(cable)?),
            );
        }
        // A cable that ends in a hub with nothing else in it.
        None => pass("-netdev", "hubport,id=cable,hubid=0".to_owned()),
    }
    pass(
        "-device",
        // No option ROM: network boot is a scenario's business, not a default.
        format!(
            "{},netdev=cable,id=nic0,mac={MAC_ADDRESS},bus={bus},addr={NIC_SLOT},romfile=",
            profile.network.device()
        ),
    );
    if profile.panic == PanicDevice::PvpanicPci {
        pass("-device", format!("pvpanic-pci,id=pvpanic0,bus={bus},addr={PVPANIC_SLOT}"));
    }
    if profile.tpm.is_some() {
        pass("-chardev", format!("socket,id=tpm-chardev,path={}", option(&sockets.tpm)?));
        pass("-tpmdev", "emulator,id=tpm0,chardev=tpm-chardev".to_owned());
        pass("-device", "tpm-crb,tpmdev=tpm0,id=tpm-crb0".to_owned());
    }
    Ok(Commandline { arg: arguments.into_iter().map(|value| Arg { value }).collect() })
}

fn text(path: &Path) -> Result<String, HypervisorError> {
    match path.to_str() {
        Some(text) if path.is_absolute() && !text.chars().any(char::is_control) => {
            Ok(text.to_owned())
        }
        _ => Err(HypervisorError::Unsupported {
            what: format!("path {}", path.display()),
            why: "libvirt takes only absolute paths in UTF-8 without control characters".to_owned(),
        }),
    }
}

/// A path within a QEMU option, where a comma separates and two commas mean one.
fn option(path: &Path) -> Result<String, HypervisorError> {
    Ok(text(path)?.replace(',', ",,"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::MachineProfile;

    fn spec(extra: &str) -> MachineSpec {
        let text = format!("format = 1\nis-model = true\nmemory = \"512MiB\"\n{extra}");
        MachineSpec {
            name: "loopbreak-7-guest".to_owned(),
            profile: MachineProfile::parse(&text, Path::new("profile.toml")).unwrap(),
            disk: "/state/m/disk.qcow2".into(),
            disk_socket: None,
            firmware_code: None,
            firmware_vars: Some("/state/m/vars.fd".into()),
            tpm_state: Some("/state/m/tpm".into()),
            cable: Some("/state/s/cable,1".into()),
            sockets: "/state/s".into(),
            evidence: "/state/run & more".into(),
            fw_cfg: vec![("opt/org.loopbreak/time-scale".to_owned(), "60".to_owned())],
            clock: Some(1_721_362_140),
        }
    }

    fn files() -> FirmwareFiles {
        FirmwareFiles { code: "/fw/CODE.fd".into(), variables: "/fw/VARS.fd".into() }
    }

    fn host(files: &FirmwareFiles) -> Host<'_> {
        static LABELS: Labels = Labels { account: None, unconfined: Vec::new() };
        Host {
            labels: &LABELS,
            accelerator: Accelerator::Emulation,
            emulator: Path::new("/usr/bin/qemu-system-x86_64"),
            firmware: Some(files),
            unsafe_cache: true,
            machine_type: None,
        }
    }

    #[test]
    fn the_definition_of_a_uefi_machine() {
        insta::assert_snapshot!(
            definition(&spec("panic = \"isa\"\ntpm = \"2.0\"\n"), &host(&files())).unwrap()
        );
    }

    #[test]
    fn the_definition_of_an_old_machine() {
        let extra = "architecture = \"i686\"\nmachine = \"pc\"\ndisk-bus = \"ide\"\nnetwork = \"e1000\"\npanic = \"pvpanic-pci\"\n[firmware]\nkind = \"bios\"\n";
        let mut spec = spec(extra);
        spec.cable = None;
        spec.clock = None;
        spec.fw_cfg.clear();
        let files = files();
        let mut host = host(&files);
        host.firmware = None;
        host.unsafe_cache = false;
        insta::assert_snapshot!(definition(&spec, &host).unwrap());
    }

    #[test]
    fn a_daemons_machine_runs_under_our_account_and_its_files_stay_ours() {
        let files = files();
        let labels = Labels {
            account: Some("+1000:+100".to_owned()),
            unconfined: vec!["apparmor".to_owned()],
        };
        let xml = definition(&spec(""), &Host { labels: &labels, ..host(&files) }).unwrap();
        let document = roxmltree::Document::parse(&xml).unwrap();
        let labels: Vec<_> = document
            .descendants()
            .filter(|node| node.has_tag_name("seclabel"))
            .map(|node| {
                let label = node.first_element_child().and_then(|label| label.text());
                (node.attribute("model"), node.attribute("type"), node.attribute("relabel"), label)
            })
            .collect();
        assert_eq!(
            labels,
            [
                (Some("dac"), Some("static"), Some("no"), Some("+1000:+100")),
                (Some("apparmor"), Some("none"), None, None),
            ]
        );
    }

    #[test]
    fn text_from_outside_cannot_leave_its_element() {
        let mut spec = spec("");
        spec.fw_cfg = vec![("opt/x".to_owned(), "</entry><os>".to_owned())];
        let xml = definition(&spec, &host(&files())).unwrap();
        let document = roxmltree::Document::parse(&xml).unwrap();
        let entry = document.descendants().find(|node| node.has_tag_name("entry")).unwrap();
        assert_eq!(entry.text(), Some("</entry><os>"));
        spec.fw_cfg = vec![("opt/x,file=/etc/passwd".to_owned(), String::new())];
        assert!(definition(&spec, &host(&files())).is_err());
    }

    #[test]
    fn impossible_machines_are_refused() {
        let files = files();
        let refused = definition(&spec("panic = \"hyperv\"\n"), &host(&files)).unwrap_err();
        assert!(refused.to_string().contains("under KVM only"), "{refused}");
        let mut long = spec("");
        long.sockets = format!("/{}", "s".repeat(120)).into();
        assert!(matches!(
            definition(&long, &host(&files)),
            Err(HypervisorError::SocketPathTooLong { .. })
        ));
        let mut bare = spec("");
        bare.firmware_vars = None;
        assert!(definition(&bare, &host(&files)).is_err());
    }

    #[test]
    fn uuids_follow_names() {
        assert_eq!(uuid_of("a"), uuid_of("a"));
        assert_ne!(uuid_of("a"), uuid_of("b"));
        assert_eq!(uuid_of("a").len(), 36);
    }
}
