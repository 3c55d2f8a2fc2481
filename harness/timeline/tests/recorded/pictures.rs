//! What the display showed: which boot it belongs to, and what it is worth beside other witnesses.

use crate::support::{events, line, position, renumber};
use timeline::{
    Body, BootKind, Cause, Certainty, Confidence, End, Event, Layer, LayerResult, Marker, Outcome,
    Phase, PowerCycles, ResetBy, Screen, ScreenKind, ScreenStop, Source, StartedFrom, StepState,
    StopCode, Verdict, Watcher, derive, read_events, steps, write_event,
};

/// A run, put together from bodies; each an event a second after the one before.
struct Story(Vec<Event>);

impl Story {
    /// A fault that was staged, on an image whose serial line is silent.
    fn without_a_word() -> Self {
        let mut story = Self(vec![events("operator-power-cycle")[0].clone()]);
        let Body::RunStarted { facts } = &mut story.0[0].body else { panic!("no facts") };
        facts.operator = false;
        facts.loop_after = 3;
        facts.expected_verdict = None;
        facts.markers.retain(|marker| marker.source == Source::Agent);
        story.step(&format!("{}bad-channel-file", steps::INJECT), StepState::Started);
        let fault = "bad-channel-file".to_owned();
        story.add(Source::Disk, Body::FaultLanded { fault, proof: Vec::new() });
        story.start();
        story
    }

    /// With somebody who switches it off and on again.
    fn with_operator(mut self, at_most: Option<u32>) -> Self {
        let Body::RunStarted { facts } = &mut self.0[0].body else { panic!("no facts") };
        facts.power_cycles = Some(PowerCycles { at_most });
        self
    }

    fn add(&mut self, source: Source, body: Body) -> &mut Self {
        let seq = self.0.len() as u64;
        self.0.push(Event { seq, at_us: seq * 1_000_000, source, body });
        self
    }

    fn start(&mut self) -> &mut Self {
        self.add(Source::Hypervisor, Body::MachineStarted { from: StartedFrom::Cold })
    }

    fn step(&mut self, name: &str, state: StepState) -> &mut Self {
        let (name, detail) = (name.to_owned(), String::new());
        self.add(Source::Harness, Body::Step { name, state, detail })
    }

    fn frame(&mut self, file: &str) -> &mut Self {
        let (file, digest) = (file.to_owned(), String::new());
        let (width, height, why) = (640, 480, "poll".to_owned());
        self.add(Source::Screen, Body::Frame { file, digest, width, height, why })
    }

    fn shows(&mut self, file: &str, kind: ScreenKind, stop: Option<ScreenStop>) -> &mut Self {
        let certainty = if stop.is_some() { Certainty::Sure } else { Certainty::Likely };
        let screen = Screen { kind, certainty, evidence: Vec::new(), stop, status: None };
        self.add(Source::Screen, Body::Screen { file: file.to_owned(), screen })
    }

    /// A frame that is looked at at once.
    fn picture(&mut self, file: &str, kind: ScreenKind) -> &mut Self {
        self.frame(file).shows(file, kind, None)
    }

    fn reset(&mut self, by: ResetBy) -> &mut Self {
        self.add(Source::Hypervisor, Body::Reset { by, reason: "any".to_owned() })
    }

    /// It stands, and somebody switches it off and on again.
    fn power_cycle(&mut self) -> &mut Self {
        self.step(steps::SILENT, StepState::Done).step(steps::POWER_CYCLE, StepState::Started);
        let reason = "destroyed".to_owned();
        self.add(Source::Hypervisor, Body::MachineStopped { reason }).start()
    }

    fn over(&mut self, why: &str) -> Outcome {
        self.over_with(why, &[])
    }

