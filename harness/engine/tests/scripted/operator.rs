//! Machines that stand at their stop screen, and somebody who switches them off and on again. There is no
//! panic event, no reset and no word on the serial line: only the display tells.

use engine::{RunOptions, RunResult, replay};
use hypervisor::{FakeHypervisor, Trigger};
use scenario::{AtStopScreen, Operator};
use timeline::{Body, Cause, Confidence, End, ResetBy, ScreenKind, Source, Verdict};

use crate::bench::{Bench, Meanwhile};
use crate::guest::{Guest, Seen, healthy_start, serial};
use crate::outcomes::{because, events};

const STOP_SCREEN: &[u8] =
    include_bytes!("../../../screen/tests/screens/fixtures/understudy-stop-100.png");
const LOGO: &[u8] = include_bytes!("../../../screen/tests/screens/fixtures/firmware-logo.png");

fn frame(file: &str) -> Seen {
    let body = Body::Frame {
        file: file.to_owned(),
        digest: file.to_owned(),
        width: 1280,
        height: 800,
        why: "poll".to_owned(),
    };
    (Source::Screen, body)
}

/// A start that ends at a stop screen, and that is all that can be seen of it.
fn stands(number: usize) -> Vec<Seen> {
    let lines = [serial("[bootmgr] starting Windows"), serial("[kernel] starting drivers")];
    let shown = ["logo", "stop"].map(|what| frame(&format!("frames/{what}-{number}.png")));
    let [logo, stop] = shown;
    [vec![logo], lines.to_vec(), vec![stop]].concat()
}

fn guest(starts: Vec<Vec<Seen>>) -> Guest {
    let frames = (1..=starts.len())
        .flat_map(|number| {
            [
                (format!("frames/logo-{number}.png"), LOGO),
                (format!("frames/stop-{number}.png"), STOP_SCREEN),
            ]
        })
        .collect();
    let fake =
        starts.into_iter().fold(FakeHypervisor::new(), |fake, seen| fake.on(Trigger::Start, seen));
    Guest::showing(fake, frames)
}

