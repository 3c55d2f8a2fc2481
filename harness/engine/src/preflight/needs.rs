//! What a scenario needs of its image, worked out from what it declares, and what of it an image lacks. Pure.

use hypervisor::MachineProfile;
use scenario::{Fault, PowerFault, PowerMoment, Scenario, WindowsPath};
use timeline::{Phase, Witness};

use super::not_applicable::Lack;
use super::plan::phase_of;
use super::wanted::Wanted;
use super::{driver_imports, driver_signatures, image_checks, trust, waits};

/// Everything that the image lacks; nothing where the scenario can be run on it.
pub(crate) fn lacks(wanted: &Wanted<'_>) -> Vec<Lack> {
    let mut lacks = driver_signatures::lacks(wanted.scenario, wanted.profile, wanted.facts);
    lacks.extend(driver_imports::lacks(wanted.scenario, wanted.profile, wanted.stage));
    lacks.extend(image_checks::lacks(wanted));
    lacks.extend(trust::lacks(wanted.scenario, wanted.profile));
    lacks.extend(waits::lack(wanted.scenario, wanted.profile));
    lacks.extend(signs(wanted.scenario, wanted.profile));
    lacks.extend(offline(wanted));
    lacks.extend(drives(wanted));
    lacks
}

/// What the scenario needs and is not known of the image: it is run, and this is told.
pub(crate) fn unknown(wanted: &Wanted<'_>) -> Vec<String> {
    let drivers = driver_signatures::unknown(wanted.scenario, wanted.facts);
    drivers.into_iter().chain(image_checks::unknown(wanted)).collect()
}

/// Signs without which it would not be seen what became of the machine.
fn signs(scenario: &Scenario, profile: &MachineProfile) -> Vec<Lack> {
    let marks = |phase: Phase| profile.markers.iter().any(|marker| marker.phase == phase);
    let mut lacks = Vec::new();
    if !marks(Phase::Healthy) {
        lacks.push(Lack::new(
            "signs",
            "its profile does not say how a healthy machine is recognised",
            "add a `[[markers]]` entry with `phase = \"healthy\"` to its profile",
        ));
    }
    for fault in &scenario.fault {
        if let Fault::Power(PowerFault { name, at: PowerMoment::Phase(phase), .. }) = fault
            && !marks(phase_of(*phase))
        {
            lacks.push(Lack::new(
                "signs",
                format!("fault `{name}` waits for a phase that its profile cannot recognise"),
                "choose another phase, or add a `[[markers]]` entry for it to its profile",
            ));
        }
    }
    if scenario.expect.recovery_key && !marks(Phase::RecoveryKey) {
        lacks.push(Lack::new(
            "signs",
            "its profile cannot recognise that the recovery key is asked for",
            "add a `[[markers]]` entry with `phase = \"recovery-key\"` to its profile",
        ));
    }
    let tells = |witness: &Witness| matches!(witness, Witness::StartFailure { .. });
    if !scenario.expect.failures.is_empty() && !profile.witnesses.iter().any(tells) {
        lacks.push(Lack::new(
            "signs",
            "nothing in its profile tells which driver or service did not start, and the scenario expects one",
            "add a `[[witnesses]]` entry with `tells = \"start-failure\"` to its profile",
        ));
    }
    lacks
}

/// What is staged has to be written to the disk from outside.
fn offline(wanted: &Wanted<'_>) -> Option<Lack> {
    let reason = wanted.facts.sealed.as_ref()?;
    let edits = !wanted.stage.staged.is_empty()
        || wanted.scenario.uninstall_update.is_some()
        || wanted.scenario.restore_point.is_some();
    let remedy = "use an image whose Windows volume can be written to: shut down in good order, and not encrypted";
    edits.then(|| Lack::new("offline-edits", reason.as_str(), remedy))
}

