//! A machine that hangs is made to write a dump, where its image's profile says that it does so.

use std::path::Path;

use engine::{PlanOptions, RunOptions, RunResult, plan_run};
use hypervisor::{Accelerator, FakeHypervisor, Trigger};
use timeline::{Body, BugCheck, NMI_HARDWARE_FAILURE, Outcome, Source, StepState, Verdict, steps};
use winfmt::FileTime;
use winfmt::dump::{Builder, Context};

use crate::bench::{Bench, Meanwhile};
use crate::guest::{Guest, Seen, healthy_start, into_recovery, reset, serial, stop};
use crate::image::PROFILE;
use crate::outcomes::{because, events};

/// The image's profile, with what is done to a machine that hangs. A page file is never the same twice.
fn with_hang() -> String {
    let profile = PROFILE.replace("noise = [", r"noise = ['C:\pagefile.sys', ");
    format!("{profile}\n[hang]\nnmi = true\n")
}

/// A kernel dump of a stop with this code.
fn dump(code: u32) -> Vec<u8> {
    let builder = Builder {
        code,
        parameters: [0x4F_4454, 0, 0, 0],
        context: Context::default(),
        exception: None,
        time: FileTime::from_ticks(133_658_213_400_000_000),
        up_time: 600_000_000,
        build: 26100,
        comment: String::new(),
        modules: Vec::new(),
        segments: Vec::new(),
        structures: 0xFFFF_F800_1000_0000,
    };
    builder.build_kernel().unwrap()
}

/// The page file, with a dump at its head and what it held before behind that.
fn page_file(code: u32) -> &'static [u8] {
    let mut bytes = dump(code);
    bytes.resize(bytes.len() + (1 << 20), 0xAA);
    Box::leak(bytes.into_boxed_slice())
}

fn panicked() -> Seen {
    let code = NMI_HARDWARE_FAILURE.into();
    let bug_check = Some(BugCheck { code, parameters: [0x4F_4454, 0, 0, 0] });
    (Source::Hypervisor, Body::Panicked { action: "run".to_owned(), bug_check })
}

fn hangs() -> FakeHypervisor {
    let start = [serial("[bootmgr] starting Windows"), serial("[kernel] started")];
    FakeHypervisor::new().on(Trigger::Start, start)
}

/// What comes of the run, as long as its record is kept.
async fn run(profile: &str, guest: &Guest) -> Option<(Bench, RunResult)> {
    let bench = Bench::with_profile(profile)?;
    let scenario = bench.scenario("staged", "hung");
    let options = RunOptions::default();
    let result = bench.run(&scenario, guest, &options, Meanwhile::Nothing).await.unwrap();
    Some((bench, result))
}

fn verbs(guest: &Guest) -> Vec<String> {
    let calls = guest.fake.calls();
    calls.iter().filter_map(|call| call.split(' ').next().map(str::to_owned)).collect()
}

/// How the step stands in the end, and what it says.
fn forced(result: &RunResult) -> Vec<(StepState, String)> {
    let steps = events(result).into_iter().filter_map(|event| match event.body {
        Body::Step { name, state, detail } if name == steps::FORCE_STOP => Some((state, detail)),
        _ => None,
    });
    steps.collect()
}

