//! The guest agent and the port that it needs (windows-facts.md 6.6).

use serde::{Deserialize, Serialize};

use crate::Known;
use crate::services::{Service, Services, Start};

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

/// Drivers of the virtio serial port: `VirtioSerial` of the virtio-win packages, `vioser` before.
const SERIAL: [&str; 2] = ["VirtioSerial", "vioser"];

/// Takes from the services what the agent needs.
pub(crate) fn read(services: &Known<Services>) -> Known<GuestAgent> {
    services.as_ref().map(|services| {
        let agent = services.service("QEMU-GA");
        let serial = SERIAL.iter().find_map(|name| services.service(name));
        let start = |service: Option<&Service>| {
            service.map_or(Known::Absent, |service| Known::Known(service.starts()))
        };
        let file = |service: Option<&Service>| {
            service.map_or(Known::Absent, |service| service.file.clone())
        };
        GuestAgent {
            service: start(agent),
            program: file(agent),
            serial_driver: start(serial),
            serial_file: file(serial),
        }
    })
}
