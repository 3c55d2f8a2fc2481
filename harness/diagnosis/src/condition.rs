//! Whether the Windows on a disk starts, as far as the disk tells.

use inspect::{Answer, CheckName, Inspection, Known, qualify};
use serde::Serialize;

use crate::statement::{Statement, Stop};
use crate::stops::{LastGood, was_windows_last};

/// Whether it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// There is no Windows on the disk.
    NoWindows,
    /// There is one that cannot be read, or there may be.
    CannotBeRead,
    /// The last start was a good one, and nothing on the disk stands against the next. What firmware and TPM will do is
    /// not on it.
    NothingFound,
    /// The last start was not a good one, or something that every start needs is not there.
    DoesNotStart,
    /// The disk does not tell.
    NotKnown,
}

impl Condition {
    /// The sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoWindows => "there is no Windows on this disk",
            Self::CannotBeRead => "the disk cannot be read as far as it takes",
            Self::NothingFound => {
                "nothing found: the last start was a good one, and nothing on the disk stands against the next"
            }
            Self::DoesNotStart => "it does not start",
            Self::NotKnown => "the disk does not tell whether it starts",
        }
    }
}

/// Whether a system is there at all, and why not.
pub(crate) fn without_system(inspection: &Inspection) -> Option<(Condition, Statement)> {
    let partitions = &inspection.layout.partitions;
    let table = "partition table";
    match &inspection.system.folder {
        Known::Known(_) => None,
        Known::Unknown(reason) => {
            Some((Condition::CannotBeRead, Statement::new(reason.clone(), "volumes of the disk")))
        }
        Known::Absent => {
            let text = match partitions.len() {
                0 => "the disk has no partitions".to_owned(),
                1 => "its only partition has no Windows".to_owned(),
                count => format!("none of its {count} partitions has a Windows"),
            };
            Some((Condition::NoWindows, Statement::new(text, table)))
        }
    }
}

/// What history says of the last start. `None`: it does not tell.
pub(crate) fn last_start(
    inspection: &Inspection,
    stops: &[Stop],
    good: Option<&LastGood>,
) -> (Option<bool>, Vec<Statement>) {
    let mut because = Vec::new();
    let recent = stops.iter().filter(|stop| stop.over == Some(false)).count();
    let undated = stops.iter().filter(|stop| stop.over.is_none()).count();
    let last = was_windows_last(inspection);
    let left_for_recovery = last == Some(false);
    let answer = match inspection.history.boot_status.known() {
        Some(status) if !status.last_boot_succeeded && !left_for_recovery => {
            let text = match status.attempts {
                0 => "the last start was not a good one".to_owned(),
                1 => "the last start was not a good one; 1 attempt is counted".to_owned(),
                count => format!("the last start was not a good one; {count} attempts are counted"),
            };
            because.push(Statement::new(text, BOOT_STATUS));
            Some(false)
        }
        _ if recent > 0 => Some(false),
        _ if left_for_recovery => {
            let text = "the recovery environment was started after Windows, so the boot status tells nothing of it";
            because.push(Statement::new(text, "BOOTSTAT.DAT beside the boot manager"));
            (undated > 0).then_some(false)
        }
        Some(_) if last.is_none() => {
            let text = "the boot status may be that of the recovery environment: which of the two was started last \
                        is not recorded";
            because
                .push(Statement::new(text, "BOOTSTAT.DAT beside the boot manager, SrtTrail.txt"));
            None
        }
        Some(status) => {
            let end = if status.last_boot_shut_down { "shut down" } else { "not shut down" };
            because.push(Statement::new(
                format!("the last start was a good one; Windows was {end} after it"),
                BOOT_STATUS,
            ));
            // A stop of which nobody knows whether it came before or after that start.
            if undated > 0 && !status.last_boot_shut_down { None } else { Some(true) }
        }
        None => None,
    };
    let count = recent + undated;
    if count > 0 && answer != Some(true) {
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        let text = match good {
            Some(good) => format!("it stopped {times} since {} ({})", good.text, good.source),
            None => format!("it stopped {times}, and no good start is recorded after that"),
        };
        because.push(Statement::new(text, "crash dumps and System log"));
    }
    (answer, because)
}

/// What keeps the next start from coming to Windows at all, by the checks of `image qualify`.
pub(crate) fn stands_against(inspection: &Inspection) -> Vec<Statement> {
    let qualification = qualify(inspection);
    [CheckName::DefaultEntry, CheckName::BootDiskDriver]
        .into_iter()
        .filter_map(|name| qualification.check(name))
        .filter(|check| check.answer == Answer::Fail)
        .map(|check| Statement::new(check.evidence.clone(), format!("check {}", check.name)))
        .collect()
}

const BOOT_STATUS: &str = r"C:\Windows\bootstat.dat";