/// The outcome of the same run without anything done to the machine.
async fn left_alone() -> Option<Outcome> {
    let guest = Guest::new(hangs(), Vec::new(), Vec::new());
    let (_bench, result) = run(PROFILE, &guest).await?;
    assert_eq!(verbs(&guest), ["start", "destroy"]);
    assert_eq!(result.derived.timeline.forced_stop, None);
    Some(result.derived.outcome)
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_hangs_writes_a_dump_before_it_is_switched_off() {
    let Some(alone) = left_alone().await else { return };
    let memory: &[u8] = Box::leak(dump(NMI_HARDWARE_FAILURE).into_boxed_slice());
    let writes = vec![
        (r"Windows\MEMORY.DMP", memory),
        // Windows has not made a file of it yet.
        ("pagefile.sys", page_file(NMI_HARDWARE_FAILURE)),
    ];
    let fake = hangs().on(Trigger::Nmi, [panicked(), reset(), serial("[bootmgr] starting")]);
    let guest = Guest::new(fake, writes, Vec::new());
    let Some((_bench, result)) = run(&with_hang(), &guest).await else { return };

    assert_eq!(result.derived.outcome, alone);
    assert_eq!(alone.verdict, Verdict::Hung, "{}", because(&result));
    assert_eq!(verbs(&guest), ["start", "nmi", "destroy"]);
    let told = forced(&result);
    assert_eq!((told[0].0, told[1].0), (StepState::Started, StepState::Done));
    assert!(told[1].1.contains("restarted"), "{told:?}");
    let forced = result.derived.timeline.forced_stop.as_ref().unwrap();
    assert!(forced.over && forced.stop.panic.is_some());
    let dumps: Vec<(&str, &str)> =
        forced.dumps.iter().map(|dump| (dump.path.as_str(), dump.file.as_str())).collect();
    assert_eq!(
        dumps,
        [
            (r"C:\Windows\MEMORY.DMP", "dumps/MEMORY.DMP"),
            (r"C:\pagefile.sys", "dumps/pagefile.dmp"),
        ]
    );
    // What was copied of the page file is the dump, and not what lies behind it.
    let copied = std::fs::read(result.directory.path().join(Path::new(dumps[1].1))).unwrap();
    assert_eq!(copied, memory);
}

/// A stop that nobody forced has its dump in the same place. It is not known of which stop, so it is no evidence.
#[tokio::test(start_paused = true)]
async fn another_dump_in_the_page_file_is_left_there() {
    let Some(alone) = left_alone().await else { return };
    let writes = vec![("pagefile.sys", page_file(0x50))];
    let fake = hangs().on(Trigger::Nmi, [reset()]);
    let guest = Guest::new(fake, writes, Vec::new());
    let Some((_bench, result)) = run(&with_hang(), &guest).await else { return };
    assert_eq!(result.derived.outcome, alone);
    assert!(result.derived.timeline.forced_stop.as_ref().unwrap().dumps.is_empty());
    assert!(crate::bench::names(&result.directory.dumps()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_stop_is_switched_off_all_the_same() {
    let Some(alone) = left_alone().await else { return };
    for (fake, words) in [
        (hangs(), "was not seen to stop"),
        (hangs().fail(Trigger::Nmi, "no such thing"), "no such thing"),
    ] {
        let guest = Guest::new(fake, Vec::new(), Vec::new());
        let Some((_bench, result)) = run(&with_hang(), &guest).await else { return };
        assert_eq!(result.derived.outcome, alone);
        assert_eq!(verbs(&guest), ["start", "nmi", "destroy"]);
        let told = forced(&result);
        assert_eq!(told.last().unwrap().0, StepState::Failed);
        assert!(told.last().unwrap().1.contains(words), "{told:?}");
    }
}

/// It stands at its stop screen for good: an image without automatic restart.
#[tokio::test(start_paused = true)]
async fn a_machine_that_stands_after_its_stop_is_not_waited_for_any_longer() {
    let Some(alone) = left_alone().await else { return };
    let guest = Guest::new(hangs().on(Trigger::Nmi, [panicked()]), Vec::new(), Vec::new());
    let Some((_bench, result)) = run(&with_hang(), &guest).await else { return };
    assert_eq!(result.derived.outcome, alone);
    let told = forced(&result);
    assert_eq!(told[1].0, StepState::Done);
    assert!(told[1].1.contains("stands there"), "{told:?}");
}

#[tokio::test]
async fn a_machine_that_does_not_hang_is_left_alone() {
    let Some(bench) = Bench::with_profile(&with_hang()) else { return };
    let scenario = bench.scenario("healthy", "stuck-in-recovery");
    let fake = FakeHypervisor::new()
        .on(Trigger::Start, healthy_start())
        .on(Trigger::Exec("cmd.exe".to_owned()), stop());
    let guest = Guest::new(fake, Vec::new(), into_recovery());
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_eq!(result.derived.outcome.verdict, Verdict::StuckInRecovery, "{}", because(&result));
    assert!(!verbs(&guest).contains(&"nmi".to_owned()));
    assert_eq!(forced(&result), []);
}

#[test]
fn the_plan_says_what_is_done_to_a_machine_that_hangs() {
    let waits = |profile: &str| {
        let bench = Bench::with_profile(profile)?;
        let scenario = bench.scenario("staged", "hung");
        let options = PlanOptions { accelerator: Accelerator::Emulation, start: None };
        let plan = plan_run(&bench.state, &scenario, &bench.folder(), options).unwrap();
        let waits = plan.waits.iter().map(|wait| (wait.waits_for.clone(), wait.then));
        Some(waits.filter(|(what, _)| what.contains("NMI")).collect::<Vec<_>>())
    };
    let Some(plain) = waits(PROFILE) else { return };
    assert_eq!(plain, []);
    let Some(told) = waits(&with_hang()) else { return };
    assert_eq!(
        told,
        [(
            "a machine that hangs to stop at an NMI, for its dump".to_owned(),
            "it is switched off; the verdict stays `hung`"
        )]
    );
}
