//! Ending a healthy machine in good order.

use hypervisor::{Machine, ShutdownMode};

use super::limits::SHUTDOWN;
use super::watch::Watch;

/// Asks a healthy guest to shut down, so that its disk is complete. One that does not is switched off.
pub(crate) async fn shut_down(machine: &dyn Machine, watch: &mut Watch) {
    let early = watch.ended_early();
    tokio::select! {
        biased;
        _ = early => return,
        asked = machine.agent().shutdown(ShutdownMode::PowerDown) => {
            if let Err(error) = asked {
                tracing::debug!(%error, "no clean shutdown");
                return;
            }
        }
    }
    let clock = watch.clock().clone();
    tokio::select! {
        biased;
        _ = watch.until_off("the machine to shut down") => {}
        () = clock.has_had(SHUTDOWN, clock.now()) => {
            tracing::warn!("the machine did not shut down within {} s", SHUTDOWN.as_secs());
        }
    }
}
