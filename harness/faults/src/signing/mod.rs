//! Signatures of drivers: a test authority, and Authenticode signatures that are right or deliberately
//! wrong.
//!
//! An [`Authority`] belongs to a store of images; its keys sign nothing but what this project makes. A
//! machine trusts it once its root lies in the machine's certificate stores (`winfmt::certificates`).
//! Windows loads such drivers in test mode only, because no authority of Microsoft vouches for them:
//! [`check`] says before a boot what will not work.

mod authenticode;
mod authority;
mod policy;

pub use authenticode::{digest, sign};
pub use authority::{Authority, AuthorityError};
pub use policy::{PolicyError, SignaturePolicy, SignedBy, check, signer_of};

use scenario::DriverSignature;

/// How to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    /// By the authority's signer.
    Trusted,
    /// By somebody whom nobody vouches for.
    Untrusted,
    /// By the authority's signer, with its certificate of long ago.
    Expired,
    /// As `Trusted`; then the file is changed.
    WrongDigest,
}

impl Signing {
    /// The way that a scenario asks for; `None` for an unsigned driver.
    pub fn of(signature: DriverSignature) -> Option<Self> {
        match signature {
            DriverSignature::None => None,
            DriverSignature::Trusted => Some(Self::Trusted),
            DriverSignature::Untrusted => Some(Self::Untrusted),
            DriverSignature::Expired => Some(Self::Expired),
            DriverSignature::WrongDigest => Some(Self::WrongDigest),
        }
    }
}

/// Why a file could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// Not an image.
    #[error("only a PE image that has no signature yet can be signed: {0}")]
    Image(&'static str),
    /// The encoder refused.
    #[error("the signature could not be encoded: {0}; this is a mistake in loopbreak, report it")]
    Encode(#[from] der::Error),
    /// The key refused.
    #[error(
        "the signing key could not be used: {0}; remove the authority's folder to have a new one"
    )]
    Key(#[from] rsa::signature::Error),
}
