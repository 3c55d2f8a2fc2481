//! The changes themselves.

use jiff::Timestamp;
use scenario::{
    ClockFault, Moment, NetworkFault, PowerEvent, PowerFault, ServiceFault, StorageFault,
    WindowsPath,
};
use volume::Partition;
use winfmt::variables::Variable;

use super::change::Change;

/// All that is done to a machine for one scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StagePlan {
    /// Done offline, in this order, before power-on.
    pub staged: Vec<StagedEdit>,
    /// Done to the machine itself, in this order: those that are staged before power-on, the others once it
    /// is healthy.
    pub online: Vec<Online>,
}

/// One offline change and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedEdit {
    /// What it is for.
    pub origin: Origin,
    /// The change.
    pub change: Change,
}

/// What a change is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Something the machine has before anything goes wrong, by its name.
    Given(String),
    /// A fault, by its name.
    Fault(String),
    /// A file of the user's data.
    Canary,
    /// The settings of the machine's recovery.
    Recovery,
    /// The update service: its address, the certificates that vouch for it and for what it publishes.
    UpdateService,
    /// The repair of the disk from the host.
    HostRepair,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(name) | Self::Fault(name) => f.write_str(name),
            Self::Canary => f.write_str("canary"),
            Self::Recovery => f.write_str("recovery settings"),
            Self::UpdateService => f.write_str("update service"),
            Self::HostRepair => f.write_str("host repair"),
        }
    }
}

/// A volume of the machine's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VolumeRole {
    /// The Windows volume, `C:`.
    Windows,
    /// The volume of the recovery environment.
    Recovery,
    /// The EFI system partition.
    System,
}

impl VolumeRole {
    /// A path on it, for people.
    pub fn path(self, path: &str) -> String {
        match self {
            Self::Windows => format!("C:\\{path}"),
            Self::Recovery | Self::System => format!("{self} \\{path}"),
        }
    }
}

impl std::fmt::Display for VolumeRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Windows => "Windows volume",
            Self::Recovery => "recovery volume",
            Self::System => "EFI system partition",
        })
    }
}

/// A registry hive of the Windows volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HiveName {
    /// `C:\Windows\System32\config\SYSTEM`.
    System,
    /// `C:\Windows\System32\config\SOFTWARE`.
    Software,
}

impl HiveName {
    /// Its file on `C:`.
    pub const fn file(self) -> &'static str {
        match self {
            Self::System => "Windows\\System32\\config\\SYSTEM",
            Self::Software => "Windows\\System32\\config\\SOFTWARE",
        }
    }
}

/// A registry value with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryValue {
    /// REG_SZ.
    Text(String),
    /// REG_EXPAND_SZ.
    ExpandText(String),
    /// REG_BINARY.
    Binary(Vec<u8>),
    /// REG_DWORD.
    Dword(u32),
    /// Any other type, as its number and bytes: what was there before may be of any.
    Other(u32, Vec<u8>),
}

/// One offline change. Paths are relative to the volume's root, with `\`. In a plan a key of the SYSTEM
/// hive that begins with `CurrentControlSet\` means the set that `Select\Current` names when it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Writes a file; missing folders above it are made.
    WriteFile {
        /// The volume.
        volume: VolumeRole,
        /// The file.
        path: String,
        /// Its content.
        bytes: Vec<u8>,
        /// Time of creation and last modification; `None` leaves it to the file system.
        modified: Option<Timestamp>,
    },
    /// Deletes a file.
    RemoveFile {
        /// The volume.
        volume: VolumeRole,
        /// The file.
        path: String,
    },
    /// Deletes a folder with what is in it. Part of undoing.
    RemoveFolder {
        /// The volume.
        volume: VolumeRole,
        /// The folder.
        path: String,
    },
    /// Sets a value; missing keys above it are made.
    SetValue {
        /// The hive.
        hive: HiveName,
        /// The key.
        key: String,
        /// The value's name.
        name: String,
        /// The value.
        value: RegistryValue,
    },
    /// Deletes a value.
    RemoveValue {
        /// The hive.
        hive: HiveName,
        /// The key.
        key: String,
        /// The value's name.
        name: String,
    },
    /// Deletes a key with what is in it. Part of undoing.
    RemoveKey {
        /// The hive.
        hive: HiveName,
        /// The key.
        key: String,
    },
    /// Puts a partition into a slot of the partition table, or clears the slot.
    SetPartition {
        /// The slot, from 1.
        number: u32,
        /// The partition.
        partition: Option<Partition>,
    },
    /// Adds data to the end of a firmware variable. One that is not there is made.
    ExtendVariable(Variable),
    /// Puts a firmware variable back as it was. Part of undoing.
    SetVariable(Variable),
    /// Takes a firmware variable out. Part of undoing.
    RemoveVariable(Variable),
    /// Gives the machine another TPM, or rather the state of one.
    ReplaceTpm(TpmState),
}

