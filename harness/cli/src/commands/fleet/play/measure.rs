//! From the record of a run to what became of its machine, in the time of its guest.
//!
//! On an image with a time scale the documented waits pass faster, and nothing else does: a start takes as long as it
//! takes. The waits that a run shows are those between two requests of the recovery environment. Each of them is counted
//! in full; all else, the overhead of asking included, as long as it took. On such an image that overhead uses up more of
//! a round than it would on Windows, so a round has fewer requests there and ends sooner: minutes of a machine that is
//! given up are short by that. What the environment waits after its last request is not known and not added.

use fleet::{Break, Ended, Life, LifeKey, RanOn};
use scenario::{Scenario, Span};
use timeline::{Body, Derived, Event, Micros, Phase, Touch, Verdict};
use words::ImageLine;

/// The requests that ask for a remediation, as the harness's own service names them.
const SCAN: &str = "scan";

/// Why a run says nothing that a rollout could be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum MeasureError {
    /// The harness failed.
    #[error("run {run} says nothing about its machine: {because}; the same command runs it again")]
    Infrastructure { run: String, because: String },
    /// It came back, or was given up, and never failed.
    #[error(
        "run {run} came to {verdict} without a start that failed, which a rollout cannot be told"
    )]
    NoFailure { run: String, verdict: Verdict },
    /// Nothing says when the update came.
    #[error("run {run} does not say when the update was put in place")]
    NoFault { run: String },
}

/// What became of a machine.
pub(super) fn life(
    key: LifeKey,
    run: String,
    checkpoint: Option<String>,
    scenario: &Scenario,
    derived: &Derived,
    events: &[Event],
) -> Result<Life, MeasureError> {
    let (timeline, outcome) = (&derived.timeline, &derived.outcome);
    let verdict = outcome.verdict;
    let facts = timeline.facts.as_ref();
    let line = facts.and_then(|facts| facts.image_line.clone());
    let line: Option<ImageLine> = line.or_else(|| outcome.image.name.parse().ok());
    let (Some(image), false) = (line, verdict == Verdict::Infrastructure) else {
        return Err(MeasureError::Infrastructure { run, because: outcome.because.clone() });
    };
    // Where the host's time was over, nobody knows how the machine would have ended.
    let out_of_time =
        |event: &Event| matches!(&event.body, Body::WatchEnded { why, .. } if why == "time-limit");
    if events.iter().any(out_of_time) {
        let because = "the scenario's time limit ended it".to_owned();
        return Err(MeasureError::Infrastructure { run, because });
    }
    let on = RanOn { image, is_model: outcome.image.is_model, time_scale: outcome.time_scale };
    let clock = Clock::of(scenario, outcome.time_scale, events);
    let Some(fault) = timeline.first_fault else { return Err(MeasureError::NoFault { run }) };
    let failed = timeline.boots.iter().position(|boot| boot.after_fault && boot.failed());
    let Some(at) = failed else {
        if verdict != Verdict::Unaffected {
            return Err(MeasureError::NoFailure { run, verdict });
        }
        let ended = Ended::Well;
        return Ok(Life {
            key,
            run,
            on,
            checkpoint,
            verdict,
            breaks: None,
            asks: Vec::new(),
            ended,
        });
    };
    let boot = &timeline.boots[at];
    let broke = timeline.panics.get(&boot.number).copied();
    let broke = broke.or(boot.ended.map(|ended| ended.at)).unwrap_or(boot.began.at);
    let good = timeline.boots[..at]
        .iter()
        .filter(|boot| boot.began_after_all_faults && boot.is_healthy() && boot.during.is_none());
    let since = fault.at.max(boot.began.at);
    let breaks = Break { good_starts: good.count() as u32, within: clock.between(since, broke) };
    let asks = clock.scans.iter().filter(|scan| **scan > broke);
    let asks = asks.map(|scan| clock.between(broke, *scan)).collect();
    let over = timeline.watch_over.map_or(timeline.last_at, |moment| moment.at);
    // The starts say it, not the verdict: a machine that lost data is back all the same.
    let last = timeline.boots.iter().rposition(|boot| boot.failed()).unwrap_or(at);
    let healthy = timeline.boots[last + 1..]
        .iter()
        .filter(|boot| boot.is_healthy() && boot.during.is_none())
        .flat_map(|boot| &boot.phases)
        .find(|reached| reached.phase == Phase::Healthy);
    let ended = match healthy {
        Some(healthy) => Ended::Back {
            after: clock.between(broke, healthy.moment.at),
            by: outcome.brought_back_by,
            touch: outcome.touch.unwrap_or(Touch::None),
        },
        None => Ended::GivenUp { after: clock.between(broke, over) },
    };
    Ok(Life { key, run, on, checkpoint, verdict, breaks: Some(breaks), asks, ended })
}

