//! Why a machine does not take a remediation.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a machine does nothing of a remediation that it was offered. A machine that refuses has changed nothing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// It cannot be read, or asks for something that the machine does not know.
    Unreadable,
    /// Its version is not one that the machine knows.
    UnknownFormat,
    /// The signer's certificate is not among the trusted publishers.
    UntrustedPublisher,
    /// The signer's certificate is not valid now.
    ExpiredCertificate,
    /// The bytes are not those that were signed.
    BadSignature,
    /// It is not the one that was offered.
    OtherRemediation,
    /// Its time is over.
    Expired,
    /// It is older than what was offered, or than what the machine has seen.
    Replayed,
    /// It is for another crash.
    OtherCrash,
    /// It is for another build of Windows.
    OtherBuild,
    /// It is for another group of machines.
    OtherGroup,
    /// It names a path that it may not name.
    UnsafePath,
    /// A link on the machine's disk leads away from where a path of it says.
    Link,
    /// It brings more than a remediation may.
    TooLarge,
    /// What it brings would fill the volume.
    NoRoom,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Unreadable,
        Self::UnknownFormat,
        Self::UntrustedPublisher,
        Self::ExpiredCertificate,
        Self::BadSignature,
        Self::OtherRemediation,
        Self::Expired,
        Self::Replayed,
        Self::OtherCrash,
        Self::OtherBuild,
        Self::OtherGroup,
        Self::UnsafePath,
        Self::Link,
        Self::TooLarge,
        Self::NoRoom,
    ];

    /// As reports and outcomes write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::UnknownFormat => "unknown-format",
            Self::UntrustedPublisher => "untrusted-publisher",
            Self::ExpiredCertificate => "expired-certificate",
            Self::BadSignature => "bad-signature",
            Self::OtherRemediation => "other-remediation",
            Self::Expired => "expired",
            Self::Replayed => "replayed",
            Self::OtherCrash => "other-crash",
            Self::OtherBuild => "other-build",
            Self::OtherGroup => "other-group",
            Self::UnsafePath => "unsafe-path",
            Self::Link => "link",
            Self::TooLarge => "too-large",
            Self::NoRoom => "no-room",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Refusal {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|refusal| refusal.name() == name).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn every_word_is_read_back() {
        for refusal in Refusal::ALL {
            assert_eq!(refusal.name().parse(), Ok(refusal));
            assert_eq!(serde_json::to_value(refusal).expect("JSON"), refusal.name());
        }
        assert_eq!("else".parse::<Refusal>(), Err(()));
    }
}
