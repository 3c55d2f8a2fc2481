//! What real runs recorded. Their outcomes are the scenarios' references, which report's tests hold them
//! against.

use crate::support::{RECORDINGS, events, line, position, renumber};
use timeline::{
    Body, BootKind, Cause, Confidence, End, Layer, LayerResult, Outcome, Phase, Source,
    StartedFrom, Verdict, Watcher, derive, read_events, write_event,
};

const MAIN: &str = "recorded-channel-file-291";
const CLOUD_OFF: &str = "recorded-channel-file-291-cloud-off";

#[test]
fn they_are_written_again_to_the_same_bytes() {
    for (name, text) in RECORDINGS {
        let record = read_events(text).expect("a good record");
        assert!(record.complete, "{name}");
        let written: String =
            record.events.iter().map(|event| write_event(event).expect("JSON")).collect();
        assert_eq!(written, text, "{name}");
    }
}

#[test]
fn they_give_their_outcomes_every_time() {
    for (name, _) in RECORDINGS {
        let (one, two) = (derive(&events(name)), derive(&events(name)));
        assert_eq!(one, two, "{name}");
        let rendered = one.outcome.render();
        assert_eq!(Outcome::parse(&rendered).expect("reads again"), one.outcome, "{name}");
    }
}

#[test]
fn the_main_run_goes_from_the_checkpoint_through_recovery_back_to_windows() {
    let derived = derive(&events(MAIN));
    let boots: Vec<(BootKind, Cause, End)> =
        derived.timeline.boots.iter().map(|boot| (boot.kind(), boot.cause, boot.end)).collect();
    let windows = BootKind::Windows;
    assert_eq!(
        boots,
        [
            (windows, Cause::RestoredFromCheckpoint, End::BugCheck),
            (windows, Cause::ResetByGuest, End::BugCheck),
            (BootKind::Recovery, Cause::ResetByGuest, End::Reset),
            (windows, Cause::ResetByGuest, End::StillUp),
        ]
    );
    // The panic device says that it stopped, the stop line and the dump say where: all the same stop.
    let stop = derived.timeline.boots[0].stop.as_ref().expect("a stop");
    assert!(stop.panic.is_some() && stop.dump.is_some());
    assert_eq!(derived.outcome.verdict, Verdict::Recovered);
    assert_eq!(derived.outcome.brought_back_by, Some(Layer::QuickMachineRecovery));
    assert!(derived.outcome.expectation.met);
}

#[test]
fn with_the_cloud_off_nothing_is_asked_and_a_person_is_waited_for() {
    let derived = derive(&events(CLOUD_OFF));
    let last = derived.timeline.boots.last().expect("boots");
    assert_eq!((last.kind(), last.end), (BootKind::Recovery, End::WaitingForAPerson));
    let layers: Vec<(Layer, LayerResult)> =
        derived.outcome.layers.iter().map(|layer| (layer.layer, layer.result)).collect();
    assert_eq!(
        layers,
        [
            (Layer::AutomaticRepair, LayerResult::TriedNoHelp),
            (Layer::QuickMachineRecovery, LayerResult::NotTried),
        ]
    );
    assert_eq!(derived.outcome.verdict, Verdict::StuckInRecovery);
}

#[test]
fn the_watcher_concludes_live_where_the_engine_stopped() {
    for (name, _) in RECORDINGS {
        let events = events(name);
        let over = position(&events, |body| matches!(body, Body::WatchEnded { .. }));
        let mut watcher = Watcher::new();
        for event in &events[..over - 1] {
            watcher.feed(event);
        }
        assert!(watcher.conclusion().is_none(), "{name}");
        watcher.feed(&events[over - 1]);
        let conclusion = watcher.conclusion().unwrap_or_else(|| panic!("{name}: no conclusion"));
        let Body::WatchEnded { why, detail } = &events[over].body else { panic!("{name}") };
        assert_eq!((why.as_str(), detail), ("concluded", &conclusion.because), "{name}");
        assert_eq!(conclusion.verdict, derive(&events).outcome.verdict, "{name}");
    }
}

#[test]
fn the_cold_run_forked_from_a_checkpoint_has_the_same_outcome() {
    let cold = events(CLOUD_OFF);
    let started = position(&cold, |body| matches!(body, Body::MachineStarted { .. }));
    let healthy = position(&cold, line("[session] boot marked good"));
    let mut forked = cold.clone();
    forked[started].body = Body::MachineStarted { from: StartedFrom::Checkpoint };
    forked.drain(started + 1..=healthy);
    assert_eq!(derive(&renumber(forked)).outcome, derive(&cold).outcome);
}

#[test]
fn without_the_serial_line_the_stops_are_still_seen_from_outside() {
    let mut mute = events(MAIN);
    mute.retain(|event| event.source != Source::Serial);
    let boots = derive(&renumber(mute)).outcome.boots;
    let stopped: Vec<Confidence> =
        boots.iter().filter(|boot| boot.end == End::BugCheck).map(|boot| boot.confidence).collect();
    assert_eq!(stopped, [Confidence::Observed; 2]);
    // Where it got to is only the guest's word, which is not there.
    assert!(boots.iter().skip(1).all(|boot| boot.reached == Phase::Firmware));
}
