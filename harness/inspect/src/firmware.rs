//! Firmware, its variables, TPM.

use serde::{Deserialize, Serialize};

use crate::Known;

/// What the machine starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Firmware {
    /// What the disk is made for, by where its boot manager is.
    pub kind: Known<FirmwareKind>,
    /// What the variables say. Absent: the image has none.
    pub secure_boot: Known<SecureBoot>,
    /// Whether the image brings the state of a TPM.
    pub tpm: Known<TpmFacts>,
}

/// What a disk is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirmwareKind {
    /// UEFI: a boot manager on an EFI system partition.
    Uefi,
    /// BIOS: boot code in the first sector and an active partition.
    Bios,
    /// Either.
    Both,
}

/// Secure Boot as the variables have it (UEFI 2.10, 32.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecureBoot {
    /// Whether it will be on: it is not switched off and a platform key is enrolled. OVMF sets the
    /// variable `SecureBoot` itself at each start, so what is stored is only what decides it.
    pub enabled: Known<bool>,
    /// `PK` is there.
    pub platform_key: bool,
    /// `KEK` is there.
    pub key_exchange_keys: bool,
    /// `db` is there.
    pub signatures: bool,
    /// `dbx` is there.
    pub revocations: bool,
}

/// The state of a TPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TpmFacts {
    /// Its version, by the name of the state's file: `2.0` or `1.2`.
    pub version: Known<String>,
    /// Bytes of state.
    pub size: u64,
}
