//! What an image can do, decided from what was found. Pure.

use words::CheckName;

use crate::boot::{BootConfiguration, Loader, RecoveryLoader};
use crate::check::{Answer, Check, QUALIFICATION_FORMAT, Qualification};
use crate::crash::DumpKind;
use crate::finding::Finding;
use crate::inspection::Inspection;
use crate::services::Start;
use crate::system::Build;
use crate::{Known, boot_disk, default_entry, recovery_room};

/// The first build that is documented to have Quick Machine Recovery (windows-facts.md 1.2).
const FIRST_WITH_QUICK_MACHINE_RECOVERY: Build = Build { number: 26100, revision: Some(4700) };

/// Answers every check.
pub fn qualify(inspection: &Inspection) -> Qualification {
    let checks = CheckName::ALL.iter().map(|name| check(*name, inspection)).collect();
    Qualification {
        format: QUALIFICATION_FORMAT,
        product: inspection.system.product.known().cloned(),
        checks,
    }
}

fn check(name: CheckName, inspection: &Inspection) -> Check {
    let finding = match name {
        CheckName::DefaultEntry => default_entry::check(inspection),
        CheckName::BootDiskDriver => boot_disk::check(inspection),
        CheckName::RecoveryEnabled => recovery_enabled(inspection),
        CheckName::BootStatusPolicy => boot_status_policy(inspection),
        CheckName::AutomaticRestart => automatic_restart(inspection),
        CheckName::RecoveryImage => recovery_image(inspection),
        CheckName::RecoveryImageBuild => recovery_image_build(inspection),
        CheckName::RecoveryPartition => recovery_partition(inspection),
        CheckName::RecoveryRoom => recovery_room::check(inspection),
        CheckName::RecoveryReachable => recovery_reachable(inspection),
        CheckName::QuickMachineRecovery => quick_machine_recovery(inspection),
        CheckName::CrashDump => crash_dump(inspection),
        CheckName::CrashDumpPath => crash_dump_path(inspection),
        CheckName::GuestAgent => guest_agent(inspection),
        CheckName::Licence => licence(inspection),
        CheckName::Detectors => Finding::new(
            Answer::Unknown,
            "only a boot shows whether its stops are seen; the disk does not tell",
        ),
    };
    let Finding { answer, evidence, remedy, fixable } = finding;
    Check { name, answer, evidence, remedy, fixable }
}

/// The loader that starts by default, or the finding where there is none.
fn loader(inspection: &Inspection) -> Result<&Loader, Finding> {
    let bcd = match &inspection.boot {
        Known::Known(BootConfiguration::Bcd(bcd)) => bcd,
        Known::Known(BootConfiguration::Freeldr(_)) => {
            return Err(Finding::not_applicable(
                "it is started by freeldr.ini: such a system has no recovery environment",
            ));
        }
        Known::Absent if inspection.is_older_than_bcd() => {
            return Err(Finding::not_applicable(
                "a Windows of this age has neither a boot configuration store nor a recovery environment",
            ));
        }
        Known::Absent => {
            return Err(Finding::fail("the disk has no boot configuration (BCD store)").remedy(
                "start the installation media, open a command prompt, and run `bcdboot C:\\Windows`",
            ));
        }
        Known::Unknown(reason) => {
            return Err(Finding::unknown("the boot configuration (BCD store)", reason));
        }
    };
    match &bcd.default {
        Known::Known(loader) => Ok(loader),
        Known::Absent => {
            Err(Finding::fail(format!("the boot manager in {} has no default entry", bcd.path))
                .remedy("run `bcdedit /default {id of the loader}`"))
        }
        Known::Unknown(reason) => Err(Finding::unknown("the default entry of the BCD", reason)),
    }
}

