//! The service of a driver, as a scenario declares it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a driver's service is started (windows-facts section 4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Service {
    /// The service's name [default: the file's name without `.sys`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When Windows starts it.
    #[serde(default)]
    pub start: ServiceStart,
    /// What Windows does when it does not start.
    #[serde(default)]
    pub error_control: ErrorControl,
    /// Its load order group [default: none].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What Windows does when a service does not start (windows-facts section 4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorControl {
    /// Nothing.
    Ignore,
    /// A note in the event log; the start goes on.
    #[default]
    Normal,
    /// Starts again with the last known good control set; if that is in use already, goes on.
    Severe,
    /// Starts again with the last known good control set; if that is in use already, stops.
    Critical,
}

impl ErrorControl {
    /// The value of `ErrorControl` in the service's key.
    pub const fn value(self) -> u32 {
        match self {
            Self::Ignore => 0,
            Self::Normal => 1,
            Self::Severe => 2,
            Self::Critical => 3,
        }
    }
}

/// When Windows starts a driver's service (windows-facts section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceStart {
    /// Loaded by the OS loader, started first.
    Boot,
    /// Started while the kernel initialises.
    #[default]
    System,
    /// Started by the service manager.
    Auto,
    /// Started on demand only.
    Demand,
    /// Never started.
    Disabled,
}

impl ServiceStart {
    /// The value of `Start` in the service's key.
    pub const fn value(self) -> u32 {
        match self {
            Self::Boot => 0,
            Self::System => 1,
            Self::Auto => 2,
            Self::Demand => 3,
            Self::Disabled => 4,
        }
    }
}
