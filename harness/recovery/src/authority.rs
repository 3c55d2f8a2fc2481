//! The harness's own certificate authority.
//!
//! One for each state directory, made at the first use and kept: sealed images and RAM checkpoints
//! carry its certificates, so it must be the same in the next run. Nothing outside a machine that this
//! harness has staged trusts it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use p256::ecdsa::{SigningKey, VerifyingKey};
use p256::pkcs8::DecodePrivateKey;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use thiserror::Error;

use crate::signer::Signer;

/// The file that holds the authority. The number is the version of its format: root certificate, root
/// key, publisher certificate, publisher key, each a PEM block, in this order.
const FILE: &str = "authority-1.pem";
/// No such file is longer, in bytes.
const FILE_LIMIT: u64 = 64 * 1024;

/// Why there is no authority.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// A file or directory could not be used.
    #[error(
        "cannot {doing} the harness's certificate authority {path}; is its directory writable?"
    )]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not what this version wrote.
    #[error(
        "the certificate authority {path} is damaged: {what}; remove it, and images and checkpoints made with it must be made again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Others can read the keys.
    #[error(
        "the certificate authority {path} has mode {mode:04o}, so others can read its keys; `chmod 600` it"
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A key or certificate could not be made.
    #[error("cannot make a certificate for {subject}")]
    Issue {
        /// Whose certificate.
        subject: String,
        /// What rcgen said.
        #[source]
        source: rcgen::Error,
    },
}

/// The certificates that a machine is staged with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Root of the update service's TLS certificate, DER; belongs into the machine's root store.
    pub root_der: Vec<u8>,
    /// Certificate that signs remediations, DER; belongs into the machine's trusted publishers.
    pub publisher_der: Vec<u8>,
}

/// A TLS server's certificate chain and key.
#[derive(Debug)]
pub struct ServerIdentity {
    /// The certificate; it is issued by the root directly.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: Timestamp,
    /// The last one.
    pub to: Timestamp,
}

impl Validity {
    /// About a year, the life of a certificate on the web. The moment lies in the middle of two, so that a
    /// machine whose clock was set some months ago still takes the certificate, and one whose clock lost
    /// its battery does not.
    pub fn around(clock: Timestamp) -> Self {
        let year = SignedDuration::from_hours(24 * 365);
        let shifted = |by| clock.saturating_add(by).unwrap_or(clock);
        Self { from: shifted(-year), to: shifted(year) }
    }

    /// As long, and over a year before this one begins.
    pub fn before(self) -> Self {
        let by = self.to.duration_since(self.from) + SignedDuration::from_hours(24 * 365);
        let shifted = |moment: Timestamp| moment.saturating_sub(by).unwrap_or(Timestamp::MIN);
        Self { from: shifted(self.from), to: shifted(self.to) }
    }
}

/// The authority of a state directory.
#[derive(Debug)]
pub struct Authority {
    root_der: Vec<u8>,
    root_key: KeyPair,
    publisher: Signer,
}

impl Authority {
    /// Opens the authority in `directory`, or makes it. Two processes that do so at once get the same.
    ///
    /// # Errors
    /// [`AuthorityError`], also where others can read the keys.
    pub fn open_or_create(directory: &Path) -> Result<Self, AuthorityError> {
        let path = directory.join(FILE);
        match read(&path) {
            Err(AuthorityError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(directory, &path)?;
                read(&path)
            }
            found => found,
        }
    }

    /// What a machine must be staged with to trust this authority's services and remediations.
    pub fn trust(&self) -> Trust {
        Trust {
            root_der: self.root_der.clone(),
            publisher_der: self.publisher.certificate().to_vec(),
        }
    }

    /// The signer that machines trust.
    pub fn publisher(&self) -> &Signer {
        &self.publisher
    }

    /// A signer that no machine trusts: a fresh key under a root of its own. For the control of a
    /// wrong signature.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`].
    pub fn untrusted_signer() -> Result<Signer, AuthorityError> {
        let subject = "loopbreak untrusted publisher";
        let key = new_key(subject)?;
        let certificate = publisher_params(subject)
            .self_signed(&key)
            .map_err(|source| AuthorityError::Issue { subject: subject.to_owned(), source })?;
        let signing = signing_key(&key)
            .map_err(|what| AuthorityError::Damaged { path: PathBuf::from(subject), what })?;
        Ok(Signer::new(signing, certificate.der().to_vec()))
    }

