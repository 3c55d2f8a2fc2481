//! Trust and encryption: firmware variables, TPM, BitLocker.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// The Windows volume is protected by a key that the TPM releases only to a start that is measured as the
/// one that it was sealed to was. That start, a good one, comes before anything goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Encryption {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`.
    #[serde(default)]
    pub when: Moment,
    /// The TPM's platform configuration registers that the key is sealed to, as the policy "Configure TPM
    /// platform validation profile for native UEFI firmware configurations" has them. 7 holds what Secure
    /// Boot trusts, 4 the boot manager. Windows takes 7 where Secure Boot is on, else 0, 2 and 4; and always
    /// 11, which it uses itself.
    #[serde(default = "default_registers")]
    pub registers: Vec<u8>,
}

fn default_registers() -> Vec<u8> {
    vec![7]
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
    /// The same machinery, which changes nothing that is measured or sealed. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// What changes (windows-facts 5.2, 5.3 class 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrustChange {
    /// The firmware's Secure Boot database of forbidden signatures (`dbx`) gets an entry: register 7 changes.
    SecureBootDatabase,
    /// The TPM is cleared: what was sealed by it is lost.
    TpmCleared,
    /// The boot manager becomes another one that does the same, so that register 4 changes.
    BootManagerChanged,
}
