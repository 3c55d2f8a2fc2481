//! Remediations: what the update service sends, and whether it may be believed. Pure.
//!
//! The protocol is this project's own, because the real one is not public; what is modelled is that
//! a remediation is aimed at a crash signature, a build and a group of machines, and counts only with a signature of a
//! trusted publisher, for a time, and only if none that is newer was seen.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use words::{PayloadPath, WindowsBuild};
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
    /// Which Windows this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<WindowsBuild>,
    /// The group that the machine is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<&'a str>,
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
    /// The counter of its manifest.
    pub counter: u32,
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
    /// Its number among the manifests of this remediation.
    pub counter: u32,
    /// When its time is over.
    pub expires: Timestamp,
    /// The machines that it is for.
    pub target: Target,
    /// What to do, in order.
    pub actions: Vec<Action>,
}

/// The machines that a remediation is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Target {
    /// The module that is blamed; case does not matter.
    pub module: String,
    /// The bug check.
    pub bug_check: u32,
    /// Only these builds.
    #[serde(default)]
    pub builds: Option<Builds>,
    /// Only these groups; case does not matter. Empty: all.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// The first and the last build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Builds {
    /// The first.
    pub from: WindowsBuild,
    /// The last.
    pub to: WindowsBuild,
}

/// One thing to do. A kind that is not known here makes the whole manifest unreadable, so nothing is
/// done half.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) enum Action {
    /// Delete files.
    Delete(Delete),
    /// Write a file.
    Write(Write),
}

impl Action {
    /// The path that it names.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Delete(delete) => &delete.path,
            Self::Write(write) => &write.path,
        }
    }
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

/// Which file to write, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Write {
    /// Windows path, without wildcards.
    pub path: String,
    /// Base64.
    #[serde(deserialize_with = "from_base64")]
    pub content: Vec<u8>,
}

fn from_base64<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64.decode(text).map_err(serde::de::Error::custom)
}

/// Why a manifest is not applied: in the word that everybody knows, and for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(super) struct Refusal {
    /// The word.
    pub word: words::Refusal,
    /// For people.
    pub why: String,
}

impl Refusal {
    pub(super) fn new(word: words::Refusal, why: impl Into<String>) -> Self {
        Self { word, why: why.into() }
    }
}

/// The machine that a manifest came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its crash.
    pub crash: Option<&'a CrashSignature>,
    /// Its build.
    pub build: Option<WindowsBuild>,
    /// Its group.
    pub group: Option<&'a str>,
    /// The certificates of publishers that it trusts.
    pub publishers: &'a [Vec<u8>],
}

/// Checks certificate, signature, time, counter, target and paths, in this order, and only then gives the manifest as
/// something to act on. `seen` is the greatest counter of this remediation that the machine has met.
pub(super) fn verify(
    envelope: &Envelope,
    offer: &Offer,
    machine: &Machine<'_>,
    seen: u32,
    now: Timestamp,
) -> Result<Manifest, Refusal> {
    use words::Refusal as Word;
    let refuse = |word, why: String| Err(Refusal { word, why });
    let format = |found: u32| {
        refuse(
            Word::UnknownFormat,
            format!("the manifest has format {found}; this machine knows {FORMAT}"),
        )
    };
    if envelope.format != FORMAT {
        return format(envelope.format);
    }
    let unreadable = |what: &str, error: &dyn std::fmt::Display| {
        Refusal::new(Word::Unreadable, format!("the manifest cannot be read: {what}: {error}"))
    };
    let decode =
        |what: &str, text: &str| BASE64.decode(text).map_err(|error| unreadable(what, &error));
    let certificate_bytes = decode("certificate", &envelope.certificate)?;
    let payload = decode("payload", &envelope.payload)?;
    let signature_bytes = decode("signature", &envelope.signature)?;
    if !machine.publishers.contains(&certificate_bytes) {
        let why = "the signing certificate is not among the trusted publishers".to_owned();
        return refuse(Word::UntrustedPublisher, why);
    }
    let (_, certificate) = X509Certificate::from_der(&certificate_bytes)
        .map_err(|error| unreadable("certificate", &error))?;
    let validity = certificate.validity();
    let second = now.as_second();
    if second < validity.not_before.timestamp() || second > validity.not_after.timestamp() {
        let why = "the signing certificate is not valid at this machine's time".to_owned();
        return refuse(Word::ExpiredCertificate, why);
    }
    let forged = || Refusal::new(Word::BadSignature, "the signature does not verify");
    let key = VerifyingKey::from_sec1_bytes(&certificate.public_key().subject_public_key.data)
        .map_err(|_| forged())?;
    let signature = Signature::from_der(&signature_bytes).map_err(|_| forged())?;
    key.verify(&payload, &signature).map_err(|_| forged())?;

    let manifest: Manifest =
        serde_json::from_slice(&payload).map_err(|error| unreadable("payload", &error))?;
    if manifest.format != FORMAT {
        return format(manifest.format);
    }
    if manifest.id != offer.id {
        let why = format!("the manifest is {}, but {} was offered", manifest.id, offer.id);
        return refuse(Word::OtherRemediation, why);
    }
    if manifest.expires <= now {
        return refuse(Word::Expired, "the manifest's time is over".to_owned());
    }
    let newest = offer.counter.max(seen);
    if manifest.counter < newest {
        let counter = manifest.counter;
        let why = format!("the manifest has the counter {counter}, and there is one with {newest}");
        return refuse(Word::Replayed, why);
    }
    for_this_machine(&manifest.target, machine)?;
    for action in &manifest.actions {
        let path: PayloadPath =
            action.path().parse().map_err(|why: String| Refusal::new(Word::UnsafePath, why))?;
        if matches!(action, Action::Write(_)) && path.has_wildcard() {
            return refuse(Word::UnsafePath, format!("`{path}` names no single file to write"));
        }
    }
    Ok(manifest)
}

fn for_this_machine(target: &Target, machine: &Machine<'_>) -> Result<(), Refusal> {
    let crash = machine.crash.is_some_and(|crash| {
        crash.bug_check == target.bug_check
            && crash
                .module
                .as_deref()
                .is_some_and(|module| module.eq_ignore_ascii_case(&target.module))
    });
    if !crash {
        let Target { module, bug_check, .. } = target;
        let why = format!(
            "the remediation is for bug check 0x{bug_check:X} in {module}, not for this crash"
        );
        return Err(Refusal::new(words::Refusal::OtherCrash, why));
    }
    if let Some(Builds { from, to }) = target.builds
        && !machine.build.is_some_and(|build| (from..=to).contains(&build))
    {
        let why = format!("the remediation is for the builds {from} to {to}");
        return Err(Refusal::new(words::Refusal::OtherBuild, why));
    }
    let group = |group: &str| target.groups.iter().any(|one| one.eq_ignore_ascii_case(group));
    if !target.groups.is_empty() && !machine.group.is_some_and(group) {
        let why = "the remediation is for other groups of machines".to_owned();
        return Err(Refusal::new(words::Refusal::OtherGroup, why));
    }
    Ok(())
}
