//! The embedded signature (Microsoft, "Windows Authenticode Portable Executable Signature Format").

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha384, Sha512};
use x509_parser::der_parser::asn1_rs::{Any, Class, FromDer, Tag};
use x509_parser::prelude::X509Certificate;

use super::headers::Headers;
use super::{u16_at, u32_at};

/// Signatures are some kilobytes; with page hashes of a large file, some hundreds.
const MAX_SIZE: usize = 8 << 20;
const MAX_CERTIFICATES: usize = 32;
const MAX_NAME: usize = 256;

/// `signedData` (PKCS #7).
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// `SPC_INDIRECT_DATA_OBJID`.
const INDIRECT_DATA: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x04];

/// What an embedded signature says. Whether it can be trusted is not decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signature {
    /// The common name (or else the organisation) on the signing certificate; absent where the
    /// certificate has neither, or is not in the signature.
    pub signer: Option<String>,
    /// The same of who issued that certificate.
    pub issuer: Option<String>,
    /// From when the certificate is valid.
    pub valid_from: Option<Timestamp>,
    /// Until when the certificate is valid. A signature with a time stamp outlives it.
    pub valid_until: Option<Timestamp>,
    /// How the file is digested: `sha1`, `sha256`, `sha384`, `sha512`, `md5`, or an object identifier.
    pub digest_algorithm: String,
    /// Whether the file has the digest that was signed; absent where the algorithm is not known here.
    pub digest_matches: Option<bool>,
}

pub(super) fn read(bytes: &[u8], headers: &Headers) -> Result<Option<Signature>, &'static str> {
    let Some((offset, size)) = headers.certificates else { return Ok(None) };
    let (start, size) = (offset as usize, size as usize);
    let table = bytes
        .get(start..start.saturating_add(size))
        .ok_or("its certificates lie outside the file")?;
    // WIN_CERTIFICATE: length with this header, revision, type 2 (PKCS #7).
    let length = u32_at(table, 0).unwrap_or(0) as usize;
    let signed = table
        .get(8..length)
        .filter(|own| own.len() <= MAX_SIZE)
        .ok_or("its certificates are damaged")?;
    if u16_at(table, 6) != Some(2) {
        return Err("its signature is of a kind that this program does not know");
    }
    let parts = parts(signed).ok_or("its signature is not signed data of Authenticode")?;
    let certificate = parts.certificate();
    let matches = headers.certificates_at.and_then(|field| {
        let ranges = Ranges { bytes, headers, field, start, end: start + size };
        let digest = ranges.digest(parts.algorithm)?;
        Some(digest == parts.digest)
    });
    let name = |name: &x509_parser::x509::X509Name<'_>| {
        let common = name.iter_common_name().chain(name.iter_organization());
        let text = common.filter_map(|own| text(own.attr_value())).next()?;
        Some(text.chars().take(MAX_NAME).collect())
    };
    let second = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    let certificate = certificate.as_ref();
    Ok(Some(Signature {
        signer: certificate.and_then(|own| name(own.subject())),
        issuer: certificate.and_then(|own| name(own.issuer())),
        valid_from: certificate.and_then(|own| second(own.validity().not_before)),
        valid_until: certificate.and_then(|own| second(own.validity().not_after)),
        digest_algorithm: algorithm_name(parts.algorithm),
        digest_matches: matches,
    }))
}

/// The text of a name's part; old certificates have it in UTF-16.
fn text(value: &Any<'_>) -> Option<String> {
    if value.tag() == Tag::BmpString {
        let pairs = value.data.chunks_exact(2);
        let units: Vec<u16> = pairs.map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
        return Some(String::from_utf16_lossy(&units));
    }
    std::str::from_utf8(value.data).ok().map(str::to_owned)
}

/// DER, one element after the other. Not by `cms`, which refuses what Windows takes: sets that are not sorted.
#[derive(Clone, Copy)]
struct Der<'b>(&'b [u8]);

