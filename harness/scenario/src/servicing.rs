//! Updates that went wrong, and what they do to files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::moment::Moment;
use words::WindowsPath;

/// A servicing transaction that was left half done: `WinSxS\pending.xml` and the registry's order to carry
/// it out at the next start (windows-facts section 4, 5.3 class 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ServicingTransaction {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`.
    #[serde(default)]
    pub when: Moment,
    /// What is wrong with it.
    #[serde(default)]
    pub state: TransactionState,
    /// Files that it still has to put in place [default: one of the fault's own in `C:\Windows\Temp`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<PendingMove>,
    /// A transaction that can be carried out. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// An update that Windows has installed as a package: what it brought is in place, and the component store has what was
/// there before, so that it can be uninstalled (windows-facts 4.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct QualityUpdate {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`.
    #[serde(default)]
    pub when: Moment,
    /// The number of its article, such as `KB5039302`.
    pub kb: String,
    /// The faults of this scenario that came with it, by their names: what they change on the disk is what the update
    /// brought. Each has to be staged. None: a text in `C:\Windows\Temp` that nothing reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub brings: Vec<String>,
    /// An update that brought nothing but that text. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// What is wrong with a servicing transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransactionState {
    /// The files that it is to put in place are not there: it cannot be carried out, at any start.
    #[default]
    MissingFiles,
    /// The list of operations cannot be read.
    DamagedList,
}

/// A file that a transaction moves into place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PendingMove {
    /// From.
    pub from: WindowsPath,
    /// To.
    pub to: WindowsPath,
}

/// A system file of another version than the rest of the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileVersion {
    /// Unique within the scenario.
    pub name: String,
    /// When it is replaced.
    #[serde(default)]
    pub when: Moment,
    /// The file. One that is not there, or has no version resource, is made.
    pub path: WindowsPath,
    /// The version in its version resource, four numbers with dots.
    pub version: String,
    /// The version of the file that is there. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// A file that is no longer where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileLoss {
    /// Unique within the scenario.
    pub name: String,
    /// When it is lost.
    #[serde(default)]
    pub when: Moment,
    /// The file.
    pub path: WindowsPath,
    /// A folder that it is moved to, as a scanner's quarantine does; without it the file is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<WindowsPath>,
    /// The same done to a copy of the file in `C:\Windows\Temp`. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// An updater that writes its file in place, and loses power in the middle: what is there afterwards is as
/// long as the new file, but holds only its first part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InterruptedWrite {
    /// Unique within the scenario.
    pub name: String,
    /// Only `healthy`.
    #[serde(default = "healthy")]
    pub when: Moment,
    /// The file.
    pub path: WindowsPath,
    /// What it was to hold.
    pub content: Content,
    /// How much of it was written, in hundredths.
    #[serde(default = "half")]
    #[schemars(range(min = 0, max = 99))]
    pub percent: u32,
    /// The whole file is written, into `C:\Windows\Temp`, and the power stays. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

fn healthy() -> Moment {
    Moment::Healthy
}

fn half() -> u32 {
    50
}