/// The loader that a failed start leads to, or the finding where there is none.
fn target<'i>(
    inspection: &'i Inspection,
    loader: &'i Loader,
) -> Result<&'i RecoveryLoader, Finding> {
    let restorable = restorable(inspection).is_some();
    let fix = |finding: Finding| {
        let finding = finding.remedy("run `reagentc /enable` in Windows");
        if restorable { finding.fixable() } else { finding }
    };
    match &loader.recovery_sequence {
        Known::Known(sequence) => match sequence.first() {
            Some(target) if target.description == Known::Absent => {
                Err(fix(Finding::fail(format!(
                    "the recovery sequence of loader {} names {}, and the store has no such object",
                    loader.id, target.id
                ))))
            }
            Some(target) => Ok(target),
            None => Err(fix(Finding::fail(no_sequence(loader)))),
        },
        Known::Absent => Err(fix(Finding::fail(no_sequence(loader)))),
        Known::Unknown(reason) => Err(Finding::unknown("the recovery sequence", reason)),
    }
}

fn no_sequence(loader: &Loader) -> String {
    format!("loader {} has no recovery sequence", loader.id)
}

/// A recovery loader that the store holds and whose image is there: what a lost recovery sequence can
/// be set to.
pub(crate) fn restorable(inspection: &Inspection) -> Option<&RecoveryLoader> {
    inspection
        .boot
        .known()?
        .bcd()?
        .recovery_loaders
        .iter()
        .find(|loader| loader.image.known().is_some_and(|image| image.size.known().is_some()))
}

fn recovery_enabled(inspection: &Inspection) -> Finding {
    let loader = match loader(inspection) {
        Ok(loader) => loader,
        Err(finding) => return finding,
    };
    match &loader.recovery_enabled {
        Known::Known(false) => {
            return Finding::fail(format!("loader {} has `recoveryenabled No`", loader.id))
                .remedy("run `bcdedit /set {default} recoveryenabled yes`, or `reagentc /enable`")
                .fixable();
        }
        Known::Unknown(reason) => return Finding::unknown("`recoveryenabled`", reason),
        Known::Known(true) | Known::Absent => {}
    }
    match target(inspection, loader) {
        Ok(target) => {
            let said = match loader.recovery_enabled {
                Known::Known(_) => "`recoveryenabled Yes`",
                _ => "no `recoveryenabled`, which means yes",
            };
            Finding::pass(format!("loader {} has {said}, and leads to {}", loader.id, target.id))
        }
        Err(finding) => finding,
    }
}

fn boot_status_policy(inspection: &Inspection) -> Finding {
    let loader = match loader(inspection) {
        Ok(loader) => loader,
        Err(finding) => return finding,
    };
    match (&loader.boot_status_policy, &loader.counts_failed_starts) {
        (Known::Absent, _) => Finding::pass(format!(
            "loader {} has no `bootstatuspolicy`: failed starts count",
            loader.id
        )),
        (Known::Known(policy), Known::Known(true)) => Finding::pass(format!(
            "loader {} has `bootstatuspolicy {policy}`: failed starts count",
            loader.id
        )),
        (Known::Known(policy), _) => Finding::fail(format!(
            "loader {} has `bootstatuspolicy {policy}`: failed starts are not noticed",
            loader.id
        ))
        .remedy("run `bcdedit /deletevalue {default} bootstatuspolicy`")
        .fixable(),
        (Known::Unknown(reason), _) => Finding::unknown("`bootstatuspolicy`", reason),
    }
}

