//! Drivers that an image does not take. Pure.

use faults::signing::{self, PolicyError, SignaturePolicy, SignedBy, signer_of};
use hypervisor::MachineProfile;
use scenario::{Arch, Defect, DriverSignature, Fault, RunsIn, Scenario};

use super::image_facts::ImageFacts;
use super::not_applicable::Lack;

/// `STATUS_INVALID_IMAGE_HASH`, with which the loader refuses a driver of no good signature.
const INVALID_IMAGE_HASH: u32 = 0xc000_0428;

/// A driver that a scenario brings, as far as Windows looks at it before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Brought<'s> {
    file: &'s str,
    signed_by: SignedBy,
    /// `None` where the file is what is wrong with it.
    arch: Option<Arch>,
}

/// What keeps the image's Windows from loading a driver of the scenario, unless just that is expected.
pub(super) fn lacks(
    scenario: &Scenario,
    profile: &MachineProfile,
    facts: &ImageFacts,
) -> Vec<Lack> {
    let drivers = brought(scenario);
    if drivers.is_empty() {
        return Vec::new();
    }
    let Some(arch) = facts.arch else { return Vec::new() };
    let policy = policy(profile, facts);
    let others = drivers.iter().filter_map(|driver| other_processor(driver, arch));
    match policy {
        Some(policy) => {
            others.chain(refused(scenario, &drivers, changed(policy, scenario))).collect()
        }
        // A system that no BCD starts has no such settings.
        None => others.collect(),
    }
}

/// What the image's boot entry and firmware make of signatures; `None` where that is not known, or no BCD starts it.
pub(super) fn policy(profile: &MachineProfile, facts: &ImageFacts) -> Option<SignaturePolicy> {
    let settings = facts.signatures?;
    Some(SignaturePolicy {
        secure_boot: profile.firmware.secure_boot,
        test_signing: settings.test_signing,
        no_integrity_checks: settings.no_integrity_checks,
        arch: facts.arch?,
    })
}

/// What is not known of an image that has to take drivers.
pub(super) fn unknown(scenario: &Scenario, facts: &ImageFacts) -> Option<String> {
    let untold = facts.arch.is_none() && !brought(scenario).is_empty();
    untold.then(|| {
        "architecture: its processor could not be read, so which drivers it takes".to_owned()
    })
}

/// The drivers that are made for the scenario, and those that it brings along.
fn brought(scenario: &Scenario) -> Vec<Brought<'_>> {
    let here = |file, signature, arch| Brought { file, signed_by: SignedBy::Here(signature), arch };
    let all = scenario.given.iter().chain(&scenario.fault);
    all.flat_map(|fault| match fault {
        Fault::ContentDriver(driver) if driver.runs_in == RunsIn::Kernel => {
            vec![here(&driver.driver, DriverSignature::None, Some(Arch::X86_64))]
        }
        Fault::Driver(driver) if driver.defect != Defect::MissingFile || driver.inert => {
            let sound = driver.defect != Defect::WrongMachine || driver.inert;
            vec![here(&driver.driver, driver.signature, sound.then_some(driver.arch))]
        }
        Fault::DriverFile(driver) => {
            let file = scenario.files.get_key_value(&driver.file);
            file.map(|file| from_file(file, driver.inert, false)).into_iter().collect()
        }
        Fault::DriverPackage(package) => {
            let folder = package.inf.rsplit_once('/').map_or("", |(folder, _)| folder);
            let is = |path: &str, ending: &str| path.to_ascii_lowercase().ends_with(ending);
            let package_files = scenario
                .files
                .iter()
                .filter(|(path, _)| path.rsplit_once('/').map_or("", |(at, _)| at) == folder);
            let has_catalog = package_files.clone().any(|(path, _)| is(path, ".cat"));
            package_files
                .filter(|(path, _)| is(path, ".sys"))
                .map(|file| from_file(file, package.inert, has_catalog))
                .collect()
        }
        _ => Vec::new(),
    })
    .collect()
}

/// A driver from a file; the inert one that stands in for it is made here.
fn from_file<'s>(
    (path, bytes): (&'s String, &'s Vec<u8>),
    inert: bool,
    has_catalog: bool,
) -> Brought<'s> {
    let signed_by =
        if inert { SignedBy::Here(DriverSignature::None) } else { signer_of(bytes, has_catalog) };
    let file = path.rsplit('/').next().unwrap_or(path);
    Brought { file, signed_by, arch: Some(faults::arch_of(bytes)) }
}