    /// A certificate for a TLS server.
    ///
    /// # Errors
    /// [`AuthorityError::Issue`] where `host` cannot stand in a certificate.
    pub fn issue_server(
        &self,
        host: &str,
        validity: Validity,
    ) -> Result<ServerIdentity, AuthorityError> {
        let failed = |source| AuthorityError::Issue { subject: host.to_owned(), source };
        let key = new_key(host)?;
        let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(failed)?;
        let ((year, month, day), to) = (date(validity.from), date(validity.to));
        params.not_before = date_time_ymd(year, month, day);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        params.distinguished_name.push(DnType::CommonName, host);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issuer = Issuer::new(root_params(), &self.root_key);
        let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(ServerIdentity { certificate: certificate.der().clone(), key })
    }
}

/// Year, month and day of a moment, within the years that a certificate can name.
fn date(moment: Timestamp) -> (i32, u8, u8) {
    let date = moment.to_zoned(jiff::tz::TimeZone::UTC).date();
    let positive = |number: i8| u8::try_from(number).unwrap_or(1);
    (i32::from(date.year()).clamp(1950, 9998), positive(date.month()), positive(date.day()))
}

/// Machines of any incident must accept the certificates, whatever year their clock shows.
fn dated(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2100, 1, 1);
}

fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    dated(&mut params);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "loopbreak test root");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn publisher_params(subject: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    dated(&mut params);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params
}

fn new_key(subject: &str) -> Result<KeyPair, AuthorityError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map_err(|source| AuthorityError::Issue { subject: subject.to_owned(), source })
}

fn signing_key(key: &KeyPair) -> Result<SigningKey, String> {
    SigningKey::from_pkcs8_der(key.serialized_der())
        .map_err(|error| format!("a key is not a P-256 key ({error})"))
}

/// Makes the file under another name and links it to its own, so that it is whole from the first
/// moment on and whoever comes second changes nothing.
fn create(directory: &Path, path: &Path) -> Result<(), AuthorityError> {
    let root_key = new_key("loopbreak test root")?;
    let issue = |subject: &str| {
        let subject = subject.to_owned();
        move |source| AuthorityError::Issue { subject, source }
    };
    let root = root_params().self_signed(&root_key).map_err(issue("loopbreak test root"))?;
    let name = "loopbreak test publisher";
    let publisher_key = new_key(name)?;
    let issuer = Issuer::new(root_params(), &root_key);
    let publisher =
        publisher_params(name).signed_by(&publisher_key, &issuer).map_err(issue(name))?;
    let text =
        [root.pem(), root_key.serialize_pem(), publisher.pem(), publisher_key.serialize_pem()]
            .concat();

    let failed = |doing, path: &Path| {
        let path = path.to_path_buf();
        move |source| AuthorityError::Io { doing, path, source }
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed("make the directory of", directory))?;
    // A name of its own, also among threads and among processes that share the directory from
    // different containers.
    let unique = RandomState::new().build_hasher().finish();
    let draft = directory.join(format!("{FILE}.{unique:016x}.draft"));
    let write = || -> io::Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    let linked = write().and_then(|()| match std::fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = std::fs::remove_file(&draft);
    linked.map_err(failed("write", path))?;
    removed.map_err(failed("remove the draft of", &draft))
}

fn read(path: &Path) -> Result<Authority, AuthorityError> {
    let failed = |source| AuthorityError::Io { doing: "read", path: path.to_path_buf(), source };
    let damaged = |what: String| AuthorityError::Damaged { path: path.to_path_buf(), what };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(AuthorityError::Readable { path: path.to_path_buf(), mode });
    }
    if metadata.len() > FILE_LIMIT {
        return Err(damaged(format!("it has {} bytes", metadata.len())));
    }
    let text = std::fs::read(path).map_err(failed)?;

    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| damaged(error.to_string()))?;
    let keys: Vec<_> = PrivatePkcs8KeyDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| damaged(error.to_string()))?;
    let ([root, publisher], [root_key, publisher_key]) = (&certificates[..], &keys[..]) else {
        return Err(damaged("it does not hold two certificates and two keys".to_owned()));
    };
    let root_key = KeyPair::from_pkcs8_der_and_sign_algo(root_key, &PKCS_ECDSA_P256_SHA256)
        .map_err(|error| damaged(error.to_string()))?;
    let root_signing = signing_key(&root_key).map_err(damaged)?;
    let publisher_signing = SigningKey::from_pkcs8_der(publisher_key.secret_pkcs8_der())
        .map_err(|error| damaged(format!("the publisher's key is not a P-256 key ({error})")))?;
    for (whose, certificate, key) in
        [("root", root, &root_signing), ("publisher", publisher, &publisher_signing)]
    {
        let certified = public_key(certificate).map_err(damaged)?;
        if certified != *key.verifying_key() {
            return Err(damaged(format!("the {whose}'s key is not the one of its certificate")));
        }
    }
    Ok(Authority {
        root_der: root.to_vec(),
        root_key,
        publisher: Signer::new(publisher_signing, publisher.to_vec()),
    })
}

