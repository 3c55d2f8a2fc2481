//! Signatures as others judge them: `osslsigncode` and the `authenticode` crate.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use authenticode::{AttributeCertificateIterator, PeTrait, authenticode_digest};
use faults::driver::{DriverKind, FaultyDriverOptions, build};
use faults::signing::{Authority, SignError, Signing, digest, sign};
use object_for_authenticode::read::pe::{PeFile32, PeFile64};
use scenario::{Arch, Defect};
use sha2::{Digest, Sha256};

const ALL: [Signing; 4] =
    [Signing::Trusted, Signing::Untrusted, Signing::Expired, Signing::WrongDigest];

fn driver(arch: Arch) -> Vec<u8> {
    let options = FaultyDriverOptions { arch, ..FaultyDriverOptions::new(Defect::NullRead) };
    build(&DriverKind::Faulty(options)).unwrap()
}

/// The digest that the signature holds, and the one of the image, by the `authenticode` crate.
fn digests(pe: &dyn PeTrait) -> (Vec<u8>, Vec<u8>) {
    let signatures: Vec<_> = AttributeCertificateIterator::new(pe)
        .unwrap()
        .unwrap()
        .map(|certificate| certificate.unwrap().get_authenticode_signature().unwrap())
        .collect();
    assert_eq!(signatures.len(), 1);
    let mut hasher = Sha256::new();
    authenticode_digest(pe, &mut hasher).unwrap();
    (signatures[0].digest().to_vec(), hasher.finalize().to_vec())
}

fn pem(der: &[u8], path: &Path) {
    let der_path = path.with_extension("der");
    std::fs::write(&der_path, der).unwrap();
    let status = Command::new("openssl")
        .args(["x509", "-inform", "der", "-in"])
        .arg(&der_path)
        .arg("-out")
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

// One test: keys take their time to make.
#[test]
fn others_agree_on_good_and_bad_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("state/driver-authority");
    let authority = Authority::open(&store).unwrap();
    let again = Authority::open(&store).unwrap();
    assert_eq!((authority.root(), authority.signer()), (again.root(), again.signer()));

    for arch in [Arch::X86_64, Arch::X86] {
        let plain = driver(arch);
        for signing in ALL {
            let signed = sign(&plain, &authority, signing).unwrap();
            assert_eq!(signed, sign(&plain, &again, signing).unwrap(), "not the same bytes again");
            let (held, found) = match arch {
                Arch::X86_64 => digests(&PeFile64::parse(&*signed).unwrap()),
                Arch::X86 => digests(&PeFile32::parse(&*signed).unwrap()),
            };
            assert_eq!(held, digest(&plain).unwrap());
            assert_eq!(held == found, signing != Signing::WrongDigest, "{signing:?}");
            assert!(matches!(sign(&signed, &authority, signing), Err(SignError::Image(_))));
        }
    }
    assert!(matches!(sign(b"MZ", &authority, Signing::Trusted), Err(SignError::Image(_))));

    let tools = ["osslsigncode", "openssl"];
    if let Some(missing) =
        tools.iter().find(|tool| Command::new(tool).arg("version").output().is_err())
    {
        println!("skipped: {missing} is not installed");
        return;
    }
    let root = folder.path().join("root.pem");
    pem(authority.root(), &root);
    let path = folder.path().join("csagent.sys");
    for arch in [Arch::X86_64, Arch::X86] {
        for signing in ALL {
            std::fs::write(&path, sign(&driver(arch), &authority, signing).unwrap()).unwrap();
            let output = Command::new("osslsigncode")
                .args(["verify", "-CAfile"])
                .arg(&root)
                .arg("-in")
                .arg(&path)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), signing == Signing::Trusted, "{said}");
            let reason = match signing {
                Signing::Trusted => "Signature verification: ok",
                Signing::Untrusted => "self-signed certificate",
                Signing::Expired => "certificate has expired",
                Signing::WrongDigest => "MISMATCH",
            };
            assert!(said.to_lowercase().contains(&reason.to_lowercase()), "{signing:?}: {said}");
            // It shows one checksum where the stored one is right, and both where it is not.
            let right =
                said.contains("PE checksum   :") && !said.contains("Calculated PE checksum");
            assert!(right, "{said}");
        }
    }
}