/// The volumes that paths lead to.
fn drives(wanted: &Wanted<'_>) -> Vec<Lack> {
    let mut paths: Vec<&WindowsPath> = wanted.scenario.canary.iter().map(|one| &one.path).collect();
    for fault in wanted.scenario.given.iter().chain(&wanted.scenario.fault) {
        match fault {
            Fault::ContentFile(content) => paths.push(&content.path),
            Fault::FileVersion(version) => paths.push(&version.path),
            Fault::FileLoss(loss) => paths.extend([&loss.path].into_iter().chain(&loss.quarantine)),
            _ => {}
        }
    }
    let known = &wanted.facts.drives;
    let there = |path: &WindowsPath| {
        let of_the_system = path
            .components()
            .next()
            .is_some_and(|first| path.drive() == 'C' && first.eq_ignore_ascii_case("Windows"));
        path.drive() == known.system
            || of_the_system
            || known.partitions.contains_key(&path.drive())
    };
    let missing = paths.into_iter().filter(|path| !there(path));
    missing
        .map(|path| {
            let why = format!(
                "`{path}` is on a drive that its disk does not have; its Windows is on {}:",
                known.system
            );
            Lack::new("drive", why, "write a path on a drive of the machine, or use another image")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use faults::StagePlan;
    use inspect::{Answer, Check, CheckName, QUALIFICATION_FORMAT, Qualification};
    use scenario::{Arch, Start};
    use timeline::Source;

    use super::*;
    use crate::preflight::image_facts::{ImageFacts, SignatureSettings};
    use crate::preflight::not_applicable::NotApplicable;

    /// An image that can do everything, and a scenario of the library.
    struct Case {
        scenario: Scenario,
        start: Start,
        profile: MachineProfile,
        facts: ImageFacts,
    }

    fn load(name: &str) -> Scenario {
        let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
        Scenario::load(&library.join(name)).unwrap()
    }

    impl Case {
        fn new(name: &str) -> Self {
            let profile = "format = 1\nis-model = true\nmemory = \"1GiB\"\n[time-scale]\nfw-cfg = \
                           \"opt/x\"\n[[markers]]\nsource = \"serial\"\nstarts_with = \"up\"\nphase = \
                           \"healthy\"\n";
            let check = |name| Check {
                name,
                answer: Answer::Pass,
                evidence: format!("what was seen of {name}"),
                remedy: Some("what to do".to_owned()),
                fixable: true,
            };
            let facts = ImageFacts {
                line: "windows-11".parse().unwrap(),
                qualification: Qualification {
                    format: QUALIFICATION_FORMAT,
                    product: None,
                    checks: CheckName::ALL.into_iter().map(check).collect(),
                },
                signatures: Some(SignatureSettings {
                    test_signing: false,
                    no_integrity_checks: true,
                }),
                arch: Some(Arch::X86_64),
                build: Some(26100),
                windows: Some(3),
                drives: inspect::DriveLetters::default(),
                sealed: None,
            };
            let scenario = load(name);
            let start = scenario.machine.start;
            let profile = MachineProfile::parse(profile, Path::new("profile.toml")).unwrap();
            Self { scenario, start, profile, facts }
        }

        fn answer(&mut self, name: CheckName, answer: Answer) {
            let checks = &mut self.facts.qualification.checks;
            checks.iter_mut().find(|check| check.name == name).unwrap().answer = answer;
        }

        fn lacks(&self) -> Vec<Lack> {
            let trust = faults::Trust { root: vec![1], publisher: vec![2] };
            let stage = faults::stage(&self.scenario, &trust).unwrap();
            let Self { scenario, start, profile, facts } = self;
            lacks(&Wanted { scenario, start: *start, stage: &stage, profile, facts })
        }

        fn needs(&self) -> Vec<String> {
            self.lacks().into_iter().map(|lack| lack.need).collect()
        }
    }

    #[test]
    fn each_need_is_told_where_the_image_lacks_it_and_only_where_the_scenario_has_it() {
        const ONLINE: &str = "channel-file-291";
        const STAGED: &str = "kb5009624/automatic-repair";
        const ASKS_ONCE: &str = "kb5009624/quick-machine-recovery";
        type Change = fn(&mut Case);
        let table: &[(&str, Change, &[&str])] = &[
            (ONLINE, |_| {}, &[]),
            (STAGED, |_| {}, &[]),
            // What goes through the agent, and a machine that is frozen once its agent answers.
            (ONLINE, |case| case.answer(CheckName::GuestAgent, Answer::Fail), &["guest-agent"]),
            (STAGED, |case| case.answer(CheckName::GuestAgent, Answer::Fail), &[]),
            (
                STAGED,
                |case| {
                    case.start = Start::Checkpoint;
                    case.answer(CheckName::GuestAgent, Answer::Fail);
                },
                &["guest-agent"],
            ),
            // The profile's word outweighs the disk's.
            (
                ONLINE,
                |case| {
                    case.answer(CheckName::GuestAgent, Answer::Fail);
                    case.profile.markers[0].source = Source::Agent;
                },
                &[],
            ),
            (
                ONLINE,
                |case| case.answer(CheckName::RecoveryImage, Answer::Fail),
                &["recovery-image"],
            ),
            (ONLINE, |case| case.answer(CheckName::Licence, Answer::Fail), &[]),
            // Not known is not lacking, unless the author named it.
            (ONLINE, |case| case.answer(CheckName::CrashDump, Answer::Unknown), &[]),
            (
                ONLINE,
                |case| {
                    case.scenario.machine.needs = vec![CheckName::CrashDump];
                    case.answer(CheckName::CrashDump, Answer::Unknown);
                },
                &["crash-dump"],
            ),
            (
                ONLINE,
                |case| case.scenario.machine.lacks = vec![CheckName::CrashDump],
                &["no-crash-dump"],
            ),
            (
                ONLINE,
                |case| {
                    case.scenario.machine.lacks = vec![CheckName::CrashDump];
                    case.answer(CheckName::CrashDump, Answer::Fail);
                },
                &[],
            ),
            // Minutes that nobody can wait for, and a scenario that waits for none.
            (ONLINE, |case| case.profile.time_scale = None, &["time-scale"]),
            (STAGED, |case| case.profile.time_scale = None, &[]),
            (ASKS_ONCE, |case| case.profile.time_scale = None, &[]),
            (
                ONLINE,
                |case| {
                    case.profile.time_scale = None;
                    case.scenario.machine.time_scale = 1;
                },
                &[],
            ),
            // Drivers: the processor that they are made for, and their signatures.
            (ONLINE, |case| case.facts.arch = Some(Arch::X86), &["architecture"]),
            (
                ONLINE,
                |case| case.facts.signatures.as_mut().unwrap().no_integrity_checks = false,
                &["signatures"],
            ),
            (ONLINE, |case| case.profile.firmware.secure_boot = true, &["no-secure-boot"]),
            (ONLINE, |case| case.facts.arch = None, &[]),
            // A system that no BCD starts checks no signatures; its processor still counts.
            (ONLINE, |case| case.facts.signatures = None, &[]),
            (
                ONLINE,
                |case| {
                    case.facts.signatures = None;
                    case.facts.arch = Some(Arch::X86);
                },
                &["architecture"],
            ),
            // Signs.
            (ONLINE, |case| case.profile.markers.clear(), &["signs"]),
            (ONLINE, |case| case.scenario.expect.failures = vec!["a.sys".to_owned()], &["signs"]),
            (ONLINE, |case| case.scenario.expect.recovery_key = true, &["signs"]),
            // The disk.
            (ONLINE, |case| case.facts.sealed = Some("hibernated".to_owned()), &["offline-edits"]),
            ("kb5058379/automatic-repair", |_| {}, &["signs"]),
            (
                "kb5058379/automatic-repair",
                |case| case.profile.is_model = false,
                &["encryption", "signs"],
            ),
        ];
        for (index, (name, change, expected)) in table.iter().enumerate() {
            let mut case = Case::new(name);
            change(&mut case);
            assert_eq!(case.needs(), *expected, "line {index}, {name}: {:?}", case.lacks());
        }
    }

    #[test]
    fn what_is_not_known_is_told_and_no_reason_not_to_run() {
        let mut case = Case::new("channel-file-291");
        case.facts.arch = None;
        case.answer(CheckName::CrashDump, Answer::Unknown);
        case.answer(CheckName::Licence, Answer::Unknown);
        let stage = StagePlan::default();
        let Case { scenario, start, profile, facts } = &case;
        let told = unknown(&Wanted { scenario, start: *start, stage: &stage, profile, facts });
        let [processor, dump] = told.as_slice() else { panic!("{told:?}") };
        assert!(processor.starts_with("architecture: "), "{processor}");
        assert_eq!(dump, "crash-dump: what was seen of crash-dump");
        assert_eq!(case.needs(), [""; 0]);
    }

    #[test]
    fn everything_that_an_image_lacks_is_told_at_once() {
        let mut case = Case::new("channel-file-291");
        for name in [CheckName::RecoveryEnabled, CheckName::GuestAgent] {
            case.answer(name, Answer::Fail);
        }
        case.profile.time_scale = None;
        case.facts.arch = Some(Arch::X86);
        let needs = ["architecture", "recovery-enabled", "guest-agent", "time-scale"];
        assert_eq!(case.needs(), needs);
        let said = NotApplicable {
            scenario: "s".to_owned(),
            image: "i".to_owned(),
            image_line: case.facts.line.clone(),
            image_is_model: false,
            lacks: case.lacks(),
        };
        assert_eq!(said.because(), format!("image `i` lacks {}", needs.join(", ")));
        let text = said.to_string();
        for part in [
            "image `i` lacks what the scenario needs; nothing was started",
            "recovery-enabled: what was seen of recovery-enabled",
            "to do: what to do",
            "up to 80 minutes 120 times faster",
            "`loopbreak image qualify i --fix`",
            "`lacks = [\"recovery-enabled\", \"guest-agent\"]`",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
