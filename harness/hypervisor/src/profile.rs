//! The machine profile: what hardware an image expects, and how the harness reads what it does.
//!
//! It is the `profile.toml` of an image. Unknown keys are errors. A checkpoint is valid only for the
//! profile it was taken with, so the CPU model is named and pinned: a host's own CPU model would change
//! the hardware under a frozen guest.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use timeline::{Marker, Witness};
use words::ImageLine;

/// Version of the profile format. A reader refuses another.
pub const PROFILE_FORMAT: u32 = 1;

/// What hardware an image expects, and how the harness reads what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MachineProfile {
    /// [`PROFILE_FORMAT`].
    pub format: u32,
    /// True where the image is a model and not Windows. Reports say so.
    pub is_model: bool,
    /// Which line of systems it is of, by which references are found: `windows-11-24h2`. Absent: what follows from
    /// what is on its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<ImageLine>,
    /// Instruction set. Default `x86_64`.
    #[serde(default)]
    pub architecture: Architecture,
    /// QEMU's machine type, for example `q35` or, pinned, `pc-q35-7.2`. Default `q35`.
    #[serde(default = "default_machine")]
    pub machine: String,
    /// Memory, for example `512MiB`.
    pub memory: MemorySize,
    /// Virtual processors. Default 1.
    #[serde(default = "default_vcpus")]
    pub vcpus: u32,
    /// A named CPU model of QEMU or libvirt. Default `qemu64`. The host's own (`host`,
    /// `host-passthrough`, `max`) is refused.
    #[serde(default = "default_cpu")]
    pub cpu: String,
    /// Hyper-V enlightenments, which Windows uses under KVM. Left out under software emulation, which
    /// does not have them. Default false.
    #[serde(default)]
    pub hyperv: bool,
    /// Firmware. Default UEFI without secure boot.
    #[serde(default)]
    pub firmware: Firmware,
    /// How the disk is attached. Default `virtio`.
    #[serde(default)]
    pub disk_bus: DiskBus,
    /// How the network card presents itself. Default `virtio`.
    #[serde(default)]
    pub network: NetworkModel,
    /// The display. Default `vga`.
    #[serde(default)]
    pub display: Display,
    /// How the guest tells that it panicked. Default none.
    #[serde(default)]
    pub panic: PanicDevice,
    /// A TPM, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmVersion>,
    /// What the clock chip counts in where the scenario sets no start. Default `utc`.
    #[serde(default)]
    pub clock: ClockBase,
    /// Resets of this image that are normal and never count towards a loop, per run. Default 0.
    #[serde(default)]
    pub expected_resets: u32,
    /// How the guest is told that minutes of documented waiting pass faster, where it can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_scale: Option<TimeScale>,
    /// Paths within Windows that change by themselves, as globs (`C:\Windows\Logs\**`), left out of
    /// the list of changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<String>,
    /// The partition of the Windows that is meant, where there are several on the disk. Absent: the one that its boot
    /// configuration starts by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows_partition: Option<u32>,
    /// Where evidence lies on the disk afterwards.
    #[serde(default)]
    pub evidence: EvidencePaths,
    /// What is done to a machine that hangs, before it is switched off. Default nothing.
    #[serde(default, skip_serializing_if = "Hang::is_nothing")]
    pub hang: Hang,
    /// What the image's kernel has for drivers, where the image is a model that has not all that Windows
    /// has. A scenario with a driver that needs more is refused. Absent: everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_exports: Vec<KernelExports>,
    /// How phases are recognised.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub markers: Vec<Marker>,
    /// How further lines of the serial port are understood.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witness>,
}

fn default_machine() -> String {
    "q35".to_owned()
}

fn default_vcpus() -> u32 {
    1
}

fn default_cpu() -> String {
    "qemu64".to_owned()
}

/// Instruction set of the guest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// 64-bit x86.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// 32-bit x86.
    #[serde(rename = "i686")]
    I686,
}

impl Architecture {
    /// libvirt's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::I686 => "i686",
        }
    }

    /// The emulator's program name.
    pub fn emulator(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86_64",
            Self::I686 => "qemu-system-i386",
        }
    }
}

