//! The services on a machine's network, as a scenario declares them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use words::WindowsBuild;

use crate::content::Content;
use words::WindowsPath;

/// The service that plays Windows Update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UpdateService {
    /// Its DNS name. The machine is told `https://<host>`.
    #[serde(default = "default_update_host")]
    pub host: String,
    /// The group that the machine is told it is in: remediations may be for groups, and go out ring by ring [default:
    /// none].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it can offer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remediation: Vec<Remediation>,
}

pub(crate) fn default_update_host() -> String {
    "update.loopbreak.test".to_owned()
}

/// The service that plays the vendor of content: HTTPS on port 8443, because a machine's network has one
/// address and the update service has its port 443.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ContentService {
    /// Its DNS name.
    #[serde(default = "default_content_host")]
    pub host: String,
    /// Name of the file that is current there.
    pub file: String,
    /// What is in it.
    pub content: Content,
    /// From when on it is published. `after-scans` counts how often the service was asked.
    #[serde(default)]
    pub available: Available,
}

fn default_content_host() -> String {
    "content.loopbreak.test".to_owned()
}

/// A remediation that the update service offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Remediation {
    /// Unique within the scenario; letters, digits and hyphens.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// The number of what it does now: greater with every change. A machine takes none that is older than what it has
    /// seen.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    #[schemars(range(min = 1))]
    pub counter: u32,
    /// The machines that it is for.
    pub target: Target,
    /// What it deletes. At least one of `delete` and `write` has to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<Delete>,
    /// What it writes, after it has deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<RemediationWrite>,
    /// From when on it is offered.
    #[serde(default)]
    pub available: Available,
    /// To how many of the machines that it is for it goes [default: to all].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// By whom its manifest is signed.
    #[serde(default)]
    pub signature: Signature,
}

fn first() -> u32 {
    1
}

fn is_first(counter: &u32) -> bool {
    *counter == first()
}

/// The machines that a remediation is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Target {
    /// The blamed module.
    pub module: String,
    /// The stop code.
    pub bug_check: u32,
    /// Only these builds of Windows [default: all].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds: Option<Builds>,
    /// Only machines of these groups [default: all].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// Builds of Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Builds {
    /// The first.
    pub from: WindowsBuild,
    /// The last.
    pub to: WindowsBuild,
}

/// A file that a remediation writes, in the place of what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RemediationWrite {
    /// Where. Its folder has to be there.
    pub path: WindowsPath,
    /// What is in it.
    pub text: String,
}

/// To how many of its machines a remediation goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Release {
    /// To so many of a hundred, drawn by the names of machine and remediation: the same at each scan, and those of 10 %
    /// are among those of 20 %.
    #[schemars(range(min = 0, max = 100))]
    pub percent: u8,
    /// To all machines of these groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rings: Vec<String>,
}

/// Files that a remediation, or a repair from the host, deletes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Delete {
    /// Where; the last component may hold `*` and `?`.
    pub path: WindowsPath,
    /// Only files last modified before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_before: Option<Timestamp>,
}

/// From when on a remediation is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Available {
    /// From the beginning.
    #[default]
    AtStart,
    /// Never: known, not published.
    Never,
    /// Once the service has answered this many scans without it.
    AfterScans(u32),
}

/// By whom a manifest is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Signature {
    /// By the publisher that the machine trusts.
    #[default]
    Trusted,
    /// By somebody else.
    Untrusted,
}
