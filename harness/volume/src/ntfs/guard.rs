//! Whether a volume may be written to.

use super::engine::{Engine, LOG_FILE, VOLUME};
use super::record::{self, kind, u16_at, u32_at};
use crate::{Guard, Reason};

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
        if let Some(header) = self.hibernation()? {
            return Ok(Some(Guard::hibernated(header)));
        }
        if !self.log_is_clean()? {
            return Ok(Some(Guard::unclean_log()));
        }
        if self.dirty_flag()? {
            return Ok(Some(Guard::dirty()));
        }
        self.writable = true;
        Ok(None)
    }

    /// What `$Volume` says.
    pub(super) fn dirty_flag(&mut self) -> Result<bool, Reason> {
        let inode = self.inode(VOLUME)?;
        let information = inode.attributes().find(|one| one.kind() == kind::VOLUME_INFORMATION);
        Ok(information.is_some_and(|one| u16_at(one.value(), 10) & 1 != 0))
    }

    /// What the restart pages of `$LogFile` say.
    pub(super) fn log_is_clean(&mut self) -> Result<bool, Reason> {
        let inode = self.inode(LOG_FILE)?;
        let Some(layout) = self.layout(&inode, kind::DATA, &[])? else { return Ok(true) };
        let mut newest: Option<(u64, bool)> = None;
        let mut second = 4096;
        let mut blank = true;
        for number in 0..2 {
            let offset = number * second;
            let mut page = vec![0; 4096];
            if self.read_layout_at(&layout, offset, &mut page)? < page.len() {
                break;
            }
            blank &= page.iter().all(|&byte| byte == 0xff);
            if !page.starts_with(b"RSTR") {
                continue;
            }
            second = u64::from(u32_at(&page, 16)).clamp(512, 65536);
            // The restart area lies in the first sector, before the first fix-up.
            let area = usize::from(u16_at(&page, 24));
            let lsn = record::u64_at(&page, area);
            let clean = u16_at(&page, area + 12) == 0xffff || u16_at(&page, area + 14) & 2 != 0;
            if newest.is_none_or(|(other, _)| lsn >= other) {
                newest = Some((lsn, clean));
            }
        }
        Ok(newest.map_or(blank, |(_, clean)| clean))
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
