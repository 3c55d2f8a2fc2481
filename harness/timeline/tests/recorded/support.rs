//! The recorded runs, and a way to change them.

use timeline::{Body, Event, Source, read_events};

/// Every fixture that was written by hand: its name and its text.
pub(crate) const RECORDS: [(&str, &str); 12] = [
    ("channel-file-291", include_str!("../fixtures/channel-file-291.jsonl")),
    ("channel-file-291-good-file", include_str!("../fixtures/channel-file-291-good-file.jsonl")),
    (
        "channel-file-291-no-remediation",
        include_str!("../fixtures/channel-file-291-no-remediation.jsonl"),
    ),
    ("channel-file-291-cloud-off", include_str!("../fixtures/channel-file-291-cloud-off.jsonl")),
    (
        "channel-file-291-wrong-signature",
        include_str!("../fixtures/channel-file-291-wrong-signature.jsonl"),
    ),
    ("channel-file-291-late", include_str!("../fixtures/channel-file-291-late.jsonl")),
    ("hang", include_str!("../fixtures/hang.jsonl")),
    ("operator-power-cycle", include_str!("../fixtures/operator-power-cycle.jsonl")),
    ("harness-reset", include_str!("../fixtures/harness-reset.jsonl")),
    ("conflicting-signals", include_str!("../fixtures/conflicting-signals.jsonl")),
    ("data-lost", include_str!("../fixtures/data-lost.jsonl")),
    ("out-of-time", include_str!("../fixtures/out-of-time.jsonl")),
];

/// What real runs recorded, on the understudy. Only the paths of their sockets were made neutral.
pub(crate) const RECORDINGS: [(&str, &str); 2] = [
    ("recorded-channel-file-291", include_str!("../fixtures/recorded-channel-file-291.jsonl")),
    (
        "recorded-channel-file-291-cloud-off",
        include_str!("../fixtures/recorded-channel-file-291-cloud-off.jsonl"),
    ),
];

/// The text of one fixture.
pub(crate) fn text(name: &str) -> &'static str {
    let found = RECORDS.iter().chain(&RECORDINGS).find(|(known, _)| *known == name);
    found.expect("a fixture of that name").1
}

/// The events of one fixture.
pub(crate) fn events(name: &str) -> Vec<Event> {
    read_events(text(name)).expect("a good record").events
}

/// Numbers the events again, after some were put in or taken out. Times stay, made monotonic.
pub(crate) fn renumber(mut events: Vec<Event>) -> Vec<Event> {
    let mut at = 0;
    for (seq, event) in events.iter_mut().enumerate() {
        event.seq = seq as u64;
        at = event.at_us.max(at);
        event.at_us = at;
    }
    events
}

/// An event at the time of another.
pub(crate) fn beside(other: &Event, source: Source, body: Body) -> Event {
    Event { seq: 0, at_us: other.at_us, source, body }
}

/// Where the first event is that `matches`.
pub(crate) fn position(events: &[Event], matches: impl Fn(&Body) -> bool) -> usize {
    events.iter().position(|event| matches(&event.body)).expect("such an event")
}

/// True for a serial line that begins so.
pub(crate) fn line(start: &str) -> impl Fn(&Body) -> bool {
    move |body| matches!(body, Body::SerialLine { text, .. } if text.starts_with(start))
}