/// Firmware of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Firmware {
    /// UEFI or BIOS. Default UEFI.
    #[serde(default)]
    pub kind: FirmwareKind,
    /// Secure boot, UEFI only. The image's variables carry the keys. Default false.
    #[serde(default)]
    pub secure_boot: bool,
    /// False: a machine without a TPM starts with firmware that does not look for one. OVMF waits 1.75 s at each
    /// start for a TPM that is not there; the module that waits is taken out of a copy of it. Default true: the
    /// firmware as the distribution ships it.
    #[serde(default = "shipped")]
    pub tpm_detection: bool,
}

fn shipped() -> bool {
    true
}

impl Default for Firmware {
    fn default() -> Self {
        Self { kind: FirmwareKind::default(), secure_boot: false, tpm_detection: shipped() }
    }
}

/// Kind of firmware.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirmwareKind {
    /// OVMF, with variables of the machine's own.
    #[default]
    Uefi,
    /// SeaBIOS.
    Bios,
}

/// How the disk is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskBus {
    /// virtio-blk. A Windows recovery environment sees it only with an injected driver.
    #[default]
    Virtio,
    /// AHCI.
    Sata,
    /// Parallel ATA (machine type `pc` only).
    Ide,
    /// virtio-scsi.
    Scsi,
}

/// How the network card presents itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkModel {
    /// virtio-net.
    #[default]
    Virtio,
    /// Intel 82574L, which Windows and its recovery environment know.
    E1000e,
    /// Intel 82540EM, for older guests.
    E1000,
    /// Realtek 8139, for much older guests.
    Rtl8139,
}

impl NetworkModel {
    /// QEMU's device name.
    pub fn device(self) -> &'static str {
        match self {
            Self::Virtio => "virtio-net-pci",
            Self::E1000e => "e1000e",
            Self::E1000 => "e1000",
            Self::Rtl8139 => "rtl8139",
        }
    }
}

/// The display. The screen is watched whatever it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Display {
    /// QEMU's standard VGA.
    #[default]
    Vga,
    /// virtio-gpu with VGA compatibility.
    Virtio,
}

/// How the guest tells that it panicked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PanicDevice {
    /// It cannot.
    #[default]
    None,
    /// pvpanic at port 0x505.
    Isa,
    /// Hyper-V crash registers, which carry the stop code. KVM only.
    Hyperv,
    /// pvpanic on PCI.
    PvpanicPci,
}

/// Version of a TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TpmVersion {
    /// TPM 2.0.
    #[serde(rename = "2.0")]
    V2,
}

/// What the clock chip counts in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockBase {
    /// Universal time.
    #[default]
    Utc,
    /// The host's local time, which Windows expects by default.
    Localtime,
}

/// How the guest is told that waiting passes faster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TimeScale {
    /// fw_cfg item that carries the factor as decimal text.
    pub fw_cfg: String,
}

/// Where evidence lies on the disk afterwards. Paths within Windows; globs where said so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EvidencePaths {
    /// Crash dumps, as globs: `C:\Windows\MEMORY.DMP`, `C:\Windows\Minidump\*.dmp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dumps: Vec<String>,
    /// Logs of the recovery environment and its tools, as globs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recovery_logs: Vec<String>,
}

/// What is done to a machine that hangs, once that is judged and before it is switched off. The verdict stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hang {
    /// It is sent a non-maskable interrupt, at which it stops and writes a dump: Windows 8 and later by themselves,
    /// older ones with `CrashControl\NMICrashDump` = 1 (windows-facts 6.7). Default false.
    #[serde(default)]
    pub nmi: bool,
}

impl Hang {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What drivers can import from some modules of an image's kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KernelExports {
    /// The modules: `ntoskrnl.exe`, `hal.dll`. Without regard to case.
    pub modules: Vec<String>,
    /// The functions and variables that each of them exports.
    pub names: Vec<String>,
}

/// An amount of memory. Written with a binary unit: `512MiB`, `4GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemorySize {
    mebibytes: u32,
}

impl MemorySize {
    /// Largest amount that a profile may ask for.
    pub const MAX: Self = Self { mebibytes: 1024 * 1024 };

    /// From mebibytes; `None` for none at all or more than [`MemorySize::MAX`].
    pub fn from_mebibytes(mebibytes: u32) -> Option<Self> {
        (1..=Self::MAX.mebibytes).contains(&mebibytes).then_some(Self { mebibytes })
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.mebibytes) << 20
    }

    /// In mebibytes.
    pub fn mebibytes(self) -> u32 {
        self.mebibytes
    }
}

