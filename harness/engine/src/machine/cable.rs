//! The cable of a machine: whether it is plugged in.
//!
//! A machine whose cable is not taken up, because the emulator runs under an account that cannot reach the socket
//! for example, looks like one whose recovery environment finds no network. That would be a verdict about the
//! product, so it is found out while the machine runs.

use std::time::Duration;

use network::Report;
use tokio::sync::watch;

use crate::record::Progress;

/// The emulator connects before the machine runs, and comes again at once where it was started anew. Host time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a machine that was `started` has been running without its cable for a while; says how that came.
pub(super) async fn comes_off(
    mut report: watch::Receiver<Report>,
    mut progress: watch::Receiver<Progress>,
    mut started: watch::Receiver<bool>,
) -> String {
    loop {
        let boots = progress.borrow_and_update().boot > 0;
        let runs = *started.borrow_and_update() && boots;
        let connected = report.borrow_and_update().connected;
        let is_off = async {
            if runs && !connected {
                tokio::time::sleep(PATIENCE).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            changed = report.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            changed = started.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = changed_to(&mut progress, boots) => {}
            () = is_off => return said(report.borrow().links),
        }
    }
}

/// Waits until the machine runs, where it was off, or is off, where it ran.
async fn changed_to(progress: &mut watch::Receiver<Progress>, ran: bool) {
    if progress.wait_for(|progress| (progress.boot > 0) != ran).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn said(links: u64) -> String {
    let how = match links {
        0 => {
            "was never taken up by the emulator: may its account reach the socket in the run's directory?"
        }
        _ => "came off while the machine ran",
    };
    format!("the machine's network cable {how}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(boot: u32) -> Progress {
        Progress { boot, ..Progress::default() }
    }

    fn link(links: u64, connected: bool) -> Report {
        Report { links, connected, ..Report::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cable_that_nobody_takes_up_and_one_that_comes_off() {
        for (links, part) in [(0, "never taken up"), (2, "came off")] {
            let (_report, report) = watch::channel(link(links, false));
            let (_progress, progress) = watch::channel(running(1));
            let (_started, started) = watch::channel(true);
            let said = comes_off(report, progress, started).await;
            assert!(said.contains(part), "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_that_takes_a_minute_to_start_a_machine_is_waited_for() {
        let (report_to, report) = watch::channel(link(0, false));
        let (_progress, progress) = watch::channel(running(1));
        let (started_to, started) = watch::channel(false);
        let waiting = tokio::time::timeout(PATIENCE * 10, comes_off(report, progress, started));
        let story = async {
            tokio::time::sleep(PATIENCE * 3).await;
            started_to.send_replace(true);
            tokio::time::sleep(PATIENCE / 2).await;
            report_to.send_replace(link(1, true));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            waited = waiting => assert!(waited.is_err(), "{waited:?}"),
            () = story => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_is_off_needs_none_and_a_new_one_is_waited_for() {
        let (report_to, report) = watch::channel(link(1, true));
        let (progress_to, progress) = watch::channel(running(1));
        let (_started, started) = watch::channel(true);
        let waiting = tokio::time::timeout(PATIENCE * 10, comes_off(report, progress, started));
        let story = async {
            tokio::time::sleep(PATIENCE * 2).await;
            // Switched off and on again: the link goes before the machine is told to be off, and comes later.
            report_to.send_replace(link(1, false));
            tokio::time::sleep(PATIENCE / 2).await;
            progress_to.send_replace(running(0));
            tokio::time::sleep(PATIENCE * 3).await;
            progress_to.send_replace(running(2));
            tokio::time::sleep(PATIENCE / 2).await;
            report_to.send_replace(link(2, true));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            waited = waiting => assert!(waited.is_err(), "{waited:?}"),
            () = story => {}
        }
    }
}