fn automatic_restart(inspection: &Inspection) -> Finding {
    const KEY: &str = "Control\\CrashControl";
    let remedy = "run `reg add HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl /v AutoReboot \
                  /t REG_DWORD /d 1 /f`";
    let crash = match &inspection.crash {
        Known::Known(crash) => crash,
        Known::Absent => return Finding::not_applicable(format!("there is no key {KEY}")),
        Known::Unknown(reason) => return Finding::unknown(KEY, reason),
    };
    if let Ok(loader) = loader(inspection)
        && loader.no_crash_restart == Known::Known(true)
    {
        return Finding::fail(format!(
            "loader {} has `disablecrashautoreboot Yes`: the machine halts after a stop",
            loader.id
        ))
        .remedy("run `bcdedit /deletevalue {default} disablecrashautoreboot`")
        .fixable();
    }
    match &crash.automatic_restart {
        Known::Known(true) => Finding::pass(format!("{KEY}\\AutoReboot is 1")),
        Known::Known(false) => {
            Finding::fail(format!("{KEY}\\AutoReboot is 0: the machine halts after a stop"))
                .remedy(remedy)
                .fixable()
        }
        Known::Absent => Finding::fail(format!("{KEY} has no AutoReboot")).remedy(remedy).fixable(),
        Known::Unknown(reason) => Finding::unknown("AutoReboot", reason),
    }
}

fn recovery_image(inspection: &Inspection) -> Finding {
    let loader = match loader(inspection) {
        Ok(loader) => loader,
        Err(finding) => return finding,
    };
    let target = match target(inspection, loader) {
        Ok(target) => target,
        Err(finding) => return finding,
    };
    let image = match &target.image {
        Known::Known(image) => image,
        Known::Absent => {
            return Finding::fail(format!("loader {} names no image", target.id))
                .remedy("run `reagentc /disable`, then `reagentc /enable` in Windows");
        }
        Known::Unknown(reason) => {
            return Finding::unknown(&format!("the image of loader {}", target.id), reason);
        }
    };
    let put_back = "put the winre.wim of this build's installation media into \
                    C:\\Windows\\System32\\Recovery, then run `reagentc /enable`";
    match (&image.partition, &image.size) {
        (Known::Known(partition), Known::Known(size)) => {
            Finding::pass(format!("\\{} on partition {partition}, {size} bytes", image.path))
        }
        (Known::Known(partition), Known::Absent) => Finding::fail(format!(
            "loader {} starts \\{} on partition {partition}, and there is no such file",
            target.id, image.path
        ))
        .remedy(put_back),
        (Known::Absent, _) => Finding::fail(format!(
            "loader {} starts an image on {}, which is not a partition of this disk",
            target.id, image.device
        ))
        .remedy("run `reagentc /disable`, then `reagentc /enable` in Windows"),
        (Known::Unknown(reason), _) | (_, Known::Unknown(reason)) => {
            Finding::unknown(&format!("\\{}", image.path), reason)
        }
    }
}

fn recovery_image_build(inspection: &Inspection) -> Finding {
    let image = match recovery_image(inspection).answer {
        Answer::Pass => match &inspection.recovery.image {
            Known::Known(image) => image,
            Known::Absent => return Finding::not_applicable("there is no recovery image"),
            Known::Unknown(reason) => return Finding::unknown("the recovery image", reason),
        },
        _ => return Finding::not_applicable("there is no recovery image to compare"),
    };
    let (own, system) = match (&image.build, &inspection.system.build) {
        (Known::Known(own), Known::Known(system)) => (own, system),
        (Known::Unknown(reason), _) => {
            return Finding::unknown("the build of the recovery image", reason);
        }
        (Known::Absent, _) => {
            return Finding::new(Answer::Unknown, "the recovery image does not say its build");
        }
        (_, Known::Unknown(reason)) => return Finding::unknown("the build of Windows", reason),
        (_, Known::Absent) => {
            return Finding::new(Answer::Unknown, "Windows does not say its build");
        }
    };
    let evidence = format!("the recovery image is of build {own}, Windows of build {system}");
    if family(own.number) == family(system.number) {
        Finding::pass(evidence)
    } else {
        Finding::fail(evidence).remedy(
            "put the winre.wim of this build's installation media in its place (`reagentc /disable`, \
             copy it to C:\\Windows\\System32\\Recovery, `reagentc /enable`)",
        )
    }
}