    /// And then the disk is read, where Startup Repair's log has these sessions that are new.
    fn over_with(&mut self, why: &str, sessions: &[LayerResult]) -> Outcome {
        let (why, detail) = (why.to_owned(), String::new());
        self.add(Source::Harness, Body::WatchEnded { why, detail });
        for result in sessions {
            let path = r"C:\Windows\System32\LogFiles\Srt\SrtTrail.txt".to_owned();
            let (layer, reason) = (Layer::AutomaticRepair, Some("Boot configuration".to_owned()));
            let report = Body::LayerReport { layer, result: *result, reason, path };
            self.add(Source::Disk, report);
        }
        self.add(Source::Harness, Body::RunEnded);
        let written: String =
            self.0.iter().map(|event| write_event(event).expect("an event is JSON")).collect();
        let read = read_events(&written).expect("what was written").events;
        assert_eq!(read, self.0, "what was written is read again");
        derive(&read).outcome
    }
}

impl Story {
    /// A Windows without a serial line: it stops twice, its recovery environment comes, and it is up again. Its
    /// agent and its display are all that tell of it.
    fn of_windows_that_comes_back() -> Self {
        let mut story = Self::without_a_word();
        let Body::RunStarted { facts } = &mut story.0[0].body else { panic!("no facts") };
        facts.markers = vec![shows(ScreenKind::Recovery, Phase::Recovery)];
        facts.markers.push(Marker {
            source: Source::Agent,
            starts_with: String::new(),
            screen: None,
            phase: Phase::Healthy,
        });
        facts.expected_layers = vec![Layer::AutomaticRepair];
        story.picture("1", ScreenKind::BlueStop).reset(ResetBy::Guest);
        story.picture("2", ScreenKind::Picture).picture("3", ScreenKind::BlueStop);
        story.reset(ResetBy::Guest).picture("4", ScreenKind::Recovery).reset(ResetBy::Guest);
        story.picture("5", ScreenKind::Picture).add(Source::Agent, Body::AgentUp);
        story
    }
}

fn shows(kind: ScreenKind, phase: Phase) -> Marker {
    let screen = Some(kind);
    Marker { source: Source::Screen, starts_with: String::new(), screen, phase }
}

#[test]
fn a_layer_is_credited_by_the_last_session_of_its_log() {
    use LayerResult::{Applied, TriedNoHelp};
    for (sessions, verdict, by) in [
        (&[Applied][..], Verdict::Recovered, Some(Layer::AutomaticRepair)),
        (&[TriedNoHelp, Applied], Verdict::Recovered, Some(Layer::AutomaticRepair)),
        // It failed; a success of an earlier session did not help; nothing that is new is in the log.
        (&[TriedNoHelp], Verdict::RecoveredOtherwise, None),
        (&[Applied, TriedNoHelp], Verdict::RecoveredOtherwise, None),
        (&[], Verdict::RecoveredOtherwise, None),
    ] {
        let outcome = Story::of_windows_that_comes_back().over_with("concluded", sessions);
        assert_eq!(outcome.verdict, verdict, "{sessions:?}: {}", outcome.because);
        assert_eq!(outcome.brought_back_by, by, "{sessions:?}");
        assert_eq!(outcome.boots[2].kind, BootKind::Recovery);
        let layer = &outcome.layers[0];
        let result = sessions.iter().max().copied().unwrap_or(LayerResult::NotTried);
        assert_eq!((layer.layer, layer.result), (Layer::AutomaticRepair, result), "{sessions:?}");
    }
}

/// The recovery environment came before the last failure: what it did then did not bring the machine back.
#[test]
fn a_repair_before_the_last_failure_is_not_credited() {
    let mut story = Story::of_windows_that_comes_back();
    story.0.truncate(story.0.len() - 3);
    story.picture("6", ScreenKind::Picture).picture("7", ScreenKind::BlueStop);
    story.reset(ResetBy::Guest).picture("8", ScreenKind::Picture);
    story.add(Source::Agent, Body::AgentUp);
    let outcome = story.over_with("concluded", &[LayerResult::Applied]);
    assert_eq!(outcome.brought_back_by, None, "{}", outcome.because);
}