/// What a TPM remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TpmState {
    /// Nothing: at the next start it is as new, with other seeds.
    New,
    /// What there is, written anew.
    Same,
    /// This. Part of undoing.
    These(Vec<u8>),
}

/// A file as it is on the disk: its content, and the time of last modification where the volume knows
/// one.
pub type FileState = (Vec<u8>, Option<Timestamp>);

/// What was there before a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Before {
    /// A file.
    File(FileState),
    /// No file; this topmost folder was missing too, where there is one.
    NoFile {
        /// The folder that the change made first.
        made: Option<String>,
    },
    /// A value.
    Value(RegistryValue),
    /// A firmware variable.
    Variable(Variable),
    /// No such variable.
    NoVariable,
    /// What the TPM remembered.
    Tpm(Option<Vec<u8>>),
    /// No value; this topmost key was missing too, where there is one.
    NoValue {
        /// The key that the change made first.
        made: Option<String>,
    },
    /// What the slot of the partition table held.
    Partition(Option<Partition>),
}

/// A fault that is not an edit of the powered-off disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Online {
    /// A file, through the guest agent.
    Write(OnlineWrite),
    /// Anything else through the guest agent.
    Act(OnlineAct),
    /// A file of which only the first part is written before the power is cut.
    InterruptedWrite(InterruptedWrite),
    /// Trouble with the disk.
    Storage(StorageFault),
    /// The power, at a chosen moment.
    Power(PowerFault),
    /// Trouble on its network.
    Network(NetworkFault),
    /// Trouble at its update service.
    Service(ServiceFault),
    /// What its clock chip says at power-on.
    Clock(ClockFault),
}

impl Online {
    /// The fault's name.
    pub fn fault(&self) -> &str {
        match self {
            Self::Write(write) => &write.fault,
            Self::Act(act) => &act.fault,
            Self::InterruptedWrite(write) => &write.fault,
            Self::Storage(fault) => &fault.name,
            Self::Power(fault) => &fault.name,
            Self::Network(fault) => &fault.name,
            Self::Service(fault) => &fault.name,
            Self::Clock(fault) => &fault.name,
        }
    }

    /// Before power-on, or once the machine is healthy.
    pub fn when(&self) -> Moment {
        match self {
            Self::Write(_) | Self::Act(_) | Self::InterruptedWrite(_) => Moment::Healthy,
            Self::Storage(fault) => fault.when,
            Self::Power(fault) => fault.when,
            Self::Network(fault) => fault.when,
            Self::Service(fault) => fault.when,
            Self::Clock(fault) => fault.when,
        }
    }

    /// True where it goes through the guest agent.
    pub fn needs_agent(&self) -> bool {
        matches!(self, Self::Write(_) | Self::Act(_) | Self::InterruptedWrite(_))
    }

