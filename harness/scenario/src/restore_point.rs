//! The layer `restore-point`: the registry and the system files go back to what they were before anything went wrong, and
//! the user's own files stay (windows-facts 3.6, 4.6).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What goes back to an earlier point, once, when the machine would else be given up. The point is the machine with all
/// that is given, before its first fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RestorePoint {
    /// System files go back, too: programs, libraries, drivers and what belongs to them, by the endings of their names.
    /// Off: the registry alone.
    #[serde(default = "yes")]
    pub files: bool,
}

fn yes() -> bool {
    true
}