#[test]
fn a_desktop_that_stands_still_is_a_healthy_machine_where_the_profile_says_so() {
    for (kind, declared, verdict) in [
        (ScreenKind::Desktop, true, Verdict::Unaffected),
        (ScreenKind::Desktop, false, Verdict::Hung),
        (ScreenKind::Picture, true, Verdict::Hung),
    ] {
        let mut story = Story::without_a_word();
        let Body::RunStarted { facts } = &mut story.0[0].body else { panic!("no facts") };
        facts.markers = Vec::new();
        if declared {
            facts.markers.push(shows(ScreenKind::Desktop, Phase::Healthy));
        }
        story.picture("1", ScreenKind::Picture).picture("2", kind);
        story.step(steps::SILENT, StepState::Done).step(steps::SETTLED, StepState::Done);
        let outcome = story.over("concluded");
        assert_eq!(outcome.verdict, verdict, "{kind:?}: {}", outcome.because);
        let (end, confidence) = match verdict {
            Verdict::Hung => (End::Hang, Confidence::Inferred),
            _ => (End::StillUp, Confidence::GuestSays),
        };
        assert_eq!(ends(&outcome), [(end, confidence)]);
    }
}

/// The display keeps its picture through a reset: a machine that then goes silent shows nothing of its own.
#[test]
fn a_desktop_of_the_boot_before_is_no_sign() {
    let mut story = Story::without_a_word();
    let Body::RunStarted { facts } = &mut story.0[0].body else { panic!("no facts") };
    facts.markers = vec![shows(ScreenKind::Desktop, Phase::Healthy)];
    story.picture("1", ScreenKind::Desktop).reset(ResetBy::Guest);
    // It is looked at once more before the firmware draws on it.
    story.picture("2", ScreenKind::Desktop).step(steps::SILENT, StepState::Done);
    let outcome = story.over("concluded");
    assert_eq!(outcome.verdict, Verdict::Hung, "{}", outcome.because);
}

fn read_stop() -> Option<ScreenStop> {
    Some(ScreenStop {
        code: Some(StopCode(0x50)),
        parameters: Some([1, 2, 3, 4]),
        module: Some("csagent.sys".to_owned()),
        ..ScreenStop::default()
    })
}

fn ends(outcome: &Outcome) -> Vec<(End, Confidence)> {
    outcome.boots.iter().map(|boot| (boot.end, boot.confidence)).collect()
}

const STOOD: (End, Confidence) = (End::HaltedAtStopScreen, Confidence::Inferred);

#[test]
fn a_machine_that_only_its_display_tells_of() {
    let mut story = Story::without_a_word();
    story
        .picture("1", ScreenKind::Picture)
        .picture("2", ScreenKind::BlueStop)
        .shows("2", ScreenKind::BlueStop, read_stop())
        .step(steps::SILENT, StepState::Done);
    let outcome = story.over("concluded");
    assert_eq!(outcome.verdict, Verdict::Hung, "{}", outcome.because);
    assert_eq!(ends(&outcome), [STOOD]);
    let stop = outcome.boots[0].stop.as_ref().unwrap();
    assert_eq!(stop.code, Some(StopCode(0x50)));
    assert_eq!(stop.module.as_deref(), Some("csagent.sys"));
}

#[test]
fn an_operators_power_cycles_make_a_loop_and_the_harnesss_do_not() {
    let mut story = Story::without_a_word().with_operator(None);
    for number in 1..=8 {
        story.picture(&number.to_string(), ScreenKind::BlueStop).power_cycle();
    }
    let outcome = story.over("concluded");
    assert_eq!(outcome.verdict, Verdict::Looping, "{}", outcome.because);
    let row = outcome.in_loop.as_ref().unwrap();
    assert_eq!(row.end, End::HaltedAtStopScreen);
    assert_eq!(outcome.boots[1].cause, Cause::ResetByOperator);
    assert!(ends(&outcome).iter().all(|end| *end == STOOD), "{:?}", ends(&outcome));

    // The harness switches it off and on without saying for whom.
    story.0.retain(
        |event| !matches!(&event.body, Body::Step { name, .. } if name == steps::POWER_CYCLE),
    );
    let outcome = derive(&renumber(story.0)).outcome;
    assert_eq!(outcome.in_loop, None);
}

