//! The qualification of an image: named checks, each with its answer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Version of the form in which qualifications are stored, and of what the checks mean. A stored one of
/// another version is not current: inspect again.
pub const QUALIFICATION_FORMAT: u32 = 1;

/// What an image can do, as far as its disk tells: `qualification.json` of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Qualification {
    /// [`QUALIFICATION_FORMAT`].
    pub format: u32,
    /// The product, in its own words, if it is known.
    pub product: Option<String>,
    /// One for each [`CheckName`], in its order.
    pub checks: Vec<Check>,
}

impl Qualification {
    /// Whether it was made by rules that still hold.
    pub fn is_current(&self) -> bool {
        self.format == QUALIFICATION_FORMAT
            && CheckName::ALL.iter().all(|name| self.checks.iter().any(|own| own.name == *name))
    }

    /// The answer to one check.
    pub fn check(&self, name: CheckName) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Checks that failed, in order.
    pub fn failing(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.answer == Answer::Fail)
    }

    /// Whether nothing failed.
    pub fn qualifies(&self) -> bool {
        self.failing().next().is_none()
    }
}

/// One check of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// How it came out.
    pub answer: Answer,
    /// What was found, and where.
    pub evidence: String,
    /// What a person does about it, where something is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Whether `fix` can do it without a person.
    #[serde(default)]
    pub fixable: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// What it depends on could not be read.
    Unknown,
    /// It means nothing for this image.
    NotApplicable,
}

impl Answer {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not-applicable",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckName {
    /// The default loader leads to a recovery environment and may use it.
    RecoveryEnabled,
    /// Failed starts count.
    BootStatusPolicy,
    /// Windows starts again after a stop.
    AutomaticRestart,
    /// The recovery environment's image is where the boot configuration says.
    RecoveryImage,
    /// It is of the same build as Windows.
    RecoveryImageBuild,
    /// It has a partition of its own.
    RecoveryPartition,
    /// It can be read when the Windows volume is encrypted.
    RecoveryReachable,
    /// Quick Machine Recovery may work by itself.
    QuickMachineRecovery,
    /// A stop leaves a dump.
    CrashDump,
    /// What the dump is written to exists and starts early enough.
    CrashDumpPath,
    /// A guest agent answers.
    GuestAgent,
    /// It will not shut itself down.
    Licence,
    /// Stops are recognised from outside: a boot's result, never the disk's.
    Detectors,
}

impl CheckName {
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
