//! Layers with a start of their own, and the second start of a machine that one of them brought back.

use crate::support::{events, position};
use crate::variations::facts;
use timeline::steps::{SETTLED, SILENT, START_AGAIN};
use timeline::{
    Body, Derived, End, Event, Layer, LayerResult, OwnStart, ResetBy, Source, StartedFrom,
    StepState, Verdict, Watcher,
};

/// A recorded machine that would be given up, and what is added to its story.
struct Story {
    watcher: Watcher,
    seq: u64,
    at_us: u64,
}

impl Story {
    /// Stuck in recovery, with these layers to come.
    fn given_up(driven: &[Layer]) -> Self {
        let mut stream = events("channel-file-291-no-remediation");
        let over = position(&stream, |body| matches!(body, Body::WatchEnded { .. }));
        let facts = facts(&mut stream);
        facts.driven = driven.to_vec();
        facts.second_start = true;
        let mut watcher = Watcher::new();
        for event in &stream[..over] {
            watcher.feed(event);
        }
        assert_eq!(watcher.awaits_layer(), driven.first().copied());
        Self { watcher, seq: stream[over].seq, at_us: stream[over].at_us }
    }

    fn see(&mut self, source: Source, body: Body) -> &mut Self {
        self.watcher.feed(&Event { seq: self.seq, at_us: self.at_us, source, body });
        (self.seq, self.at_us) = (self.seq + 1, self.at_us + 1_000_000);
        self
    }

    fn step(&mut self, name: &str, state: StepState, detail: &str) -> &mut Self {
        let (name, detail) = (name.to_owned(), detail.to_owned());
        self.see(Source::Harness, Body::Step { name, state, detail })
    }

    fn line(&mut self, text: &str) -> &mut Self {
        let text = text.to_owned();
        self.see(Source::Serial, Body::SerialLine { port: 0, text })
    }

    fn on(&mut self) -> &mut Self {
        let from = StartedFrom::Cold;
        self.see(Source::Hypervisor, Body::MachineStarted { from })
    }

    fn off(&mut self, reason: &str) -> &mut Self {
        let reason = reason.to_owned();
        self.see(Source::Hypervisor, Body::MachineStopped { reason })
    }

    fn healthy(&mut self) -> &mut Self {
        self.line("[bootmgr] starting Windows")
            .line("[kernel] started")
            .line("[session] boot marked good")
    }

    fn stops(&mut self) -> &mut Self {
        let (by, reason) = (ResetBy::Guest, "guest-reset".to_owned());
        self.line("[bootmgr] starting Windows")
            .line("[kernel] started")
            .line("*** Fatal System Error: 0x0000007B (0x0,0x0,0x0,0x0)")
            .see(Source::Hypervisor, Body::Reset { by, reason })
    }

    /// Safe mode begins, up to the start of its own.
    fn enters_safe_mode(&mut self) -> &mut Self {
        self.step("layer safe-mode", StepState::Started, "")
            .off("destroyed")
            .step("own-start safe-mode", StepState::Started, "")
            .on()
    }

    fn ends(&mut self) -> Derived {
        let (why, detail) = ("concluded".to_owned(), String::new());
        self.see(Source::Harness, Body::WatchEnded { why, detail });
        self.see(Source::Harness, Body::RunEnded);
        self.watcher.derive()
    }
}

fn last_reason(derived: &Derived, layer: Layer) -> (LayerResult, Option<String>) {
    let found = derived.outcome.layers.iter().find(|outcome| outcome.layer == layer);
    let found = found.expect("the layer");
    (found.result, found.reason.clone())
}

