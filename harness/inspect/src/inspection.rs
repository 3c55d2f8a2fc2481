//! What was found on an image: the record that `inspect` fills.

use serde::{Deserialize, Serialize};

use crate::Known;
use crate::agent::GuestAgent;
use crate::boot::BootConfiguration;
use crate::boot_disk::BootDisk;
use crate::crash::CrashSettings;
use crate::drives::DriveLetters;
use crate::filters::Filters;
use crate::firmware::Firmware;
use crate::history::History;
use crate::layout::Layout;
use crate::opened_disk::HiveFacts;
use crate::pending::Pending;
use crate::recovery::Recovery;
use crate::services::Services;
use crate::system::{ControlSets, System};

/// Version of the form of an [`Inspection`].
pub const INSPECTION_FORMAT: u32 = 2;

/// Everything that was found on an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// [`INSPECTION_FORMAT`].
    pub format: u32,
    /// Partitions and volumes.
    pub layout: Layout,
    /// Firmware, its variables, TPM.
    pub firmware: Firmware,
    /// The hives, and how each was read.
    pub hives: Vec<HiveFacts>,
    /// Which system it is.
    pub system: System,
    /// The control sets of the SYSTEM hive.
    pub control_sets: Known<ControlSets>,
    /// Drive letters.
    #[serde(default)]
    pub drives: DriveLetters,
    /// Services and drivers.
    pub services: Known<Services>,
    /// What stands between drivers.
    pub filters: Known<Filters>,
    /// On which buses it would find its own disk.
    pub boot_disk: Known<BootDisk>,
    /// What happens on a stop.
    pub crash: Known<CrashSettings>,
    /// BCD, or the `freeldr.ini` of ReactOS.
    pub boot: Known<BootConfiguration>,
    /// The recovery environment.
    pub recovery: Recovery,
    /// The guest agent and the port that it needs.
    pub agent: Known<GuestAgent>,
    /// What is still to be done at the next start.
    pub pending: Pending,
    /// What earlier starts left behind.
    pub history: History,
}

impl Inspection {
    /// Whether it is a Windows from before Vista: without a boot configuration store or a recovery environment.
    pub(crate) fn is_older_than_bcd(&self) -> bool {
        self.system.build.known().is_some_and(|build| build.number < 6000)
    }
}
