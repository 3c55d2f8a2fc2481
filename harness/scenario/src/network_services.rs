//! The services on a machine's network, as a scenario declares them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::text::WindowsPath;

/// The service that plays Windows Update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UpdateService {
    /// Its DNS name. The machine is told `https://<host>`.
    #[serde(default = "default_update_host")]
    pub host: String,
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
    /// The crash that it is for.
    pub target: Target,
    /// What it deletes.
    pub delete: Delete,
    /// From when on it is offered.
    #[serde(default)]
    pub available: Available,
    /// By whom its manifest is signed.
    #[serde(default)]
    pub signature: Signature,
}

/// The crash signature that a remediation is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Target {
    /// The blamed module.
    pub module: String,
    /// The stop code.
    pub bug_check: u32,
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
