//! What a scenario needs of its image.
//!
//! Recovery that an image has switched off is the commonest reason for a scenario that can never come
//! out as expected. What a scenario needs follows from what it declares; more can be said with `needs`,
//! and `lacks` says that the image is broken in just this way on purpose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that an image can do, as its qualification calls it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
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

impl Need {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 13] = [
        Self::RecoveryEnabled,
        Self::BootStatusPolicy,
        Self::AutomaticRestart,
        Self::RecoveryImage,
        Self::RecoveryImageBuild,
        Self::RecoveryPartition,
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
            Self::RecoveryEnabled => "recovery-enabled",
            Self::BootStatusPolicy => "boot-status-policy",
            Self::AutomaticRestart => "automatic-restart",
            Self::RecoveryImage => "recovery-image",
            Self::RecoveryImageBuild => "recovery-image-build",
            Self::RecoveryPartition => "recovery-partition",
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
