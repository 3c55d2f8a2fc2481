//! What each rung of the recovery ladder is, for people: what it does, what it needs of an image, how it is set up on
//! Windows, what evidence it leaves, and where that is from.

use timeline::Layer;

/// A rung of the ladder, explained. Facts of Windows have their sources in `sources`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerInfo {
    /// Which.
    pub layer: Layer,
    /// In a line.
    pub title: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What it needs of the image and of the scenario.
    pub needs: &'static str,
    /// How it is set up on Windows, before anything goes wrong.
    pub set_up: &'static str,
    /// What a run has to show for it.
    pub evidence: &'static str,
    /// What it cannot bring back.
    pub limits: &'static str,
    /// Sections of docs/windows-facts.md, and of Microsoft's documentation.
    pub sources: &'static str,
}

/// One rung.
pub fn explain_layer(layer: Layer) -> Option<&'static LayerInfo> {
    LAYERS.iter().find(|info| info.layer == layer)
}

const LAYERS: [LayerInfo; 11] = [
    LayerInfo {
        layer: Layer::Reboots,
        title: "starting again and again",
        does: "Whoever has the power in hand switches the machine off and on, up to a number of times. Each start is a \
               race: an agent that fetches its own update has to get through before the crash comes.",
        needs: "`[reboots]` with `times` in the scenario. Something in the machine that can mend itself while it is up, \
                and a network. Nothing of the image.",
        set_up: "Nothing. A machine that fails over to its recovery environment has fewer tries between two restarts; \
                 virtual machines in a cloud usually have `bootstatuspolicy IgnoreAllFailures` and try for ever.",
        evidence: "The boots themselves, each with its cause, and the requests at the vendor's content service. The \
                   step `layer reboots` is recorded once for each restart.",
        limits: "What fails before the network is up fails every time.",
        sources: "windows-facts 5.1, remedy (a): restart, with the network, up to 15 times; 3.1.",
    },
    LayerInfo {
        layer: Layer::AutomaticRepair,
        title: "Startup Repair, local only",
        does: "After two failed starts, or two unexpected shutdowns within two minutes of a start, the boot manager \
               starts the recovery environment, which looks for what it can repair without a network: boot files, boot \
               configuration, hives from their backup, a half-done update.",
        needs: "Recovery enabled, no policy that ignores failures, a recovery image that can be reached (image qualify: \
                recovery-enabled, boot-status-policy, recovery-image, recovery-partition, recovery-reachable).",
        set_up: "On by default. `reagentc /enable`; `bcdedit /set {default} recoveryenabled yes`; \
                 `bcdedit /deletevalue {default} bootstatuspolicy`.",
        evidence: "A boot of the recovery environment; C:\\Windows\\System32\\LogFiles\\Srt\\SrtTrail.txt, read session \
                   by session.",
        limits: "It repairs no driver and no driver's content.",
        sources: "windows-facts 3.1, 3.6.",
    },
    LayerInfo {
        layer: Layer::QuickMachineRecovery,
        title: "Startup Repair that asks the update service",
        does: "The recovery environment asks the update service for a remediation of its crash, again and again until \
               the total wait is over, applies what it gets, and restarts.",
        needs: "As automatic-repair, and cloud remediation switched on, a network in the recovery environment, \
                `[update-service]` in the scenario with what is published.",
        set_up: "Windows 11 24H2 from build 26100.4700. `reagentc /setrecoverysettings /path settings.xml`, or the \
                 Recovery CSP (before: RemoteRemediation); `reagentc /getrecoverysettings` shows what counts. Never \
                 rely on a default: it differs between editions.",
        evidence: "Requests at the harness's own update service: scan, download, report. The guest cannot make them up.",
        limits: "It takes what a fix was published for, and signed.",
        sources: "windows-facts 1.1 to 1.10.",
    },
    LayerInfo {
        layer: Layer::LastKnownGood,
        title: "the last known good control set",
        does: "The flag `lastknowngood` is put on the default boot entry, offline. At the next start the loader takes \
               the control set that `Select\\LastKnownGood` names, and `Select` says so. The flag is taken off again \
               before the next start.",
        needs: "`[last-known-good]` in the scenario; a BCD store with a default entry on an EFI system partition, a SYSTEM \
                hive with two control sets, and a Windows volume that can be written from outside.",
        set_up: "Off on Windows 10 and 11. Before the fault: HKLM\\SYSTEM\\CurrentControlSet\\Control\\Session \
                 Manager\\Configuration Manager\\LastKnownGood, `Enabled` = 1, and in the key above it `BackupCount` = \
                 2; `bcdedit /set {default} bootmenupolicy legacy` for the menu. The scenario does this as it is \
                 staged.",
        evidence: "`Select` before and after: `Failed` has to name the control set that was in use, `Current` another. \
                   Where it does not, the layer has failed, whatever the start came to.",
        limits: "Only the control set goes back: services and drivers' settings. Files do not, nor what was there at \
                 the last good start.",
        sources: "windows-facts 4 (Select, LastKnownGood, ErrorControl), 3.3 (26000025, 250000C2).",
    },
    LayerInfo {
        layer: Layer::SafeMode,
        title: "safe mode, and a repair from within",
        does: "The flag `safeboot` is put on the default boot entry, offline, and the guest agent's service on the list \
               of what safe mode starts. In safe mode the scenario's actions are done through the agent: files \
               deleted, services switched off. The machine is shut down, the flag and the entry of the list are taken \
               off, and it starts in full.",
        needs: "`[safe-mode]` with its actions in the scenario; a BCD store with a default entry on an EFI system \
                partition, a guest agent, and a Windows volume that can be written from outside.",
        set_up: "`bcdedit /set {default} safeboot minimal` or `network`; HKLM\\SYSTEM\\CurrentControlSet\\Control\\\
                 SafeBoot\\Minimal (or Network)\\QEMU-GA, default value `Service`. The layer does both itself, from outside.",
        evidence: "A start of its own, marked `during: safe-mode`. While it is up, \
                   HKLM\\SYSTEM\\CurrentControlSet\\Control\\SafeBoot\\Option says that it is safe mode; what the agent \
                   did is read back; the flag is read back as gone. A flag that stays on is a failure of the layer.",
        limits: "What safe mode itself needs, it cannot do without: boot and file-system drivers, system processes, the \
                 store.",
        sources: "windows-facts 3.3 (25000080), 4 (SafeBoot), 5.1, remedy (b).",
    },
    LayerInfo {
        layer: Layer::UninstallUpdate,
        title: "an update or a driver package taken back",
        does: "The machine is switched off, and what came with an update is taken back from the host as the servicing \
               tools do it: of a package each component becomes its earlier version from the component store, or goes; \
               of a driver package what its INF put in place goes, and the one that was there before comes back; of a \
               half-done update list and order go. Each change is read back.",
        needs: "`[uninstall-update]` in the scenario with `package`, `driver` or `pending-actions`; a Windows volume that \
                can be written from outside; of a package, manifests and files that lie in the store as a whole. \
                Windows compresses the manifests of its own components: their packages are refused with the reason, \
                and the layer has failed.",
        set_up: "Nothing. By hand in the recovery environment: Uninstall updates, latest quality update; or `dism \
                 /image:C:\\ /get-packages`, `/remove-package /packagename:...`, `/remove-driver /driver:oem0.inf`, \
                 `/cleanup-image /revertpendingactions`.",
        evidence: "What was read back of each change, in the step `layer uninstall-update`: files, values, the package's \
                   own key. Before the second start, that no update waits for it.",
        limits: "It takes back what came with an update, and no content that a vendor's own service brought. A file that a \
                 driver package wrote over does not come back, where no earlier package has it: it is gone.",
        sources: "windows-facts 4 (offline servicing), 4.5, 5.2.",
    },
    LayerInfo {
        layer: Layer::RestorePoint,
        title: "registry and system files of an earlier point",
        does: "The machine is switched off. Its hives, and system files by the endings of their names, become what they \
               were before anything went wrong: changed ones go back, new ones go, missing ones come. Other files, and \
               all below Users, stay. It is done from the host, from a copy of the disk of then; Windows' own points \
               (shadow copies) are not read.",
        needs: "`[restore-point]` in the scenario, with `files = false` for the registry alone; a Windows volume that can \
                be written from outside.",
        set_up: "System Restore: protection of C: switched on, a point made (`Checkpoint-Computer`); in the recovery \
                 environment Troubleshoot, System Restore, or `rstrui.exe /offline:C:\\Windows=active`. Point-in-time \
                 restore: the Recovery CSP, PointInTimeRestore; restored from the recovery environment, with the \
                 recovery key.",
        evidence: "What was read back of each change, in the step `layer restore-point`; where nothing differed, the \
                   layer has failed. What is lost since then: `disk_changes`, and the canaries.",
        limits: "Settings that were made since are lost. The users' own hives (NTUSER.DAT, UsrClass.dat) stay, although \
                 System Restore takes them back. Boot manager, boot configuration, firmware variables and the \
                 drive itself do not go back, nor content files with other endings.",
        sources: "windows-facts 1.10 (point-in-time restore), 3.6, 4.6.",
    },
    LayerInfo {
        layer: Layer::BootMedia,
        title: "starting from other media",
        does: "An ISO image is attached and booted, and repairs the disk from there. Not worked yet.",
        needs: "Firmware that starts from it, and with BitLocker the recovery key.",
        set_up: "Nothing on the machine itself.",
        evidence: "None yet.",
        limits: "Somebody has to be there.",
        sources: "windows-facts 5.1, remedy (c).",
    },
    LayerInfo {
        layer: Layer::HostRepair,
        title: "repair of the disk from the host",
        does: "The machine is switched off, its disk edited from outside, each change read back, and it is switched on.",
        needs: "`[[host-repair.action]]` in the scenario; a Windows volume that can be written from outside: not \
                encrypted, shut down or crashed, not hibernated.",
        set_up: "Nothing. By hand: attach the disk to another virtual machine, edit, attach it back.",
        evidence: "What was read back of each edit, in the step `layer host-repair`.",
        limits: "It mends what the operator knows to be wrong.",
        sources: "windows-facts 5.1, remedy (d).",
    },
    LayerInfo {
        layer: Layer::Rollback,
        title: "back to a checkpoint",
        does: "Disk, firmware variables, TPM and RAM go back as one to the checkpoint that the machine started from.",
        needs: "`[rollback]` in the scenario and `start = \"checkpoint\"`.",
        set_up: "Snapshots of the virtual machine, taken before. Never of a domain controller or a cluster's member.",
        evidence: "The step `layer rollback`, and a machine that stays healthy after it.",
        limits: "What was done since then is lost. A fault of the drive itself stays.",
        sources: "windows-facts 5.1, remedy (e).",
    },
    LayerInfo {
        layer: Layer::Standby,
        title: "another machine takes over",
        does: "A prepared machine goes on with the user's work while the broken one is repaired. Not worked yet.",
        needs: "A second image, and the user's data kept elsewhere.",
        set_up: "A cloud PC in reserve, or a spare.",
        evidence: "None yet.",
        limits: "It brings the user back, not the machine.",
        sources: "windows-facts 2.",
    },
];

#[cfg(test)]
mod tests {
    use timeline::Layer;

    use super::{LAYERS, explain_layer};

    #[test]
    fn every_rung_is_explained_once_in_the_order_of_the_ladder() {
        let explained: Vec<Layer> = LAYERS.iter().map(|info| info.layer).collect();
        assert_eq!(explained, Layer::ALL);
        for layer in Layer::ALL {
            let info = explain_layer(layer).expect("explained");
            for text in [info.does, info.needs, info.set_up, info.evidence, info.limits] {
                assert!(text.ends_with('.'), "{layer}: {text}");
            }
            assert!(info.sources.starts_with(concat!("windows", "-facts ")), "{layer}");
        }
    }
}
