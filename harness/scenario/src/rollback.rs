//! The layer `rollback`: the machine is switched off and goes back to an earlier state, disk, firmware variables, TPM
//! and RAM as one. It is what an operator of virtual machines does who keeps snapshots. What the user did since then
//! is lost; the canaries say whether anything of it was.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the machine goes back to, once, when it would else be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Rollback {
    /// The state.
    pub to: RollbackTo,
}

/// An earlier state of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackTo {
    /// The checkpoint that it started from: healthy, with all that is given, before anything went wrong.
    Checkpoint,
}
