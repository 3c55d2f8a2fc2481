//! Trouble around a machine: it is armed in its turn, and the network says itself what it is like then.

use engine::{RunOptions, RunResult};
use hypervisor::{FakeHypervisor, Trigger};
use scenario::{ClockFault, Fault, Moment, NetworkFault, NetworkTrouble, Scenario, Start};
use timeline::{Body, Source, Verdict};

use crate::bench::{Bench, Meanwhile};
use crate::guest::{Guest, healthy_start, into_recovery, stop};
use crate::outcomes::{because, events};

fn guest() -> Guest {
    let fake = FakeHypervisor::new()
        .on(Trigger::Start, healthy_start())
        .on(Trigger::Exec("cmd.exe".to_owned()), stop());
    Guest::new(fake, Vec::new(), into_recovery())
}

fn no_names(when: Moment, inert: bool) -> Fault {
    Fault::Network(NetworkFault {
        name: "no-names".to_owned(),
        when,
        trouble: NetworkTrouble::NoDns,
        boots: None,
        inert,
    })
}

/// The faults that landed, in their order, with who said so and the lines about `what`.
fn landed(result: &RunResult, what: &str) -> Vec<(String, Source, Vec<String>)> {
    events(result)
        .into_iter()
        .filter_map(|event| match event.body {
            Body::FaultLanded { fault, mut proof } => {
                proof.retain(|line| line.contains(what));
                Some((fault, event.source, proof))
            }
            _ => None,
        })
        .collect()
}

async fn run(bench: &Bench, scenario: &Scenario, start: Start) -> RunResult {
    let options = RunOptions { start: Some(start), ..RunOptions::default() };
    let result = bench.run(scenario, &guest(), &options, Meanwhile::Nothing).await.unwrap();
    let verdict = result.derived.outcome.verdict;
    assert_eq!(verdict, Verdict::StuckInRecovery, "{}", because(&result));
    result
}

#[tokio::test]
async fn trouble_is_armed_in_its_turn_and_read_back_from_the_network() {
    let Some(bench) = Bench::new() else { return };
    for start in [Start::Cold, Start::Checkpoint] {
        for (inert, names) in [(false, "names: no answer"), (true, "names: those of the services")]
        {
            let mut scenario = bench.scenario("healthy", "stuck-in-recovery");
            scenario.fault.insert(0, no_names(Moment::Healthy, inert));
            let result = run(&bench, &scenario, start).await;
            let landed = landed(&result, "names: ");
            assert_eq!(landed[0], ("no-names".to_owned(), Source::Network, vec![names.to_owned()]));
            assert_eq!(landed[1].0, "bad-file");
        }
    }
}

#[tokio::test]
async fn a_wrong_clock_is_what_the_machine_is_powered_on_with() {
    let Some(bench) = Bench::new() else { return };
    let mut scenario = bench.scenario("healthy", "stuck-in-recovery");
    scenario.fault.insert(
        0,
        Fault::Clock(ClockFault {
            name: "clock".to_owned(),
            when: Moment::Staged,
            to: "2002-01-01T00:00:00Z".parse().unwrap(),
            inert: false,
        }),
    );
    let result = run(&bench, &scenario, Start::Cold).await;
    let proof = "clock chip at power-on: 2002-01-01T00:00:00Z".to_owned();
    assert_eq!(landed(&result, "clock")[0], ("clock".to_owned(), Source::Harness, vec![proof]));
}