#[test]
fn nobody_comes_any_more() {
    for (most, boots, verdict) in [(1, 2, Verdict::Hung), (2, 3, Verdict::Looping)] {
        let mut story = Story::without_a_word().with_operator(Some(most));
        for number in 1..=most {
            story.picture(&number.to_string(), ScreenKind::BlackStop).power_cycle();
        }
        story.picture("last", ScreenKind::BlackStop).step(steps::SILENT, StepState::Done);
        let outcome = story.over("concluded");
        assert_eq!((outcome.verdict, outcome.boots.len()), (verdict, boots), "{}", outcome.because);
    }
}

#[test]
fn the_watcher_asks_for_a_power_cycle_once_the_machine_stands() {
    let mut story = Story::without_a_word().with_operator(None);
    story.picture("1", ScreenKind::BlueStop);
    let mut watcher = Watcher::new();
    let mut asked = Vec::new();
    story.power_cycle();
    for event in &story.0 {
        watcher.feed(event);
        asked.push((watcher.at_stop_screen(), watcher.awaits_power_cycle()));
    }
    let stop = asked.iter().position(|(at, _)| *at).unwrap();
    assert_eq!(asked[stop], (true, None), "it may yet restart by itself");
    assert_eq!(asked[stop + 1], (true, Some(1)));
    assert_eq!(asked.last(), Some(&(false, None)));
}

#[test]
fn a_frame_belongs_to_the_boot_in_which_it_was_taken() {
    // Read only after the reset that followed.
    let mut story = Story::without_a_word();
    story.frame("1").reset(ResetBy::Guest).shows("1", ScreenKind::BlueStop, read_stop());
    story.picture("2", ScreenKind::Picture);
    let outcome = story.over("time-limit");
    assert_eq!(outcome.boots[0].end, End::BugCheck);
    assert!(outcome.boots[0].stop.is_some() && outcome.boots[1].stop.is_none());

    // Read only after the watch.
    let mut story = Story::without_a_word();
    story.frame("1").reset(ResetBy::Guest).picture("2", ScreenKind::Picture);
    let (why, detail) = ("time-limit".to_owned(), String::new());
    story.add(Source::Harness, Body::WatchEnded { why, detail });
    story.shows("1", ScreenKind::BlueStop, read_stop()).add(Source::Harness, Body::RunEnded);
    let outcome = derive(&story.0).outcome;
    assert_eq!(outcome.boots[0].end, End::BugCheck);
}

#[test]
fn what_the_display_still_shows_after_a_reset_is_the_boot_befores() {
    let mut story = Story::without_a_word();
    story.reset(ResetBy::Guest);
    story.picture("left over", ScreenKind::BlackStop).picture("logo", ScreenKind::Picture);
    let outcome = story.over("time-limit");
    assert_eq!(outcome.boots[0].end, End::BugCheck, "nothing but a reset ends a stop screen");
    assert!(outcome.boots[1].stop.is_none());
    // It may go dark.
    let mut story = Story::without_a_word();
    story.picture("1", ScreenKind::BlackStop).picture("2", ScreenKind::Black);
    story.step(steps::SILENT, StepState::Done);
    assert_eq!(ends(&story.over("concluded")), [STOOD]);
}

#[test]
fn a_doubtful_stop_screen_is_none() {
    let mut story = Story::without_a_word();
    story.picture("1", ScreenKind::BlackStop);
    let doubt = Screen {
        kind: ScreenKind::BlackStop,
        certainty: Certainty::Weak,
        evidence: Vec::new(),
        stop: None,
        status: None,
    };
    story.add(Source::Screen, Body::Screen { file: "1".to_owned(), screen: doubt });
    let outcome = story.over("time-limit");
    assert!(outcome.boots[0].stop.is_none());
}

