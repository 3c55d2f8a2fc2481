//! Drivers that `faults` made and signed, judged here; and what others make of their digests.

use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use authenticode::authenticode_digest;
use der::{Decode, Encode};
use faults::driver::{DriverKind, FaultyDriverOptions, build};
use faults::signing::{Authority, Signing, sign};
use object_for_authenticode::read::pe::PeFile64;
use proptest::prelude::*;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::{Signature, SigningKey};
use rsa::pkcs8::{DecodePrivateKey, EncodePublicKey};
use scenario::Defect;
use sha2::{Digest as _, Sha256};
use spki::SubjectPublicKeyInfoOwned;
use winfmt::certificates::{Store, install};
use winfmt::hive::Hive;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::Validity;

use super::file::Parts;
use super::{Refusal, Signatures, catalog};

/// 19 July 2024.
const NOW: Duration = Duration::from_secs(1_721_347_200);
/// 1999.
const BEFORE: Duration = Duration::from_secs(915_148_800);

/// One for all tests: keys take their time to make.
fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| Authority::create().unwrap())
}

fn driver() -> Vec<u8> {
    build(&DriverKind::Faulty(FaultyDriverOptions::new(Defect::NullRead))).unwrap()
}

fn signed(signing: Signing) -> Vec<u8> {
    sign(&driver(), authority(), signing).unwrap()
}

fn hive(roots: &[&[u8]]) -> Hive {
    let mut hive = Hive::create("ROOT").unwrap();
    for root in roots {
        install(&mut hive, Store::Root, root).unwrap();
    }
    hive
}

/// A machine in test mode that trusts the authority.
fn machine() -> Signatures {
    Signatures::new(true, b"", &hive(&[authority().root()]))
}

#[test]
fn test_mode_takes_what_a_trusted_authority_signed() {
    let machine = machine();
    assert_eq!(machine.check_at(&signed(Signing::Trusted), NOW), Ok(()));
    assert_eq!(machine.check_at(&driver(), NOW), Err(Refusal::Unsigned));
    let refused = |signing| machine.check_at(&signed(signing), NOW).unwrap_err();
    assert_eq!(refused(Signing::WrongDigest), Refusal::OtherContents);
    assert!(matches!(refused(Signing::Expired), Refusal::OutOfTime(who) if who.contains("2000")));
    assert!(
        matches!(refused(Signing::Untrusted), Refusal::Untrusted(who) if who.contains("nobody"))
    );
    let early = machine.check_at(&signed(Signing::Trusted), BEFORE);
    assert!(matches!(early, Err(Refusal::OutOfTime(_))));
    assert_eq!(refused(Signing::WrongDigest).status().0, 0xC000_0428);
}

#[test]
fn the_root_and_the_settings_decide() {
    let good = signed(Signing::Trusted);
    let strange = Signatures::new(true, b"", &hive(&[]));
    assert!(matches!(strange.check_at(&good, NOW), Err(Refusal::Untrusted(_))));
    // What is in the store is trusted, whoever it is; what cannot be read is not.
    let signer_only = hive(&[&b"no certificate"[..], authority().signer()]);
    assert_eq!(Signatures::new(true, b"", &signer_only).check_at(&good, NOW), Ok(()));
    let without_test_mode = Signatures::new(false, b"", &hive(&[authority().root()]));
    assert_eq!(without_test_mode.check_at(&good, NOW), Err(Refusal::TestMode));
    // `nointegritychecks`.
    assert_eq!(Signatures::default().check_at(&signed(Signing::WrongDigest), NOW), Ok(()));
}