/// The guest's time.
struct Clock {
    /// When it asked.
    scans: Vec<Micros>,
    /// When waits ended, and what is to be added for each, in microseconds.
    waits: Vec<(Micros, u64)>,
}

impl Clock {
    fn of(scenario: &Scenario, scale: u32, events: &[Event]) -> Self {
        let settings = scenario.recovery.quick_machine_recovery.as_ref();
        let interval = settings.map_or(0, |it| it.wait_interval.duration().as_micros() as u64);
        let passed = interval / u64::from(scale.max(1));
        let (mut scans, mut waits, mut last) = (Vec::new(), Vec::new(), None::<Micros>);
        for event in events {
            let at = Micros::new(event.at_us);
            match &event.body {
                // The wait ends with the environment.
                Body::Reset { .. } | Body::MachineStarted { .. } => last = None,
                Body::Service { service, request, .. }
                    if service == recovery::SERVICE && request == SCAN =>
                {
                    scans.push(at);
                    // A request that is repeated sooner did not wait.
                    if last.is_some_and(|last| at.since(last).get() >= passed) {
                        waits.push((at, interval - passed));
                    }
                    last = Some(at);
                }
                _ => {}
            }
        }
        Self { scans, waits }
    }

    fn between(&self, from: Micros, to: Micros) -> Span {
        let waits = self.waits.iter().filter(|(at, _)| *at > from && *at <= to);
        let more: u64 = waits.map(|(_, more)| more).sum();
        Span::from_millis(to.since(from).plus(Micros::new(more)).get() / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleet::Help;
    use std::io::Read;
    use std::path::Path;

    /// A recorded run of the library, and what it was a run of.
    fn read(root: &Path, name: &str) -> (Scenario, Vec<Event>) {
        let file = root.join(format!("tests/recordings/{name}.jsonl.gz"));
        let mut events = String::new();
        let file = fs_err::File::open(file).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut events).unwrap();
        let events = timeline::read_events(&events).unwrap().events;
        (Scenario::load(&root.join("scenarios").join(name)).unwrap(), events)
    }

    fn recorded(name: &str) -> Life {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (scenario, events) = read(&root, name);
        let key = LifeKey { machine: 0, help: Help::Never };
        let derived = timeline::derive(&events);
        life(key, "run".to_owned(), None, &scenario, &derived, &events).unwrap()
    }

    fn minutes(span: &Span) -> f64 {
        span.duration().as_secs_f64() / 60.0
    }

    #[test]
    fn what_nobody_helped_asked_for_forty_minutes_and_once_more_and_was_given_up() {
        let life = recorded("channel-file-291-unpublished");
        assert_eq!(life.breaks.as_ref().unwrap().good_starts, 0);
        assert!(life.breaks.unwrap().within < Span::from_secs(5), "content breaks at once");
        // Nineteen requests in each round, two minutes apart: 38 minutes without the starts.
        assert_eq!(life.asks.len(), 38);
        let first = minutes(&life.asks[18]) - minutes(&life.asks[0]);
        assert!((36.0..38.0).contains(&first), "{first}");
        for (one, next) in life.asks[..19].iter().zip(&life.asks[1..19]) {
            let gap = minutes(next) - minutes(one);
            assert!((2.0..2.1).contains(&gap), "{gap}");
        }
        let Ended::GivenUp { after } = life.ended else { panic!("{:?}", life.ended) };
        let after = minutes(&after);
        assert!((72.0..80.0).contains(&after), "{after}");
    }

    /// A run that the host's time ended says nothing, however far it came.
    #[test]
    fn what_a_time_limit_cut_off_is_no_life() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let (scenario, mut events) = read(&root, "channel-file-291-unpublished");
        for event in &mut events {
            if let Body::WatchEnded { why, .. } = &mut event.body {
                *why = "time-limit".to_owned();
            }
        }
        let key = LifeKey { machine: 0, help: Help::Never };
        let derived = timeline::derive(&events);
        let life = life(key, "run".to_owned(), None, &scenario, &derived, &events);
        assert!(matches!(life, Err(MeasureError::Infrastructure { .. })), "{life:?}");
    }

    #[test]
    fn what_was_helped_is_back_and_what_was_good_never_broke() {
        let life = recorded("channel-file-291-late");
        assert_eq!(life.asks.len(), 2, "one in vain");
        assert!(minutes(&life.asks[1]) - minutes(&life.asks[0]) >= 2.0);
        let Ended::Back { after, by, touch } = life.ended else { panic!("{:?}", life.ended) };
        assert_eq!((by, touch), (Some(timeline::Layer::QuickMachineRecovery), Touch::None));
        assert!(after > life.asks[1] && minutes(&after) < 4.0, "{after}");
        let good = recorded("channel-file-291-good");
        assert!(good.breaks.is_none() && good.asks.is_empty());
        assert_eq!(good.ended, Ended::Well);
    }
}
