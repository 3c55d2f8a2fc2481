//! What follows from all that a scenario declares.

use words::{CheckName, Layer};

use crate::Verdict;
use crate::boot_configuration::{BootDamage, SigningPolicy};
use crate::fault::Fault;
use crate::model::{Scenario, Start};
use crate::power::{PowerMoment, PowerPhase};
use crate::trust::Encryption;

impl Scenario {
    /// What the scenario itself makes of the boot entry's settings for signatures: what is set later counts.
    pub fn signing_policy(&self) -> SigningPolicy {
        let mut policy = SigningPolicy::default();
        for fault in self.given.iter().chain(&self.fault) {
            if let Fault::BootConfiguration(configuration) = fault
                && let BootDamage::SigningPolicy(set) = &configuration.damage
                && !configuration.inert
            {
                policy.testsigning = set.testsigning.or(policy.testsigning);
                policy.nointegritychecks = set.nointegritychecks.or(policy.nointegritychecks);
            }
        }
        policy
    }

    /// The encryption that the machine has.
    pub fn encryption(&self) -> Option<&Encryption> {
        self.given.iter().find_map(|given| match given {
            Fault::Encryption(encryption) => Some(encryption),
            _ => None,
        })
    }

    /// True where a good start has to come before the one in which things go wrong: a key is sealed to it. A
    /// machine that starts from a checkpoint has had one.
    pub fn starts_twice(&self) -> bool {
        self.machine.start == Start::Cold && self.encryption().is_some()
    }

    /// The layers that the harness works itself when the machine would be given up, a turn each, in the order of the
    /// ladder.
    pub fn driven_layers(&self) -> Vec<Layer> {
        let restarts = self.reboots.map_or(0, |reboots| reboots.times);
        let once = [
            self.last_known_good.map(|_| Layer::LastKnownGood),
            self.safe_mode.as_ref().map(|_| Layer::SafeMode),
            self.uninstall_update.as_ref().map(|_| Layer::UninstallUpdate),
            self.restore_point.map(|_| Layer::RestorePoint),
            self.host_repair.as_ref().map(|_| Layer::HostRepair),
            self.rollback.map(|_| Layer::Rollback),
        ];
        (0..restarts).map(|_| Layer::Reboots).chain(once.into_iter().flatten()).collect()
    }

    /// A digest of all that shapes a run until its machine is given up for the first time: on one image, two scenarios
    /// with the same digest go the same way until then. What the harness does with a machine that was given up, what is
    /// expected and what people read is not part of it. `None` where the harness is itself at work around the machine
    /// (network, storage and power faults), which another run could not take over.
    pub fn until_given_up(&self) -> Option<String> {
        let at_work = |fault: &Fault| {
            matches!(
                fault,
                Fault::Network(_)
                    | Fault::Service(_)
                    | Fault::Storage(_)
                    | Fault::Power(_)
                    | Fault::InterruptedWrite(_)
            )
        };
        if self.given.iter().chain(&self.fault).any(at_work) {
            return None;
        }
        let mut shared = serde_json::to_value(self).ok()?;
        // The layers act on a machine that was given up. `last-known-good` stays: it is also a setting of the machine
        // from the start.
        const APART: [&str; 11] = [
            "name",
            "title",
            "description",
            "tags",
            "expect",
            "reboots",
            "safe-mode",
            "uninstall-update",
            "restore-point",
            "host-repair",
            "rollback",
        ];
        // In place, so that the order of the rest does not depend on what there was.
        shared.as_object_mut()?.retain(|part, _| !APART.contains(&part.as_str()));
        Some(self.digest_with(&shared.to_string()))
    }

    /// True where a machine that a layer brought back has to come up healthy once more: a layer that changes how
    /// Windows starts may have left that on, and Windows may go on at a later start with what was taken back.
    pub fn starts_again(&self) -> bool {
        self.last_known_good.is_some()
            || self.safe_mode.is_some()
            || self.uninstall_update.is_some()
            || self.restore_point.is_some()
    }

    /// What it needs of its image: what follows from the recovery and the stop that it declares, and
    /// what `needs` adds, without what `lacks` takes away. Each once, in the order of [`CheckName`].
    pub fn needs(&self) -> Vec<CheckName> {
        let mut needs = self.machine.needs.clone();
        let layer = |layer| self.expect.layers.contains(&layer);
        let settings = self.recovery.quick_machine_recovery.is_some();
        let at_recovery = |fault: &Fault| match fault {
            Fault::Power(power) => power.at == PowerMoment::Phase(PowerPhase::Recovery),
            _ => false,
        };
        if settings
            || layer(Layer::AutomaticRepair)
            || layer(Layer::QuickMachineRecovery)
            || self.expect.verdict == Verdict::StuckInRecovery
            || self.fault.iter().any(at_recovery)
        {
            needs.extend([
                CheckName::RecoveryEnabled,
                CheckName::BootStatusPolicy,
                CheckName::RecoveryImage,
                // Its settings lie on it, and set-up by Windows puts it there.
                CheckName::RecoveryPartition,
                CheckName::RecoveryReachable,
            ]);
        }
        // A scenario that says its own settings does not rest on those of the image.
        if layer(Layer::QuickMachineRecovery) && !settings {
            needs.push(CheckName::QuickMachineRecovery);
        }
        if self.expect.stop.is_some() {
            needs.push(CheckName::CrashDump);
            // Somebody who switches it off and on does as well, and a setting of the scenario decides
            // it whatever the image says.
            if self.operator.is_none() && self.recovery.automatic_restart.is_none() {
                needs.push(CheckName::AutomaticRestart);
            }
        }
        needs.retain(|need| !self.machine.lacks.contains(need));
        needs.sort();
        needs.dedup();
        needs
    }
}
