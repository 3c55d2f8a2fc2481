//! How long each thing is waited for, in one place: what a run waits by is what a plan shows. On the host's clock; all
//! but the agent's answers without the time for which the host gave the machine's emulator no processor.

use std::time::Duration;

use scenario::{AtStopScreen, Moment, Scenario, Start};
use serde::Serialize;

use crate::preflight::Prepared;

/// One request to the guest agent, under software emulation.
pub(crate) const AGENT_LIMIT: Duration = Duration::from_secs(120);
/// How long a machine must stay healthy with all faults in place to count as unaffected: the channel file of 2024
/// took its machines down within seconds.
pub(crate) const SETTLE: Duration = Duration::from_secs(15);
/// A clean shutdown at the end, so that what the guest wrote last is on its disk.
pub(crate) const SHUTDOWN: Duration = Duration::from_secs(60);
/// A stop screen that shows nothing new for this long, and no reset, stands: while a dump is written the screen
/// counts, and a reset follows within seconds (windows-facts.md 2).
pub(crate) const STANDS: Duration = Duration::from_secs(30);

/// How long a machine that hangs may take until it is seen to stop at a non-maskable interrupt. Windows stops at once; the
/// display is looked at every second, and reading a stop screen takes some more.
pub(crate) const FORCED_STOP: Duration = Duration::from_secs(30);
/// How long it may take over its dump then: seconds for a small machine's kernel memory, under software emulation a
/// multiple of that.
pub(crate) const FORCED_DUMP: Duration = Duration::from_secs(300);
/// Meanwhile its display counts. One that shows nothing new for this long stands: it writes none, or does not restart by
/// itself.
pub(crate) const FORCED_DUMP_STANDS: Duration = Duration::from_secs(60);

/// How long a machine that is on its way may say nothing at all: longer than it is told to wait in recovery.
pub(crate) fn silence(scenario: &Scenario, time_scale: u32) -> Duration {
    let settings = scenario.recovery.quick_machine_recovery.as_ref();
    let waits = settings
        .map_or(Duration::ZERO, |settings| settings.wait_interval.duration() / time_scale.max(1));
    scenario.limits.silence.duration() + waits
}

/// How long a stop screen may stand: never longer than the machine may say nothing.
pub(crate) fn stands(silence: Duration) -> Duration {
    STANDS.min(silence)
}

const FORCED_THEN: &str = "it is switched off; the verdict stays `hung`";

/// Something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wait {
    /// What is waited for.
    pub waits_for: String,
    /// At most so long.
    #[serde(serialize_with = "seconds")]
    pub limit_seconds: Duration,
    /// What follows once that is over.
    pub then: &'static str,
}

fn seconds<S: serde::Serializer>(limit: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(limit.as_secs_f64())
}

/// All waits of a run, in the order in which they can come.
pub(crate) fn waits(scenario: &Scenario, prepared: &Prepared) -> Vec<Wait> {
    let plan = &prepared.plan;
    let silence = silence(scenario, plan.time_scale);
    let agent = prepared.stage.online.iter().any(faults::Online::needs_agent);
    let healthy = prepared.stage.online.iter().any(|online| online.when() == Moment::Healthy);
    let mut waits = Vec::new();
    let mut wait = |waits_for: &str, limit_seconds, then| {
        waits.push(Wait { waits_for: waits_for.to_owned(), limit_seconds, then });
    };
    let total = scenario.limits.time.duration();
    if plan.start == Start::Checkpoint || scenario.starts_twice() {
        wait("the machine to be healthy once before the run", total, "the run is given up");
        wait("its agent to answer", AGENT_LIMIT, "the run is given up");
    }
    wait("the whole watch", total, "what was seen until then decides");
    if healthy {
        wait("a healthy machine, before what goes wrong then", total, "as for the whole watch");
    }
    if agent {
        wait("each answer of the guest agent", AGENT_LIMIT, "`infrastructure`");
    }
    wait("any sign of a machine that is on its way", silence, "it makes no more progress: `hung`");
    let then = match &scenario.operator {
        Some(operator) if operator.at_stop_screen == AtStopScreen::PowerCycle => {
            "it stands there, and is switched off and on again"
        }
        _ => "it stands there",
    };
    wait("anything new on a stop screen", stands(silence), then);
    wait(
        "a healthy machine with all faults in place to fall",
        SETTLE,
        "it is not affected, or has recovered",
    );
    wait("a healthy machine to shut down at the end", SHUTDOWN, "it is switched off");
    if prepared.profile.hang.nmi {
        wait("a machine that hangs to stop at an NMI, for its dump", FORCED_STOP, FORCED_THEN);
        wait("that dump to be written, and the restart after it", FORCED_DUMP, FORCED_THEN);
        wait("anything new on its display meanwhile", FORCED_DUMP_STANDS, FORCED_THEN);
    }
    waits
}
