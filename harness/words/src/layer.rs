//! The rungs of the recovery ladder, and what comes of them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Touch;

/// One rung of the recovery ladder.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Starting again and again.
    Reboots,
    /// Startup Repair without the network.
    AutomaticRepair,
    /// Startup Repair that asks the update service.
    QuickMachineRecovery,
    /// The last known good control set.
    LastKnownGood,
    /// Safe mode.
    SafeMode,
    /// Taking an update or a driver package back.
    UninstallUpdate,
    /// Registry and system files of an earlier point.
    RestorePoint,
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
    /// All of them, in the order of the ladder.
    pub const ALL: [Self; 11] = [
        Self::Reboots,
        Self::AutomaticRepair,
        Self::QuickMachineRecovery,
        Self::LastKnownGood,
        Self::SafeMode,
        Self::UninstallUpdate,
        Self::RestorePoint,
        Self::BootMedia,
        Self::HostRepair,
        Self::Rollback,
        Self::Standby,
    ];

    /// As scenarios and reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reboots => "reboots",
            Self::AutomaticRepair => "automatic-repair",
            Self::QuickMachineRecovery => "quick-machine-recovery",
            Self::LastKnownGood => "last-known-good",
            Self::SafeMode => "safe-mode",
            Self::UninstallUpdate => "uninstall-update",
            Self::RestorePoint => "restore-point",
            Self::BootMedia => "boot-media",
            Self::HostRepair => "host-repair",
            Self::Rollback => "rollback",
            Self::Standby => "standby",
        }
    }

    /// Whose hands it needs at the time of need, in the way in which it is worked here. What has to be set up before
    /// does not count.
    pub const fn touch(self) -> Touch {
        match self {
            Self::AutomaticRepair | Self::QuickMachineRecovery => Touch::None,
            // Whoever can switch it off and on from far away: a cloud's portal, a management controller.
            Self::Reboots | Self::Standby => Touch::Remote,
            Self::BootMedia => Touch::Console,
            // The flag is put on the disk from outside.
            Self::LastKnownGood | Self::SafeMode => Touch::Host,
            Self::UninstallUpdate | Self::RestorePoint => Touch::Host,
            Self::HostRepair | Self::Rollback => Touch::Host,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Not the name of a layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a recovery layer")]
pub struct NotALayer(String);

impl FromStr for Layer {
    type Err = NotALayer;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|layer| layer.name() == name)
            .ok_or_else(|| NotALayer(name.to_owned()))
    }
}

/// What came of a layer. A later word outweighs an earlier one where a layer had several rounds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum LayerResult {
    /// Nothing of it was seen.
    NotTried,
    /// It ran and changed nothing.
    TriedNoHelp,
    /// It had something to apply and refused to.
    Refused,
    /// It changed something. Whether that helped is for the next boot to say.
    Applied,
}

impl fmt::Display for LayerResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotTried => "not tried",
            Self::TriedNoHelp => "tried, no help",
            Self::Refused => "refused",
            Self::Applied => "applied",
        })
    }
}
