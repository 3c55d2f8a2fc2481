//! What a machine's settings make of a driver's signature, before it is started (Microsoft: "Driver
//! signing policy", "The TESTSIGNING boot configuration option").

use object::LittleEndian;
use object::pe::{IMAGE_DIRECTORY_ENTRY_SECURITY, ImageNtHeaders32, ImageNtHeaders64};
use object::read::pe::{ImageNtHeaders, PeFile};
use scenario::{Arch, DriverSignature};

/// What an inspection found out about a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignaturePolicy {
    /// Secure Boot is on in the firmware.
    pub secure_boot: bool,
    /// `testsigning` of the boot entry.
    pub test_signing: bool,
    /// `nointegritychecks` of the boot entry.
    pub no_integrity_checks: bool,
    /// The processor: 32-bit Windows takes any driver.
    pub arch: Arch,
}

/// Why a driver cannot be loaded, or the settings contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The firmware overrides the boot entry.
    #[error(
        "the boot entry has `{setting}` on, and Secure Boot ignores it: drivers without a signature by \
         Microsoft will not be loaded; switch Secure Boot off in the image's profile, or take \
         `{setting}` out (loopbreak bcd delete)"
    )]
    SecureBoot {
        /// The boot entry's setting.
        setting: &'static str,
    },
    /// Signed by the test authority, without test mode.
    #[error(
        "driver `{driver}` is signed by the test authority, which Windows takes in test mode only: set \
         `testsigning` in the image's boot entry (loopbreak bcd set), with Secure Boot off"
    )]
    TestModeNeeded {
        /// The driver.
        driver: String,
    },
    /// Not signed, or wrongly.
    #[error(
        "driver `{driver}` has no good signature ({signature}), so Windows refuses it with 0xC0000428 \
         and its fault never acts; set `nointegritychecks` in the image's boot entry with Secure Boot \
         off, sign it with `signature = \"trusted\"` and set `testsigning`, or, if the refusal is what the \
         scenario is about, expect it: `boot-error = 0xc0000428`, or `failures = [\"{driver}\"]`"
    )]
    Refused {
        /// The driver.
        driver: String,
        /// Its signature, as the scenario writes it.
        signature: &'static str,
    },
    /// Brought along, and nobody signed it.
    #[error(
        "driver `{driver}` has no signature in it and no catalog beside it, so Windows refuses it with \
         0xC0000428 and it never runs; sign it, or set `nointegritychecks` in the image's boot entry with \
         Secure Boot off, or, if the refusal is what the scenario is about, expect it: \
         `boot-error = 0xc0000428`, or `failures = [\"{driver}\"]`"
    )]
    Unsigned {
        /// The driver.
        driver: String,
    },
}

/// Who signed a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBy {
    /// It was made here, with this signature.
    Here(DriverSignature),
    /// It was brought along with a signature or a catalog; Windows knows whether it trusts that.
    Others,
    /// It was brought along, and nobody signed it.
    Nobody,
}

/// Who signed a driver that was brought along: the image's own signature, or a catalog beside it.
pub fn signer_of(image: &[u8], has_catalog: bool) -> SignedBy {
    if has_catalog || has_signature(image) { SignedBy::Others } else { SignedBy::Nobody }
}

/// Whether the image has a certificate table (PE format, "The attribute certificate table").
fn has_signature(image: &[u8]) -> bool {
    fn table<Pe: ImageNtHeaders>(image: &[u8]) -> Option<u32> {
        let pe = PeFile::<Pe>::parse(image).ok()?;
        Some(pe.data_directory(IMAGE_DIRECTORY_ENTRY_SECURITY)?.size.get(LittleEndian))
    }
    let size = table::<ImageNtHeaders64>(image).or_else(|| table::<ImageNtHeaders32>(image));
    size.is_some_and(|size| size != 0)
}