#[test]
fn a_start_in_safe_mode_proves_nothing_by_itself() {
    let mut story = Story::given_up(&[Layer::SafeMode]);
    let before = story.watcher.boots().len();
    story.enters_safe_mode().healthy();
    assert_eq!(story.watcher.own_start(), Some(OwnStart::Up));
    // Healthy as long as one likes: it is not the start that counts.
    assert_eq!((story.watcher.settling(), story.watcher.conclusion()), (None, None));
    story.step(SETTLED, StepState::Done, "");
    assert_eq!(story.watcher.conclusion(), None);
    story.off("guest-shutdown");
    assert_eq!(story.watcher.own_start(), Some(OwnStart::Up));
    story.step("layer safe-mode", StepState::Done, "deleted").on();
    assert_eq!((story.watcher.own_start(), story.watcher.conclusion()), (None, None));

    // Back in full, and once more.
    story.healthy();
    assert!(story.watcher.awaits_second_start());
    assert_eq!(story.watcher.conclusion(), None);
    story.off("guest-shutdown").step(START_AGAIN, StepState::Started, "").on();
    assert!(!story.watcher.awaits_second_start());
    assert_eq!(story.watcher.conclusion(), None);
    story.healthy();
    let conclusion = story.watcher.conclusion().expect("healthy twice");
    assert_eq!(conclusion.verdict, Verdict::Recovered);
    assert!(conclusion.because.ends_with("once more when it was started again"));

    let derived = story.ends();
    let new = &derived.outcome.boots[before..];
    let ends: Vec<(Option<Layer>, End)> = new.iter().map(|boot| (boot.during, boot.end)).collect();
    let expected =
        [(Some(Layer::SafeMode), End::ShutDown), (None, End::ShutDown), (None, End::StillUp)];
    assert_eq!(ends, expected);
    assert_eq!(derived.outcome.brought_back_by, Some(Layer::SafeMode));
    assert_eq!(derived.outcome.touch, Some(timeline::Touch::Host));
}

#[test]
fn a_machine_that_stops_in_safe_mode_too_goes_to_the_next_rung() {
    let mut story = Story::given_up(&[Layer::SafeMode, Layer::HostRepair]);
    let before = story.watcher.boots().len();
    story.enters_safe_mode().stops();
    let Some(OwnStart::Failed(why)) = story.watcher.own_start() else { panic!("it stopped") };
    assert_eq!(why, "stop 0x0000007B");
    // It goes on by itself until it is switched off, and that is no start of anybody's.
    story.healthy().off("destroyed");
    assert_eq!(story.watcher.boots().len(), before + 1);
    story.step("layer safe-mode", StepState::Failed, "safe mode did not come up");
    assert_eq!(story.watcher.awaits_layer(), Some(Layer::HostRepair));
    story.step("layer host-repair", StepState::Failed, "nothing to delete");
    let conclusion = story.watcher.conclusion().expect("given up");
    assert_eq!(conclusion.verdict, Verdict::StuckInRecovery);
    let derived = story.ends();
    assert_eq!(derived.outcome.brought_back_by, None);
    let (result, reason) = last_reason(&derived, Layer::SafeMode);
    assert_eq!(result, LayerResult::TriedNoHelp);
    assert_eq!(reason.as_deref(), Some("safe mode did not come up"));
}

#[test]
fn each_way_in_which_a_layers_start_comes_to_nothing_is_told() {
    type Ends = fn(&mut Story);
    let table: [(Ends, &str); 4] = [
        (
            |story| {
                story.line("[bootmgr] 2 failures").line("[recovery] recovery environment started");
            },
            "the recovery environment came up instead",
        ),
        (
            |story| {
                story.line("[bootmgr] starting Windows").step(SILENT, StepState::Done, "");
            },
            "it went silent",
        ),
        (
            |story| {
                story.healthy().off("guest-shutdown").on();
            },
            "",
        ),
        (
            |story| {
                let (by, reason) = (ResetBy::Guest, "guest-reset".to_owned());
                story.healthy().see(Source::Hypervisor, Body::Reset { by, reason });
            },
            "it ended by reset",
        ),
    ];
    for (ends, told) in table {
        let mut story = Story::given_up(&[Layer::SafeMode]);
        story.enters_safe_mode();
        ends(&mut story);
        match story.watcher.own_start() {
            Some(OwnStart::Failed(why)) => assert_eq!(why, told),
            other => assert_eq!((other, told), (Some(OwnStart::Up), "")),
        }
    }
}

