//! What Windows noted in its System log while the run was on.

use engine::RunOptions;
use faults::driver::{self, DriverKind, FaultyDriverOptions};
use hypervisor::{FakeHypervisor, Trigger};
use scenario::Defect;
use timeline::{Body, DriverState, LogEntry, Source, Verdict};

use crate::bench::{Bench, Meanwhile};
use crate::guest::{Guest, healthy_start};
use crate::image::PROFILE;
use crate::outcomes::{because, events, unmet};

const SCENARIO: &str = r#"
format = 1
name = "scripted"
title = "A driver that somebody brings"
description = "What comes out is what the test's script says."

[machine]
image = "understudy"
start = "cold"

[[fault]]
name = "brought"
kind = "driver-file"
file = "vendor.sys"

[expect]
verdict = "unaffected"
"#;

/// A record of a log as Windows XP wrote it (Microsoft, "EVENTLOGRECORD structure").
fn record(number: u32, source: &str, id: u32, strings: &[&str]) -> Vec<u8> {
    let utf16 = |text: &str| -> Vec<u8> {
        text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
    };
    let mut tail = [utf16(source), utf16("HOST")].concat();
    let strings_at = 56 + tail.len() as u32;
    strings.iter().for_each(|text| tail.extend(utf16(text)));
    tail.resize(tail.len().next_multiple_of(4), 0);
    let size = 56 + tail.len() as u32 + 4;
    let head = [size, u32::from_le_bytes(*b"LfLe"), number, 1_340_000_000, 1_340_000_000, id];
    let kind_and_count = 1 | (strings.len() as u32) << 16;
    let words = [&head[..], &[kind_and_count, 0, 0, strings_at, 0, 0, 0, 0]].concat();
    let mut record: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    record.extend(tail);
    record.extend(size.to_le_bytes());
    record
}

fn log(records: &[Vec<u8>]) -> &'static [u8] {
    let mut file = 0x30_u32.to_le_bytes().to_vec();
    file.extend(b"LfLe");
    file.resize(48, 0);
    file.extend(records.concat());
    Box::leak(file.into_boxed_slice())
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_the_log_says_did_not_start_is_no_pass() {
    let profile = PROFILE.replace("is-model = true", "is-model = false");
    let Some(bench) = Bench::with_profile(&profile) else { return };
    let folder = bench.folder();
    std::fs::create_dir_all(&folder).unwrap();
    let options = FaultyDriverOptions::new(Defect::NullRead);
    let bytes = driver::build(&DriverKind::Faulty(options)).unwrap();
    std::fs::write(folder.join("vendor.sys"), bytes).unwrap();
    let scenario = bench.load(SCENARIO);
    let started = record(1, "EventLog", 6005, &[]);
    let services = "Service Control Manager";
    for (log, state, error) in [
        (None, DriverState::NotKnown, None),
        (Some(log(std::slice::from_ref(&started))), DriverState::NotKnown, None),
        (
            Some(log(&[started.clone(), record(2, services, 7000, &["vendor", "%%577"])])),
            DriverState::DidNotRun,
            Some(577),
        ),
        (
            Some(log(&[started.clone(), record(2, services, 7026, &["\r\nother\r\nvendor"])])),
            DriverState::DidNotRun,
            None,
        ),
        // Damaged: the run is what it is without it.
        (Some(&b"LfLe"[..]), DriverState::NotKnown, None),
    ] {
        let off = Body::MachineStopped { reason: "guest-shutdown".to_owned() };
        let fake = FakeHypervisor::new()
            .on(Trigger::Start, healthy_start())
            .on(Trigger::AgentShutdown, [(Source::Hypervisor, off)]);
        let path = r"Windows\System32\config\SysEvent.Evt";
        let writes = log.map(|log| (path, log)).into_iter().collect();
        let guest = Guest::new(fake, writes, Vec::new());
        let options = RunOptions::default();
        let result = bench.run(&scenario, &guest, &options, Meanwhile::Nothing).await.unwrap();
        let outcome = &result.derived.outcome;
        assert_eq!(outcome.verdict, Verdict::Unaffected, "{}", because(&result));
        assert_eq!((outcome.drivers[0].state, outcome.drivers[0].error), (state, error));
        let is_a_pass = state != DriverState::DidNotRun;
        assert_eq!(outcome.expectation.met, is_a_pass, "{:?}", unmet(&result));
        let entries = events(&result).into_iter().filter_map(|event| match event.body {
            Body::SystemLog { record, path, entry } => Some((record, path, entry)),
            _ => None,
        });
        let entries: Vec<(u64, String, LogEntry)> = entries.collect();
        if !is_a_pass {
            assert_eq!(entries.len(), 2);
            assert_eq!(entries[0].2, LogEntry::Started);
            assert_eq!(entries[1].1, format!(r"C:\{path}"));
        }
    }
}
