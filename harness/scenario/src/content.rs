//! Content files, as a vendor ships them, and what reads and fetches them on the machine.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::driver::Trigger;
use crate::driver_service::ServiceStart;
use crate::moment::Moment;
use words::WindowsPath;

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
