//! What an image can do, as its qualification calls it.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that an image can do, as its qualification calls it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Need")]
pub enum CheckName {
    /// The boot manager's default entry leads to a Windows on this disk.
    DefaultEntry,
    /// It has a driver that starts with the loader for a disk on some bus.
    BootDiskDriver,
    /// The default loader leads to a recovery environment and may use it.
    RecoveryEnabled,
    /// Failed starts count.
    BootStatusPolicy,
    /// It starts again by itself after a stop.
    AutomaticRestart,
    /// The recovery environment's image is where the boot configuration says.
    RecoveryImage,
    /// It is of the same build as Windows.
    RecoveryImageBuild,
    /// It has a partition of its own.
    RecoveryPartition,
    /// That partition has room for the next image.
    RecoveryRoom,
    /// It can be read when the Windows volume is encrypted.
    RecoveryReachable,
    /// Quick Machine Recovery is switched on in the image.
    QuickMachineRecovery,
    /// A stop leaves a dump.
    CrashDump,
    /// What the dump is written to exists.
    CrashDumpPath,
    /// A guest agent answers.
    GuestAgent,
    /// It will not shut itself down.
    Licence,
    /// Stops are recognised from outside.
    Detectors,
}

impl CheckName {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 16] = [
        Self::DefaultEntry,
        Self::BootDiskDriver,
        Self::RecoveryEnabled,
        Self::BootStatusPolicy,
        Self::AutomaticRestart,
        Self::RecoveryImage,
        Self::RecoveryImageBuild,
        Self::RecoveryPartition,
        Self::RecoveryRoom,
        Self::RecoveryReachable,
        Self::QuickMachineRecovery,
        Self::CrashDump,
        Self::CrashDumpPath,
        Self::GuestAgent,
        Self::Licence,
        Self::Detectors,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DefaultEntry => "default-entry",
            Self::BootDiskDriver => "boot-disk-driver",
            Self::RecoveryEnabled => "recovery-enabled",
            Self::BootStatusPolicy => "boot-status-policy",
            Self::AutomaticRestart => "automatic-restart",
            Self::RecoveryImage => "recovery-image",
            Self::RecoveryImageBuild => "recovery-image-build",
            Self::RecoveryPartition => "recovery-partition",
            Self::RecoveryRoom => "recovery-room",
            Self::RecoveryReachable => "recovery-reachable",
            Self::QuickMachineRecovery => "quick-machine-recovery",
            Self::CrashDump => "crash-dump",
            Self::CrashDumpPath => "crash-dump-path",
            Self::GuestAgent => "guest-agent",
            Self::Licence => "licence",
            Self::Detectors => "detectors",
        }
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// No check has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no check `{0}`")]
pub struct NoSuchCheck(String);

impl FromStr for CheckName {
    type Err = NoSuchCheck;

    fn from_str(word: &str) -> Result<Self, NoSuchCheck> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == word)
            .ok_or_else(|| NoSuchCheck(word.to_owned()))
    }
}