    /// True where the harness itself has to be the machine's drive for it. So too for its inert control.
    pub fn needs_drive(&self) -> bool {
        match self {
            Self::Write(_)
            | Self::Act(_)
            | Self::Network(_)
            | Self::Service(_)
            | Self::Clock(_) => false,
            Self::InterruptedWrite(_) | Self::Storage(_) => true,
            Self::Power(fault) => fault.what == PowerEvent::Cut,
        }
    }

    /// What it is about, for people.
    pub fn about(&self) -> String {
        match self {
            Self::Write(write) => write.path.to_string(),
            Self::InterruptedWrite(write) => write.path.to_string(),
            Self::Storage(_) | Self::Power(_) => String::new(),
            Self::Act(act) => act.what.to_string(),
            Self::Network(_) => "the machine's network".to_owned(),
            Self::Service(_) => "the update service".to_owned(),
            Self::Clock(fault) => fault.to.to_string(),
        }
    }
}

/// Something other than a write that is done through the guest agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineAct {
    /// The fault's name.
    pub fault: String,
    /// What is done.
    pub what: Act,
}

/// What can be done through the guest agent. Each is proved by what the machine says afterwards, unless the
/// machine stops because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Moves a file, over what is there.
    Move {
        /// From.
        from: WindowsPath,
        /// To.
        to: WindowsPath,
    },
    /// Deletes a file.
    Remove {
        /// The file.
        path: WindowsPath,
    },
    /// Ends every process of a program, at once.
    EndProcess {
        /// The program's file name.
        program: String,
    },
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Move { from, to } => write!(f, "moving {from} to {to}"),
            Self::Remove { path } => write!(f, "deleting {path}"),
            Self::EndProcess { program } => write!(f, "ending {program}"),
        }
    }
}

/// A file written through the guest agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlineWrite {
    /// The fault's name.
    pub fault: String,
    /// Where.
    pub path: WindowsPath,
    /// What. The engine writes it in one open and close, then reads it back.
    pub bytes: Vec<u8>,
}

/// A file of which only the first part is written, in place, before the power is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterruptedWrite {
    /// The fault's name.
    pub fault: String,
    /// Where.
    pub path: WindowsPath,
    /// What it was to hold.
    pub bytes: Vec<u8>,
    /// How much of it is written, in hundredths.
    pub percent: u32,
    /// All of it is written, and the power stays.
    pub inert: bool,
}

impl InterruptedWrite {
    /// What the file holds afterwards: as long as it was to be, zeros behind what was written.
    pub fn first_part(&self) -> Vec<u8> {
        let percent = if self.inert { 100 } else { self.percent.min(100) as usize };
        let written = self.bytes.len() / 100 * percent + self.bytes.len() % 100 * percent / 100;
        let mut bytes = self.bytes.clone();
        bytes[written..].fill(0);
        bytes
    }
}

impl OnlineWrite {
    /// The line of proof once the agent read the same bytes back.
    pub fn proof(&self) -> String {
        file_proof(self.path.as_str(), &self.bytes)
    }
}

pub(crate) fn file_proof(path: &str, bytes: &[u8]) -> String {
    format!("{path}: {} bytes, blake3 {}", bytes.len(), blake3::hash(bytes).to_hex())
}

impl StagePlan {
    /// What is staged before a good start, and what after it: the faults.
    pub fn before_and_after_a_start(self) -> (Self, Self) {
        let is_fault = |staged: &StagedEdit| matches!(staged.origin, Origin::Fault(_));
        let (faults, given) = self.staged.into_iter().partition(is_fault);
        let online = Vec::new();
        (Self { staged: given, online }, Self { staged: faults, online: self.online })
    }

    /// BLAKE3 over everything that is staged, hex. Two machines of one image with the same digest are
    /// the same until the online part begins: a checkpoint of one serves the other.
    pub fn staged_digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for StagedEdit { origin, change } in &self.staged {
            // Debug output of these types is their full content.
            let line = format!("{origin:?} {change:?}\n");
            hasher.update(&(line.len() as u64).to_le_bytes());
            hasher.update(line.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}
