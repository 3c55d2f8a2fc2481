//! Damage to what starts Windows, as changes of the disk (windows-facts 3.3 to 3.5, 5.3).

use scenario::{BootConfiguration, BootDamage, SigningPolicy};
use winfmt::Guid;
use winfmt::bcd::{Device, ElementId, ElementValue};

use crate::plan::{Change, Edit, Rewrite, VolumeRole};

pub(crate) const STORE: &str = "EFI\\Microsoft\\Boot\\BCD";
const LOADER: &str = "Windows\\System32\\winload.efi";
const RECOVERY_IMAGE: &str = "Recovery\\WindowsRE\\Winre.wim";
const FILLER: &str = "loopbreak.fil";
/// A registry hive's base block, in bytes: what a damaged one lacks.
pub(crate) const BASE_BLOCK: usize = 4096;
/// Disk and partition that no disk has.
const NOWHERE: Guid = Guid::from_bytes(*b"loopbreak nowher");

/// The changes that do it.
pub(crate) fn changes(fault: &BootConfiguration) -> Vec<Change> {
    let inert = fault.inert;
    // The same file is read and written, and comes out as it was.
    let lost = |volume, path: &str| match inert {
        true => rewrite(volume, path, Rewrite::Same),
        false => Edit::RemoveFile { volume, path: path.to_owned() }.into(),
    };
    let file = |volume, path: &str, how| match inert {
        true => rewrite(volume, path, Rewrite::Same),
        false => rewrite(volume, path, how),
    };
    let entry = |elements: Vec<(ElementId, ElementValue)>| {
        let elements = elements.into_iter().map(|(id, value)| (id, Some(value))).collect();
        let elements = if inert { Vec::new() } else { elements };
        rewrite(VolumeRole::System, STORE, Rewrite::DefaultEntry(elements))
    };
    let change = match &fault.damage {
        BootDamage::MissingStore => lost(VolumeRole::System, STORE),
        BootDamage::CorruptStore => {
            file(VolumeRole::System, STORE, Rewrite::Begin(vec![0; BASE_BLOCK]))
        }
        BootDamage::WrongDevice => {
            let nowhere = || ElementValue::Device(Device::gpt(NOWHERE, NOWHERE));
            entry(vec![(ElementId::DEVICE, nowhere()), (ElementId::OS_DEVICE, nowhere())])
        }
        BootDamage::MissingLoader => lost(VolumeRole::Windows, LOADER),
        BootDamage::RecoveryDisabled => {
            entry(vec![(ElementId::RECOVERY_ENABLED, ElementValue::Boolean(false))])
        }
        BootDamage::StatusPolicy(policy) => {
            let value = ElementValue::Integer(policy.policy.value());
            entry(vec![(ElementId::BOOT_STATUS_POLICY, value)])
        }
        BootDamage::SafeBoot(safe) => {
            entry(vec![(ElementId::SAFE_BOOT, ElementValue::Integer(safe.mode.value()))])
        }
        BootDamage::SigningPolicy(policy) => entry(signing(policy)),
        BootDamage::FullEfiPartition(full) => {
            let (volume, path) = (VolumeRole::System, FILLER.to_owned());
            match inert {
                true => {
                    let (bytes, modified) = (vec![0], None);
                    Edit::WriteFile { volume, path, bytes, modified }.into()
                }
                false => Change::Fill { volume, path, leave: full.leave },
            }
        }
        BootDamage::MissingEfiPartition => {
            Change::List { volume: VolumeRole::System, listed: inert }
        }
        BootDamage::MissingRecoveryImage => lost(VolumeRole::Recovery, RECOVERY_IMAGE),
        BootDamage::StaleRecoveryImage => {
            file(VolumeRole::Recovery, RECOVERY_IMAGE, Rewrite::OlderImage)
        }
    };
    vec![change]
}

pub(crate) fn rewrite(volume: VolumeRole, path: &str, how: Rewrite) -> Change {
    Change::Rewrite { volume, path: path.to_owned(), how }
}

fn signing(policy: &SigningPolicy) -> Vec<(ElementId, ElementValue)> {
    let set = |id, value: Option<bool>| value.map(|value| (id, ElementValue::Boolean(value)));
    let both = [
        set(ElementId::TEST_SIGNING, policy.testsigning),
        set(ElementId::NO_INTEGRITY_CHECKS, policy.nointegritychecks),
    ];
    both.into_iter().flatten().collect()
}
