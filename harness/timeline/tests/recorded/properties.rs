//! What holds for any stream of events.

use crate::support::{RECORDS, events, renumber};
use proptest::prelude::*;
use proptest::sample::select;
use timeline::{
    Body, BugCheck, Certainty, End, Event, ResetBy, Screen, ScreenKind, Source, StartedFrom,
    StepState, Watcher, derive,
};

const LINES: [&str; 18] = [
    "[bootmgr] boot status: good",
    "[loader] control set 1",
    "[kernel] starting drivers",
    "[kernel] dump written",
    "[session] starting services",
    "[session] boot marked good",
    "[recovery] recovery environment",
    "[recovery] startup repair: nothing to repair",
    "[recovery] startup repair: repaired something",
    "[recovery] waiting for a person",
    "*** Fatal System Error: 0x00000050 (0x1,0x0,0x2,0x3)",
    "*** Fatal System Error: 0x000000D1",
    "(0x1,0x2,0x3,0x4)",
    "*** csagent.sys",
    "*** ",
    "*** Fatal System Error: 0x",
    "",
    "\u{fffd}\u{0}",
];

/// What means nothing to the timeline.
fn irrelevant() -> impl Strategy<Value = (Source, Body)> {
    prop_oneof![
        Just((
            Source::Screen,
            Body::Frame {
                file: "frames/1.png".into(),
                digest: "00".into(),
                width: 800,
                height: 600,
                why: "poll".into(),
            }
        )),
        Just((
            Source::Hypervisor,
            Body::Monitor { name: "RTC_CHANGE".into(), data: serde_json::json!({"offset": 0}) }
        )),
        Just((
            Source::Network,
            Body::Refused { protocol: "udp".into(), to: "192.0.2.1:123".into(), count: 1 }
        )),
        select(vec!["BdsDxe: loading Boot0001", "* * *", "(nothing)", "*** hello"])
            .prop_map(|text| (Source::Serial, Body::SerialLine { port: 0, text: text.to_owned() })),
    ]
}

fn body() -> impl Strategy<Value = (Source, Body)> {
    let by = select(vec![
        ResetBy::Guest,
        ResetBy::Guest,
        ResetBy::Guest,
        ResetBy::Harness,
        ResetBy::Operator,
        ResetBy::Hypervisor,
        ResetBy::Power,
    ]);
    let from = select(vec![StartedFrom::Cold, StartedFrom::Checkpoint]);
    let step = select(vec![
        ("settled", StepState::Done),
        ("silent", StepState::Done),
        ("power-cycle", StepState::Started),
        ("inject bad-channel-file", StepState::Started),
        ("inject other", StepState::Started),
        ("layer host-repair", StepState::Done),
        ("layer unknown", StepState::Failed),
    ]);
    let request = select(vec![
        ("scan", "no-match", ""),
        ("scan", "offered", ""),
        ("manifest", "served", ""),
        ("report", "accepted", "applied"),
        ("report", "accepted", "refused"),
        ("report", "accepted", "?"),
    ]);
    let check = (any::<u64>(), any::<[u64; 4]>())
        .prop_map(|(code, parameters)| BugCheck { code: code % 0x60, parameters });
    let hypervisor = |body| (Source::Hypervisor, body);
    let harness = |body| (Source::Harness, body);
    prop_oneof![
        10 => select(LINES.to_vec()).prop_map(|text| {
            (Source::Serial, Body::SerialLine { port: 0, text: text.to_owned() })
        }),
        6 => by.prop_map(move |by| hypervisor(Body::Reset { by, reason: "any".into() })),
        2 => from.prop_map(move |from| hypervisor(Body::MachineStarted { from })),
        1 => select(vec!["guest-shutdown", "destroyed"]).prop_map(move |reason| {
            hypervisor(Body::MachineStopped { reason: reason.into() })
        }),
        4 => proptest::option::of(check.clone()).prop_map(move |bug_check| {
            hypervisor(Body::Panicked { action: "run".into(), bug_check })
        }),
        1 => Just(hypervisor(Body::Watchdog { action: "reset".into() })),
        1 => Just((Source::Agent, Body::AgentUp)),
        2 => (0..4_u8, any::<bool>()).prop_map(|(file, stop)| {
            let file = file.to_string();
            if stop {
                let kind = ScreenKind::BlueStop;
                let screen =
                    Screen { kind, certainty: Certainty::Likely, evidence: vec![], stop: None, status: None };
                return (Source::Screen, Body::Screen { file, screen });
            }
            let (digest, why) = (String::new(), "poll".to_owned());
            (Source::Screen, Body::Frame { file, digest, width: 1, height: 1, why })
        }),
        5 => step.prop_map(move |(name, state)| {
            harness(Body::Step { name: name.into(), state, detail: String::new() })
        }),
        2 => Just(harness(Body::FaultLanded {
            fault: "bad-channel-file".into(),
            proof: vec![],
        })),
        3 => request.prop_map(|(request, answer, result)| {
            let facts = [("result".to_owned(), result.to_owned())].into();
            (Source::Network, Body::Service {
                service: "remediation".into(),
                request: request.into(),
                answer: answer.into(),
                facts,
            })
        }),
        1 => check.prop_map(|bug_check| (Source::Disk, Body::Dump {
            path: "C:\\Windows\\MEMORY.DMP".into(),
            file: "dumps/0.dmp".into(),
            kind: "kernel".into(),
            bug_check,
            module: Some("CSAgent.sys".into()),
            time: "2024-07-19T04:15:00Z".into(),
        })),
        1 => any::<bool>().prop_map(|intact| {
            (Source::Disk, Body::Canary { path: "C:\\a.txt".into(), intact })
        }),
        1 => irrelevant(),
    ]
}