impl<'b> Der<'b> {
    /// The next element; none at the end, or where it is no DER.
    fn next(&mut self) -> Option<Any<'b>> {
        let (rest, element) = Any::from_der(self.0).ok()?;
        self.0 = rest;
        Some(element)
    }

    /// The next element with its tag and length.
    fn next_whole(&mut self) -> Option<&'b [u8]> {
        let before = self.0;
        self.next()?;
        before.get(..before.len() - self.0.len())
    }

    /// The next element, which must have this tag: its content, to read on.
    fn enter(&mut self, tag: Tag) -> Option<Der<'b>> {
        self.next().filter(|own| own.class() == Class::Universal && own.tag() == tag).map(inside)
    }

    /// The next element, which must be `[0]`: its content, to read on.
    fn enter_context_0(&mut self) -> Option<Der<'b>> {
        self.next().filter(is_context_0).map(inside)
    }

    /// The content of the next element, which must have this tag.
    fn content(&mut self, tag: Tag) -> Option<&'b [u8]> {
        self.enter(tag).map(|own| own.0)
    }
}

fn inside<'b>(element: Any<'b>) -> Der<'b> {
    Der(element.data)
}

fn is_context_0(element: &Any<'_>) -> bool {
    element.class() == Class::ContextSpecific && element.tag() == Tag(0)
}

/// What is needed of a PKCS #7 structure.
struct Parts<'b> {
    certificates: Der<'b>,
    issuer: &'b [u8],
    serial: &'b [u8],
    algorithm: &'b [u8],
    digest: &'b [u8],
}

fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let mut info = Der(bytes).enter(Tag::Sequence)?;
    if info.content(Tag::Oid)? != SIGNED_DATA {
        return None;
    }
    let mut signed = info.enter_context_0()?.enter(Tag::Sequence)?;
    signed.content(Tag::Integer)?;
    signed.content(Tag::Set)?;
    let mut content = signed.enter(Tag::Sequence)?;
    if content.content(Tag::Oid)? != INDIRECT_DATA {
        return None;
    }
    let mut indirect = content.enter_context_0()?.enter(Tag::Sequence)?;
    indirect.content(Tag::Sequence)?;
    let mut message = indirect.enter(Tag::Sequence)?;
    let algorithm = message.enter(Tag::Sequence)?.content(Tag::Oid)?;
    let digest = message.content(Tag::OctetString)?;
    // Certificates and revocation lists are optional; the signers come last.
    let (mut certificates, mut signers) = (Der(&[]), None);
    while let Some(part) = signed.next() {
        if is_context_0(&part) {
            certificates = inside(part);
        } else if part.class() == Class::Universal && part.tag() == Tag::Set {
            signers = Some(inside(part));
        }
    }
    let mut signer = signers?.enter(Tag::Sequence)?;
    signer.content(Tag::Integer)?;
    let mut name = signer.enter(Tag::Sequence)?;
    let issuer = name.next_whole()?;
    let serial = name.content(Tag::Integer)?;
    Some(Parts { certificates, issuer, serial, algorithm, digest })
}

impl<'b> Parts<'b> {
    /// The certificate that the signer names.
    fn certificate(&self) -> Option<X509Certificate<'b>> {
        let mut all = self.certificates;
        std::iter::from_fn(|| all.next_whole())
            .take(MAX_CERTIFICATES)
            .filter_map(|own| X509Certificate::from_der(own).ok())
            .map(|(_, certificate)| certificate)
            .find(|own| own.issuer().as_raw() == self.issuer && own.raw_serial() == self.serial)
    }
}

/// What of the file is digested: all but the checksum, the place of the certificates, and the
/// certificates.
struct Ranges<'a> {
    bytes: &'a [u8],
    headers: &'a Headers,
    field: usize,
    start: usize,
    end: usize,
}

impl Ranges<'_> {
    fn digest(&self, algorithm: &[u8]) -> Option<Vec<u8>> {
        match algorithm {
            [0x2b, 0x0e, 0x03, 0x02, 0x1a] => self.with::<Sha1>(),
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => self.with::<Sha256>(),
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => self.with::<Sha384>(),
            [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => self.with::<Sha512>(),
            _ => None,
        }
    }

    fn with<D: Digest>(&self) -> Option<Vec<u8>> {
        let checksum = self.headers.checksum_at;
        let mut digest = D::new();
        for range in [
            0..checksum,
            checksum + 4..self.field,
            self.field + 8..self.start,
            self.end..self.bytes.len(),
        ] {
            digest.update(self.bytes.get(range)?);
        }
        Some(digest.finalize().to_vec())
    }
}

fn algorithm_name(id: &[u8]) -> String {
    let known = match id {
        [0x2b, 0x0e, 0x03, 0x02, 0x1a] => "sha1",
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => "sha256",
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => "sha384",
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => "sha512",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05] => "md5",
        other => {
            let digits: String = other.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
            return format!("object identifier {digits}");
        }
    };
    known.to_owned()
}