/// The policy with which the machine starts: the scenario may set the boot entry's settings itself.
fn changed(policy: SignaturePolicy, scenario: &Scenario) -> SignaturePolicy {
    let set = scenario.signing_policy();
    SignaturePolicy {
        test_signing: set.testsigning.unwrap_or(policy.test_signing),
        no_integrity_checks: set.nointegritychecks.unwrap_or(policy.no_integrity_checks),
        ..policy
    }
}

/// The driver is made for another processor than the system.
fn other_processor(driver: &Brought<'_>, system: Arch) -> Option<Lack> {
    let arch = driver.arch.filter(|arch| *arch != system)?;
    let (made, wanted) = (word(arch), word(system));
    let remedy = match driver.signed_by {
        SignedBy::Here(_) => format!(
            "write `arch = \"{wanted}\"`, or `defect = \"wrong-machine\"` if just that is the fault"
        ),
        SignedBy::Others | SignedBy::Nobody => format!("bring the one that is built for {wanted}"),
    };
    let file = driver.file;
    let why = format!(
        "driver `{file}` is made for {made} and this image is {wanted}, so it would not be loaded"
    );
    Some(Lack::new("architecture", why, remedy))
}

/// Why this machine would not load the drivers, for each whose signature it would not take.
fn refused(scenario: &Scenario, drivers: &[Brought<'_>], policy: SignaturePolicy) -> Vec<Lack> {
    drivers.iter().filter_map(|driver| refusal(scenario, driver, policy)).collect()
}

fn refusal(scenario: &Scenario, driver: &Brought<'_>, policy: SignaturePolicy) -> Option<Lack> {
    let error = signing::check(policy, driver.file, driver.signed_by).err()?;
    let expected = scenario.expect.boot_error == Some(INVALID_IMAGE_HASH)
        || scenario.expect.failures.iter().any(|name| name.eq_ignore_ascii_case(driver.file));
    let secure_boot = matches!(error, PolicyError::SecureBoot { .. });
    let need = if secure_boot { "no-secure-boot" } else { "signatures" };
    let lack = Lack { remedy: None, ..Lack::new(need, error.to_string(), "") };
    (!expected || secure_boot).then_some(lack)
}

pub(super) fn word(arch: Arch) -> &'static str {
    match arch {
        Arch::X86_64 => "x86_64",
        Arch::X86 => "x86",
    }
}

#[cfg(test)]
mod tests {
    use faults::driver::{self, DriverKind, FaultyDriverOptions};
    use scenario::{BootConfiguration, BootDamage, Moment, SigningPolicy};

    use super::*;

    const CHECKED: SignaturePolicy = SignaturePolicy {
        secure_boot: false,
        test_signing: false,
        no_integrity_checks: false,
        arch: Arch::X86_64,
    };

    fn scenario() -> Scenario {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        Scenario::load(&folder.join("../../scenarios/channel-file-291")).unwrap()
    }

    fn refused(scenario: &Scenario, policy: SignaturePolicy) -> Option<String> {
        let drivers = brought(scenario);
        let others = drivers.iter().filter_map(|driver| other_processor(driver, policy.arch));
        let mut lacks = others.chain(super::refused(scenario, &drivers, policy));
        let told =
            |lack: Lack| format!("{}: {} {}", lack.need, lack.why, lack.remedy.unwrap_or_default());
        lacks.next().map(told)
    }

    #[test]
    fn an_unsigned_driver_is_refused_where_signatures_are_checked() {
        let scenario = scenario();
        let unchecked = SignaturePolicy { no_integrity_checks: true, ..CHECKED };
        assert_eq!(refused(&scenario, unchecked), None);
        let reason = refused(&scenario, CHECKED).unwrap();
        for part in ["signatures: ", "`csagent.sys`", "0xC0000428", "nointegritychecks"] {
            assert!(reason.contains(part), "{reason}");
        }
        let secure = SignaturePolicy { secure_boot: true, ..unchecked };
        let reason = refused(&scenario, secure).unwrap();
        assert!(reason.contains("Secure Boot ignores it"), "{reason}");
    }

