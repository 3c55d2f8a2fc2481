//! What the machine shows besides the stop screen: boot errors and the recovery environment.

use crate::bootmgr::BootError;

/// The error screen of boot manager and loader.
pub fn show_boot_error(error: &BootError) {
    let _ = error;
}

/// The recovery environment.
pub fn show_recovery(headline: &str) {
    let _ = headline;
}
