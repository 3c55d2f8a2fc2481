//! Files made here, signed by osslsigncode, and damaged.

use std::path::Path;
use std::process::Command;

use faults::driver::{DriverKind, build};
use proptest::prelude::*;

use super::*;

fn driver() -> Vec<u8> {
    build(&DriverKind::named("content-driver").expect("it is in the catalogue"))
        .expect("its usual options can be built")
}

/// Runs a tool. `None`, with a word about it, where it is not installed.
fn run(tool: &str, arguments: &[&str], folder: &Path) -> Option<()> {
    match Command::new(tool).args(arguments).current_dir(folder).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{tool} {arguments:?}: {said}");
            Some(())
        }
        Err(error) => {
            println!("skipped: cannot run {tool}: {error}");
            None
        }
    }
}

/// A driver signed by a certificate of our own, with a digest.
fn signed(digest: &str, unsigned: &[u8]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path();
    std::fs::write(path.join("in.sys"), unsigned).expect("the folder can be written");
    let subject = "/O=Example Drivers/CN=Example Driver Signing";
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem"];
    let more = ["-out", "cert.pem", "-days", "30", "-subj", subject];
    run("openssl", &[&request[..], &more[..]].concat(), path)?;
    let sign = ["sign", "-h", digest, "-certs", "cert.pem", "-key", "key.pem"];
    run("osslsigncode", &[&sign[..], &["-in", "in.sys", "-out", "out.sys"]].concat(), path)?;
    Some(std::fs::read(path.join("out.sys")).expect("it was written"))
}

#[test]
fn a_driver_without_signature() {
    let file = Executable::read(&driver()).unwrap();
    assert_eq!((file.machine.as_str(), file.native, file.library), ("x86-64", true, false));
    assert!(file.checksum.right && file.checksum.stored != 0, "{file:?}");
    assert_eq!(file.signature, Known::Absent);
    let version = file.version.known().unwrap();
    assert_eq!(version.company.as_deref(), Some("loopbreak project"));
    assert!(version.original_name.as_ref().unwrap().ends_with(".sys"), "{version:?}");
    assert_eq!(version.file.split('.').count(), 4, "{version:?}");
    assert_eq!(version.file, version.product);
    assert!(version.description.is_some() && version.product_name.is_some());
}

#[test]
fn a_wrong_checksum_is_seen() {
    let mut bytes = driver();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x40;
    let checksum = Executable::read(&bytes).unwrap().checksum;
    assert!(!checksum.right && checksum.stored != checksum.computed);
}

#[test]
fn a_signature_names_its_signer() {
    for digest in ["sha256", "sha1", "sha384"] {
        let Some(bytes) = signed(digest, &driver()) else { return };
        let file = Executable::read(&bytes).unwrap();
        let signature = file.signature.known().unwrap();
        assert_eq!(signature.signer.as_deref(), Some("Example Driver Signing"));
        assert_eq!(signature.issuer.as_deref(), Some("Example Driver Signing"));
        assert_eq!(signature.digest_algorithm, digest);
        assert_eq!(signature.digest_matches, Some(true), "{digest}");
        let days =
            signature.valid_until.unwrap().as_second() - signature.valid_from.unwrap().as_second();
        assert_eq!(days / 86_400, 30);
        assert!(file.checksum.right, "osslsigncode makes the checksum anew: {:?}", file.checksum);

        // One byte of the code is changed after signing.
        let mut changed = bytes.clone();
        changed[0x400] ^= 1;
        let file = Executable::read(&changed).unwrap();
        let signature = file.signature.known().unwrap();
        assert_eq!(signature.digest_matches, Some(false), "{digest}");
        assert_eq!(signature.signer.as_deref(), Some("Example Driver Signing"));
        assert!(!file.checksum.right);
        // The checksum is not signed: Windows' own tools change it after signing.
        let mut changed = bytes.clone();
        let at = u32_at(&bytes, 0x3c).unwrap() as usize + 24 + 64;
        changed[at] ^= 1;
        let file = Executable::read(&changed).unwrap();
        assert_eq!(file.signature.known().unwrap().digest_matches, Some(true));
        // Cut off inside the signature.
        let file = Executable::read(&bytes[..bytes.len() - 100]).unwrap();
        assert_eq!(file.signature.reason(), Some("its certificates lie outside the file"));
    }
}

#[test]
fn a_program_of_the_cross_compiler() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.c"), "int main(void) { return 0; }\n").unwrap();
    for (tool, machine) in [("x86_64-w64-mingw32-gcc", "x86-64"), ("i686-w64-mingw32-gcc", "x86")] {
        if run(tool, &["-o", "a.exe", "a.c"], folder.path()).is_none() {
            continue;
        }
        let bytes = std::fs::read(folder.path().join("a.exe")).unwrap();
        let file = Executable::read(&bytes).unwrap();
        assert_eq!((file.machine.as_str(), file.native), (machine, false));
        assert_eq!(file.version, Known::Absent);
        assert!(file.checksum.right, "the linker makes a checksum: {:?}", file.checksum);
        let Some(bytes) = signed("sha256", &bytes) else { continue };
        let file = Executable::read(&bytes).unwrap();
        assert_eq!(file.signature.known().unwrap().digest_matches, Some(true));
    }
}

#[test]
fn what_is_no_program_is_refused() {
    for (bytes, says) in [
        (&b""[..], "`MZ`"),
        (b"MZ", "cut off"),
        (&[b"MZ".as_slice(), &[0; 70]].concat(), "no `PE` header"),
        (&driver()[..0x100], "damaged"),
    ] {
        let error = Executable::read(bytes).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

proptest! {
    #[test]
    fn no_damage_is_too_odd(
        edits in prop::collection::vec((0usize..8192, any::<u8>()), 1..16),
        keep in 0usize..8192,
    ) {
        let mut bytes = driver();
        let size = bytes.len();
        for (at, byte) in edits {
            bytes[at % size] = byte;
        }
        bytes.truncate(keep);
        let _ = Executable::read(&bytes);
    }

    #[test]
    fn no_version_is_too_odd(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        // Only the section of resources, which is the last but one, is damaged.
        let mut bytes = driver();
        let start = bytes.windows(30).position(|own| own.starts_with(b"V\0S\0_\0V\0E\0R\0")).unwrap();
        let range = start - 0x80..(start + 0x300).min(bytes.len());
        for (at, byte) in edits {
            bytes[range.start + at.index(range.len())] = byte;
        }
        let _ = Executable::read(&bytes);
    }
}