/// Releases that differ by an enablement package only say another build and take the same recovery
/// image: 10.0.19041 to 19045, 22621 and 22631, 26100 and 26200.
fn family(build: u32) -> u32 {
    match build {
        19041..=19045 => 19041,
        18362 | 18363 => 18362,
        22621 | 22631 => 22621,
        26100 | 26200 => 26100,
        other => other,
    }
}

fn recovery_partition(inspection: &Inspection) -> Finding {
    let image = match &inspection.recovery.image {
        Known::Known(image) => image,
        _ => return without_image(inspection),
    };
    let remedy = "shrink C:, make a partition of the type for recovery \
                  (de94bba4-06d1-4d40-a16a-bfd50179d6ac; 27 on an MBR disk) with diskpart, then run \
                  `reagentc /disable` and `reagentc /enable`";
    match &image.place.partition {
        Known::Known(number) if image.on_windows_volume == Known::Known(true) => {
            Finding::fail(format!("the recovery image is on the Windows volume (partition {number})"))
                .remedy(remedy)
        }
        Known::Known(number) if inspection.recovery.partitions.contains(number) => {
            Finding::pass(format!("the recovery image is on partition {number}, of its own type"))
        }
        Known::Known(number) => {
            let kind = inspection.layout.partition(*number).map_or("", |own| own.kind.as_str());
            Finding::fail(format!(
                "the recovery image is on partition {number}, whose type ({kind}) is not that of a \
                 recovery partition"
            ))
            .remedy(format!(
                "give partition {number} the type for recovery with diskpart (`set id=…`)"
            ))
        }
        Known::Absent => Finding::fail(format!(
            "the boot configuration looks for the recovery image on {}, which is not a partition of this \
             disk",
            image.place.device
        ))
        .remedy("run `reagentc /disable`, then `reagentc /enable` in Windows"),
        Known::Unknown(reason) => Finding::unknown("the recovery image's partition", reason),
    }
}

/// Where no image is known: what `recovery-image` says of it, without saying twice how to mend it.
fn without_image(inspection: &Inspection) -> Finding {
    let found = recovery_image(inspection);
    match found.answer {
        Answer::Unknown => Finding::new(Answer::Unknown, found.evidence),
        _ => Finding::not_applicable(format!("there is no recovery image: {}", found.evidence)),
    }
}

fn recovery_reachable(inspection: &Inspection) -> Finding {
    let image = match &inspection.recovery.image {
        Known::Known(image) => image,
        _ => return without_image(inspection),
    };
    let number = match &image.place.partition {
        Known::Known(number) => *number,
        _ => return without_image(inspection),
    };
    let Some(partition) = inspection.layout.partition(number) else {
        return without_image(inspection);
    };
    if partition.encrypted {
        return Finding::fail(format!(
            "the recovery image is on partition {number}, which is encrypted with BitLocker: the boot \
             manager cannot read it without the key"
        ))
        .remedy(
            "move the recovery environment to a partition of its own that is not encrypted \
             (`reagentc /disable`, `reagentc /enable`)",
        );
    }
    match &partition.unreadable {
        Some(reason) => Finding::unknown(&format!("partition {number}"), reason),
        None => {
            Finding::pass(format!("partition {number} with the recovery image is not encrypted"))
        }
    }
}

