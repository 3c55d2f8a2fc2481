//! The plan: everything that is decided before a machine exists. Pure.

use faults::StagePlan;
use hypervisor::MachineProfile;
use scenario::{AtStopScreen, Fault, PowerPhase, Scenario, Start};
use serde::Serialize;
use timeline::{EVENT_FORMAT, ExpectedStop, Phase, PowerCycles, RunFacts};
use words::ImageLine;

use super::{brought_drivers, waits};
use crate::error::RunError;

/// What a run is going to do. `plan.json` of the run directory.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// The image's name.
    pub image: String,
    /// The image's digest.
    pub image_digest: String,
    /// Which line of systems it is of.
    pub image_line: ImageLine,
    /// From power-on, or from a checkpoint.
    pub start: Start,
    /// The checkpoint that serves it, where it starts from one.
    pub checkpoint: Option<String>,
    /// Documented minutes of waiting pass this many times faster.
    pub time_scale: u32,
    /// What time it is at the start, seconds since 1970.
    pub clock: Option<u64>,
    /// What the machine's clock chip says then: the same, unless that is what is wrong.
    pub clock_chip: Option<u64>,
    /// What the timeline is told.
    pub facts: RunFacts,
    /// Faults done through the guest agent once the machine is healthy, in order.
    pub online: Vec<String>,
}

/// What a plan is made from, besides the scenario.
#[derive(Debug, Clone, Copy)]
pub struct PlanInputs<'a> {
    /// The image's digest.
    pub image_digest: &'a str,
    /// Which line of systems it is of.
    pub image_line: &'a ImageLine,
    /// The image's machine profile.
    pub profile: &'a MachineProfile,
    /// What is staged and what comes online.
    pub stage: &'a StagePlan,
    /// The emulator's version; a RAM checkpoint is only good for the one that wrote it.
    pub emulator: &'a str,
    /// How the machine is to start, where it is not what the scenario says.
    pub start: Option<Start>,
}

impl Plan {
    /// Decides, or says what is wrong with the scenario.
    pub fn new(scenario: &Scenario, inputs: PlanInputs<'_>) -> Result<Self, RunError> {
        let scale = waits::time_scale(scenario, inputs.profile);
        let start = inputs.start.unwrap_or(scenario.machine.start);
        let clock = match scenario.machine.clock {
            Some(clock) => Some(u64::try_from(clock.as_second()).map_err(|_| {
                RunError::Refused(format!(
                    "`clock = {clock}` lies before 1970, where no clock chip starts"
                ))
            })?),
            None => None,
        };
        let expect = &scenario.expect;
        let facts = RunFacts {
            format: EVENT_FORMAT,
            scenario: scenario.name.clone(),
            image: scenario.machine.image.clone(),
            image_line: Some(inputs.image_line.clone()),
            image_is_model: inputs.profile.is_model,
            time_scale: scale,
            markers: inputs.profile.markers.clone(),
            witnesses: inputs.profile.witnesses.clone(),
            expected_resets: inputs.profile.expected_resets,
            loop_after: scenario.limits.loop_after,
            recovery_rounds: scenario.limits.recovery_rounds,
            expected_verdict: Some(expect.verdict),
            expected_stop: expect
                .stop
                .as_ref()
                .map(|stop| ExpectedStop { code: stop.bug_check, module: stop.module.clone() }),
            expected_boot_error: expect.boot_error,
            expected_failures: expect.failures.clone(),
            drivers: brought_drivers::to_run(scenario, inputs.stage),
            made_to_lack: brought_drivers::made_to_lack(scenario),
            expects_recovery_key: expect.recovery_key,
            expected_answer: expect.update_service,
            expected_layers: expect.layers.clone(),
            expected_results: expect.layer_results.clone(),
            faults: scenario.fault.iter().map(|fault| fault.name().to_owned()).collect(),
            operator: false,
            power_cycles: scenario
                .operator
                .as_ref()
                .filter(|operator| operator.at_stop_screen == AtStopScreen::PowerCycle)
                .map(|operator| PowerCycles { at_most: operator.times }),
            driven: scenario.driven_layers(),
            second_start: scenario.starts_again(),
        };
        let mut plan = Self {
            scenario: scenario.name.clone(),
            image: scenario.machine.image.clone(),
            image_digest: inputs.image_digest.to_owned(),
            image_line: inputs.image_line.clone(),
            start,
            checkpoint: None,
            time_scale: scale,
            clock,
            clock_chip: wrong_clock(scenario).or(clock),
            facts,
            online: inputs.stage.online.iter().map(|online| online.fault().to_owned()).collect(),
        };
        if start == Start::Checkpoint {
            plan.checkpoint = Some(plan.checkpoint_key(inputs));
        }
        Ok(plan)
    }

    /// Two runs with the same key start from the same machine: same image, same hardware, same emulator,
    /// same clock, same things staged. `format` changes when the same profile makes other hardware, or when more
    /// is kept with a checkpoint.
    fn checkpoint_key(&self, inputs: PlanInputs<'_>) -> String {
        let parts = serde_json::json!({
            "format": 4,
            "image": self.image_digest,
            "profile": inputs.profile,
            "emulator": inputs.emulator,
            "staged": inputs.stage.staged_digest(),
            "clock": self.clock,
            "time-scale": self.time_scale,
        });
        blake3::hash(parts.to_string().as_bytes()).to_hex().to_string()
    }
}

/// What the clock chip is made to say.
fn wrong_clock(scenario: &Scenario) -> Option<u64> {
    scenario.fault.iter().find_map(|fault| match fault {
        Fault::Clock(clock) if !clock.inert => u64::try_from(clock.to.as_second()).ok(),
        _ => None,
    })
}

/// The timeline's word for where a boot can be interrupted.
pub(crate) fn phase_of(phase: PowerPhase) -> Phase {
    match phase {
        PowerPhase::BootManager => Phase::BootManager,
        PowerPhase::Loader => Phase::Loader,
        PowerPhase::Kernel => Phase::Kernel,
        PowerPhase::Session => Phase::Session,
        PowerPhase::Healthy => Phase::Healthy,
        PowerPhase::Recovery => Phase::Recovery,
    }
}
