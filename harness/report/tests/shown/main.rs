//! What a person and a program are shown of recorded runs, and how references are kept. The records are
//! the timeline's fixtures.

mod recordings;
mod references;
mod summaries;
mod terminals;

use timeline::{Derived, derive, read_events};

/// One record's name and text.
macro_rules! record {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../timeline/tests/fixtures/", $name, ".jsonl")))
    };
}

const RECORDS: [(&str, &str); 7] = [
    record!("channel-file-291"),
    record!("channel-file-291-no-remediation"),
    record!("channel-file-291-wrong-signature"),
    record!("conflicting-signals"),
    record!("data-lost"),
    record!("hang"),
    record!("operator-power-cycle"),
];

/// What real runs on the understudy recorded.
const RECORDINGS: [(&str, &str); 2] =
    [record!("recorded-channel-file-291"), record!("recorded-channel-file-291-cloud-off")];

fn derived(name: &str) -> Derived {
    let mut all = RECORDS.iter().chain(&RECORDINGS);
    let (_, text) = all.find(|(known, _)| *known == name).expect("a fixture");
    derive(&read_events(text).expect("a good record").events)
}