/// The P-256 key that a certificate is about.
pub(crate) fn public_key(certificate: &[u8]) -> Result<VerifyingKey, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| format!("a certificate cannot be read ({error})"))?;
    VerifyingKey::from_sec1_bytes(&parsed.public_key().subject_public_key.data)
        .map_err(|error| format!("a certificate is not about a P-256 key ({error})"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use p256::ecdsa::DerSignature;
    use p256::ecdsa::signature::Verifier;

    use super::*;

    #[test]
    fn is_made_once_and_kept() {
        let state = tempfile::tempdir().unwrap();
        let directory = state.path().join("authority");
        let first = Authority::open_or_create(&directory).unwrap();
        let second = Authority::open_or_create(&directory).unwrap();
        assert_eq!(first.trust(), second.trust());
        let names: Vec<_> = std::fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, [FILE]);
        let mode = std::fs::metadata(directory.join(FILE)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn many_at_once_get_the_same() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path();
        let trusts: Vec<Trust> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| Authority::open_or_create(path).map(|it| it.trust())))
                .collect();
            made.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        assert!(trusts.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn damage_and_open_modes_are_refused() {
        let state = tempfile::tempdir().unwrap();
        Authority::open_or_create(state.path()).unwrap();
        let path = state.path().join(FILE);
        let good = std::fs::read_to_string(&path).unwrap();

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = Authority::open_or_create(state.path()).unwrap_err();
        assert!(matches!(error, AuthorityError::Readable { mode: 0o644, .. }), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();

        let other = tempfile::tempdir().unwrap();
        Authority::open_or_create(other.path()).unwrap();
        let foreign = std::fs::read_to_string(other.path().join(FILE)).unwrap();
        let half = good.find("-----BEGIN PRIVATE").unwrap();
        let foreign_half = foreign.find("-----BEGIN PRIVATE").unwrap();
        let mixed = format!("{}{}", &good[..half], &foreign[foreign_half..]);
        for bad in ["", "nonsense", &good[..good.len() / 2], &mixed] {
            std::fs::write(&path, bad).unwrap();
            let error = Authority::open_or_create(state.path()).unwrap_err();
            assert!(matches!(error, AuthorityError::Damaged { .. }), "{error}");
        }
    }

    #[test]
    fn certificates_are_valid_in_2024_and_say_what_they_are_for() {
        let state = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(state.path()).unwrap();
        let trust = authority.trust();
        let clock: Timestamp = "2024-07-19T04:09:00Z".parse().unwrap();
        let validity = Validity::around(clock);
        let server = authority.issue_server("update.loopbreak.test", validity).unwrap();
        let (_, root) = x509_parser::parse_x509_certificate(&trust.root_der).unwrap();
        let (_, publisher) = x509_parser::parse_x509_certificate(&trust.publisher_der).unwrap();
        let (_, leaf) = x509_parser::parse_x509_certificate(&server.certificate).unwrap();
        let incident = x509_parser::time::ASN1Time::from_timestamp(1_721_362_140).unwrap();
        for certificate in [&root, &publisher, &leaf] {
            assert!(certificate.validity().is_valid_at(incident));
            assert_eq!(certificate.issuer(), root.subject());
        }
        let expired = authority.issue_server("update.loopbreak.test", validity.before()).unwrap();
        let (_, expired) = x509_parser::parse_x509_certificate(&expired.certificate).unwrap();
        assert!(!expired.validity().is_valid_at(incident));
        assert!(root.is_ca() && !publisher.is_ca() && !leaf.is_ca());
        assert!(publisher.extended_key_usage().unwrap().unwrap().value.code_signing);
        assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
    }

    #[test]
    fn signatures_verify_with_the_certificate_and_no_other() {
        let state = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(state.path()).unwrap();
        let untrusted = Authority::untrusted_signer().unwrap();
        let key = public_key(authority.publisher().certificate()).unwrap();
        let verifies = |signer: &Signer, bytes: &[u8]| {
            let signature = DerSignature::from_bytes(&signer.sign(b"payload")).unwrap();
            key.verify(bytes, &signature).is_ok()
        };
        assert!(verifies(authority.publisher(), b"payload"));
        assert!(!verifies(authority.publisher(), b"Payload"));
        assert!(!verifies(&untrusted, b"payload"));
        assert_ne!(untrusted.certificate(), authority.publisher().certificate());
    }
}
