//! The moment at which a fault happens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a fault is done to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Offline, on the machine's own disk, before it is powered on.
    #[default]
    Staged,
    /// Through the guest agent, when the machine is up and its boot is marked good.
    Healthy,
}
