//! A machine that halts at its stop screen, as one without automatic restart does: its display tells, and the
//! scenario's operator switches it off and on. Three boots of 512 MiB, some minutes.

use anyhow::ensure;
use tests::{Loopbreak, events, run_directory, workspace};

#[test]
fn a_machine_that_halts_is_seen_by_its_screen_and_switched_off_and_on() -> anyhow::Result<()> {
    let built = Loopbreak::built()?;
    let scenario = workspace().join("tests/scenarios/halts-at-stop-screen");
    let scenario = scenario.to_string_lossy().into_owned();
    let summary = built.json(0, &["run", &scenario, "--json"])?;
    ensure!(summary["verdict"] == "stuck-in-recovery", "{summary}");
    let events = events(&run_directory(&summary)?)?;
    let screens = events
        .iter()
        .filter(|event| event["event"] == "screen" && event.to_string().contains("stop"))
        .count();
    ensure!(screens >= 2, "the display of {screens} boots showed a stop screen");
    let cycles = events
        .iter()
        .filter(|event| event["name"] == "power-cycle" && event["state"] == "started")
        .count();
    ensure!(cycles == 2, "{cycles} times somebody switched it off and on");
    Ok(())
}
