//! Reading and writing `events.jsonl`.

use crate::support::{RECORDS, events, text};
use timeline::{Verdict, derive, read_events, write_event};

#[test]
fn what_is_read_is_written_again_to_the_same_events() {
    for (name, text) in RECORDS {
        let record = read_events(text).expect("a good record");
        assert!(record.complete, "{name}");
        let written: String =
            record.events.iter().map(|event| write_event(event).expect("JSON")).collect();
        assert_eq!(read_events(&written).expect("a good record"), record, "{name}");
        assert_eq!(written.lines().count(), record.events.len());
    }
}

#[test]
fn a_record_that_breaks_off_anywhere_is_read_up_to_there() {
    let whole = text("channel-file-291");
    let first = whole.find('\n').expect("lines") + 1;
    for cut in (first..whole.len()).filter(|&at| whole.is_char_boundary(at)) {
        let record = read_events(&whole[..cut]).unwrap_or_else(|error| panic!("{cut}: {error}"));
        let lines = whole[..cut].matches('\n').count();
        let last_is_whole = record.events.len() == lines + 1;
        assert!(record.events.len() == lines || last_is_whole, "{cut}");
        // The last line end is all that may be missing of a complete record.
        assert_eq!(record.complete, cut + 1 == whole.len(), "{cut}");
    }
    let cut = whole.len() * 2 / 3;
    let record = read_events(&whole[..cut]).expect("readable");
    let derived = derive(&record.events);
    assert_eq!(derived.outcome.verdict, Verdict::Infrastructure);
    assert!(!derived.timeline.complete);
    assert!(derived.timeline.boots.len() >= 3);
}

#[test]
fn errors_say_where_and_what() {
    let whole = text("hang");
    let lines: Vec<&str> = whole.lines().collect();
    let error = |lines: &[&str]| {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        read_events(&text).expect_err("a bad record").to_string()
    };
    let mut gap = lines.clone();
    gap.remove(4);
    assert_eq!(error(&gap), "events.jsonl:5:1: event 5 where 4 is due; lines are missing");
    assert_eq!(error(&lines[1..]), "events.jsonl:1:1: event 1 where 0 is due; lines are missing");
    let headless = lines[1].replace("\"seq\":1", "\"seq\":0");
    assert_eq!(error(&[&headless]), "events.jsonl:1:1: the first event is not run-started");
    let newer = lines[0].replace("\"format\":1", "\"format\":2");
    assert!(error(&[&newer]).contains("format 2, but this loopbreak reads format 1"));
    let twice = lines[0].replace("\"seq\":0", "\"seq\":1");
    assert_eq!(error(&[lines[0], &twice]), "events.jsonl:2:1: a second run-started");
    let unknown = lines[1].replace("machine-started", "machine-dreamt");
    assert!(error(&[lines[0], &unknown]).starts_with("events.jsonl:2:"));
    assert!(error(&[lines[0], "{\"seq\":1"]).starts_with("events.jsonl:2:8: not an event"));
    assert_eq!(
        read_events("").expect_err("empty").to_string(),
        "events.jsonl:1:1: no event; the run had not begun when the harness stopped"
    );
}

#[test]
fn deriving_twice_gives_the_same_bytes() {
    for (name, _) in RECORDS {
        let (one, two) = (derive(&events(name)), derive(&events(name)));
        assert_eq!(one.outcome.render(), two.outcome.render(), "{name}");
        assert_eq!(one, two);
    }
}