    #[test]
    fn a_scenario_may_be_about_the_refusal() {
        let mut scenario = scenario();
        scenario.expect.boot_error = Some(INVALID_IMAGE_HASH);
        assert_eq!(refused(&scenario, CHECKED), None);
        scenario.expect.boot_error = None;
        scenario.expect.failures = vec!["CSAGENT.SYS".to_owned()];
        assert_eq!(refused(&scenario, CHECKED), None);
        // Settings that contradict each other are nobody's aim.
        let secure = SignaturePolicy { secure_boot: true, test_signing: true, ..CHECKED };
        assert!(refused(&scenario, secure).is_some());
    }

    #[test]
    fn what_the_scenario_sets_in_the_boot_entry_counts() {
        let set = |testsigning, nointegritychecks, inert| {
            Fault::BootConfiguration(BootConfiguration {
                name: "signing-policy".to_owned(),
                when: Moment::Staged,
                damage: BootDamage::SigningPolicy(SigningPolicy { testsigning, nointegritychecks }),
                inert,
            })
        };
        let unchecked = SignaturePolicy { no_integrity_checks: true, ..CHECKED };
        let mut scenario = scenario();
        assert_eq!(changed(unchecked, &scenario), unchecked);
        scenario.given.push(set(Some(true), Some(false), false));
        let test_mode = SignaturePolicy { test_signing: true, ..CHECKED };
        assert_eq!(changed(unchecked, &scenario), test_mode);
        let reason = refused(&scenario, changed(unchecked, &scenario)).unwrap();
        assert!(reason.contains("no good signature (none)"), "{reason}");
        // A fault comes after what is given; what it does not name stays; an inert one changes nothing.
        scenario.fault.push(set(None, Some(true), false));
        let both = SignaturePolicy { no_integrity_checks: true, ..test_mode };
        assert_eq!(changed(CHECKED, &scenario), both);
        assert_eq!(refused(&scenario, both), None);
        scenario.fault.push(set(Some(false), Some(false), true));
        assert_eq!(changed(CHECKED, &scenario), both);
        // Secure Boot has the last word.
        let secure = SignaturePolicy { secure_boot: true, ..CHECKED };
        assert!(refused(&scenario, changed(secure, &scenario)).is_some());
    }

    #[test]
    fn a_driver_for_another_processor_is_refused() {
        let narrow = SignaturePolicy { arch: Arch::X86, ..CHECKED };
        let reason = refused(&scenario(), narrow).unwrap();
        assert!(reason.starts_with("architecture: "), "{reason}");
        assert!(reason.contains("made for x86_64"), "{reason}");
        assert!(reason.contains("`defect = \"wrong-machine\"`"), "{reason}");
    }

    #[test]
    fn a_process_is_no_driver() {
        let mut scenario = scenario();
        for given in &mut scenario.given {
            if let Fault::ContentDriver(driver) = given {
                driver.runs_in = RunsIn::User;
            }
        }
        assert_eq!(brought(&scenario), []);
    }

    fn with_package(files: &[(&str, Vec<u8>)]) -> Scenario {
        let mut scenario = scenario();
        scenario.given.clear();
        scenario.fault = vec![Fault::DriverPackage(scenario::DriverPackage {
            name: "package".to_owned(),
            when: Moment::Staged,
            inf: "vendor/a.inf".to_owned(),
            section: None,
            arch: Arch::X86_64,
            inert: false,
        })];
        scenario.files =
            files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect();
        scenario
    }

    #[test]
    fn a_package_needs_a_signature_in_its_driver_or_a_catalog() {
        let options = FaultyDriverOptions::new(Defect::NullRead);
        let image = driver::build(&DriverKind::Faulty(options)).unwrap();
        let driver = ("vendor/a.sys", image);
        let unsigned = with_package(&[("vendor/a.inf", Vec::new()), driver.clone()]);
        let reason = refused(&unsigned, CHECKED).unwrap();
        assert!(
            reason.contains("driver `a.sys` has no signature in it and no catalog"),
            "{reason}"
        );
        let cataloged = with_package(&[driver.clone(), ("vendor/a.cat", Vec::new())]);
        assert_eq!(refused(&cataloged, CHECKED), None);
        let elsewhere = with_package(&[driver, ("other/a.cat", Vec::new())]);
        assert!(refused(&elsewhere, CHECKED).is_some());
        let narrow = SignaturePolicy { arch: Arch::X86, ..CHECKED };
        let reason = refused(&cataloged, narrow).unwrap();
        assert!(reason.contains("bring the one that is built for x86"), "{reason}");
    }
}
