//! Power that fails at a chosen moment, and the disk that the harness serves for it.

use std::fs;

use engine::{RunOptions, RunResult, replay};
use hypervisor::{FakeHypervisor, Trigger};
use scenario::Scenario;
use timeline::{Body, Cause, End, Phase, ResetBy, Source};

use crate::bench::{Bench, Meanwhile};
use crate::guest::{Guest, Seen, healthy_start, serial};
use crate::outcomes::{because, events};

const TEMPLATE: &str = r#"
format = 1
name = "scripted"
title = "A scripted machine"
description = "What comes out is what the test's script says."

[machine]
image = "understudy"
start = "cold"

[[fault]]
name = "power"
kind = "power"
{fault}

[expect]
verdict = "{verdict}"
"#;

fn scenario(bench: &Bench, fault: &str, verdict: &str) -> Scenario {
    bench.load(&TEMPLATE.replace("{fault}", fault).replace("{verdict}", verdict))
}

async fn run(bench: &Bench, scenario: &Scenario, fake: FakeHypervisor) -> (RunResult, Guest) {
    let guest = Guest::new(fake, Vec::new(), Vec::new());
    let options = RunOptions::default();
    let result = bench.run(scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_eq!(replay(&result.directory).unwrap().same, Some(true));
    (result, guest)
}

fn boots(result: &RunResult) -> Vec<(Cause, Phase, End)> {
    let boots = &result.derived.outcome.boots;
    boots.iter().map(|boot| (boot.cause, boot.reached, boot.end)).collect()
}

fn verbs(guest: &Guest) -> Vec<String> {
    let calls = guest.fake.calls();
    calls.iter().filter_map(|call| call.split(' ').next()).map(str::to_owned).collect()
}

/// Lines that come behind the moment are those of a machine that has no power any more.
fn starts_and_goes_on() -> Vec<Seen> {
    healthy_start()
}

#[tokio::test(start_paused = true)]
async fn a_boot_is_cut_where_it_reaches_a_phase_and_not_a_line_later() {
    let Some(bench) = Bench::new() else { return };
    let scenario = scenario(&bench, "at = { phase = \"kernel\" }\ntimes = 2", "unaffected");
    let fake = [starts_and_goes_on(), starts_and_goes_on(), healthy_start()]
        .into_iter()
        .fold(FakeHypervisor::new(), |fake, seen| fake.on(Trigger::Start, seen));
    let (result, guest) = run(&bench, &scenario, fake).await;
    assert_eq!(result.derived.outcome.verdict.name(), "unaffected", "{}", because(&result));
    let cut = |cause| (cause, Phase::Kernel, End::Reset);
    assert_eq!(
        boots(&result),
        [
            cut(Cause::PowerOn),
            cut(Cause::ResetByPower),
            (Cause::ResetByPower, Phase::Healthy, End::StillUp)
        ]
    );
    let by: Vec<_> = result.derived.timeline.boots.iter().map(|boot| boot.reset_by).collect();
    assert_eq!(by[..2], [Some(ResetBy::Power); 2]);
    assert_eq!(verbs(&guest)[..5], ["start", "cut-power", "start", "cut-power", "start"]);
    let landed: Vec<String> = events(&result)
        .into_iter()
        .filter_map(|event| match event.body {
            Body::FaultLanded { proof, .. } => Some(proof.join("\n")),
            _ => None,
        })
        .collect();
    assert_eq!(
        landed,
        [
            "the power was cut after 0 writes; of 0 that were not flushed 0 are on the disk, 0 in part, 0 not"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn somebody_presses_the_reset_button_of_a_machine_that_is_up() {
    let Some(bench) = Bench::new() else { return };
    let fault = "what = \"reset\"\nwhen = \"healthy\"\nat = { phase = \"healthy\" }";
    let scenario = scenario(&bench, fault, "unaffected");
    let fake = FakeHypervisor::new()
        .on(Trigger::Start, healthy_start())
        .on(Trigger::Reset, healthy_start());
    let (result, guest) = run(&bench, &scenario, fake).await;
    assert_eq!(result.derived.outcome.verdict.name(), "unaffected", "{}", because(&result));
    assert_eq!(
        boots(&result),
        [
            (Cause::PowerOn, Phase::Healthy, End::Reset),
            (Cause::ResetByPower, Phase::Healthy, End::StillUp)
        ]
    );
    assert_eq!(verbs(&guest)[..2], ["start", "reset"]);
}

#[tokio::test(start_paused = true)]
async fn recovery_that_comes_after_cuts_waits_for_a_person() {
    let Some(bench) = Bench::new() else { return };
    let scenario = scenario(&bench, "at = { phase = \"kernel\" }", "stuck-in-recovery");
    let recovery = vec![
        serial("[bootmgr] 2 failures in a row: starting Windows Recovery Environment"),
        serial("[recovery] recovery environment started"),
        serial("[recovery] waiting for a person"),
    ];
    let fake =
        FakeHypervisor::new().on(Trigger::Start, starts_and_goes_on()).on(Trigger::Start, recovery);
    let (result, _) = run(&bench, &scenario, fake).await;
    assert_eq!(result.derived.outcome.verdict.name(), "stuck-in-recovery", "{}", because(&result));
}

#[tokio::test(start_paused = true)]
async fn a_moment_that_does_not_come_says_nothing() {
    let Some(bench) = Bench::new() else { return };
    let scenario = scenario(&bench, "at = { write = 1000 }", "unaffected");
    let fake = FakeHypervisor::new().on(Trigger::Start, healthy_start());
    let (result, _) = run(&bench, &scenario, fake).await;
    assert_eq!(because(&result), "nothing proves that the fault power landed");
}

#[tokio::test(start_paused = true)]
async fn an_inert_one_leaves_the_power_on() {
    let Some(bench) = Bench::new() else { return };
    let scenario = scenario(&bench, "at = { phase = \"kernel\" }", "unaffected");
    let control = faults::inert_control(&scenario);
    let fake = FakeHypervisor::new().on(Trigger::Start, healthy_start());
    let (result, guest) = run(&bench, &control, fake).await;
    assert_eq!(result.derived.outcome.verdict.name(), "unaffected", "{}", because(&result));
    assert_eq!(verbs(&guest)[..2], ["start", "guest-shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_for_one_boot_fails_where_the_file_lies() {
    let Some(bench) = Bench::new() else { return };
    let text = TEMPLATE
        .replace("kind = \"power\"", "kind = \"storage\"")
        .replace("{fault}", "boots = 1\ntrouble = { read-error = { file = 'C:\\Windows\\System32\\config\\SYSTEM' } }")
        .replace("{verdict}", "unaffected");
    let scenario = bench.load(&text);
    let reset =
        (Source::Hypervisor, Body::Reset { by: ResetBy::Guest, reason: "guest-reset".to_owned() });
    let starts = [vec![serial("[bootmgr] starting"), reset], healthy_start()].concat();
    let (result, _) =
        run(&bench, &scenario, FakeHypervisor::new().on(Trigger::Start, starts)).await;
    let text = fs::read_to_string(result.directory.events()).unwrap();
    assert!(text.contains("reads of sectors "), "{text}");
    assert!(text.contains("\"lift power\""), "{text}");
    assert_eq!(result.derived.outcome.verdict.name(), "recovered", "{}", because(&result));
}
