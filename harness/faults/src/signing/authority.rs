//! The test authority of a store: keys and certificates, made once.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use der::asn1::{GeneralizedTime, UtcTime};
use der::{Decode, Encode};
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::{Signature, SigningKey};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::rand_core::OsRng;
use sha2::Sha256;
use spki::SubjectPublicKeyInfoOwned;
use x509_cert::Certificate;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::ext::pkix::ExtendedKeyUsage;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

use super::Signing;

/// Windows has taken no shorter ones since 2012.
const BITS: usize = 2048;
/// id-kp-codeSigning (RFC 5280).
const CODE_SIGNING: der::asn1::ObjectIdentifier =
    der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

/// 1 January 2000 to 31 December 2049: machines are set to the time of their incident.
const VALID: [u64; 2] = [946_684_800, 2_524_607_999];
/// The year 2000.
const EXPIRED: [u64; 2] = [946_684_800, 978_307_199];

/// Keys and certificates that sign test drivers. Made once for a store and kept there; they vouch for
/// nothing outside the machines of this project.
#[derive(Debug, Clone)]
pub struct Authority {
    key: RsaPrivateKey,
    stranger_key: RsaPrivateKey,
    root: Vec<u8>,
    signer: Vec<u8>,
    expired: Vec<u8>,
    stranger: Vec<u8>,
    certificates: Certificates,
}

#[derive(Debug, Clone)]
struct Certificates {
    root: Certificate,
    signer: Certificate,
    expired: Certificate,
    stranger: Certificate,
}

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its folder cannot be used.
    #[error("the authority that signs test drivers, {}: {source}; give another state directory", path.display())]
    Folder {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is in its folder is damaged.
    #[error("the authority's {} is damaged: {what}; remove the folder to have a new one made", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Keys or certificates could not be made.
    #[error("the authority could not be made: {0}; this is a mistake in loopbreak, report it")]
    Make(String),
}

const FILES: [&str; 6] =
    ["key.pk8", "stranger-key.pk8", "root.der", "signer.der", "expired.der", "stranger.der"];

impl Authority {
    /// A new one, with keys of its own. Takes some seconds.
    ///
    /// # Errors
    /// A key or certificate could not be made.
    pub fn create() -> Result<Self, AuthorityError> {
        let new_key = || {
            RsaPrivateKey::new(&mut OsRng, BITS).map_err(|e| AuthorityError::Make(e.to_string()))
        };
        let (root_key, key, stranger_key) = (new_key()?, new_key()?, new_key()?);
        let root_name = "CN=loopbreak test driver authority,O=loopbreak";
        let leaf = |subject, serial, key, validity| {
            certificate(Leaf { subject, issuer: root_name, serial, key, by: &root_key, validity })
        };
        let root = root(root_name, 1, &root_key)?;
        let signer = leaf("CN=loopbreak test driver signer,O=loopbreak", 2, &key, VALID)?;
        let expired = leaf("CN=loopbreak test driver signer (2000),O=loopbreak", 3, &key, EXPIRED)?;
        let stranger_name = "CN=somebody unknown,O=nobody";
        let stranger = certificate(Leaf {
            subject: stranger_name,
            issuer: stranger_name,
            serial: 4,
            key: &stranger_key,
            by: &stranger_key,
            validity: VALID,
        })?;
        // The root's key is not kept: nothing else is ever signed with it.
        Self::assemble([root, signer, expired, stranger], key, stranger_key)
            .map_err(|(_, what)| AuthorityError::Make(what))
    }

    fn assemble(
        [root, signer, expired, stranger]: [Vec<u8>; 4],
        key: RsaPrivateKey,
        stranger_key: RsaPrivateKey,
    ) -> Result<Self, (usize, String)> {
        let read = |index: usize, bytes: &[u8]| {
            Certificate::from_der(bytes).map_err(|error| (index, error.to_string()))
        };
        let certificates = Certificates {
            root: read(2, &root)?,
            signer: read(3, &signer)?,
            expired: read(4, &expired)?,
            stranger: read(5, &stranger)?,
        };
        Ok(Self { key, stranger_key, root, signer, expired, stranger, certificates })
    }

    /// The one in this folder, which is made where there is none.
    ///
    /// # Errors
    /// The folder cannot be read or written, or what is in it is damaged.
    pub fn open(folder: &Path) -> Result<Self, AuthorityError> {
        if !folder.exists() {
            let made = Self::create()?;
            made.save(folder)?;
            // Somebody else may have been faster: what lies there counts.
        }
        let mut contents = Vec::new();
        for name in FILES {
            let path = folder.join(name);
            let bytes = fs_err::read(&path)
                .map_err(|source| AuthorityError::Folder { path: path.clone(), source })?;
            contents.push(bytes);
        }
        let damaged = |(index, what): (usize, String)| AuthorityError::Damaged {
            path: folder.join(FILES[index]),
            what,
        };
        let key = |index: usize| {
            RsaPrivateKey::from_pkcs8_der(&contents[index])
                .map_err(|error| damaged((index, error.to_string())))
        };
        let (signer_key, stranger_key) = (key(0)?, key(1)?);
        let certificates = [2, 3, 4, 5].map(|index: usize| contents[index].clone());
        Self::assemble(certificates, signer_key, stranger_key).map_err(damaged)
    }

