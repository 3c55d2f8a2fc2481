//! Damage to what starts Windows: boot configuration store, loader, EFI partition, recovery image.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// One thing wrong with the way from the firmware to Windows, done to the disk offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BootConfiguration {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`.
    #[serde(default)]
    pub when: Moment,
    /// What is wrong.
    pub damage: BootDamage,
    /// The same machinery, which writes what is there already. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// What is wrong with the way from the firmware to Windows (windows-facts 3.3 to 3.5, 5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootDamage {
    /// The boot configuration store is not there: 0xC000000F.
    MissingStore,
    /// The store's first block is overwritten: 0xC000014C.
    CorruptStore,
    /// The default entry's device element names a partition that does not exist: 0xC000000E.
    WrongDevice,
    /// The loader's file is not there: 0xC000000F.
    MissingLoader,
    /// `recoveryenabled` of the default entry is off: failed starts never lead to the recovery environment.
    RecoveryDisabled,
    /// `bootstatuspolicy` of the default entry is another one.
    StatusPolicy(StatusPolicy),
    /// `safeboot` of the default entry was left on: every start is one of safe mode.
    SafeBoot(SafeBoot),
    /// `testsigning` and `nointegritychecks` of the default entry.
    SigningPolicy(SigningPolicy),
    /// The EFI system partition has hardly any room left.
    FullEfiPartition(FullEfiPartition),
    /// The partition table no longer names an EFI system partition.
    MissingEfiPartition,
    /// The recovery environment's image is not there.
    MissingRecoveryImage,
    /// The recovery environment's image is of an older build than Windows.
    StaleRecoveryImage,
}

/// Which failed starts count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StatusPolicy {
    /// The policy.
    pub policy: BootStatusPolicy,
}

/// The values of `bootstatuspolicy` that leave the count of failures out of account (windows-facts 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootStatusPolicy {
    /// 1: no failure counts.
    IgnoreAllFailures,
    /// 2: unexpected shutdowns do not count.
    IgnoreShutdownFailures,
    /// 3: failed starts do not count.
    IgnoreBootFailures,
}

impl BootStatusPolicy {
    /// The element's value.
    pub const fn value(self) -> u64 {
        match self {
            Self::IgnoreAllFailures => 1,
            Self::IgnoreShutdownFailures => 2,
            Self::IgnoreBootFailures => 3,
        }
    }
}

/// Which safe mode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SafeBoot {
    /// The mode.
    #[serde(default)]
    pub mode: SafeBootMode,
}

/// The values of `safeboot` (windows-facts 3.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SafeBootMode {
    /// 0: without the network.
    #[default]
    Minimal,
    /// 1: with it.
    Network,
}

impl SafeBootMode {
    /// The element's value.
    pub const fn value(self) -> u64 {
        match self {
            Self::Minimal => 0,
            Self::Network => 1,
        }
    }

    /// The key of `Control\SafeBoot` that lists what starts (windows-facts 4).
    pub const fn key(self) -> &'static str {
        match self {
            Self::Minimal => "Minimal",
            Self::Network => "Network",
        }
    }
}

/// What the loader makes of drivers' signatures. What is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SigningPolicy {
    /// Test mode: drivers signed by a test authority are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub testsigning: Option<bool>,
    /// No signature is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nointegritychecks: Option<bool>,
}

/// How full the EFI system partition is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FullEfiPartition {
    /// How many bytes are left free, about: rounded to clusters.
    #[serde(default)]
    pub leave: u64,
}
