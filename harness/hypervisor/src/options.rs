//! How machines are run, on whatever libvirt.

use std::path::PathBuf;
use std::time::Duration;

use crate::accelerator::Accelerator;
use crate::connection::Address;

/// How machines are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where libvirt is.
    pub address: Address,
    /// What runs the guests; `None`: what [`crate::prove_accelerator`] finds.
    pub accelerator: Option<Accelerator>,
    /// How often the display is looked at; `None`: only on request and after a panic.
    pub screen_period: Option<Duration>,
    /// QEMU does not wait for the host's disk. Right for disks that are thrown away.
    pub unsafe_cache: bool,
}

impl Options {
    /// The embedded driver below `root`, a look at the display every second, disks that are thrown
    /// away.
    pub fn embedded(root: impl Into<PathBuf>) -> Self {
        Self {
            address: Address::Embedded { root: root.into() },
            accelerator: None,
            screen_period: Some(Duration::from_secs(1)),
            unsafe_cache: true,
        }
    }
}