/// Says what a machine with this policy makes of a driver. A driver that is meant to be refused (a bad
/// signature as the fault) fails here too: the caller decides whether that is what the scenario tests.
///
/// # Errors
/// [`PolicyError`].
pub fn check(
    policy: SignaturePolicy,
    driver: &str,
    signed_by: SignedBy,
) -> Result<(), PolicyError> {
    if policy.secure_boot {
        for (on, setting) in [
            (policy.test_signing, "testsigning"),
            (policy.no_integrity_checks, "nointegritychecks"),
        ] {
            if on {
                return Err(PolicyError::SecureBoot { setting });
            }
        }
    }
    if policy.arch == Arch::X86 || policy.no_integrity_checks {
        return Ok(());
    }
    let signature = match signed_by {
        SignedBy::Here(signature) => signature,
        SignedBy::Others => return Ok(()),
        SignedBy::Nobody => return Err(PolicyError::Unsigned { driver: driver.to_owned() }),
    };
    let word = match signature {
        DriverSignature::Trusted if policy.test_signing => return Ok(()),
        DriverSignature::Trusted => {
            return Err(PolicyError::TestModeNeeded { driver: driver.to_owned() });
        }
        DriverSignature::None => "none",
        DriverSignature::Untrusted => "untrusted",
        DriverSignature::Expired => "expired",
        DriverSignature::WrongDigest => "wrong-digest",
    };
    Err(PolicyError::Refused { driver: driver.to_owned(), signature: word })
}

#[cfg(test)]
mod tests {
    use scenario::Defect;

    use super::*;
    use crate::driver::{self, DriverKind, FaultyDriverOptions};
    use crate::signing::{Authority, Signing, sign};

    const OFF: SignaturePolicy = SignaturePolicy {
        secure_boot: false,
        test_signing: false,
        no_integrity_checks: false,
        arch: Arch::X86_64,
    };

    #[test]
    fn test_mode_takes_what_the_test_authority_signed_and_nothing_else() {
        let test = SignaturePolicy { test_signing: true, ..OFF };
        assert_eq!(check(test, "a.sys", SignedBy::Here(DriverSignature::Trusted)), Ok(()));
        let refused = |signature| check(test, "a.sys", SignedBy::Here(signature)).unwrap_err();
        assert!(matches!(refused(DriverSignature::None), PolicyError::Refused { .. }));
        assert!(matches!(refused(DriverSignature::Expired), PolicyError::Refused { .. }));
        assert!(matches!(
            check(OFF, "a.sys", SignedBy::Here(DriverSignature::Trusted)),
            Err(PolicyError::TestModeNeeded { .. })
        ));
    }

    #[test]
    fn secure_boot_and_test_mode_contradict_each_other() {
        let both = SignaturePolicy { secure_boot: true, test_signing: true, ..OFF };
        let error = check(both, "a.sys", SignedBy::Here(DriverSignature::Trusted)).unwrap_err();
        assert_eq!(error, PolicyError::SecureBoot { setting: "testsigning" });
        assert!(error.to_string().contains("switch Secure Boot off"));
    }

    #[test]
    fn without_checks_and_on_32_bits_anything_is_loaded() {
        let without = SignaturePolicy { no_integrity_checks: true, ..OFF };
        let narrow = SignaturePolicy { arch: Arch::X86, ..OFF };
        for policy in [without, narrow] {
            assert_eq!(check(policy, "a.sys", SignedBy::Here(DriverSignature::None)), Ok(()));
        }
    }

    #[test]
    fn what_is_brought_along_is_signed_by_others_or_by_nobody() {
        let options = FaultyDriverOptions::new(Defect::NullRead);
        let plain = driver::build(&DriverKind::Faulty(options)).unwrap();
        assert_eq!(signer_of(&plain, false), SignedBy::Nobody);
        assert_eq!(signer_of(&plain, true), SignedBy::Others);
        let signed = sign(&plain, &Authority::create().unwrap(), Signing::Trusted).unwrap();
        assert_eq!(signer_of(&signed, false), SignedBy::Others);
        assert_eq!(signer_of(b"no image", false), SignedBy::Nobody);
        let error = check(OFF, "a.sys", SignedBy::Nobody).unwrap_err();
        assert_eq!(error, PolicyError::Unsigned { driver: "a.sys".to_owned() });
        assert_eq!(check(OFF, "a.sys", SignedBy::Others), Ok(()));
    }
}