#[test]
fn the_catalog_vouches_for_what_came_with_the_image() {
    let driver = driver();
    let list =
        catalog::write([("\\Windows\\System32\\drivers\\x.sys", &*driver), ("\\y", &b"MZ"[..])]);
    let machine = Signatures::new(false, list.as_bytes(), &hive(&[]));
    assert_eq!(machine.check_at(&driver, NOW), Ok(()));
    let mut changed = driver.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    assert_eq!(machine.check_at(&changed, NOW), Err(Refusal::Unsigned));
    // The checksum is no part of the digest, nor is a signature.
    let mut summed = driver.clone();
    summed[checksum_field(&driver)] ^= 1;
    assert_eq!(machine.check_at(&summed, NOW), Ok(()));
    assert_eq!(machine.check_at(&signed(Signing::Untrusted), NOW), Ok(()));
    // What is no image is not loaded for that.
    assert_eq!(machine.check_at(b"no image", NOW), Ok(()));
    assert_eq!(machine.check_at(&driver[..0x300], NOW), Ok(()));
}

/// Offset of the checksum.
fn checksum_field(image: &[u8]) -> usize {
    u32::from_le_bytes(image[0x3C..0x40].try_into().unwrap()) as usize + 24 + 64
}

#[test]
fn lines_that_are_no_digest_are_left_out() {
    let digits = "0123456789abcdefABCDEF0123456789".repeat(2);
    let good = format!("# a comment\r\n{digits}  \\x.sys\r\n");
    assert_eq!(catalog::read(good.as_bytes()).len(), 1);
    for bad in [
        digits.clone(),
        format!("{digits} x"),
        format!("{}  x", digits.replace('0', "g")),
        format!("{}\u{e9}  x", &digits[..63]),
        "\n\n  \n".to_owned(),
    ] {
        assert_eq!(catalog::read(bad.as_bytes()).len(), 0, "{bad}");
    }
}

#[test]
fn others_have_the_same_digest() {
    for file in [driver(), signed(Signing::Trusted), signed(Signing::WrongDigest)] {
        let mut hasher = Sha256::new();
        authenticode_digest(&PeFile64::parse(&*file).unwrap(), &mut hasher).unwrap();
        let theirs: [u8; 32] = hasher.finalize().into();
        assert_eq!(Parts::read(&file).unwrap().digest, theirs);
    }
}

/// Where the certificate table of a signed file begins.
fn table(file: &[u8]) -> usize {
    file.len() - Parts::read(file).unwrap().signature.unwrap().len() - 8
}

#[test]
fn nothing_may_be_hidden_around_a_signature() {
    let machine = machine();
    let good = signed(Signing::Trusted);
    let mut longer = good.clone();
    longer.extend_from_slice(&[0; 8]);
    assert!(matches!(machine.check_at(&longer, NOW), Err(Refusal::File(_))));
    // Without its table's entry it is a driver without a signature, with something behind it.
    let mut bare = good.clone();
    let entry = checksum_field(&good) - 64 + 112 + 32;
    bare[entry..entry + 8].fill(0);
    assert_eq!(machine.check_at(&bare, NOW), Err(Refusal::Unsigned));
    // Another signature's digest, for this file.
    let other = FaultyDriverOptions::new(Defect::DivideError);
    let other = build(&DriverKind::Faulty(other)).unwrap();
    let other = sign(&other, authority(), Signing::Trusted).unwrap();
    let mut mixed = good[..table(&good)].to_vec();
    mixed.extend_from_slice(&other[table(&other)..]);
    assert_eq!(machine.check_at(&mixed, NOW), Err(Refusal::OtherContents));
}

