//! The recovery environment: `ReAgent.xml`, its partition, its image, and the settings of Quick Machine
//! Recovery.

use serde::{Deserialize, Serialize};

use crate::Known;
use crate::boot::ImagePlace;
use crate::system::Build;

/// The recovery environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recovery {
    /// `ReAgent.xml` on the Windows volume.
    pub reagent: Known<ReAgentFacts>,
    /// Partitions of the type that is kept for it.
    pub partitions: Vec<u32>,
    /// The image that a failed start leads to.
    pub image: Known<RecoveryImage>,
    /// `winre.wim` files that were found, whoever points at them: the partition and the path.
    pub images_found: Vec<(u32, String)>,
    /// Quick Machine Recovery's settings on the volume of the image: the copy that counts
    /// (windows-facts.md 1.6).
    pub quick_machine_recovery: Known<QuickMachineRecovery>,
    /// The copy on the Windows volume.
    pub quick_machine_recovery_copy: Known<QuickMachineRecovery>,
}

/// `ReAgent.xml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReAgentFacts {
    /// `InstallState`.
    pub enabled: Known<bool>,
    /// `WinreBCD`.
    pub loader: Known<String>,
    /// `WinreLocation`: its folder.
    pub folder: Known<String>,
    /// The partition of this disk that the location names. Absent: none of them.
    pub partition: Known<u32>,
    /// `OsBuildVersion`, where it is there.
    pub build: Known<String>,
}

/// The image of the recovery environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecoveryImage {
    /// Where it is.
    pub place: ImagePlace,
    /// Whether it is on the same volume as Windows.
    pub on_windows_volume: Known<bool>,
    /// The build of Windows that it holds.
    pub build: Known<Build>,
    /// Its instruction set.
    pub architecture: Known<String>,
}

/// The settings of Quick Machine Recovery (windows-facts.md 1.4). What the file does not say is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QuickMachineRecovery {
    /// Asks the update service.
    pub cloud: Known<bool>,
    /// Goes on without a person.
    pub automatic: Known<bool>,
    /// Minutes.
    pub total_wait: Known<u64>,
    /// Minutes.
    pub wait_interval: Known<u64>,
}
