//! Why a volume must not be written to, and what to do about it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What keeps a volume from being written to (or from being read at all).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuardKind {
    /// Its system is hibernated, or was shut down with fast start-up: it goes on with what it
    /// remembers of the volume, and would write that over every change.
    Hibernated,
    /// Its log holds changes that were not carried out yet.
    UncleanLog,
    /// It is marked as dirty: its own system will check it at the next start.
    Dirty,
    /// It contradicts itself, so that a change could make it worse.
    Damaged,
    /// It is encrypted, and cannot be read either.
    Encrypted,
    /// It is of a kind that is not read here.
    NotReadable,
}

/// A state of a volume in which it must not be written to.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{reason}; {way_out}")]
pub struct Guard {
    /// Which state.
    pub kind: GuardKind,
    /// What was found, for people.
    pub reason: String,
    /// What to do about it, for people.
    pub way_out: String,
}

/// How a hibernation file begins that its system will go on from. Windows XP and later write "hibr",
/// since Windows 8 "HIBR"; "RSTR" while it is being read, "HORM" where it is read again and again.
/// After the machine has gone on it is "wake" or zeros.
const LIVE_HEADERS: [&str; 4] = ["hibr", "HIBR", "HORM", "RSTR"];

/// Ends fast start-up and brings everything to the disk.
const SHUT_DOWN: &str = "start the machine and shut it down fully (shutdown /s /f /t 0)";

impl Guard {
    fn new(kind: GuardKind, reason: String, way_out: String) -> Self {
        Self { kind, reason, way_out }
    }

    /// True if the volume can be read nevertheless.
    pub fn is_readable(&self) -> bool {
        !matches!(self.kind, GuardKind::Encrypted | GuardKind::NotReadable)
    }

    /// The header, if it is that of a hibernation file in use.
    pub(crate) fn live_header(magic: [u8; 4]) -> Option<&'static str> {
        LIVE_HEADERS.into_iter().find(|header| header.as_bytes() == magic)
    }

    pub(crate) fn hibernated(header: &str) -> Self {
        Self::new(
            GuardKind::Hibernated,
            format!(
                "its system is hibernated or was shut down with fast start-up: \\hiberfil.sys begins \
                 with '{header}'"
            ),
            format!("{SHUT_DOWN}, or switch hibernation off in it (powercfg /h off)"),
        )
    }

    /// `refusal` is why the log cannot be replayed.
    pub(crate) fn unclean_log(refusal: Option<&str>) -> Self {
        let reason = "it was not let go of cleanly: its log ($LogFile) holds changes that are not carried out";
        match refusal {
            None => Self::new(
                GuardKind::UncleanLog,
                reason.to_owned(),
                "have the log carried out before anything is written".to_owned(),
            ),
            Some(why) => Self::new(
                GuardKind::UncleanLog,
                format!("{reason}, and it cannot be replayed here: {why}"),
                format!("{SHUT_DOWN}, so that Windows replays it itself"),
            ),
        }
    }

    pub(crate) fn kept_in_memory() -> Self {
        Self::new(
            GuardKind::Hibernated,
            "a Windows that is hibernated, or was shut down with fast start-up, still has the volume in its memory: \
             its log ($LogFile) is of version 2.0 and marked as clean, and a full shutdown brings it back to 1.1"
                .to_owned(),
            format!("{SHUT_DOWN}, or switch hibernation off in it (powercfg /h off)"),
        )
    }

    pub(crate) fn dirty() -> Self {
        Self::new(
            GuardKind::Dirty,
            "it is marked as dirty: it was not let go of cleanly, or an error was found on it"
                .to_owned(),
            "start the machine and let it check the volume (chkdsk /f), then shut it down"
                .to_owned(),
        )
    }

    pub(crate) fn unfinished(what: &str) -> Self {
        let dirty = Self::dirty();
        Self { reason: format!("it was not let go of cleanly: {what}"), ..dirty }
    }

    /// True for what a crash or a power cut leaves.
    pub(crate) fn is_crash_state(&self) -> bool {
        matches!(self.kind, GuardKind::UncleanLog | GuardKind::Dirty)
    }

    pub(crate) fn damaged(what: &str) -> Self {
        Self::new(
            GuardKind::Damaged,
            format!("it is damaged: {what}"),
            "start the machine and let it check the volume (chkdsk /f), then shut it down"
                .to_owned(),
        )
    }

    pub(crate) fn encrypted(name: &str) -> Self {
        Self::new(
            GuardKind::Encrypted,
            format!("it is encrypted by {name}"),
            "start the machine, decrypt the volume (manage-bde -off), wait until that is done \
             (manage-bde -status), and shut the machine down"
                .to_owned(),
        )
    }

    pub(crate) fn not_readable(what: &str) -> Self {
        Self::new(
            GuardKind::NotReadable,
            format!("it is not an NTFS or FAT volume: {what}"),
            "choose a volume of NTFS or FAT".to_owned(),
        )
    }
}
