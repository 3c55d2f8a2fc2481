//! The signature in a driver's file: PKCS #7 SignedData (RFC 2315, in DER) over an SpcIndirectDataContent
//! that holds the file's digest (Microsoft: "Windows Authenticode Portable Executable Signature Format"),
//! and the chain from its certificate to a root (RFC 5280).
//!
//! The crate `authenticode` reads the same, but panics where a signature brings no certificates along or
//! something else in their place, which is the disk's to decide.
//!
//! SHA-256 with RSA only, one signer, no countersignature: what there is of one is not looked at, so a
//! signature counts for as long as its certificates do.

use std::time::Duration;

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{Any, ObjectIdentifier, OctetString};
use der::{Decode, Encode, Sequence, SliceReader};
use rsa::RsaPublicKey;
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::pkcs8::DecodePublicKey;
use rsa::signature::Verifier;
use sha2::{Digest as _, Sha256};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage};

use super::file::Digest;
use super::refusal::Refusal;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
/// SPC_INDIRECT_DATA_OBJID.
const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// id-kp-codeSigning.
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

/// Signatures have some thousand bytes.
const MAX_SIGNATURE: usize = 64 << 10;
/// Certificates that a signature brings along.
const MAX_CERTIFICATES: usize = 16;
/// Certificates from the signer to the root, both counted.
const MAX_CHAIN: usize = 8;

/// `SpcIndirectDataContent`.
#[derive(Sequence)]
struct IndirectData {
    /// What kind of file it is; it is an image, or there would be no table.
    data: Any,
    message_digest: DigestInfo,
}

