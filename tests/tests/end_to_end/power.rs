//! Power that is cut twice while Windows starts: a sound machine ends in its recovery environment. The harness
//! is the disk. Three boots of 512 MiB, a minute or two; twice.

use anyhow::ensure;
use tests::{Loopbreak, events, run_directory, workspace};

#[test]
fn two_power_cuts_bring_a_sound_machine_into_recovery_each_time_alike() -> anyhow::Result<()> {
    let built = Loopbreak::built()?;
    let scenario = workspace().join("tests/scenarios/two-power-cuts");
    let scenario = scenario.to_string_lossy().into_owned();
    let summary = built.json(0, &["run", &scenario, "--json"])?;
    ensure!(summary["verdict"] == "stuck-in-recovery", "{summary}");
    let causes: Vec<&str> = summary["boots"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|boot| boot["cause"].as_str())
        .collect();
    ensure!(causes == ["power-on", "reset-by-power", "reset-by-power"], "{causes:?}");
    let events = events(&run_directory(&summary)?)?;
    let cuts = events
        .iter()
        .filter(|event| event["event"] == "machine-stopped" && event["reason"] == "power-cut")
        .count();
    ensure!(cuts == 2, "{cuts} times the power was cut");
    let page = built.expect(0, &["run", &scenario, "--times", "2"])?;
    ensure!(page.contains("2 runs: 2 stuck-in-recovery; 1 outcome"), "{page}");
    Ok(())
}
