//! Runs that go the same way until their machine is given up: the way is gone once.

use engine::{RunResult, replay};
use scenario::{Reboots, Scenario};
use timeline::{Body, Source, Verdict};

use crate::bench::{BAD_FILE, Bench};
use crate::guest::{Guest, Seen, healthy_start, reset, serial, stop};
use crate::host_repair::{guest, repaired, stuck};
use crate::outcomes::events;

/// The bad file, with nobody who helps, and with a repair from the host.
fn alone_and_repaired(bench: &Bench) -> [Scenario; 2] {
    let alone = bench.scenario("staged", "stuck-in-recovery");
    let mut repaired = repaired(alone.clone(), BAD_FILE);
    repaired.name = "scripted/repaired".to_owned();
    [alone, repaired]
}

fn starts(guest: &Guest) -> usize {
    guest.fake.calls().iter().filter(|call| call.starts_with("start ")).count()
}

fn verdicts(results: &[RunResult]) -> Vec<Verdict> {
    results.iter().map(|result| result.derived.outcome.verdict).collect()
}

/// The run that this one has its beginning from, and its boots.
fn beginning_of(result: &RunResult) -> Option<(String, usize)> {
    let beginning = result.derived.timeline.beginning.as_ref();
    beginning.map(|beginning| (beginning.run.clone(), beginning.boots))
}

#[tokio::test(start_paused = true)]
async fn the_outcome_is_that_of_a_run_of_its_own() {
    let Some(bench) = Bench::new() else { return };
    let [alone, repaired] = alone_and_repaired(&bench);
    // Each from its own start.
    let mut apart = Vec::new();
    for (scenario, story) in [(&alone, vec![stuck()]), (&repaired, vec![stuck(), healthy_start()])]
    {
        apart.extend(bench.run_together(std::slice::from_ref(scenario), &guest(story)).await);
    }
    assert_eq!(verdicts(&apart), [Verdict::StuckInRecovery, Verdict::Recovered]);
    assert!(apart.iter().all(|result| beginning_of(result).is_none()));

    for order in [[0, 1], [1, 0]] {
        let scenarios = order.map(|which| [&alone, &repaired][which].clone());
        let machine = guest(vec![stuck(), healthy_start()]);
        let together = bench.run_together(&scenarios, &machine).await;
        assert_eq!(starts(&machine), 2, "{order:?}: {:?}", machine.fake.calls());
        for (which, result) in order.into_iter().zip(&together) {
            let (outcome, own) = (&result.derived.outcome, &apart[which].derived.outcome);
            assert_eq!(outcome.render(), own.render());
            assert_eq!(replay(&result.directory).unwrap().same, Some(true));
        }
        // The one that came second says whose beginning it has, and its clock goes on from there.
        let [first, second] = together.as_slice() else { panic!("two runs") };
        assert_eq!(beginning_of(first), None);
        assert_eq!(beginning_of(second), Some((first.directory.name(), 3)));
        let times: Vec<u64> = events(second).iter().map(|event| event.at_us).collect();
        assert!(times.is_sorted());
    }
}

#[tokio::test(start_paused = true)]
async fn three_rungs_of_one_loop_have_one_beginning() {
    let Some(bench) = Bench::new() else { return };
    let [alone, repaired] = alone_and_repaired(&bench);
    let mut restarted = alone.clone();
    restarted.name = "scripted/restarted".to_owned();
    restarted.reboots = Some(Reboots { times: 1 });
    let machine = guest(vec![stuck(), stuck(), healthy_start()]);
    let results = bench.run_together(&[alone, restarted, repaired], &machine).await;
    let stuck = Verdict::StuckInRecovery;
    assert_eq!(verdicts(&results), [stuck, stuck, Verdict::Recovered]);
    assert_eq!(starts(&machine), 3);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_not_given_up_is_no_beginning() {
    let Some(bench) = Bench::new() else { return };
    let scenarios = alone_and_repaired(&bench);
    let machine = guest(vec![healthy_start(), stuck(), healthy_start()]);
    let results = bench.run_together(&scenarios, &machine).await;
    assert_eq!(verdicts(&results)[1], Verdict::Recovered);
    assert_eq!(starts(&machine), 3);
    assert!(results.iter().all(|result| beginning_of(result).is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_asked_remembers_so_nothing_is_taken_over() {
    let Some(bench) = Bench::new() else { return };
    let scenarios = alone_and_repaired(&bench);
    let asked: Seen = (
        Source::Network,
        Body::Service {
            service: "remediation".to_owned(),
            request: "scan".to_owned(),
            answer: "no-match".to_owned(),
            facts: Default::default(),
        },
    );
    let story = || {
        let mut story = stuck();
        story.insert(story.len() - 1, asked.clone());
        story
    };
    let machine = guest(vec![story(), story(), healthy_start()]);
    let results = bench.run_together(&scenarios, &machine).await;
    assert_eq!(starts(&machine), 3);
    assert!(results.iter().all(|result| beginning_of(result).is_none()));
}

#[tokio::test(start_paused = true)]
async fn scenarios_that_differ_before_that_have_nothing_in_common() {
    let Some(bench) = Bench::new() else { return };
    let [alone, repaired] = alone_and_repaired(&bench);
    let mut other = repaired;
    other.canary[0].text.push('!');
    let machine = guest(vec![stuck(), stuck(), healthy_start()]);
    let results = bench.run_together(&[alone, other], &machine).await;
    assert_eq!(verdicts(&results)[1], Verdict::Recovered);
    assert_eq!(starts(&machine), 3);
}

/// A reset may overtake the stop line that belongs before it: the line comes after the machine was given up.
#[tokio::test(start_paused = true)]
async fn a_line_that_comes_late_belongs_to_the_beginning() {
    let Some(bench) = Bench::new() else { return };
    let [alone, repaired] = alone_and_repaired(&bench);
    let start = [serial("[bootmgr] starting Windows"), serial("[kernel] started")];
    // Nothing but the panic is seen of the stops, until the lines of the last one come, behind its reset.
    let [line, module, panic] = <[Seen; 3]>::try_from(stop()).unwrap();
    let falls = || [start.to_vec(), vec![panic.clone(), reset()]].concat();
    // As often as it takes until nobody waits for recovery any more.
    let looping = || {
        let falls: Vec<Seen> = std::iter::repeat_with(falls).take(6).flatten().collect();
        [falls, vec![line.clone(), module.clone()]].concat()
    };
    let own = bench.run_together(std::slice::from_ref(&alone), &guest(vec![looping()])).await;
    assert_eq!(verdicts(&own), [Verdict::Looping]);
    let last = own[0].derived.outcome.boots.last().unwrap();
    assert!(last.stop.as_ref().is_some_and(|stop| stop.module.is_some()), "{last:?}");
    let machine = guest(vec![looping(), healthy_start()]);
    let together = bench.run_together(&[repaired, alone], &machine).await;
    assert_eq!(starts(&machine), 2, "{:?}", machine.fake.calls());
    assert!(beginning_of(&together[1]).is_some());
    assert_eq!(together[1].derived.outcome.render(), own[0].derived.outcome.render());
}
