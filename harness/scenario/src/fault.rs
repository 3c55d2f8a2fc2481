//! Faults as they are declared: which kinds there are and what each needs.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::boot_configuration::BootConfiguration;
use crate::driver::{DriverFile, DriverPackage, FaultyDriver, Trigger, Update};
use crate::network::{ClockFault, NetworkFault, ServiceFault};
use crate::power::PowerFault;
use crate::registry::RegistryFault;
use crate::servicing::{FileLoss, FileVersion, InterruptedWrite, ServicingTransaction};
use crate::storage::StorageFault;
use crate::text::WindowsPath;
use crate::trust::{Encryption, TrustFault};
use crate::user_mode::ProcessDeath;

/// One declared, reversible thing done to a machine. The same kinds serve `[[given]]` (what was on the
/// machine before anything went wrong, harmless by itself) and `[[fault]]` (what goes wrong).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// A kernel driver that interprets content files, and the service that starts it.
    ContentDriver(ContentDriver),
    /// A file that such a driver (or anything else) reads.
    ContentFile(ContentFile),
    /// A service that fetches such files from the vendor's content service.
    ContentUpdater(ContentUpdater),
    /// A driver with one thing wrong with it, and the service that starts it.
    Driver(FaultyDriver),
    /// A driver file of yours, and the service that starts it.
    DriverFile(DriverFile),
    /// A driver package of yours, installed as its INF says.
    DriverPackage(DriverPackage),
    /// A folder of yours, copied to the machine.
    Update(Update),
    /// An update that was left half done.
    ServicingTransaction(ServicingTransaction),
    /// A system file of another version than the rest.
    FileVersion(FileVersion),
    /// A file that was deleted or quarantined.
    FileLoss(FileLoss),
    /// An updater that loses power in the middle of its file.
    InterruptedWrite(InterruptedWrite),
    /// Damage to what starts Windows.
    BootConfiguration(BootConfiguration),
    /// Damage to the registry.
    Registry(RegistryFault),
    /// A process that ends although the system needs it.
    ProcessDeath(ProcessDeath),
    /// Trouble between the machine and its disk.
    Storage(StorageFault),
    /// Power that fails at a chosen moment.
    Power(PowerFault),
    /// Trouble on the network.
    Network(NetworkFault),
    /// Trouble at the update service.
    Service(ServiceFault),
    /// A clock that is wrong.
    Clock(ClockFault),
    /// A Windows volume whose key the TPM keeps.
    Encryption(Encryption),
    /// A change of what the machine trusts.
    Trust(TrustFault),
}

impl Fault {
    /// Name, kind as it is written, and moment: what every kind has.
    fn common(&self) -> (&str, &'static str, Moment) {
        match self {
            Self::ContentDriver(fault) => (&fault.name, "content-driver", fault.when),
            Self::ContentFile(fault) => (&fault.name, "content-file", fault.when),
            Self::ContentUpdater(fault) => (&fault.name, "content-updater", fault.when),
            Self::Driver(fault) => (&fault.name, "driver", fault.when),
            Self::DriverFile(fault) => (&fault.name, "driver-file", fault.when),
            Self::DriverPackage(fault) => (&fault.name, "driver-package", fault.when),
            Self::Update(fault) => (&fault.name, "update", fault.when),
            Self::ServicingTransaction(fault) => (&fault.name, "servicing-transaction", fault.when),
            Self::FileVersion(fault) => (&fault.name, "file-version", fault.when),
            Self::FileLoss(fault) => (&fault.name, "file-loss", fault.when),
            Self::InterruptedWrite(fault) => (&fault.name, "interrupted-write", fault.when),
            Self::BootConfiguration(fault) => (&fault.name, "boot-configuration", fault.when),
            Self::Registry(fault) => (&fault.name, "registry", fault.when),
            Self::ProcessDeath(fault) => (&fault.name, "process-death", fault.when),
            Self::Storage(fault) => (&fault.name, "storage", fault.when),
            Self::Power(fault) => (&fault.name, "power", fault.when),
            Self::Network(fault) => (&fault.name, "network", fault.when),
            Self::Service(fault) => (&fault.name, "service", fault.when),
            Self::Clock(fault) => (&fault.name, "clock", fault.when),
            Self::Encryption(fault) => (&fault.name, "encryption", fault.when),
            Self::Trust(fault) => (&fault.name, "trust", fault.when),
        }
    }

    /// The name, unique within the scenario.
    pub fn name(&self) -> &str {
        self.common().0
    }

    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        self.common().1
    }

    /// When it happens.
    pub fn when(&self) -> Moment {
        self.common().2
    }
}

