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
use words::WindowsBuild;

use crate::authority::public_key;
use crate::messages::Scan;
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
    /// Its number among the manifests of this remediation. A machine takes none that is older than what it was offered,
    /// or than what it has seen.
    pub counter: u32,
    /// A machine does not take it from then on.
    pub expires: Timestamp,
    /// The machines that it is for.
    pub target: Target,
    /// What is to be done, in order.
    pub actions: Vec<Action>,
}

/// The machines that a remediation is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The blamed module, for example `csagent.sys`; the case of letters does not matter.
    pub module: String,
    /// The stop code, for example 0x50.
    pub bug_check: u64,
    /// Only these builds of Windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builds: Option<Builds>,
    /// Only machines of these groups; the case of letters does not matter. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// Builds of Windows, the first and the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builds {
    /// The first.
    pub from: WindowsBuild,
    /// The last.
    pub to: WindowsBuild,
}

impl Target {
    /// True where a machine that asks is one that is meant: its crash, for which a module has to be blamed, its build
    /// and its group. What is not known of a machine is not what is asked for.
    pub fn matches(&self, scan: &Scan) -> bool {
        let crash = scan.signature.as_ref();
        let crash = crash.is_some_and(|crash| {
            crash.bug_check == self.bug_check
                && crash.module.as_deref().is_some_and(|it| it.eq_ignore_ascii_case(&self.module))
        });
        let build = self.builds.is_none_or(|builds| {
            scan.build.is_some_and(|it| (builds.from..=builds.to).contains(&it))
        });
        let group = self.groups.is_empty() || is_one_of(&self.groups, scan.group.as_deref());
        crash && build && group
    }
}

/// True where a machine is in one of the groups.
pub(crate) fn is_one_of(groups: &[String], group: Option<&str>) -> bool {
    group.is_some_and(|group| groups.iter().any(|one| one.eq_ignore_ascii_case(group)))
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
    /// Writes a file, in the place of what is there. Its folder has to be there.
    Write {
        /// Windows path, without wildcards.
        path: String,
        /// What is in it, base64.
        content: String,
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
    use crate::messages::Signature;

    pub(crate) fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            id: "channel-file-291".into(),
            title: "Remove the bad channel file".into(),
            counter: 2,
            expires: "2024-08-02T04:09:00Z".parse().unwrap(),
            target: Target {
                module: "csagent.sys".into(),
                bug_check: 0x50,
                builds: Some(Builds {
                    from: "26100.4700".parse().unwrap(),
                    to: "26100.9999".parse().unwrap(),
                }),
                groups: vec!["broad".into()],
            },
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
            r#""counter":2,"expires":"2024-08-02T04:09:00Z","#,
            r#""target":{"module":"csagent.sys","bugCheck":80,"#,
            r#""builds":{"from":"26100.4700","to":"26100.9999"},"groups":["broad"]},"actions":[{"delete":{"#,
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

    fn scan(
        module: Option<&str>,
        bug_check: u64,
        build: Option<&str>,
        group: Option<&str>,
    ) -> Scan {
        let zero = || "0x0".to_owned();
        Scan {
            format: FORMAT,
            machine: "PC".into(),
            signature: Some(Signature {
                bug_check,
                module: module.map(str::to_owned),
                parameters: [zero(), zero(), zero(), zero()],
            }),
            attempt: 1,
            build: build.map(|build| build.parse().unwrap()),
            group: group.map(str::to_owned),
        }
    }

    #[test]
    fn a_target_is_a_crash_a_build_and_a_group() {
        let target = manifest().target;
        let (module, build, group) = (Some("csagent.sys"), Some("26100.4770"), Some("broad"));
        for (who, asks, meant) in [
            ("it", scan(module, 0x50, build, group), true),
            ("case", scan(Some("CSAgent.SYS"), 0x50, build, Some("Broad")), true),
            ("first build", scan(module, 0x50, Some("26100.4700"), group), true),
            ("last build", scan(module, 0x50, Some("26100.9999"), group), true),
            ("another stop", scan(module, 0x7e, build, group), false),
            ("another module", scan(Some("csagent"), 0x50, build, group), false),
            ("no module", scan(None, 0x50, build, group), false),
            ("an older build", scan(module, 0x50, Some("26100.4699"), group), false),
            ("a newer build", scan(module, 0x50, Some("26200.1"), group), false),
            ("an unknown build", scan(module, 0x50, None, group), false),
            ("another group", scan(module, 0x50, build, Some("canary")), false),
            ("no group", scan(module, 0x50, build, None), false),
        ] {
            assert_eq!(target.matches(&asks), meant, "{who}");
        }
        let anybody = Target { builds: None, groups: Vec::new(), ..target };
        assert!(anybody.matches(&scan(module, 0x50, None, None)));
        assert!(!anybody.matches(&Scan { signature: None, ..scan(module, 0x50, build, group) }));
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
