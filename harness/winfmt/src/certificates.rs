//! Certificates as the registry's certificate stores hold them.
//!
//! A store is the key `Microsoft\SystemCertificates\<store>\Certificates` of the SOFTWARE hive. Each
//! certificate is a key below it, named by the SHA-1 of its DER in upper-case hex, with a value `Blob`:
//! records of property id, a word that is always 1, length, bytes. Property 32 is the certificate
//! itself ([MS-GPEF] 2.2.1.2.1 and wincrypt.h, `CERT_…_PROP_ID`).

use sha1::{Digest, Sha1};

use crate::bytes::u32_at;
use crate::hive::{Data, Hive, HiveError};

/// `CERT_SHA1_HASH_PROP_ID`.
const SHA1_HASH: u32 = 3;
/// The DER certificate.
const CERTIFICATE: u32 = 32;
const RECORD_HEADER: usize = 12;

/// A certificate store of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// `ROOT`: certificate authorities that are trusted.
    Root,
    /// `TrustedPublisher`: signers whose code and content is taken without asking.
    TrustedPublisher,
}

impl Store {
    /// The key of the store, from the root of the SOFTWARE hive.
    pub fn key(self) -> &'static str {
        match self {
            Store::Root => r"Microsoft\SystemCertificates\ROOT\Certificates",
            Store::TrustedPublisher => {
                r"Microsoft\SystemCertificates\TrustedPublisher\Certificates"
            }
        }
    }

    /// The key of one certificate in it.
    pub fn certificate_key(self, der: &[u8]) -> String {
        format!("{}\\{}", self.key(), thumbprint(der))
    }
}

/// A certificate could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The hive below.
    #[error("the certificate store: {0}")]
    Hive(#[from] HiveError),
    /// A blob that is no list of records.
    #[error("the certificate blob is damaged at offset {offset:#x}: a record is cut off")]
    Damaged {
        /// In the blob.
        offset: usize,
    },
    /// Properties, but no certificate.
    #[error("the certificate blob holds no certificate (property 32)")]
    NoCertificate,
}

/// The name of a certificate's key: SHA-1 of its DER in upper-case hex.
pub fn thumbprint(der: &[u8]) -> String {
    Sha1::digest(der).iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The blob for a certificate, with its hash and the certificate itself.
pub fn encode(der: &[u8]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(2 * RECORD_HEADER + 20 + der.len());
    let hash = Sha1::digest(der);
    for (property, bytes) in [(SHA1_HASH, &hash[..]), (CERTIFICATE, der)] {
        blob.extend(property.to_le_bytes());
        blob.extend(1u32.to_le_bytes());
        blob.extend((bytes.len() as u32).to_le_bytes());
        blob.extend_from_slice(bytes);
    }
    blob
}

/// The DER certificate in a blob.
///
/// # Errors
/// [`CertificateError::Damaged`], [`CertificateError::NoCertificate`].
pub fn decode(blob: &[u8]) -> Result<&[u8], CertificateError> {
    let mut at = 0;
    let mut found = None;
    while at < blob.len() {
        let damaged = CertificateError::Damaged { offset: at };
        let (Some(property), Some(length)) = (u32_at(blob, at), u32_at(blob, at + 8)) else {
            return Err(damaged);
        };
        let end = (at + RECORD_HEADER).checked_add(length as usize);
        let Some(bytes) = end.and_then(|end| blob.get(at + RECORD_HEADER..end)) else {
            return Err(damaged);
        };
        if property == CERTIFICATE {
            found = Some(bytes);
        }
        at += RECORD_HEADER + bytes.len();
    }
    found.ok_or(CertificateError::NoCertificate)
}

/// Puts a certificate into a store of a SOFTWARE hive.
///
/// # Errors
/// [`HiveError`].
pub fn install(hive: &mut Hive, store: Store, der: &[u8]) -> Result<(), HiveError> {
    hive.set_value(store.certificate_key(der), "Blob", &Data::binary(encode(der)))
}

/// The certificates (DER) in a store of a SOFTWARE hive. A store that is not there is empty.
///
/// # Errors
/// [`CertificateError`]; one damaged blob fails the whole, for it may be the one that matters.
pub fn installed(hive: &Hive, store: Store) -> Result<Vec<Vec<u8>>, CertificateError> {
    let Some(key) = hive.find_key(store.key())? else { return Ok(Vec::new()) };
    let mut certificates = Vec::new();
    for certificate in key.subkeys()? {
        if let Some(blob) = certificate.value("Blob")? {
            certificates.push(decode(&blob.bytes)?.to_vec());
        }
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn thumbprints_are_sha1_in_upper_case() {
        // FIPS 180-2, appendix A.1.
        assert_eq!(thumbprint(b"abc"), "A9993E364706816ABA3E25717850C26C9CD0D89D");
    }

    #[test]
    fn a_certificate_goes_into_a_hive_and_comes_out() {
        let mut hive = Hive::create("ROOT").unwrap();
        assert_eq!(installed(&hive, Store::Root).unwrap(), Vec::<Vec<u8>>::new());
        install(&mut hive, Store::Root, b"abc").unwrap();
        install(&mut hive, Store::Root, b"abc").unwrap();
        let hive = Hive::open(hive.to_bytes().unwrap()).unwrap();
        assert_eq!(installed(&hive, Store::Root).unwrap(), [b"abc".to_vec()]);
        assert_eq!(installed(&hive, Store::TrustedPublisher).unwrap(), Vec::<Vec<u8>>::new());
        let key = r"Microsoft\SystemCertificates\ROOT\Certificates\A9993E364706816ABA3E25717850C26C9CD0D89D";
        let blob = hive.get_binary(key, "Blob").unwrap().unwrap();
        assert_eq!(blob[..12], [3, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0]);
        assert_eq!(blob[32..44], [32, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0]);
    }

    #[test]
    fn damaged_blobs_are_refused() {
        let blob = encode(b"certificate");
        for cut in 1..blob.len() {
            assert!(decode(&blob[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(decode(&blob[..32]), Err(CertificateError::NoCertificate));
        assert_eq!(decode(&[]), Err(CertificateError::NoCertificate));
        assert_eq!(decode(&[0xff; 40]), Err(CertificateError::Damaged { offset: 0 }));
    }

    proptest! {
        #[test]
        fn any_blob_is_read_or_refused(blob in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&blob);
        }
    }
}
