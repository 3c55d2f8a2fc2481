//! Trust and encryption: firmware variables, TPM, BitLocker.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Moment;

/// The Windows volume is protected by a key that the TPM releases only to the start that it was sealed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Encryption {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`.
    #[serde(default)]
    pub when: Moment,
    /// The recovery key, eight groups of six digits [default: one of the fault's own].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_key: Option<String>,
}

/// A change of what the machine trusts, or is trusted by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TrustFault {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`: between two starts.
    #[serde(default)]
    pub when: Moment,
    /// What changes.
    pub change: TrustChange,
    /// The same machinery, which writes what is there already. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// What changes (windows-facts 5.2, 5.3 class 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrustChange {
    /// The firmware's Secure Boot database of forbidden signatures (`dbx`) gets an entry: PCR 7 changes.
    SecureBootDatabase,
    /// The TPM is cleared: what was sealed to it is lost.
    TpmCleared,
    /// A boot component changes, so that PCR 4 does.
    BootManagerChanged,
}
