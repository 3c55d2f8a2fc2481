//! The signature in the file (Microsoft: "Windows Authenticode Portable Executable Signature Format").
//!
//! A PKCS #7 SignedData of version 1 lies behind the image in the attribute certificate table. What is
//! signed is a digest of the image without its checksum, the table's directory entry and the table.

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{Any, ObjectIdentifier, OctetString, SetOfVec};
use der::{Decode, Encode, Tag};
use rsa::pkcs1v15::SigningKey;
use rsa::signature::{SignatureEncoding, Signer};
use sha2::{Digest, Sha256};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::Attribute;

use super::{Authority, SignError, Signing};
use crate::driver::{checksum_field, patch_checksum};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// SPC_INDIRECT_DATA_OBJID.
const INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
/// SPC_SP_OPUS_INFO_OBJID: name and address of the program, both left out.
const OPUS_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.12");

/// The beginning of SpcIndirectDataContent up to the digest: SPC_PE_IMAGE_DATAOBJ with no flags and an
/// empty file name, then the algorithm SHA-256.
const INDIRECT_PREFIX: [u8; 46] = [
    0x30, 0x4c, 0x30, 0x17, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x0f,
    0x30, 0x09, 0x03, 0x01, 0x00, 0xa0, 0x04, 0xa2, 0x02, 0x80, 0x00, 0x30, 0x31, 0x30, 0x0d, 0x06,
    0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
];

/// WIN_CERTIFICATE: revision 2.0, PKCS #7.
const CERTIFICATE_HEADER: [u8; 4] = [0x00, 0x02, 0x02, 0x00];

/// Where the parts of an image are that are left out of the digest.
struct Layout {
    checksum: usize,
    /// The directory entry of the attribute certificate table.
    entry: usize,
}

impl Layout {
    fn of(image: &[u8]) -> Result<Self, SignError> {
        if image.get(..2) != Some(b"MZ") || image.len() < 0x40 {
            return Err(SignError::Image("it does not begin with `MZ`"));
        }
        let checksum = checksum_field(image);
        // From the checksum: the magic of the optional header lies 64 bytes before it.
        let magic = checksum.checked_sub(64).and_then(|at| image.get(at..at + 2));
        let directories = match magic {
            Some([0x0b, 0x02]) => 112,
            Some([0x0b, 0x01]) => 96,
            _ => return Err(SignError::Image("it has no optional header")),
        };
        let entry = checksum - 64 + directories + 4 * 8;
        match image.get(entry..entry + 8) {
            Some([0, 0, 0, 0, 0, 0, 0, 0]) => Ok(Self { checksum, entry }),
            Some(_) => Err(SignError::Image("it has a signature already")),
            None => Err(SignError::Image("it ends within its headers")),
        }
    }
}

/// The Authenticode digest (SHA-256) of an image without a signature whose length is a multiple of 8.
///
/// # Errors
/// It is no such image.
pub fn digest(image: &[u8]) -> Result<[u8; 32], SignError> {
    let layout = Layout::of(image)?;
    let mut hasher = Sha256::new();
    hasher.update(&image[..layout.checksum]);
    hasher.update(&image[layout.checksum + 4..layout.entry]);
    hasher.update(&image[layout.entry + 8..]);
    Ok(hasher.finalize().into())
}

/// The image with a signature. The same image, authority and way always give the same bytes.
///
/// # Errors
/// The image cannot be signed.
pub fn sign(image: &[u8], authority: &Authority, signing: Signing) -> Result<Vec<u8>, SignError> {
    let mut signed = image.to_vec();
    signed.resize(signed.len().next_multiple_of(8), 0);
    let layout = Layout::of(&signed)?;
    let pkcs7 = signature(&digest(&signed)?, authority, signing)?;
    let table = signed.len() as u32;
    let size = (8 + pkcs7.len()).next_multiple_of(8);
    signed.extend_from_slice(&(size as u32).to_le_bytes());
    signed.extend_from_slice(&CERTIFICATE_HEADER);
    signed.extend_from_slice(&pkcs7);
    signed.resize(table as usize + size, 0);
    signed[layout.entry..layout.entry + 4].copy_from_slice(&table.to_le_bytes());
    signed[layout.entry + 4..layout.entry + 8].copy_from_slice(&(size as u32).to_le_bytes());
    // A wrong checksum may be the driver's defect: it stays as wrong as it was.
    let field = layout.checksum;
    let mut right = image.to_vec();
    patch_checksum(&mut right);
    let was_right = right[field..field + 4] == image[field..field + 4];
    if signing == Signing::WrongDigest {
        // The last byte of the stub that says that the program is not for DOS.
        signed[0x3b] ^= 0x01;
    }
    if was_right {
        patch_checksum(&mut signed);
    }
    Ok(signed)
}

fn signature(
    digest: &[u8; 32],
    authority: &Authority,
    signing: Signing,
) -> Result<Vec<u8>, SignError> {
    let (certificates, key) = authority.chain(signing);
    let signer = &certificates[0];
    let mut content = INDIRECT_PREFIX.to_vec();
    content.extend_from_slice(digest);
    // What the message digest covers is the content without its own tag and length.
    let message_digest: [u8; 32] = Sha256::digest(&content[2..]).into();
    let attributes = SetOfVec::try_from(vec![
        attribute(CONTENT_TYPE, Any::encode_from(&INDIRECT_DATA)?)?,
        attribute(MESSAGE_DIGEST, Any::new(Tag::OctetString, message_digest)?)?,
        attribute(OPUS_INFO, Any::new(Tag::Sequence, [].as_slice())?)?,
    ])?;
    let signing_key = SigningKey::<Sha256>::new(key.clone());
    let signature = signing_key.try_sign(&attributes.to_der()?)?;
    let null = Some(Any::new(Tag::Null, [].as_slice())?);
    let sha256 = AlgorithmIdentifierOwned { oid: SHA256, parameters: null.clone() };
    let info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: signer.tbs_certificate.issuer.clone(),
            serial_number: signer.tbs_certificate.serial_number.clone(),
        }),
        digest_alg: sha256.clone(),
        signed_attrs: Some(attributes),
        signature_algorithm: AlgorithmIdentifierOwned { oid: RSA, parameters: null },
        signature: OctetString::new(signature.to_vec())?,
        unsigned_attrs: None,
    };
    let chain = certificates.into_iter().map(CertificateChoices::Certificate).collect::<Vec<_>>();
    let data = SignedData {
        // PKCS #7 of old, which Authenticode keeps to; CMS would say 3 for this content type.
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![sha256])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: INDIRECT_DATA,
            econtent: Some(Any::from_der(&content)?),
        },
        certificates: Some(CertificateSet(SetOfVec::try_from(chain)?)),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![info])?),
    };
    let wrapped = ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&data)? };
    Ok(wrapped.to_der()?)
}

fn attribute(oid: ObjectIdentifier, value: Any) -> Result<Attribute, der::Error> {
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
}
