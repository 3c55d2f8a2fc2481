//! Damage to the registry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// One thing wrong with the registry, done to the hives offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistryFault {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`: the guest agent's contract has no command that writes the registry.
    #[serde(default)]
    pub when: Moment,
    /// What is wrong.
    pub damage: RegistryDamage,
    /// The same machinery, which writes what is there already or what nothing reads. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// What is wrong with the registry (windows-facts section 4, 5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryDamage {
    /// A hive's file is damaged: SYSTEM 0xC000014C in the loader, SOFTWARE stop 0xC0000218.
    CorruptHive(CorruptHive),
    /// `Select\Current` and `Default` name a control set that is not there.
    WrongControlSet(WrongControlSet),
    /// The driver that the system disk needs is switched off: stop 0x7B.
    DisabledDiskDriver(DisabledDiskDriver),
    /// A device class has a filter whose service does not exist: stop 0x7B for disks and volumes.
    MissingFilter(MissingFilter),
    /// A service that must start (`ErrorControl` 3) cannot: stop 0x5A.
    CriticalService(CriticalService),
    /// Any value.
    Value(RegistryChange),
}

/// A damaged hive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CorruptHive {
    /// Which.
    #[serde(default)]
    pub hive: HiveFile,
    /// How.
    #[serde(default)]
    pub how: HiveDamage,
}

/// A hive of `C:\Windows\System32\config`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HiveFile {
    /// SYSTEM.
    #[default]
    System,
    /// SOFTWARE.
    Software,
}

/// How a hive is damaged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HiveDamage {
    /// Its base block is all zeros.
    #[default]
    Header,
    /// The first bin's signature is overwritten.
    Bin,
    /// Cut off in the middle.
    Truncated,
    /// As long as it was, but all zeros.
    ZeroFilled,
}

/// A control set that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WrongControlSet {
    /// Its number.
    #[serde(default = "no_set")]
    #[schemars(range(min = 1, max = 999))]
    pub number: u32,
}

fn no_set() -> u32 {
    7
}

impl Default for WrongControlSet {
    fn default() -> Self {
        Self { number: no_set() }
    }
}

/// The driver of the system disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DisabledDiskDriver {
    /// Its service [default: `disk`, which every disk needs].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// A filter without a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MissingFilter {
    /// The device class.
    #[serde(default)]
    pub class: FilteredClass,
    /// The list that names it.
    #[serde(default)]
    pub list: FilterList,
    /// The service that does not exist [default: `lbmissing`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// A device class that the system disk goes through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilteredClass {
    /// {4D36E967-E325-11CE-BFC1-08002BE10318}.
    #[default]
    DiskDrive,
    /// {71A27CDD-812A-11D0-BEC7-08002BE2092F}.
    Volume,
    /// {4D36E97B-E325-11CE-BFC1-08002BE10318}.
    HostAdapter,
}

impl FilteredClass {
    /// The class's GUID, with braces.
    pub const fn guid(self) -> &'static str {
        match self {
            Self::DiskDrive => "{4D36E967-E325-11CE-BFC1-08002BE10318}",
            Self::Volume => "{71A27CDD-812A-11D0-BEC7-08002BE2092F}",
            Self::HostAdapter => "{4D36E97B-E325-11CE-BFC1-08002BE10318}",
        }
    }
}

/// A list of filters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FilterList {
    /// `UpperFilters`.
    #[default]
    Upper,
    /// `LowerFilters`.
    Lower,
}

impl FilterList {
    /// The value's name.
    pub const fn value_name(self) -> &'static str {
        match self {
            Self::Upper => "UpperFilters",
            Self::Lower => "LowerFilters",
        }
    }
}

/// A service that must start and cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CriticalService {
    /// Its name [default: `lbcritical`, which the fault makes, of start type `system`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// A change of one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistryChange {
    /// Which hive.
    #[serde(default)]
    pub hive: HiveFile,
    /// The key from the hive's root; `CurrentControlSet\…` means the set in use.
    #[schemars(length(min = 1))]
    pub key: String,
    /// The value's name; empty: the key's default value.
    pub value: String,
    /// What it becomes.
    pub to: RegistryData,
}

/// What a value becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryData {
    /// REG_DWORD.
    Dword(u32),
    /// REG_SZ.
    Text(String),
    /// REG_EXPAND_SZ.
    ExpandText(String),
    /// REG_MULTI_SZ.
    MultiText(Vec<String>),
    /// It is taken out.
    Removed,
}