impl FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is not an amount of memory; write it like \"512MiB\" or \"4GiB\"");
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(split);
        let factor = match unit.trim() {
            "MiB" => 1,
            "GiB" => 1024,
            _ => return Err(wrong()),
        };
        let number: u32 = number.parse().map_err(|_| wrong())?;
        number
            .checked_mul(factor)
            .and_then(Self::from_mebibytes)
            .ok_or_else(|| format!("`{text}` is out of range; 1MiB to 1024GiB is possible"))
    }
}

impl TryFrom<String> for MemorySize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MemorySize> for String {
    fn from(size: MemorySize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mebibytes.is_multiple_of(1024) {
            write!(f, "{}GiB", self.mebibytes / 1024)
        } else {
            write!(f, "{}MiB", self.mebibytes)
        }
    }
}

/// Why a profile was refused.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("could not read machine profile {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, a wrong type.
    #[error("{path}:{line}:{column}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Well-formed, but impossible.
    #[error("machine profile {path}: `{key}`: {message}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong and what is possible.
        message: String,
    },
}

impl MachineProfile {
    /// Reads and checks a `profile.toml`.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = fs_err::read_to_string(path)
            .map_err(|source| ProfileError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Parses and checks the text of a profile; `path` is only for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ProfileError> {
        let profile: Self = toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            ProfileError::Syntax {
                path: path.to_owned(),
                line,
                column,
                message: error.message().to_owned(),
            }
        })?;
        profile.check().map_err(|(key, message)| ProfileError::Value {
            path: path.to_owned(),
            key,
            message,
        })?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.format != PROFILE_FORMAT {
            return Err((
                "format",
                format!(
                    "format {} is not known; this loopbreak reads {PROFILE_FORMAT}",
                    self.format
                ),
            ));
        }
        if !(1..=64).contains(&self.vcpus) {
            return Err(("vcpus", format!("{} is out of range; 1 to 64 are possible", self.vcpus)));
        }
        if !is_plain_name(&self.machine) {
            return Err(("machine", format!("`{}` is not a machine type of QEMU", self.machine)));
        }
        if !is_plain_name(&self.cpu) {
            return Err(("cpu", format!("`{}` is not a CPU model", self.cpu)));
        }
        if ["host", "host-passthrough", "host-model", "max", "maximum"].contains(&self.cpu.as_str())
        {
            return Err((
                "cpu",
                format!(
                    "`{}` differs from host to host, so a checkpoint would not be valid elsewhere; name a model, for example `qemu64` or `Skylake-Client`",
                    self.cpu
                ),
            ));
        }
        if self.firmware.secure_boot && self.firmware.kind == FirmwareKind::Bios {
            return Err((
                "firmware",
                "a BIOS has no secure boot; set `kind = \"uefi\"`".to_owned(),
            ));
        }
        if self.firmware.kind == FirmwareKind::Uefi && !self.is_q35() {
            return Err((
                "machine",
                format!("`{}` is not possible with UEFI here; use `q35`", self.machine),
            ));
        }
        if self.disk_bus == DiskBus::Ide && self.is_q35() {
            return Err(("disk-bus", "machine type q35 has no IDE; use `sata`".to_owned()));
        }
        for witness in &self.witnesses {
            witness.check().map_err(|message| ("witnesses", message))?;
        }
        for exports in &self.kernel_exports {
            if exports.modules.is_empty() {
                let message = "`modules` is empty; name the modules that have these exports";
                return Err(("kernel-exports", message.to_owned()));
            }
        }
        if let Some(scale) = &self.time_scale {
            check_fw_cfg_name(&scale.fw_cfg).map_err(|message| ("time-scale", message))?;
        }
        Ok(())
    }

    /// True for the PCI Express machine type, pinned or not.
    pub fn is_q35(&self) -> bool {
        self.machine == "q35" || self.machine.starts_with("pc-q35-")
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// QEMU takes user items only below `opt/`, up to 55 characters (docs/specs/fw_cfg).
pub(crate) fn check_fw_cfg_name(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|b| b.is_ascii_graphic() && b != b',' && b != b'"');
    if name.starts_with("opt/") && name.len() <= 55 && plain {
        Ok(())
    } else {
        Err(format!(
            "`{name}` is not a possible fw_cfg item; it starts with `opt/` and has at most 55 plain characters"
        ))
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests;
