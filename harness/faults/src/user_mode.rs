//! What goes wrong outside the kernel.

use scenario::ProcessDeath;

/// The print spooler: it runs on every Windows, nothing waits for it, and its service starts it again.
const NOBODY_NEEDS: &str = "spoolsv.exe";

/// The program whose processes are ended.
pub(crate) fn ends(fault: &ProcessDeath) -> &str {
    if fault.inert { NOBODY_NEEDS } else { &fault.process }
}