#[test]
fn a_chain_goes_through_authorities_only() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("authority");
    Authority::open(&home).unwrap();
    let (key, root_key) = (key(&home.join("key.pk8")), key(&home.join("stranger-key.pk8")));
    let root = certificate(Profile::Root, "CN=root", &root_key, &root_key);
    let machine = Signatures::new(true, b"", &hive(&[&root]));
    let issuer = |name: &str| Name::from_str(name).unwrap();
    let authority = Profile::SubCA { issuer: issuer("CN=root"), path_len_constraint: None };
    let leaf = |name: &str| Profile::Leaf {
        issuer: issuer(name),
        enable_key_agreement: false,
        enable_key_encipherment: false,
    };
    let signer = certificate(leaf("CN=middle"), "CN=signer", &key, &key);
    for (middle, taken) in [(authority, true), (leaf("CN=root"), false)] {
        let middle = certificate(middle, "CN=middle", &key, &root_key);
        // What it calls its root comes along with each signature.
        std::fs::write(home.join("root.der"), middle).unwrap();
        std::fs::write(home.join("signer.der"), &signer).unwrap();
        let authority = Authority::open(&home).unwrap();
        let file = sign(&driver(), &authority, Signing::Trusted).unwrap();
        assert_eq!(machine.check_at(&file, NOW).is_ok(), taken, "{taken}");
    }
    // An authority of that name that the root did not sign.
    let false_middle = Profile::SubCA { issuer: issuer("CN=root"), path_len_constraint: None };
    let false_middle = certificate(false_middle, "CN=middle", &key, &key);
    std::fs::write(home.join("root.der"), false_middle).unwrap();
    let file = sign(&driver(), &Authority::open(&home).unwrap(), Signing::Trusted).unwrap();
    assert!(matches!(machine.check_at(&file, NOW), Err(Refusal::Untrusted(_))));
}

fn key(path: &Path) -> RsaPrivateKey {
    RsaPrivateKey::from_pkcs8_der(&std::fs::read(path).unwrap()).unwrap()
}

/// A certificate for the years 2000 to 2049.
fn certificate(
    profile: Profile,
    subject: &str,
    key: &RsaPrivateKey,
    by: &RsaPrivateKey,
) -> Vec<u8> {
    let public = key.to_public_key().to_public_key_der().unwrap();
    let time = |seconds| {
        let time = der::asn1::UtcTime::from_unix_duration(Duration::from_secs(seconds)).unwrap();
        x509_cert::time::Time::UtcTime(time)
    };
    let signer = SigningKey::<Sha256>::new(by.clone());
    let builder = CertificateBuilder::new(
        profile,
        SerialNumber::from(7_u32),
        Validity { not_before: time(946_684_800), not_after: time(2_524_607_999) },
        Name::from_str(subject).unwrap(),
        SubjectPublicKeyInfoOwned::from_der(public.as_bytes()).unwrap(),
        &signer,
    );
    builder.unwrap().build::<Signature>().unwrap().to_der().unwrap()
}

#[test]
fn a_signature_that_is_cut_is_refused() {
    let machine = machine();
    let good = signed(Signing::Trusted);
    let start = table(&good);
    let entry = checksum_field(&good) - 64 + 112 + 36;
    // What fills the table up to a multiple of eight may be missing.
    for size in (1..good.len() - start - 8).step_by(97) {
        // The table ends with the file, and its certificate says the same length.
        let mut cut = good[..start + size].to_vec();
        let size = (size as u32).to_le_bytes();
        cut[entry..entry + 4].copy_from_slice(&size);
        if cut.len() >= start + 4 {
            cut[start..start + 4].copy_from_slice(&size);
        }
        assert!(machine.check_at(&cut, NOW).is_err(), "{size:?} bytes");
    }
}

#[test]
fn a_signature_with_a_changed_byte_is_judged() {
    let machine = machine();
    let good = signed(Signing::Trusted);
    for at in (table(&good)..good.len()).step_by(7) {
        let mut changed = good.clone();
        changed[at] ^= 0x41;
        // A change may not matter (the name of an algorithm's absent parameter); it never panics.
        let _ = machine.check_at(&changed, NOW);
    }
}

proptest! {
    #[test]
    fn any_table_is_read_or_refused(
        at in 0_usize..4000,
        bytes in prop::collection::vec(any::<u8>(), 1..64),
        headers in any::<bool>(),
    ) {
        let mut file = signed(Signing::Trusted);
        let from = if headers { 0 } else { table(&file) };
        let at = from + at % (file.len() - from - bytes.len());
        file[at..at + bytes.len()].copy_from_slice(&bytes);
        let _ = Parts::read(&file);
        let _ = machine().check_at(&file, NOW);
    }

    #[test]
    fn any_catalog_is_read(text in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = catalog::read(&text);
    }
}
