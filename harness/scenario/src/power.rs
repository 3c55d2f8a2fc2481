//! Power that fails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// The power goes, or somebody presses the reset button, at a chosen moment. Power comes back at once: the machine
/// starts again from the same disk, firmware variables and TPM state. Several such faults come one after the
/// other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PowerFault {
    /// Unique within the scenario.
    pub name: String,
    /// `staged`: from power-on on the moment is waited for; `healthy`: once the machine is up.
    #[serde(default)]
    pub when: Moment,
    /// What happens.
    #[serde(default)]
    pub what: PowerEvent,
    /// At which moment. `healthy` with `when = "healthy"` is at once.
    pub at: PowerMoment,
    /// What becomes of data that the machine had written and not flushed. Not with `reset`, where the disk
    /// keeps its power.
    #[serde(default)]
    pub unflushed: Unflushed,
    /// Chooses which of the unflushed data is lost, and a random moment.
    #[serde(default)]
    pub seed: u64,
    /// So often, each time at the next such moment.
    #[serde(default = "once")]
    #[schemars(range(min = 1, max = 100))]
    pub times: u32,
    /// The harness has the power in its hand, and leaves it on. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

fn once() -> u32 {
    1
}

/// What happens to the power.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerEvent {
    /// It is cut.
    #[default]
    Cut,
    /// The reset button is pressed.
    Reset,
}

/// A moment of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerMoment {
    /// When a boot reaches this phase.
    Phase(PowerPhase),
    /// At the so-manyth write to the disk, counted from when the fault begins.
    Write(u64),
    /// At one of that many first writes; the seed says which. A machine that writes less than that may not
    /// come to it, and then nothing can be said of the run.
    RandomWrite(u64),
}

/// Where a boot can be interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerPhase {
    /// The boot manager decides.
    BootManager,
    /// The loader reads the SYSTEM hive.
    Loader,
    /// Drivers start.
    Kernel,
    /// Services start.
    Session,
    /// The boot was marked good.
    Healthy,
    /// The recovery environment works.
    Recovery,
}

/// What becomes of data that was written and not flushed, when the power is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unflushed {
    /// All of it is on the disk.
    #[default]
    Kept,
    /// None of it is.
    Lost,
    /// Some of it is: whole writes, and of one of them only the first physical sectors (4 KiB each).
    Torn,
}
