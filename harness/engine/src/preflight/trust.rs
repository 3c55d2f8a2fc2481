//! What a scenario of trust and encryption needs of its machine. Pure.

use hypervisor::{FirmwareKind, MachineProfile};
use scenario::{Fault, Scenario, TrustChange};

use super::not_applicable::Lack;

/// What cannot be done to a machine of this profile.
pub(super) fn lacks(scenario: &Scenario, profile: &MachineProfile) -> Vec<Lack> {
    let mut lacks = Vec::new();
    if let Some(encryption) = scenario.encryption()
        && !profile.is_model
    {
        lacks.push(Lack::new(
            "encryption",
            format!("`{}` is a model of BitLocker, which this image does not have in it", encryption.name),
            "switch BitLocker on in the image, keep its recovery key, take it in with its TPM state, and leave \
             `encryption` out",
        ));
    }
    let has_tpm = profile.tpm.is_some() || scenario.encryption().is_some();
    for fault in &scenario.fault {
        let Fault::Trust(trust) = fault else { continue };
        let name = &trust.name;
        match trust.change {
            TrustChange::TpmCleared if !has_tpm => lacks.push(Lack::new(
                "tpm",
                format!("`{name}` clears the TPM, and the machine has none"),
                "give it `encryption`, or an image whose profile has `tpm = \"2.0\"`",
            )),
            TrustChange::SecureBootDatabase if profile.firmware.kind == FirmwareKind::Bios => {
                lacks.push(Lack::new(
                    "uefi",
                    format!("`{name}` changes Secure Boot's database, and the machine has a BIOS"),
                    "use an image with UEFI",
                ));
            }
            TrustChange::BootManagerChanged if profile.firmware.secure_boot => {
                lacks.push(Lack::new(
                    "no-secure-boot",
                    format!(
                        "`{name}` changes the boot manager, whose signature then no longer fits, and Secure Boot \
                         would refuse it"
                    ),
                    "use an image with Secure Boot off",
                ));
            }
            _ => {}
        }
    }
    lacks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(given: &str, change: &str, profile: &str) -> Vec<Lack> {
        let text = format!(
            "format = 1\nname = \"t\"\ntitle = \"t\"\ndescription = \"t\"\n[machine]\nimage = \"i\"\nstart = \
             \"cold\"\n{given}\n[[fault]]\nname = \"f\"\nkind = \"trust\"\nchange = \"{change}\"\n[expect]\n\
             verdict = \"hung\"\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("t");
        fs_err::create_dir(&folder).unwrap();
        fs_err::write(folder.join("scenario.toml"), text).unwrap();
        let scenario = Scenario::load(&folder).unwrap();
        let profile =
            MachineProfile::parse(&format!("format = 1\nmemory = \"1GiB\"\n{profile}"), &folder)
                .unwrap();
        lacks(&scenario, &profile)
    }

    #[test]
    fn what_the_machine_cannot_suffer_is_said_with_the_way_out() {
        const MODEL: &str = "is-model = true";
        const WINDOWS: &str = "is-model = false";
        const BIOS: &str = "is-model = true\n[firmware]\nkind = \"bios\"";
        const SECURE: &str = "is-model = false\n[firmware]\nsecure-boot = true";
        let encryption = "[[given]]\nname = \"e\"\nkind = \"encryption\"";
        for (given, change, profile, need, remedy) in [
            (encryption, "tpm-cleared", WINDOWS, "encryption", "leave `encryption` out"),
            ("", "tpm-cleared", MODEL, "tpm", "tpm = \"2.0\""),
            ("", "secure-boot-database", BIOS, "uefi", "UEFI"),
            ("", "boot-manager-changed", SECURE, "no-secure-boot", "Secure Boot off"),
        ] {
            let found = refused(given, change, profile);
            let [lack] = found.as_slice() else { panic!("{change}: {found:?}") };
            assert_eq!(lack.need, need);
            assert!(lack.remedy.as_ref().unwrap().contains(remedy), "{lack:?}");
        }
        assert_eq!(refused(encryption, "tpm-cleared", MODEL), []);
        assert_eq!(refused("", "tpm-cleared", "is-model = false\ntpm = \"2.0\""), []);
        assert_eq!(refused("", "secure-boot-database", MODEL), []);
    }
}