    /// Writes it beside, then renames: there is never half an authority.
    fn save(&self, folder: &Path) -> Result<(), AuthorityError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| AuthorityError::Folder { path, source }
        };
        let parent = folder.parent().unwrap_or(Path::new("."));
        fs_err::create_dir_all(parent).map_err(failed(parent))?;
        let beside = tempfile::Builder::new()
            .prefix(".authority-")
            .tempdir_in(parent)
            .map_err(failed(parent))?;
        let secret = |key: &RsaPrivateKey| {
            key.to_pkcs8_der()
                .map(|document| document.as_bytes().to_vec())
                .map_err(|error| AuthorityError::Make(error.to_string()))
        };
        let contents = [
            secret(&self.key)?,
            secret(&self.stranger_key)?,
            self.root.clone(),
            self.signer.clone(),
            self.expired.clone(),
            self.stranger.clone(),
        ];
        for (name, bytes) in FILES.iter().zip(contents) {
            let path = beside.path().join(name);
            fs_err::write(&path, bytes).map_err(failed(&path))?;
        }
        match fs_err::rename(beside.path(), folder) {
            Ok(()) => Ok(()),
            Err(_) if folder.exists() => Ok(()),
            Err(source) => Err(failed(folder)(source)),
        }
    }

    /// The root's certificate, DER.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// The signer's certificate, DER.
    pub fn signer(&self) -> &[u8] {
        &self.signer
    }

    /// The signer's certificate first, what vouches for it after; and its key.
    pub(super) fn chain(&self, signing: Signing) -> (Vec<Certificate>, &RsaPrivateKey) {
        let Certificates { root, signer, expired, stranger } = &self.certificates;
        match signing {
            Signing::Trusted | Signing::WrongDigest => {
                (vec![signer.clone(), root.clone()], &self.key)
            }
            Signing::Expired => (vec![expired.clone(), root.clone()], &self.key),
            Signing::Untrusted => (vec![stranger.clone()], &self.stranger_key),
        }
    }
}

struct Leaf<'a> {
    subject: &'a str,
    issuer: &'a str,
    serial: u32,
    key: &'a RsaPrivateKey,
    by: &'a RsaPrivateKey,
    validity: [u64; 2],
}

fn made<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, AuthorityError> {
    result.map_err(|error| AuthorityError::Make(error.to_string()))
}

fn certificate(leaf: Leaf<'_>) -> Result<Vec<u8>, AuthorityError> {
    let profile = Profile::Leaf {
        issuer: made(Name::from_str(leaf.issuer))?,
        enable_key_agreement: false,
        enable_key_encipherment: false,
    };
    let usage = ExtendedKeyUsage(vec![CODE_SIGNING]);
    build(profile, leaf.subject, leaf.serial, leaf.key, leaf.by, leaf.validity, Some(&usage))
}

fn root(subject: &str, serial: u32, key: &RsaPrivateKey) -> Result<Vec<u8>, AuthorityError> {
    build(Profile::Root, subject, serial, key, key, VALID, None)
}

fn build(
    profile: Profile,
    subject: &str,
    serial: u32,
    key: &RsaPrivateKey,
    by: &RsaPrivateKey,
    validity: [u64; 2],
    usage: Option<&ExtendedKeyUsage>,
) -> Result<Vec<u8>, AuthorityError> {
    let [not_before, not_after] = validity.map(Duration::from_secs).map(time);
    let public = made(key.to_public_key().to_public_key_der())?;
    let signer = SigningKey::<Sha256>::new(by.clone());
    let mut builder = made(CertificateBuilder::new(
        profile,
        SerialNumber::from(serial),
        Validity { not_before: made(not_before)?, not_after: made(not_after)? },
        made(Name::from_str(subject))?,
        made(SubjectPublicKeyInfoOwned::from_der(public.as_bytes()))?,
        &signer,
    ))?;
    if let Some(usage) = usage {
        made(builder.add_extension(usage))?;
    }
    made(made(builder.build::<Signature>())?.to_der())
}

/// RFC 5280: UTCTime up to 2049.
fn time(since_1970: Duration) -> Result<Time, der::Error> {
    UtcTime::from_unix_duration(since_1970)
        .map(Time::UtcTime)
        .or_else(|_| GeneralizedTime::from_unix_duration(since_1970).map(Time::GeneralTime))
}
