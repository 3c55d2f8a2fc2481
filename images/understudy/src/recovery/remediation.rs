//! Remediations: what the update service sends, and whether it may be believed. Pure.
//!
//! The protocol is this project's own, because the real one is not public; what is modelled is that
//! a remediation is aimed at a crash signature and counts only with a signature of a trusted publisher.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::crash::CrashSignature;

/// Version of the protocol.
pub(super) const FORMAT: u32 = 1;

/// The body of `POST scan`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScanRequest<'a> {
    /// [`FORMAT`].
    pub format: u32,
    /// Computer name.
    pub machine: &'a str,
    /// The crash; `null` where no dump was found.
    pub signature: Option<&'a CrashSignature>,
    /// Number of this scan within the session, from 1.
    pub attempt: u32,
}

/// The answer to a scan.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScanAnswer {
    /// [`FORMAT`].
    pub format: u32,
    /// What could help, best first.
    pub remediations: Vec<Offer>,
}

/// One remediation that the service offers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offer {
    /// Its id.
    pub id: String,
    /// Path of its manifest on the service.
    pub manifest_url: String,
}

/// A manifest with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Envelope {
    /// [`FORMAT`].
    pub format: u32,
    /// Base64 of the exact bytes of the manifest.
    pub payload: String,
    /// Base64 of the DER form of an ECDSA-P256-SHA256 signature over those bytes.
    pub signature: String,
    /// Base64 of the DER form of the signer's certificate.
    pub certificate: String,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Its id.
    pub id: String,
    /// For people.
    pub title: String,
    /// The crash that it is for.
    pub target: Target,
    /// What to do, in order.
    pub actions: Vec<Action>,
}

/// The crash that a remediation is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Target {
    /// The module that is blamed; case does not matter.
    pub module: String,
    /// The bug check.
    pub bug_check: u32,
}

/// One thing to do. A kind that is not known here makes the whole manifest unreadable, so nothing is
/// done half.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) enum Action {
    /// Delete files.
    Delete(Delete),
}

/// Which files to delete.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Delete {
    /// Windows path; the last part may hold `*` and `?`.
    pub path: String,
    /// Only files that were last changed before this moment.
    pub modified_before: Option<Timestamp>,
}

/// Why a manifest is not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It cannot be read.
    #[error("the manifest cannot be read: {0}")]
    Unreadable(String),
    /// A version from the future.
    #[error("the manifest has format {0}; this machine knows {FORMAT}")]
    Format(u32),
    /// Signed by somebody else.
    #[error("the signing certificate is not among the trusted publishers")]
    UntrustedPublisher,
    /// The certificate is not valid now.
    #[error("the signing certificate is not valid at {0}")]
    Expired(Timestamp),
    /// The bytes are not what was signed.
    #[error("the signature does not verify")]
    BadSignature,
    /// Not the one that was offered.
    #[error("the manifest is {found}, but {offered} was offered")]
    OtherId {
        /// Its id.
        found: String,
        /// The offered id.
        offered: String,
    },
    /// For another crash.
    #[error("the remediation is for bug check 0x{bug_check:X} in {module}, not for this crash")]
    OtherCrash {
        /// Its module.
        module: String,
        /// Its bug check.
        bug_check: u32,
    },
}

/// Checks certificate, signature and target, in this order, and only then reads the manifest as
/// something to act on.
pub(super) fn verify(
    envelope: &Envelope,
    offered: &str,
    trusted_publishers: &[Vec<u8>],
    crash: Option<&CrashSignature>,
    now: Timestamp,
) -> Result<Manifest, Refusal> {
    if envelope.format != FORMAT {
        return Err(Refusal::Format(envelope.format));
    }
    let decode = |what: &str, text: &str| {
        BASE64.decode(text).map_err(|error| Refusal::Unreadable(format!("{what}: {error}")))
    };
    let certificate_bytes = decode("certificate", &envelope.certificate)?;
    let payload = decode("payload", &envelope.payload)?;
    let signature_bytes = decode("signature", &envelope.signature)?;
    if !trusted_publishers.contains(&certificate_bytes) {
        return Err(Refusal::UntrustedPublisher);
    }
    let (_, certificate) = X509Certificate::from_der(&certificate_bytes)
        .map_err(|error| Refusal::Unreadable(format!("certificate: {error}")))?;
    let validity = certificate.validity();
    let second = now.as_second();
    if second < validity.not_before.timestamp() || second > validity.not_after.timestamp() {
        return Err(Refusal::Expired(now));
    }
    let key = VerifyingKey::from_sec1_bytes(&certificate.public_key().subject_public_key.data)
        .map_err(|_| Refusal::BadSignature)?;
    let signature = Signature::from_der(&signature_bytes).map_err(|_| Refusal::BadSignature)?;
    key.verify(&payload, &signature).map_err(|_| Refusal::BadSignature)?;

    let manifest: Manifest = serde_json::from_slice(&payload)
        .map_err(|error| Refusal::Unreadable(format!("payload: {error}")))?;
    if manifest.format != FORMAT {
        return Err(Refusal::Format(manifest.format));
    }
    if manifest.id != offered {
        return Err(Refusal::OtherId { found: manifest.id, offered: offered.to_owned() });
    }
    let meant = crash.is_some_and(|crash| {
        crash.bug_check == manifest.target.bug_check
            && crash
                .module
                .as_deref()
                .is_some_and(|module| module.eq_ignore_ascii_case(&manifest.target.module))
    });
    if !meant {
        return Err(Refusal::OtherCrash {
            module: manifest.target.module,
            bug_check: manifest.target.bug_check,
        });
    }
    Ok(manifest)
}
