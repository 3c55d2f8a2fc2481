//! What the System log says of drivers that somebody brought.

use crate::support::{beside, events, position, renumber};
use crate::variations::facts;
use timeline::{
    Body, BroughtDriver, BugCheck, Confidence, Derived, DriverOutcome, DriverState, Event,
    LogEntry, Source, Verdict, derive,
};

fn failed(name: &str, error: u32) -> LogEntry {
    LogEntry::StartFailed { name: name.to_owned(), error: Some(error) }
}

fn not_loaded(names: &[&str]) -> LogEntry {
    LogEntry::NotLoaded { names: names.iter().map(|name| (*name).to_owned()).collect() }
}

/// The run of a good file, on a Windows whose lines say nothing of drivers, with this in its log.
fn with(log: &[LogEntry]) -> Vec<Event> {
    let mut run = events("channel-file-291-good-file");
    let own = facts(&mut run);
    own.image_is_model = false;
    own.witnesses.clear();
    own.drivers = vec![BroughtDriver {
        file: "Sensor.sys".to_owned(),
        service: "vendorsensor".to_owned(),
        starts: true,
    }];
    let end = position(&run, |body| matches!(body, Body::RunEnded));
    let at = run[end].clone();
    let entries = (100..).zip(log).map(|(record, entry)| {
        let path = r"C:\Windows\System32\winevt\Logs\System.evtx".to_owned();
        beside(&at, Source::Disk, Body::SystemLog { record, path, entry: entry.clone() })
    });
    run.splice(end..end, entries);
    renumber(run)
}

fn driver(derived: &Derived) -> &DriverOutcome {
    &derived.outcome.drivers[0]
}

#[test]
fn a_brought_driver_that_the_log_says_did_not_start_is_no_pass() {
    let silent = derive(&with(&[]));
    assert_eq!(silent.outcome.verdict, Verdict::Unaffected, "{}", silent.outcome.because);
    assert_eq!(driver(&silent).state, DriverState::NotKnown);
    assert!(silent.timeline.expectation.met, "{:?}", silent.timeline.expectation);
    for (log, error) in [
        (vec![LogEntry::Started, failed("VendorSensor", 577)], Some(577)),
        (vec![LogEntry::Started, not_loaded(&["dam", "vendorsensor"])], None),
        // The log was running already when the run began.
        (vec![not_loaded(&["vendorsensor"])], None),
        (
            vec![
                LogEntry::Started,
                failed("vendorsensor", 2),
                LogEntry::Started,
                not_loaded(&["VENDORSENSOR"]),
            ],
            Some(2),
        ),
    ] {
        let derived = derive(&with(&log));
        let driver = driver(&derived);
        assert_eq!((driver.state, driver.error), (DriverState::DidNotRun, error), "{log:?}");
        // It is no verdict, and what was expected did not come.
        assert_eq!(derived.outcome.verdict, Verdict::Unaffected);
        let unmet = &derived.timeline.expectation.unmet;
        assert_eq!(unmet[0].key, "drivers", "{unmet:?}");
    }
}

#[test]
fn what_may_have_run_all_the_same_is_not_known() {
    for log in [
        // In one of two starts.
        vec![LogEntry::Started, failed("vendorsensor", 31), LogEntry::Started],
        vec![LogEntry::Started, LogEntry::Started, not_loaded(&["vendorsensor"])],
        vec![failed("vendorsensor", 31), LogEntry::Started],
        // Somebody else.
        vec![LogEntry::Started, failed("vendorsensor2", 31), not_loaded(&["sensor"])],
        // It was running.
        vec![LogEntry::Started, failed("vendorsensor", 1056)],
        vec![LogEntry::UnexpectedRestart { bug_check: None }, LogEntry::DirtyShutdown],
    ] {
        let derived = derive(&with(&log));
        assert_eq!(driver(&derived).state, DriverState::NotKnown, "{log:?}");
        assert!(derived.timeline.expectation.met, "{log:?}");
        assert_eq!(derived.outcome, derive(&with(&[])).outcome);
    }
}

#[test]
fn a_failure_that_is_expected_may_be_told_by_the_log() {
    // By file where the log has the service.
    for expected in ["sensor.sys", "vendorsensor"] {
        let mut run = with(&[LogEntry::Started, failed("vendorsensor", 577)]);
        facts(&mut run).expected_failures = vec![expected.to_owned()];
        assert!(derive(&run).timeline.expectation.met, "{expected}");
        let mut run = with(&[LogEntry::Started, failed("other", 577)]);
        facts(&mut run).expected_failures = vec![expected.to_owned()];
        assert!(!derive(&run).timeline.expectation.met, "{expected}");
    }
}

#[test]
fn entries_are_the_guests_word_and_survive_the_record() {
    let stop = Some(BugCheck { code: 0x50, parameters: [1, 0, 2, 3] });
    let dump = Some(r"C:\Windows\MEMORY.DMP".to_owned());
    let log = [
        LogEntry::UnexpectedRestart { bug_check: stop },
        LogEntry::BugCheckReported { bug_check: stop, dump },
        LogEntry::DirtyShutdown,
    ];
    let run = with(&log);
    let lines = run.iter().map(|event| timeline::write_event(event).expect("a line"));
    let text: String = lines.collect();
    let again = timeline::read_events(&text).expect("a good record").events;
    assert_eq!(again, run);
    let derived = derive(&run);
    let told = &derived.timeline.system_log;
    assert_eq!(told.iter().map(|one| one.entry.clone()).collect::<Vec<_>>(), log);
    assert!(told.iter().all(|one| one.confidence == Confidence::GuestSays));
    // An entry that is read twice is one.
    let end = run.len() - 1;
    let mut twice = run.clone();
    twice.insert(end, run[end - 1].clone());
    assert_eq!(derive(&renumber(twice)).timeline.system_log.len(), 3);
}