fn quick_machine_recovery(inspection: &Inspection) -> Finding {
    if let Err(finding) = loader(inspection)
        && finding.answer == Answer::NotApplicable
    {
        return finding;
    }
    let remedy = "run `reagentc /setrecoverysettings /path FILE` with a file that switches cloud and \
                  automatic remediation on";
    match &inspection.system.build {
        Known::Known(build) if *build < FIRST_WITH_QUICK_MACHINE_RECOVERY => {
            // 26100 without a revision may be either.
            if build.number < FIRST_WITH_QUICK_MACHINE_RECOVERY.number || build.revision.is_some() {
                return Finding::not_applicable(format!(
                    "build {build} has no Quick Machine Recovery, which came with \
                     {FIRST_WITH_QUICK_MACHINE_RECOVERY}"
                ));
            }
        }
        Known::Known(_) => {}
        Known::Absent => return Finding::new(Answer::Unknown, "Windows does not say its build"),
        Known::Unknown(reason) => return Finding::unknown("the build of Windows", reason),
    }
    let settings = match &inspection.recovery.quick_machine_recovery {
        Known::Known(settings) => settings,
        Known::Unknown(reason) => return Finding::unknown("SrSettings.ini", reason),
        Known::Absent => {
            let finding = Finding::new(
                Answer::Unknown,
                "there is no SrSettings.ini beside the recovery image: what holds then depends on \
                 edition and management",
            )
            .remedy(remedy);
            let image = inspection.recovery.image.known();
            let can_be_written = image.is_some_and(|image| image.place.size.known().is_some());
            return if can_be_written { finding.fixable() } else { finding };
        }
    };
    let on = |setting: &Known<bool>| match setting {
        Known::Known(true) => "on",
        Known::Known(false) => "off",
        _ => "not set",
    };
    let evidence = format!(
        "SrSettings.ini on the recovery volume: cloud {}, automatic {}",
        on(&settings.cloud),
        on(&settings.automatic)
    );
    match (&settings.cloud, &settings.automatic) {
        (Known::Known(true), Known::Known(true)) => Finding::pass(evidence),
        // Off is a choice that an image may make, and the default of most editions: no fault of it.
        (Known::Known(_), Known::Known(_)) => {
            Finding::not_applicable(format!("{evidence}: it does not work by itself"))
                .remedy(remedy)
                .fixable()
        }
        _ => Finding::new(Answer::Unknown, evidence).remedy(remedy).fixable(),
    }
}

fn crash_dump(inspection: &Inspection) -> Finding {
    let remedy = "run `reg add HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl /v \
                  CrashDumpEnabled /t REG_DWORD /d 2 /f`";
    let crash = match &inspection.crash {
        Known::Known(crash) => crash,
        Known::Absent => return Finding::not_applicable("there is no key Control\\CrashControl"),
        Known::Unknown(reason) => return Finding::unknown("Control\\CrashControl", reason),
    };
    match &crash.dump {
        Known::Known(DumpKind::None) => {
            Finding::fail("CrashDumpEnabled is 0: a stop leaves no dump").remedy(remedy).fixable()
        }
        Known::Known(DumpKind::Other(number)) => Finding::new(
            Answer::Unknown,
            format!("CrashDumpEnabled is {number}, which is not known"),
        ),
        Known::Known(kind) => Finding::pass(format!("CrashDumpEnabled: {}", kind.meaning())),
        Known::Absent => Finding::fail("there is no CrashDumpEnabled").remedy(remedy).fixable(),
        Known::Unknown(reason) => Finding::unknown("CrashDumpEnabled", reason),
    }
}

