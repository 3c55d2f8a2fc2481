//! What goes wrong outside the kernel.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// A process that ends although the system needs it: stop 0xEF, or 0xC000021A for winlogon and csrss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ProcessDeath {
    /// Unique within the scenario.
    pub name: String,
    /// Only `healthy`: through the guest agent. A process that cannot start at all is a `file-loss` of its
    /// program.
    #[serde(default = "healthy")]
    pub when: Moment,
    /// Its program, without a folder.
    #[schemars(length(min = 1))]
    pub process: String,
    /// A process that nothing depends on. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

fn healthy() -> Moment {
    Moment::Healthy
}
