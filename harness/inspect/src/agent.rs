//! The guest agent and the port that it needs (windows-facts.md 6.6).

use serde::{Deserialize, Serialize};

use crate::Known;
use crate::services::Start;

/// The guest agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct GuestAgent {
    /// The service `QEMU-GA`: when it starts.
    pub service: Known<Start>,
    /// Its program is there.
    pub program: Known<String>,
    /// The driver of the virtio serial port: when it starts.
    pub serial_driver: Known<Start>,
    /// That driver's file is there.
    pub serial_file: Known<String>,
}