fn crash_dump_path(inspection: &Inspection) -> Finding {
    let crash = match &inspection.crash {
        Known::Known(crash) => crash,
        Known::Absent => return Finding::not_applicable("there is no key Control\\CrashControl"),
        Known::Unknown(reason) => return Finding::unknown("Control\\CrashControl", reason),
    };
    if crash.dump == Known::Known(DumpKind::None) {
        return Finding::not_applicable("no dump is written");
    }
    let file = match (&crash.dedicated_dump_file, &crash.dump_file) {
        (Known::Known(file), _) | (_, Known::Known(file)) => file.as_str(),
        _ => "%SystemRoot%\\MEMORY.DMP (the default)",
    };
    let partition = match &crash.dump_partition {
        Known::Known(number) => *number,
        Known::Absent => {
            return Finding::fail(format!(
                "the dump goes to {file}, and this disk has no such volume"
            ))
            .remedy("set DumpFile to %SystemRoot%\\MEMORY.DMP")
            .fixable();
        }
        Known::Unknown(reason) => return Finding::unknown("the volume of the dump", reason),
    };
    let through = match (&crash.dedicated_dump_file, &crash.page_files) {
        (Known::Known(_), _) => "a file of its own".to_owned(),
        (_, Known::Known(files)) if !files.is_empty() => format!("page file {}", files.join(", ")),
        (_, Known::Unknown(reason)) => return Finding::unknown("PagingFiles", reason),
        _ => {
            return Finding::fail(
                "there is no page file (PagingFiles is empty) and no DedicatedDumpFile: a dump has \
                 nowhere to go while Windows stops",
            )
            .remedy("let Windows manage the page file (System > Advanced > Performance)")
            .fixable();
        }
    };
    let drivers = match &crash.dump_drivers {
        Known::Known(drivers) if !drivers.is_empty() => {
            format!("; written by the disk's own driver, one of {}", drivers.join(", "))
        }
        _ => String::new(),
    };
    Finding::pass(format!("{file} on partition {partition}, through {through}{drivers}"))
}

fn guest_agent(inspection: &Inspection) -> Finding {
    let agent = match &inspection.agent {
        Known::Known(agent) => agent,
        Known::Absent => return Finding::not_applicable("there are no services to look at"),
        Known::Unknown(reason) => return Finding::unknown("the services", reason),
    };
    let install = "install qemu-ga and the virtio-win drivers (guest-agent\\qemu-ga-x86_64.msi and \
                   virtio-win-gt-x64.msi of the virtio-win disc)";
    let start = match &agent.service {
        Known::Known(start) => *start,
        _ => return Finding::fail("there is no service QEMU-GA").remedy(install),
    };
    if start != Start::Automatic {
        return Finding::fail(format!("the service QEMU-GA does not start by itself ({start})"))
            .remedy("run `sc config QEMU-GA start= auto`")
            .fixable();
    }
    match &agent.program {
        Known::Known(_) => {}
        Known::Absent => return Finding::fail("the program of QEMU-GA is missing").remedy(install),
        Known::Unknown(reason) => return Finding::unknown("the program of QEMU-GA", reason),
    }
    match (&agent.serial_driver, &agent.serial_file) {
        (Known::Known(Start::Disabled), _) => {
            Finding::fail("the driver of its serial port is disabled").remedy(install)
        }
        (Known::Known(_), Known::Known(file)) => {
            Finding::pass(format!("QEMU-GA starts by itself; its serial port's driver is {file}"))
        }
        (Known::Known(_), Known::Absent) => {
            Finding::fail("the file of its serial port's driver is missing").remedy(install)
        }
        (Known::Known(_), Known::Unknown(reason)) => {
            Finding::unknown("the driver of its serial port", reason)
        }
        _ => Finding::fail("there is no driver of the virtio serial port").remedy(install),
    }
}

fn licence(inspection: &Inspection) -> Finding {
    let product = inspection.system.product.known().map_or("it", String::as_str);
    match &inspection.system.licence {
        Known::Known(licence) if !licence.evaluation => {
            Finding::pass(format!("{product} is not an evaluation edition"))
        }
        Known::Known(licence) => match &licence.expires {
            Known::Known(when) => {
                Finding::new(Answer::Unknown, format!("an evaluation edition that ends on {when}"))
            }
            _ => Finding::new(
                Answer::Unknown,
                format!(
                    "{product} is an evaluation edition; when it ends the disk does not tell (it then \
                     shuts itself down every hour, which looks like an unexpected shutdown)"
                ),
            ),
        }
        .remedy("run `slmgr /dlv` in Windows; `slmgr /rearm` extends it"),
        Known::Absent => Finding::not_applicable("it names neither product nor edition"),
        Known::Unknown(reason) => Finding::unknown("the edition", reason),
    }
}