/// When a fault is done to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Offline, on the machine's own disk, before it is powered on.
    #[default]
    Staged,
    /// Through the guest agent, when the machine is up and its boot is marked good.
    Healthy,
}

/// A real x86-64 driver, made by this project, that reads every file of its pattern in a folder while
/// the system starts and again whenever the folder changes. It hands 20 inputs to whatever a file
/// declares and does not compare the two numbers: the defect of channel file 291 (windows-facts 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ContentDriver {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`: a driver is installed offline.
    #[serde(default)]
    pub when: Moment,
    /// File name of the driver; the service is named after it, without `.sys`. It is put into
    /// `C:\Windows\System32\drivers`.
    pub driver: String,
    /// Where it looks for content.
    pub content_folder: WindowsPath,
    /// Which files there it takes for content.
    #[serde(default = "default_content_pattern")]
    pub content_pattern: String,
    /// Where the interpreter runs.
    #[serde(default)]
    pub runs_in: RunsIn,
    /// When it interprets its content for the first time. Later than `entry`, whoever fetches better content
    /// while the machine starts races with it. It has no timer.
    #[serde(default)]
    pub trigger: Trigger,
    /// When Windows starts the service. In user mode always by the service manager.
    #[serde(default)]
    pub start: ServiceStart,
    /// The service's load order group.
    #[serde(default = "default_group")]
    pub group: String,
    /// Version in the driver's version resource, four numbers with dots.
    #[serde(default = "default_version")]
    pub version: String,
}

fn default_content_pattern() -> String {
    "C-00000291-*.sys".to_owned()
}

// The group of activity monitors; the product's own service is in it (windows-facts 5.1, from memory).
fn default_group() -> String {
    "FSFilter Activity Monitor".to_owned()
}

fn default_version() -> String {
    "7.11.0.0".to_owned()
}

/// The vendor's updater: a service that asks the scenario's `[content-service]` when it starts, and again from
/// time to time, removes the content that is out of date and writes what it got. The system goes on with its
/// start once it has asked for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ContentUpdater {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`: a service is installed offline.
    #[serde(default)]
    pub when: Moment,
    /// Name of its service.
    #[serde(default = "default_updater")]
    pub service: String,
    /// Where the content lies.
    pub content_folder: WindowsPath,
    /// Which files there are content: all others of them are removed when it gets one.
    #[serde(default = "default_content_pattern")]
    pub content_pattern: String,
}

// The product's own service in user mode (from memory).
fn default_updater() -> String {
    "CSFalconService".to_owned()
}

/// Where code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunsIn {
    /// As a driver: its fault stops the system.
    #[default]
    Kernel,
    /// As a service's process: its fault ends that process.
    User,
}

/// When Windows starts a driver's service (windows-facts section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceStart {
    /// Loaded by the OS loader, started first.
    Boot,
    /// Started while the kernel initialises.
    #[default]
    System,
    /// Started by the service manager.
    Auto,
    /// Started on demand only.
    Demand,
    /// Never started.
    Disabled,
}

impl ServiceStart {
    /// The value of `Start` in the service's key.
    pub const fn value(self) -> u32 {
        match self {
            Self::Boot => 0,
            Self::System => 1,
            Self::Auto => 2,
            Self::Demand => 3,
            Self::Disabled => 4,
        }
    }
}

/// A file written to the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ContentFile {
    /// Unique within the scenario.
    pub name: String,
    /// When it is written.
    #[serde(default)]
    pub when: Moment,
    /// Where.
    pub path: WindowsPath,
    /// What.
    pub content: Content,
    /// Time of last modification, for a staged file; without it the time at which the machine's clock
    /// starts. A file written by the guest agent carries the guest's own time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A channel file in this project's own stand-in format (the real one is not public).
    ChannelFile(ChannelFile),
    /// This text, as UTF-8, without a line end of its own.
    Text(String),
    /// The bytes of this file in the scenario's folder.
    File(String),
}

/// A channel file: content for one template of the driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ChannelFile {
    /// How many fields the template declares. The driver hands over 20 inputs.
    #[schemars(range(min = 1, max = 64))]
    pub fields: u16,
    /// What a field has to match, by its number from 1. A field that is not named is a wildcard, which
    /// the driver skips.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub patterns: BTreeMap<String, String>,
    /// Something wrong with the file itself, on top of what it declares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
}

/// Damage to a content file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// As long as it should be, but all zeros.
    ZeroFilled,
    /// Cut off in the middle.
    Truncated,
    /// Does not begin as such a file begins.
    WrongMagic,
    /// Declares one field more than it holds.
    CountMismatch,
    /// Says that it is of a later version than the driver knows.
    VersionTooNew,
}
