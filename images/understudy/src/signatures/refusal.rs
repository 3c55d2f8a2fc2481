//! Why a file is refused.

use crate::kernel::NtStatus;

/// Why a driver is not taken: 0xC0000428 (`STATUS_INVALID_IMAGE_HASH`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither catalog nor signature.
    #[error("it has no signature, and no catalog lists it")]
    Unsigned,
    /// The file around the signature.
    #[error("its signature cannot be found: {0}")]
    File(&'static str),
    /// Something else than what this reads.
    #[error("its signature is damaged or unknown: {0}")]
    Damaged(&'static str),
    /// The file was changed after it was signed.
    #[error("its signature is for other contents")]
    OtherContents,
    /// The signature does not fit its certificate.
    #[error("its signature was not made by the certificate that it names")]
    Forged,
    /// A certificate for something else.
    #[error("its certificate is not for signing programs: {0}")]
    Purpose(String),
    /// Nobody vouches for the certificate.
    #[error("its certificate ends in no root that this machine trusts: {0}")]
    Untrusted(String),
    /// Expired, or not valid yet.
    #[error("a certificate of its chain is not valid at this time: {0}")]
    OutOfTime(String),
    /// All is well with it, but Microsoft does not vouch for it.
    #[error("it is signed by a test authority, which counts with `testsigning` only")]
    TestMode,
}

impl Refusal {
    /// The NTSTATUS that Windows returns for this refusal.
    pub fn status(&self) -> NtStatus {
        NtStatus::INVALID_IMAGE_HASH
    }
}
