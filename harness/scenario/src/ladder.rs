//! The layers that the harness works from the host with a start of their own: `safe-mode` and `last-known-good`; and
//! `reboots`, which is nothing but starts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::boot_configuration::SafeBootMode;
use crate::network_services::Delete;

/// The layer `safe-mode`: the flag is put on the default boot entry offline, the actions are done in safe mode through
/// the guest agent, and the flag is taken off again (windows-facts 3.3, 4, 5.1 remedy b). Once, when the machine would
/// else be given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SafeMode {
    /// Without the network, or with it.
    #[serde(default)]
    pub mode: SafeBootMode,
    /// What is done in safe mode, in order. Where one of it cannot be done, the layer has failed.
    pub action: Vec<SafeModeAction>,
}

/// One thing that is done in safe mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SafeModeAction {
    /// Deletes files. One at least has to be there.
    Delete(Delete),
    /// Switches a service or driver off: its start type becomes `disabled`.
    DisableService(String),
}

/// The layer `last-known-good`: Windows is started once with the control set of its last good start. What it needs is
/// switched on before anything goes wrong, as it is off on Windows 10 and 11 (windows-facts 4). Once, when the machine
/// would else be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LastKnownGood {
    /// Windows keeps the control set of its last good start (`LastKnownGood\Enabled`, `BackupCount`). Off: as Windows
    /// 10 and 11 come.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

/// The layer `reboots`: whoever has the power in hand switches the machine off and on, each time that it would else be
/// given up (windows-facts 5.1 remedy a).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reboots {
    /// At most so often.
    #[schemars(range(min = 1, max = 100))]
    pub times: u32,
}