#[test]
fn out_of_time_in_a_layers_turn_is_no_recovery() {
    let mut story = Story::given_up(&[Layer::SafeMode]);
    story.enters_safe_mode().healthy();
    let (why, detail) = ("time-limit".to_owned(), String::new());
    story.see(Source::Harness, Body::WatchEnded { why, detail });
    let derived = story.see(Source::Harness, Body::RunEnded).watcher.derive();
    assert_eq!(derived.outcome.verdict, Verdict::StuckInRecovery);
    assert!(derived.outcome.because.ends_with("the watch ended in the turn of a layer"));

    // Nor is one healthy start where two are asked for.
    let mut story = Story::given_up(&[Layer::HostRepair]);
    story.step("layer host-repair", StepState::Done, "").on().healthy();
    assert!(story.watcher.awaits_second_start());
    let (why, detail) = ("time-limit".to_owned(), String::new());
    story.see(Source::Harness, Body::WatchEnded { why, detail });
    let derived = story.see(Source::Harness, Body::RunEnded).watcher.derive();
    assert_eq!(derived.outcome.verdict, Verdict::Infrastructure);
}

#[test]
fn a_machine_that_fails_its_second_start_has_not_recovered() {
    let mut story = Story::given_up(&[Layer::HostRepair]);
    story.step("layer host-repair", StepState::Done, "").on().healthy();
    story.off("guest-shutdown").step(START_AGAIN, StepState::Started, "").on();
    let mut starts = 0;
    while story.watcher.conclusion().is_none() {
        story.stops();
        starts += 1;
        assert!(starts < 100, "never concluded");
    }
    let derived = story.ends();
    assert_eq!(derived.outcome.verdict, Verdict::Looping);
    assert_eq!(derived.outcome.brought_back_by, None);
}

#[test]
fn a_machine_that_comes_up_after_a_failed_second_start_was_brought_back_by_nobody() {
    let mut story = Story::given_up(&[Layer::HostRepair]);
    story.step("layer host-repair", StepState::Done, "").on().healthy();
    story.off("guest-shutdown").step(START_AGAIN, StepState::Started, "").on();
    story.stops().healthy();
    let derived = story.ends();
    assert_eq!(derived.outcome.brought_back_by, None);
    assert!(!derived.outcome.because.contains("once more"), "{}", derived.outcome.because);
}

#[test]
fn a_restart_is_credited_for_a_later_start_unless_another_layer_helped() {
    let restarted = || {
        let mut story = Story::given_up(&[Layer::Reboots, Layer::Reboots]);
        story.step("layer reboots", StepState::Started, "").off("destroyed");
        story.step("layer reboots", StepState::Done, "off and on again").on();
        // The first try of this restart fails, the second comes through.
        story.stops();
        story
    };
    let mut story = restarted();
    story.healthy().off("guest-shutdown").step(START_AGAIN, StepState::Started, "").on().healthy();
    let derived = story.ends();
    assert_eq!(derived.outcome.verdict, Verdict::Recovered);
    assert_eq!(derived.outcome.brought_back_by, Some(Layer::Reboots));
    assert_eq!(derived.outcome.touch, Some(timeline::Touch::Remote));

    let mut story = restarted();
    let repaired = Body::LayerReport {
        layer: Layer::AutomaticRepair,
        result: LayerResult::Applied,
        reason: None,
        path: "C:\\log".to_owned(),
    };
    story.line("[bootmgr] 2 failures").line("[recovery] recovery environment started");
    let (by, reason) = (ResetBy::Guest, "guest-reset".to_owned());
    story.see(Source::Hypervisor, Body::Reset { by, reason });
    story.healthy().off("guest-shutdown").step(START_AGAIN, StepState::Started, "").on().healthy();
    story.see(Source::Disk, repaired);
    let derived = story.ends();
    assert_eq!(derived.outcome.brought_back_by, Some(Layer::AutomaticRepair));
}
