//! How a boot ended, from everything that was seen of it.

use crate::{Boot, BootKind, End, Phase, ResetBy};

/// How a boot came to its end.
#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    Reset { by: ResetBy, reason: &'a str },
    Stopped { reason: &'a str },
    WatchOver { time_limit: bool },
}

/// What befell a machine that is gone through no doing of guest or harness; `None` where it was theirs. Nothing
/// follows from such an end for the product.
pub(super) fn befell(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "emulator-failed" => "the emulator died",
        // QEMU's word for a signal that it got.
        "host-signal" => "somebody on the host ended the emulator",
        "destroyed-by-others" => "somebody else destroyed the machine",
        "connection-lost" => "the connection to libvirt was lost",
        _ => return None,
    })
}

/// QEMU's `guest-shutdown` and `guest-panic`, libvirt's `shutdown` and `crashed`: the guest did it.
/// `destroyed`, `saved` and QEMU's `host-…` are the harness's doing.
pub(super) fn by_the_guest(reason: &str) -> bool {
    reason.starts_with("guest") || matches!(reason, "shutdown" | "crashed")
}

/// How a boot ended, from everything that was seen of it.
pub(super) fn end(boot: &Boot, way: Way<'_>, row: usize) -> End {
    let halted = |by| match by {
        ResetBy::Guest | ResetBy::Hypervisor => End::BugCheck,
        ResetBy::Harness | ResetBy::Operator | ResetBy::Power => End::HaltedAtStopScreen,
    };
    if boot.error.is_some() && boot.stop.is_none() {
        return End::BootError;
    }
    let waits = match boot.reached() {
        Phase::RecoveryPrompt => Some(End::WaitingForAPerson),
        Phase::RecoveryKey => Some(End::WaitingForRecoveryKey),
        _ => None,
    };
    let left_there = match way {
        Way::Reset { by, .. } => by != ResetBy::Guest,
        Way::WatchOver { .. } => true,
        Way::Stopped { .. } => false,
    };
    if let Some(end) = waits.filter(|_| left_there && boot.stop.is_none()) {
        return end;
    }
    match way {
        Way::Reset { by, .. } if boot.stop.is_some() => halted(by),
        Way::Reset { .. } if boot.silent => End::Hang,
        Way::Reset { .. } => End::Reset,
        Way::Stopped { reason } if boot.stop.is_some() => {
            halted(if by_the_guest(reason) { ResetBy::Guest } else { ResetBy::Harness })
        }
        Way::Stopped { .. } if boot.reached() == Phase::Healthy => End::ShutDown,
        Way::Stopped { .. } if boot.silent => End::Hang,
        Way::Stopped { .. } => End::PowerOff,
        Way::WatchOver { time_limit } if boot.stop.is_some() => {
            if time_limit || boot.silent {
                End::HaltedAtStopScreen
            } else {
                End::BugCheck
            }
        }
        Way::WatchOver { .. } if boot.reached() == Phase::Healthy => End::StillUp,
        Way::WatchOver { .. } if boot.silent => End::Hang,
        // Time ran out on a boot that never came up. After a row of like failures it is just the next
        // of them; else it is the one that hangs.
        Way::WatchOver { time_limit: true } if boot.kind() == BootKind::Windows && row < 2 => {
            End::Hang
        }
        Way::WatchOver { .. } => End::Unfinished,
    }
}
