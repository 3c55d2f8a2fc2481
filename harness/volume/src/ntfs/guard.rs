//! Whether a volume may be written to.

use super::engine::{Engine, VOLUME};
use super::log::LogState;
use super::record::{kind, u16_at};
use crate::{Guard, Reason, Replay, Replayed};
use std::io::ErrorKind;

impl Engine {
    /// Before the first change: refuses volumes that Windows has not let go of. What it knows of them,
    /// in its log or in its hibernation file, would undo or garble what is written here.
    pub(super) fn begin_write(&mut self) -> Result<(), Reason> {
        if let Some(guard) = self.guard()? {
            return Err(Reason::Guarded(guard));
        }
        self.keep_map()?;
        if !self.announced {
            self.announce_changes()?;
            self.announced = true;
        }
        Ok(())
    }

    /// Why the volume must not be written to. It is found once: nobody else writes meanwhile.
    pub(super) fn guard(&mut self) -> Result<Option<Guard>, Reason> {
        if self.writable {
            return Ok(None);
        }
        // The strongest first: a hibernated system leaves its log as it is.
        let log = self.log_state()?;
        match self.hibernation() {
            Ok(Some(header)) => return Ok(Some(Guard::hibernated(header))),
            // Before its log is carried out a volume may contradict itself.
            Err(Reason::Damaged(_) | Reason::NotADirectory) if !matches!(log, LogState::Clean) => {}
            other => drop(other?),
        }
        match log {
            LogState::Clean => {}
            LogState::Kept => return Ok(Some(Guard::kept_in_memory())),
            LogState::Unclean(_) => return Ok(Some(Guard::unclean_log(self.refusal.as_deref()))),
            LogState::Unusable(why) => return Ok(Some(Guard::unclean_log(Some(&why)))),
        }
        if self.dirty_flag()? {
            return Ok(Some(Guard::dirty()));
        }
        self.writable = true;
        Ok(None)
    }

    /// Replays the log where that is what keeps the volume from being written to. `None` where there is nothing to
    /// replay.
    pub(super) fn replay_log(&mut self, how: Replay) -> Result<Option<Replayed>, Reason> {
        if self.writable || matches!(self.hibernation(), Ok(Some(_))) {
            return Ok(None);
        }
        let LogState::Unclean(restart) = self.log_state()? else { return Ok(None) };
        let done = match how {
            Replay::Rehearse => self.rehearse(&restart),
            Replay::CarryOut => self.recover(&restart),
        };
        match done {
            Ok(done) => {
                self.refusal = None;
                Ok(Some(done))
            }
            Err(Reason::Device(error)) if !is_of_memory(&error) => Err(Reason::Device(error)),
            Err(error @ Reason::Guarded(_)) => Err(error),
            Err(why) => {
                let why = match why {
                    Reason::Damaged(why) => why,
                    Reason::Device(error) => error.to_string(),
                    other => other.to_string(),
                };
                self.refusal = Some(why.clone());
                Err(Reason::Guarded(Guard::unclean_log(Some(&why))))
            }
        }
    }

    /// Takes the volume as it is. It stays marked as dirty.
    pub(super) fn accept_dirty(&mut self) {
        // It may not have been sound before: everything is checked.
        if let Some(changes) = self.device.changes() {
            changes.give_up();
        }
        self.writable = true;
    }

    /// What `$Volume` says.
    pub(super) fn dirty_flag(&mut self) -> Result<bool, Reason> {
        let inode = self.inode(VOLUME)?;
        let information = inode.attributes().find(|one| one.kind() == kind::VOLUME_INFORMATION);
        Ok(information.is_some_and(|one| u16_at(one.value(), 10) & 1 != 0))
    }

    /// The header of the hibernation file, if the system will go on from it.
    pub(super) fn hibernation(&mut self) -> Result<Option<&'static str>, Reason> {
        let inode = match self.resolve(&["hiberfil.sys"]) {
            Ok(inode) => inode,
            Err(Reason::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(layout) = self.layout(&inode, kind::DATA, &[])? else { return Ok(None) };
        let mut magic = [0; 4];
        self.read_layout_at(&layout, 0, &mut magic)?;
        Ok(Guard::live_header(magic))
    }
}

/// True for what goes wrong with changes that are held back: too many, or outside of the volume. It is no fault of the
/// device.
fn is_of_memory(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::WriteZero)
}