async fn run(bench: &Bench, verdict: &str, times: Option<Option<u32>>, guest: &Guest) -> RunResult {
    let mut scenario = bench.scenario("staged", verdict);
    scenario.operator =
        times.map(|times| Operator { at_stop_screen: AtStopScreen::PowerCycle, times });
    let options = RunOptions::default();
    let result = bench.run(&scenario, guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_eq!(result.derived.outcome.verdict.name(), verdict, "{}", because(&result));
    assert_eq!(replay(&result.directory).unwrap().same, Some(true));
    result
}

fn ends(result: &RunResult) -> Vec<(Cause, End, Confidence)> {
    let boots = &result.derived.outcome.boots;
    boots.iter().map(|boot| (boot.cause, boot.end, boot.confidence)).collect()
}

const STOOD: (End, Confidence) = (End::HaltedAtStopScreen, Confidence::Inferred);

fn stood(cause: Cause) -> (Cause, End, Confidence) {
    (cause, STOOD.0, STOOD.1)
}

#[tokio::test(start_paused = true)]
async fn without_anybody_it_stands_there_for_good() {
    let Some(bench) = Bench::new() else { return };
    let guest = guest(vec![stands(1)]);
    let result = run(&bench, "hung", None, &guest).await;
    assert_eq!(ends(&result), [stood(Cause::PowerOn)]);
    assert_eq!(because(&result), "it stands at a stop screen, and nobody is there");
    // What the display showed is on record, so that no picture is needed to derive it again.
    let seen: Vec<ScreenKind> = events(&result)
        .iter()
        .filter_map(|event| match &event.body {
            Body::Screen { screen, .. } => Some(screen.kind),
            _ => None,
        })
        .collect();
    assert_eq!(seen[..2], [ScreenKind::Picture, ScreenKind::BlackStop]);
}

#[tokio::test(start_paused = true)]
async fn somebody_who_switches_it_off_and_on_again_shows_the_loop() {
    let Some(bench) = Bench::new() else { return };
    // Three like failures are a loop; that nothing else comes is clear after twice as many.
    let guest = guest((1..=7).map(stands).collect());
    let result = run(&bench, "looping", Some(None), &guest).await;
    let operator = || stood(Cause::ResetByOperator);
    let expected =
        [stood(Cause::PowerOn), operator(), operator(), operator(), operator(), operator()];
    assert_eq!(ends(&result), expected);
    let row = result.derived.outcome.in_loop.as_ref().unwrap();
    assert_eq!((row.boots.len(), row.end), (6, End::HaltedAtStopScreen));
    let by: Vec<Option<ResetBy>> =
        result.derived.timeline.boots.iter().map(|boot| boot.reset_by).collect();
    assert_eq!(by, [Some(ResetBy::Operator); 6]);
    // Off and on: RAM is gone, and the machine is another one on the same disk.
    let calls: Vec<String> = guest.fake.calls();
    let verbs: Vec<&str> = calls.iter().filter_map(|call| call.split(' ').next()).collect();
    assert_eq!(verbs, ["start", "destroy"].repeat(6));
}

#[tokio::test(start_paused = true)]
async fn somebody_who_gives_up_leaves_it_standing() {
    let Some(bench) = Bench::new() else { return };
    let once = guest((1..=3).map(stands).collect());
    let result = run(&bench, "hung", Some(Some(1)), &once).await;
    assert_eq!(ends(&result), [stood(Cause::PowerOn), stood(Cause::ResetByOperator)]);
    assert!(because(&result).contains("off and on again once"), "{}", because(&result));

    // Often enough for a loop to be seen.
    let twice = guest((1..=4).map(stands).collect());
    let result = run(&bench, "looping", Some(Some(2)), &twice).await;
    assert_eq!(ends(&result).len(), 3);
    assert_eq!(result.derived.outcome.in_loop.as_ref().unwrap().boots, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_comes_up_after_it_was_switched_off_and_on_has_recovered() {
    let Some(bench) = Bench::new() else { return };
    let mut scenario = bench.scenario("staged", "hung");
    scenario.operator = Some(Operator { at_stop_screen: AtStopScreen::PowerCycle, times: None });
    let guest = guest(vec![stands(1), healthy_start()]);
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_eq!(result.derived.outcome.verdict, Verdict::Recovered, "{}", because(&result));
    assert_eq!(
        ends(&result).iter().map(|(cause, end, _)| (*cause, *end)).collect::<Vec<_>>(),
        [(Cause::PowerOn, End::HaltedAtStopScreen), (Cause::ResetByOperator, End::StillUp)]
    );
}

#[tokio::test(start_paused = true)]
async fn an_image_that_stands_at_a_stop_screen_by_itself_says_nothing() {
    let Some(bench) = Bench::new() else { return };
    let mut scenario = bench.scenario("healthy", "looping");
    scenario.operator = Some(Operator { at_stop_screen: AtStopScreen::PowerCycle, times: None });
    let guest = guest(vec![stands(1), stands(2)]);
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_eq!(result.derived.outcome.verdict, Verdict::Infrastructure, "{}", because(&result));
    assert!(because(&result).contains("before any fault was armed"), "{}", because(&result));
}

/// The healthy machine stops when the file arrives; the agent never answers again, and no event says why.
#[tokio::test(start_paused = true)]
async fn a_fault_that_stops_a_machine_without_a_word_has_landed() {
    let Some(bench) = Bench::new() else { return };
    let mut scenario = bench.scenario("healthy", "hung");
    scenario.machine.start = scenario::Start::Cold;
    let fake = FakeHypervisor::new()
        .on(Trigger::Start, healthy_start())
        .on(Trigger::Exec("cmd.exe".to_owned()), [frame("frames/stop-1.png")]);
    let guest = Guest::showing(fake, vec![("frames/stop-1.png".to_owned(), STOP_SCREEN)]);
    let options = RunOptions::default();
    let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
    assert_eq!(result.derived.outcome.verdict, Verdict::Hung, "{}", because(&result));
    assert_eq!(ends(&result)[0].1, End::HaltedAtStopScreen);
    assert_eq!(result.derived.outcome.boots[0].reached, timeline::Phase::Healthy);
}