/// A run: its first event is that of a record, its last ones end it.
fn run() -> impl Strategy<Value = Vec<Event>> {
    let first = events("channel-file-291")[0].clone();
    let why = select(vec!["concluded", "time-limit", "interrupted"]);
    let bodies = proptest::collection::vec((body(), 1_000_000_u64..9_000_000), 0..80);
    (bodies, why, any::<bool>()).prop_map(move |(bodies, why, ended)| {
        let mut at_us = 0;
        let mut events = vec![first.clone()];
        let watch_ended = Body::WatchEnded { why: why.into(), detail: String::new() };
        let mut tail = vec![((Source::Harness, watch_ended), 1_000_000)];
        if ended {
            tail.push(((Source::Harness, Body::RunEnded), 1_000_000));
        }
        for ((source, body), gap) in bodies.into_iter().chain(tail) {
            at_us += gap;
            events.push(Event { seq: 0, at_us, source, body });
        }
        renumber(events)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_events_in_any_order_are_read(
        bodies in proptest::collection::vec((body(), any::<u64>(), any::<u64>()), 0..60),
        with_facts in any::<bool>(),
    ) {
        let mut watcher = Watcher::new();
        if with_facts {
            watcher.feed(&events("channel-file-291")[0]);
        }
        for ((source, body), seq, at_us) in bodies {
            watcher.feed(&Event { seq, at_us, source, body });
            let _ = watcher.settling();
        }
        let derived = watcher.derive();
        prop_assert_eq!(derived.timeline.boots.len(), derived.measurements.boots.len());
        let _ = derived.outcome.render();
    }

    #[test]
    fn live_and_recorded_are_the_same(run in run()) {
        let mut watcher = Watcher::new();
        let mut concluded = None;
        for event in &run {
            watcher.feed(event);
            let now = watcher.conclusion();
            // Once reached, a conclusion stays what it is.
            prop_assert!(concluded.is_none() || concluded == now);
            concluded = now;
        }
        prop_assert_eq!(watcher.derive(), derive(&run));
    }

    #[test]
    fn a_faster_or_slower_host_gives_the_same_outcome(
        run in run(),
        // A second between events is far above the burst of resets, the one fact about time.
        (times, by) in (1_u64..50, 1_u64..8),
    ) {
        let scaled: Vec<Event> = run
            .iter()
            .map(|event| Event { at_us: event.at_us * times / by, ..event.clone() })
            .collect();
        prop_assert_eq!(derive(&scaled).outcome, derive(&run).outcome);
    }

    #[test]
    fn irrelevant_events_change_nothing(
        run in run(),
        extra in proptest::collection::vec((irrelevant(), any::<proptest::sample::Index>()), 1..40),
    ) {
        prop_assert_eq!(derive(&with(&run, &extra)).outcome, derive(&run).outcome);
    }

    #[test]
    fn irrelevant_events_change_nothing_in_the_records(
        record in select((0..RECORDS.len()).collect::<Vec<_>>()),
        extra in proptest::collection::vec((irrelevant(), any::<proptest::sample::Index>()), 1..40),
        (times, by) in (1_u64..50, 1_u64..8),
    ) {
        let run = events(RECORDS[record].0);
        let mut other = with(&run, &extra);
        for event in &mut other {
            event.at_us = event.at_us * times / by;
        }
        prop_assert_eq!(derive(&other).outcome, derive(&run).outcome);
    }

    #[test]
    fn every_boot_hangs_together(run in run()) {
        let timeline = derive(&run).timeline;
        for (index, boot) in timeline.boots.iter().enumerate() {
            prop_assert_eq!(boot.number as usize, index + 1);
            prop_assert!(boot.phases.windows(2).all(|pair| pair[0].phase < pair[1].phase));
            if matches!(boot.end, End::BugCheck | End::HaltedAtStopScreen) {
                prop_assert!(boot.stop.is_some());
            }
            if index + 1 < timeline.boots.len() && boot.end == End::StillUp {
                return Err(TestCaseError::fail("a boot that is still up is not followed by another"));
            }
        }
    }
}

fn with(run: &[Event], extra: &[((Source, Body), proptest::sample::Index)]) -> Vec<Event> {
    let mut other = run.to_vec();
    for ((source, body), place) in extra {
        // After the first event, which is always run-started.
        let at = 1 + place.index(other.len());
        let at_us = other[at - 1].at_us;
        let (source, body) = (*source, body.clone());
        other.insert(at, Event { seq: 0, at_us, source, body });
    }
    renumber(other)
}
