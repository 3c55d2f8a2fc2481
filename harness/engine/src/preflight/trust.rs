//! What a scenario of trust and encryption needs of its machine, before anything starts.

use hypervisor::{FirmwareKind, MachineProfile};
use scenario::{Fault, Scenario, TrustChange};

use crate::error::RunError;

/// Refuses what cannot be done to a machine of this profile.
pub(crate) fn refuse(scenario: &Scenario, profile: &MachineProfile) -> Result<(), RunError> {
    match refusal(scenario, profile) {
        Some(reason) => Err(RunError::Refused(reason)),
        None => Ok(()),
    }
}

fn refusal(scenario: &Scenario, profile: &MachineProfile) -> Option<String> {
    let image = &scenario.machine.image;
    if let Some(encryption) = scenario.encryption()
        && !profile.is_model
    {
        return Some(format!(
            "`{}` is a model of BitLocker, which image `{image}` does not have in it; switch BitLocker on in \
             the image, keep its recovery key, take it in with its TPM state, and leave `encryption` out",
            encryption.name
        ));
    }
    scenario.fault.iter().find_map(|fault| {
        let Fault::Trust(trust) = fault else { return None };
        let has_tpm = profile.tpm.is_some() || scenario.encryption().is_some();
        match trust.change {
            TrustChange::TpmCleared if !has_tpm => Some(format!(
                "`{}` clears the TPM, and the machine has none; give it `encryption`, or an image whose \
                 profile has `tpm = \"2.0\"`",
                trust.name
            )),
            TrustChange::SecureBootDatabase if profile.firmware.kind == FirmwareKind::Bios => {
                Some(format!(
                    "`{}` changes Secure Boot's database, and image `{image}` has a BIOS; use one with UEFI",
                    trust.name
                ))
            }
            TrustChange::BootManagerChanged if profile.firmware.secure_boot => Some(format!(
                "`{}` changes the boot manager, whose signature then no longer fits, and image `{image}` has \
                 Secure Boot, which would refuse it; use an image with Secure Boot off",
                trust.name
            )),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(given: &str, change: &str, profile: &str) -> Option<String> {
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
        refusal(&scenario, &profile)
    }

    #[test]
    fn what_the_machine_cannot_suffer_is_refused_with_the_way_out() {
        const MODEL: &str = "is-model = true";
        const WINDOWS: &str = "is-model = false";
        let encryption = "[[given]]\nname = \"e\"\nkind = \"encryption\"";
        let says = |reason: Option<String>, what: &str| {
            let reason = reason.unwrap();
            assert!(reason.contains(what), "{reason}");
        };
        says(refused(encryption, "tpm-cleared", WINDOWS), "leave `encryption` out");
        says(refused("", "tpm-cleared", MODEL), "tpm = \"2.0\"");
        says(
            refused("", "secure-boot-database", "is-model = true\n[firmware]\nkind = \"bios\""),
            "UEFI",
        );
        says(
            refused("", "boot-manager-changed", "is-model = false\n[firmware]\nsecure-boot = true"),
            "Secure Boot off",
        );
        assert_eq!(refused(encryption, "tpm-cleared", MODEL), None);
        assert_eq!(refused("", "tpm-cleared", "is-model = false\ntpm = \"2.0\""), None);
        assert_eq!(refused("", "secure-boot-database", MODEL), None);
    }
}
