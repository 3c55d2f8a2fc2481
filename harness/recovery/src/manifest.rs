//! Signed manifests: what a remediation is, and the envelope in which it travels.
//!
//! The format is this project's own model; the real one of Quick Machine Recovery is not public. The
//! understudy has an implementation of its own, so that each checks the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use p256::ecdsa::DerSignature;
use p256::ecdsa::signature::Verifier;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::authority::public_key;
use crate::signer::Signer;

/// Version of all messages of the protocol.
pub const FORMAT: u32 = 1;

/// What a remediation is for and what it does. Its JSON bytes are what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Names the remediation.
    pub id: String,
    /// For people.
    pub title: String,
    /// The crash that it is for.
    pub target: Target,
    /// What is to be done, in order.
    pub actions: Vec<Action>,
}

/// A crash signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The blamed module, for example `csagent.sys`; the case of letters does not matter.
    pub module: String,
    /// The stop code, for example 0x50.
    pub bug_check: u64,
}

impl Target {
    /// True where a crash is the one that is meant.
    pub fn matches(&self, module: &str, bug_check: u64) -> bool {
        self.bug_check == bug_check && self.module.eq_ignore_ascii_case(module)
    }
}

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Deletes files.
    #[serde(rename_all = "camelCase")]
    Delete {
        /// Windows path; the last component may hold `*` and `?`.
        path: String,
        /// Only files that were last modified before this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        modified_before: Option<Timestamp>,
    },
}

/// The envelope: a manifest's exact bytes, a signature over them, and the signer's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedManifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The manifest's JSON, base64.
    pub payload: String,
    /// ECDSA-P256-SHA256 over the payload's bytes, DER, base64.
    pub signature: String,
    /// The signer's certificate, DER, base64.
    pub certificate: String,
}

/// Why a manifest is not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum VerifyError {
    /// Not the format.
    #[error("the manifest is malformed: {0}")]
    Malformed(String),
    /// A version that is not known.
    #[error("the manifest has format {0}, not {FORMAT}")]
    Format(u32),
    /// Signed by somebody else.
    #[error("the signing certificate is not the trusted publisher's")]
    Untrusted,
    /// The signature is not one of these bytes.
    #[error("the signature does not verify")]
    Signature,
}

impl SignedManifest {
    /// Signs a manifest.
    pub fn sign(manifest: &Manifest, signer: &Signer) -> Self {
        let payload = serde_json::to_vec(manifest)
            .expect("a manifest has no maps with keys that are not strings, so it is JSON");
        Self {
            format: FORMAT,
            signature: STANDARD.encode(signer.sign(&payload)),
            payload: STANDARD.encode(payload),
            certificate: STANDARD.encode(signer.certificate()),
        }
    }

    /// The manifest, if `publisher` (a certificate, DER) has signed it.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn open(&self, publisher: &[u8]) -> Result<Manifest, VerifyError> {
        if self.format != FORMAT {
            return Err(VerifyError::Format(self.format));
        }
        let bytes = |what: &str, text: &str| {
            STANDARD
                .decode(text)
                .map_err(|error| VerifyError::Malformed(format!("its {what}: {error}")))
        };
        let payload = bytes("payload", &self.payload)?;
        let signature = bytes("signature", &self.signature)?;
        if bytes("certificate", &self.certificate)? != publisher {
            return Err(VerifyError::Untrusted);
        }
        let key = public_key(publisher).map_err(VerifyError::Malformed)?;
        let signature = DerSignature::from_bytes(&signature).map_err(|_| VerifyError::Signature)?;
        key.verify(&payload, &signature).map_err(|_| VerifyError::Signature)?;
        let manifest: Manifest = serde_json::from_slice(&payload)
            .map_err(|error| VerifyError::Malformed(format!("its payload: {error}")))?;
        match manifest.format {
            FORMAT => Ok(manifest),
            other => Err(VerifyError::Format(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::authority::Authority;

    pub(crate) fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            id: "channel-file-291".into(),
            title: "Remove the bad channel file".into(),
            target: Target { module: "csagent.sys".into(), bug_check: 0x50 },
            actions: vec![Action::Delete {
                path: r"C:\Windows\System32\drivers\CrowdStrike\C-00000291*.sys".into(),
                modified_before: Some("2024-07-19T05:27:00Z".parse().unwrap()),
            }],
        }
    }

    #[test]
    fn the_payload_has_the_agreed_shape() {
        let expected = concat!(
            r#"{"format":1,"id":"channel-file-291","title":"Remove the bad channel file","#,
            r#""target":{"module":"csagent.sys","bugCheck":80},"actions":[{"delete":{"#,
            r#""path":"C:\\Windows\\System32\\drivers\\CrowdStrike\\C-00000291*.sys","#,
            r#""modifiedBefore":"2024-07-19T05:27:00Z"}}]}"#
        );
        assert_eq!(serde_json::to_string(&manifest()).unwrap(), expected);
        assert_eq!(serde_json::from_str::<Manifest>(expected).unwrap(), manifest());
    }

    #[test]
    fn opens_with_the_publisher_and_shows_every_tampering() {
        let state = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(state.path()).unwrap();
        let publisher = authority.trust().publisher_der;
        let good = SignedManifest::sign(&manifest(), authority.publisher());
        assert_eq!(good.open(&publisher).unwrap(), manifest());

        let untrusted = Authority::untrusted_signer().unwrap();
        let foreign = SignedManifest::sign(&manifest(), &untrusted);
        assert_eq!(foreign.open(&publisher), Err(VerifyError::Untrusted));
        // Somebody else's signature under the publisher's name.
        let forged = SignedManifest { certificate: good.certificate.clone(), ..foreign };
        assert_eq!(forged.open(&publisher), Err(VerifyError::Signature));

        let other = Manifest { id: "other".into(), ..manifest() };
        let payload = STANDARD.encode(serde_json::to_vec(&other).unwrap());
        let swapped = SignedManifest { payload, ..good.clone() };
        assert_eq!(swapped.open(&publisher), Err(VerifyError::Signature));
        let newer = SignedManifest { format: 2, ..good.clone() };
        assert_eq!(newer.open(&publisher), Err(VerifyError::Format(2)));
        let broken = SignedManifest { payload: "%".into(), ..good };
        assert!(matches!(broken.open(&publisher), Err(VerifyError::Malformed(_))));
    }

    #[test]
    fn targets_ignore_the_case_of_the_module_only() {
        let target = manifest().target;
        assert!(target.matches("CSAgent.SYS", 0x50));
        assert!(!target.matches("csagent.sys", 0x7e));
        assert!(!target.matches("csagent", 0x50));
    }

    proptest! {
        #[test]
        fn hostile_envelopes_never_panic(
            payload in ".{0,40}", signature in "[A-Za-z0-9+/=]{0,40}", certificate in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let signed = SignedManifest {
                format: FORMAT,
                payload,
                signature,
                certificate: STANDARD.encode(&certificate),
            };
            prop_assert!(signed.open(&certificate).is_err());
        }
    }
}