/// In a run with a panic device, a serial line and dumps the display adds nothing to the outcome.
#[test]
fn other_witnesses_are_believed_before_the_display() {
    let main = events("channel-file-291");
    let mut seen = main.clone();
    let at = position(&seen, |body| matches!(body, Body::Panicked { .. }));
    let wrong = ScreenStop {
        code: Some(StopCode(0x7E)),
        module: Some("wrong.sys".to_owned()),
        ..ScreenStop::default()
    };
    let screen = Screen {
        kind: ScreenKind::BlackStop,
        certainty: Certainty::Sure,
        evidence: Vec::new(),
        stop: Some(wrong),
        status: None,
    };
    let file = "frames/x.png".to_owned();
    let frame = Body::Frame {
        file: file.clone(),
        digest: String::new(),
        width: 1,
        height: 1,
        why: "panic".to_owned(),
    };
    let beside = |body| Event { body, source: Source::Screen, ..main[at].clone() };
    seen.insert(at + 1, beside(frame));
    seen.insert(at + 2, beside(Body::Screen { file, screen }));
    assert_eq!(derive(&renumber(seen)).outcome, derive(&main).outcome);
}

/// The recovery environment has pages of its own on blue and black.
#[test]
fn the_recovery_environment_does_not_stop() {
    let main = events("channel-file-291-cloud-off");
    let mut seen = main.clone();
    let at = position(&seen, line("[recovery]"));
    let beside = |body| Event { body, source: Source::Screen, ..main[at].clone() };
    let screen = Screen {
        kind: ScreenKind::BlueStop,
        certainty: Certainty::Likely,
        evidence: Vec::new(),
        stop: None,
        status: None,
    };
    let file = "frames/x.png".to_owned();
    seen.insert(
        at + 1,
        beside(Body::Frame {
            file: file.clone(),
            digest: String::new(),
            width: 1,
            height: 1,
            why: "poll".to_owned(),
        }),
    );
    seen.insert(at + 2, beside(Body::Screen { file, screen }));
    assert_eq!(derive(&renumber(seen)).outcome, derive(&main).outcome);
}

impl Story {
    /// The boot manager's line on the serial port.
    fn gives_up(&mut self) -> &mut Self {
        let text = "[bootmgr] stopped: 0xc000000f (\\EFI\\Microsoft\\Boot\\BCD)".to_owned();
        self.add(Source::Serial, Body::SerialLine { port: 0, text })
    }
}

const GAVE_UP: (End, Confidence) = (End::BootError, Confidence::GuestSays);

#[test]
fn a_boot_error_is_decided_at_once_where_the_boot_manager_says_so() {
    let outcome = Story::without_a_word().gives_up().over("concluded");
    assert_eq!(outcome.verdict, Verdict::Hung);
    assert_eq!(outcome.because, "it stands at the boot error 0xC000000F, and nobody is there");
    assert_eq!(ends(&outcome), [GAVE_UP]);
    assert_eq!(outcome.boots[0].boot_error, Some(StopCode(0xC000_000F)));
}

#[test]
fn a_boot_error_on_the_display_has_to_stand() {
    let mut story = Story::without_a_word();
    story.picture("1", ScreenKind::BootError);
    assert_eq!(story.over("time-limit").boots[0].end, End::BootError);
    let mut story = Story::without_a_word();
    story.picture("1", ScreenKind::BootError).step(steps::SILENT, StepState::Done);
    let outcome = story.over("concluded");
    assert_eq!(outcome.verdict, Verdict::Hung, "{}", outcome.because);
    assert_eq!(ends(&outcome), [(End::BootError, Confidence::Inferred)]);
    // It was another page: the machine went on.
    let mut story = Story::without_a_word();
    story.picture("1", ScreenKind::BootError).picture("2", ScreenKind::Picture);
    assert_ne!(story.over("time-limit").boots[0].end, End::BootError);
}

#[test]
fn somebody_who_switches_it_off_and_on_comes_to_a_boot_error_too() {
    let mut story = Story::without_a_word().with_operator(Some(2));
    story.gives_up();
    for _ in 0..2 {
        story.step(steps::POWER_CYCLE, StepState::Started);
        let reason = "destroyed".to_owned();
        story.add(Source::Hypervisor, Body::MachineStopped { reason }).start().gives_up();
    }
    let outcome = story.over("concluded");
    assert_eq!(ends(&outcome), [GAVE_UP; 3]);
    assert_eq!(outcome.verdict, Verdict::Looping, "{}", outcome.because);
}