/// `DigestInfo`.
#[derive(Sequence)]
struct DigestInfo {
    algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

/// Whether the signature is good for a file of this digest at this time (since 1970), by one of the roots.
pub(super) fn verify(
    signature: &[u8],
    digest: &Digest,
    roots: &[Certificate],
    now: Duration,
) -> Result<(), Refusal> {
    let data = signed_data(signature)?;
    let [signer_info] = data.signer_infos.0.as_slice() else {
        return Err(Refusal::Damaged("it has not one signer"));
    };
    if data.encap_content_info.econtent_type != INDIRECT_DATA {
        return Err(Refusal::Damaged("it signs something else than an image"));
    }
    let content = data.encap_content_info.econtent.as_ref();
    let content = content.ok_or(Refusal::Damaged("it signs nothing"))?;
    let indirect: IndirectData =
        content.decode_as().map_err(|_| Refusal::Damaged("what it signs is not understood"))?;
    if [&signer_info.digest_alg, &indirect.message_digest.algorithm].map(|it| it.oid) != [SHA256; 2]
    {
        return Err(Refusal::Damaged("its digests are not SHA-256"));
    }
    if indirect.message_digest.digest.as_bytes() != digest {
        return Err(Refusal::OtherContents);
    }
    let certificates = data.certificates.iter().flat_map(|set| set.0.iter());
    let certificates: Vec<&Certificate> = certificates
        .filter_map(|choice| match choice {
            CertificateChoices::Certificate(certificate) => Some(certificate),
            CertificateChoices::Other(_) => None,
        })
        .collect();
    if certificates.len() > MAX_CERTIFICATES {
        return Err(Refusal::Damaged("it has too many certificates"));
    }
    let signer = certificates.iter().find(|certificate| names(&signer_info.sid, certificate));
    let signer = signer.ok_or(Refusal::Damaged("its signer's certificate is missing"))?;
    if !is_signed(signer_info, content, signer) {
        return Err(Refusal::Forged);
    }
    if !signs_code(signer) {
        return Err(Refusal::Purpose(subject(signer)));
    }
    chain(signer, &certificates, roots, now)
}

fn signed_data(signature: &[u8]) -> Result<SignedData, Refusal> {
    if signature.len() > MAX_SIGNATURE {
        return Err(Refusal::Damaged("it is too long"));
    }
    // Zeroes fill the table behind it.
    let damaged = |_| Refusal::Damaged("it is no PKCS #7 in DER");
    let mut reader = SliceReader::new(signature).map_err(damaged)?;
    let content = ContentInfo::decode(&mut reader).map_err(damaged)?;
    if content.content_type != SIGNED_DATA {
        return Err(Refusal::Damaged("it is no PKCS #7 SignedData"));
    }
    content.content.decode_as().map_err(damaged)
}

fn names(signer: &SignerIdentifier, certificate: &Certificate) -> bool {
    let SignerIdentifier::IssuerAndSerialNumber(wanted) = signer else { return false };
    let certificate = &certificate.tbs_certificate;
    wanted.issuer == certificate.issuer && wanted.serial_number == certificate.serial_number
}

/// Whether this certificate's key signed the content: by way of the attributes, which hold its digest.
fn is_signed(info: &SignerInfo, content: &Any, signer: &Certificate) -> bool {
    let Some(attributes) = &info.signed_attrs else { return false };
    let attribute = |oid| {
        let found = attributes.iter().find(|attribute| attribute.oid == oid)?;
        match found.values.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    };
    let kind = attribute(CONTENT_TYPE).and_then(|value| value.decode_as().ok());
    let digest: Option<OctetString> =
        attribute(MESSAGE_DIGEST).and_then(|value| value.decode_as().ok());
    // Of the content without its own tag and length (RFC 2315, 9.3).
    let right: Digest = Sha256::digest(content.value()).into();
    kind == Some(INDIRECT_DATA)
        && digest.is_some_and(|digest| digest.as_bytes() == right)
        && [RSA, SHA256_WITH_RSA].contains(&info.signature_algorithm.oid)
        && attributes.to_der().is_ok_and(|message| {
            let key = &signer.tbs_certificate.subject_public_key_info;
            verifies(key, &message, info.signature.as_bytes())
        })
}

/// RSA with PKCS #1 padding and SHA-256. The key's size is limited to 4096 bits by what reads it.
fn verifies(key: &SubjectPublicKeyInfoOwned, message: &[u8], signature: &[u8]) -> bool {
    let key = key.to_der().ok().and_then(|der| RsaPublicKey::from_public_key_der(&der).ok());
    let (Some(key), Ok(signature)) = (key, Signature::try_from(signature)) else { return false };
    VerifyingKey::<Sha256>::new(key).verify(message, &signature).is_ok()
}

/// A certificate that names no purpose is good for all.
fn signs_code(certificate: &Certificate) -> bool {
    match certificate.tbs_certificate.get::<ExtendedKeyUsage>() {
        Ok(Some((_, usage))) => usage.0.contains(&CODE_SIGNING),
        Ok(None) => true,
        Err(_) => false,
    }
}

/// From the signer, by certificates that came with the signature, to one of the roots; each of them in
/// its time.
fn chain(
    signer: &Certificate,
    brought: &[&Certificate],
    roots: &[Certificate],
    now: Duration,
) -> Result<(), Refusal> {
    let mut at = signer;
    for _ in 0..MAX_CHAIN {
        let validity = &at.tbs_certificate.validity;
        let from = validity.not_before.to_unix_duration();
        if now < from || now > validity.not_after.to_unix_duration() {
            return Err(Refusal::OutOfTime(subject(at)));
        }
        if roots.contains(at) {
            return Ok(());
        }
        let issuer = roots.iter().chain(brought.iter().copied()).find(|it| issued(it, at));
        at = issuer.ok_or_else(|| Refusal::Untrusted(subject(signer)))?;
    }
    Err(Refusal::Untrusted(subject(signer)))
}

/// Whether this authority issued the certificate.
fn issued(authority: &Certificate, certificate: &Certificate) -> bool {
    let (by, tbs) = (&authority.tbs_certificate, &certificate.tbs_certificate);
    by.subject == tbs.issuer
        && matches!(by.get::<BasicConstraints>(), Ok(Some((_, constraints))) if constraints.ca)
        && certificate.signature_algorithm.oid == SHA256_WITH_RSA
        && tbs.signature.oid == SHA256_WITH_RSA
        && tbs.to_der().is_ok_and(|message| {
            let signature = certificate.signature.as_bytes();
            signature.is_some_and(|it| verifies(&by.subject_public_key_info, &message, it))
        })
}

/// For the log. Whoever made the certificate chose the text.
fn subject(certificate: &Certificate) -> String {
    certificate.tbs_certificate.subject.to_string().chars().take(100).collect()
}
