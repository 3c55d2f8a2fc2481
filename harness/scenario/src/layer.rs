//! The rungs of the recovery ladder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One rung of the recovery ladder.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Startup Repair without the network.
    AutomaticRepair,
    /// Startup Repair that asks the update service.
    QuickMachineRecovery,
    /// The last known good control set.
    LastKnownGood,
    /// Safe mode.
    SafeMode,
    /// Starting from other media.
    BootMedia,
    /// Repair of the disk from outside.
    HostRepair,
    /// Going back to an earlier state of the disk.
    Rollback,
    /// Another machine takes over.
    Standby,
}

impl Layer {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AutomaticRepair => "automatic-repair",
            Self::QuickMachineRecovery => "quick-machine-recovery",
            Self::LastKnownGood => "last-known-good",
            Self::SafeMode => "safe-mode",
            Self::BootMedia => "boot-media",
            Self::HostRepair => "host-repair",
            Self::Rollback => "rollback",
            Self::Standby => "standby",
        }
    }
}
