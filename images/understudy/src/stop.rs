//! From a stop report to the end of the machine.

use std::sync::{Arc, OnceLock};

use crate::kernel::StopReport;
use crate::machine;
use crate::say;
use crate::storage::{Drive, Registry};
use crate::sys::Power;

/// `Control\CrashControl`, read before anything can go wrong (windows-facts.md 4).
#[derive(Debug, Clone)]
pub struct CrashSettings {
    /// Restart after a stop.
    pub auto_reboot: bool,
}

impl CrashSettings {
    /// Reads the settings of the control set in use; what is missing has Windows' default.
    pub fn read(registry: &Registry) -> Self {
        let number = |name| registry.control_dword("Control\\CrashControl", name);
        Self { auto_reboot: number("AutoReboot").unwrap_or(1) != 0 }
    }
}

/// Stops the machine, once.
#[derive(Debug, Clone)]
pub struct Stopper {
    drive: Arc<Drive>,
    settings: CrashSettings,
    kernel: Arc<OnceLock<i32>>,
}

impl Stopper {
    /// A stopper that writes dumps to `drive`.
    pub fn new(drive: Arc<Drive>, settings: CrashSettings) -> Self {
        Self { drive, settings, kernel: Arc::default() }
    }

    /// The process whose memory a dump shows.
    pub fn know_kernel(&self, pid: i32) {
        // Known once; a second kernel process does not exist.
        let _ = self.kernel.set(pid);
    }

    /// Stops the machine.
    pub fn stop(&self, report: StopReport) -> ! {
        machine::freeze();
        let [a, b, c, d] = report.bug_check.parameters;
        say!(
            "*** Fatal System Error: 0x{:08x} (0x{a:016X},0x{b:016X},0x{c:016X},0x{d:016X})",
            report.bug_check.code
        );
        if self.settings.auto_reboot {
            machine::leave(Some(&self.drive), Power::Reset)
        }
        crate::sys::stand_still()
    }
}
