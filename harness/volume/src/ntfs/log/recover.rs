//! Bringing a volume to where its log says it is: in memory first, then checked as a whole, and only then written.

use super::replay::{Done, Written, replay};
use super::restart::{LogState, Restart};
use crate::ntfs::engine::{Engine, LOG_FILE, MFT};
use crate::ntfs::record::{NUMBER_MASK, kind};
use crate::ntfs::stream::Layout;
use crate::{BlockDevice, Guard, Reason, Replayed};
use std::collections::HashMap;

/// Largest log that is replayed: four times what Windows makes of itself.
const MAX_LOG: u64 = 256 << 20;
/// Bytes of the log that tell its state: the restart pages lie there.
const HEAD: u64 = 128 << 10;
/// Most errors of the check that are told.
const MAX_TOLD: usize = 3;

/// Runs of an attribute: first cluster of the attribute, first of the volume, count.
type Mapped = Vec<(u64, u64, u64)>;

impl Engine {
    /// What the log says about itself.
    pub(in crate::ntfs) fn log_state(&mut self) -> Result<LogState, Reason> {
        let Some(layout) = self.log_layout()? else { return Ok(LogState::Clean) };
        let mut head = vec![0; layout.size().min(HEAD) as usize];
        self.read_layout_at(&layout, 0, &mut head)?;
        Ok(LogState::of(&head))
    }

    fn log_layout(&mut self) -> Result<Option<Layout>, Reason> {
        let inode = self.inode(LOG_FILE)?;
        self.layout(&inode, kind::DATA, &[])
    }

    /// Carries out the log in memory, checks the volume that would come of it, and forgets it again.
    pub(in crate::ntfs) fn rehearse(&mut self, restart: &Restart) -> Result<Replayed, Reason> {
        let done = self.held(restart);
        // The mark of dirtiness may be part of what is carried out.
        let dirty = done.is_ok() && self.dirty_flag()?;
        self.give_up()?;
        match done {
            Ok(_) if dirty => Err(Reason::Guarded(Guard::dirty())),
            done => done.map(|done| done.told),
        }
    }

    /// Carries out the log. The log stays as it is until everything else is on the medium; the last write of all
    /// empties it.
    pub(in crate::ntfs) fn recover(&mut self, restart: &Restart) -> Result<Replayed, Reason> {
        let layout = self.log_layout()?.ok_or_else(no_log)?;
        let done = match self.held(restart) {
            Ok(done) => done,
            Err(error) => {
                self.give_up()?;
                return Err(error);
            }
        };
        self.device.below().release().map_err(Reason::Device)?;
        let (places, page) = restart.emptied(done.last);
        for place in places {
            // Past what keeps changes: this is the state from which changes count.
            self.place_in_log(&layout, place, &page)?;
            self.device.below().flush().map_err(Reason::Device)?;
        }
        Ok(done.told)
    }

    fn place_in_log(&mut self, layout: &Layout, at: u64, page: &[u8]) -> Result<(), Reason> {
        let Layout::Runs { runs, .. } = layout else { return Err(no_log()) };
        let mut places = Vec::new();
        self.transfer(runs, at, page.len(), |_, place, range| {
            places.push((place.ok_or_else(no_log)?, range));
            Ok(())
        })?;
        for (place, range) in places {
            self.device.below().write_at(place, &page[range]).map_err(Reason::Device)?;
        }
        Ok(())
    }

    /// Forgets what is held back, and what was read of it.
    fn give_up(&mut self) -> Result<(), Reason> {
        self.device.below().abandon();
        self.look_again()
    }

    /// Carries out the log; what it changes is held back.
    fn held(&mut self, restart: &Restart) -> Result<Done, Reason> {
        let layout = self.log_layout()?.ok_or_else(no_log)?;
        if layout.size() > MAX_LOG || !layout.is_plain() {
            return Err(Reason::Damaged("it is larger than what is replayed here".to_owned()));
        }
        let bytes = self.read_layout(&layout, MAX_LOG)?;
        self.device.below().hold();
        let mut done = replay(self.device.below(), &self.geometry, restart, bytes)?;
        self.look_again()?;
        self.copy_to_mirror()?;
        self.check_owners(&done.written)?;
        if self.hibernation()?.is_some() {
            return Err(Reason::Damaged("the system of the volume is hibernated".to_owned()));
        }
        let check = self.check()?;
        if !check.errors.is_empty() {
            let told = check.errors.into_iter().take(MAX_TOLD).collect::<Vec<_>>().join("; ");
            return Err(Reason::Damaged(format!("the volume would not be sound: {told}")));
        }
        done.told.clusters = done.written.len() as u64;
        Ok(done)
    }

    /// The log says nothing of the copy of the first records.
    fn copy_to_mirror(&mut self) -> Result<(), Reason> {
        for number in 0..self.mirrored() {
            let bytes = self.record_bytes(number)?;
            let place = self.mirror_place(number);
            self.device.below().write_at(place, &bytes).map_err(Reason::Device)?;
        }
        Ok(())
    }

    /// Every cluster that was written belongs to what it was written for, or to nobody.
    fn check_owners(&mut self, written: &Written) -> Result<(), Reason> {
        let mut by_owner: HashMap<(u64, u32), Vec<(u64, u64)>> = HashMap::new();
        for (&lcn, &(file, kind, vcn)) in written {
            by_owner.entry((file, kind)).or_default().push((vcn, lcn));
        }
        let taken = self.load_cluster_bitmap()?;
        for ((file, kind), places) in by_owner {
            let owned = self.places(file, kind)?;
            for place in places {
                if taken.has(place.1) && !owned.iter().any(|runs| maps(runs, place)) {
                    return Err(Reason::Damaged(format!(
                        "it changes cluster {}, which does not belong to record {} any more",
                        place.1,
                        file & NUMBER_MASK
                    )));
                }
            }
        }
        Ok(())
    }

    /// The runs of each attribute of this type of a file.
    fn places(&mut self, file: u64, kind: u32) -> Result<Vec<Mapped>, Reason> {
        let number = file & NUMBER_MASK;
        let Some(inode) = self.file(number)? else { return Ok(Vec::new()) };
        if number != MFT && inode.base.reference() != file {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        for attribute in inode.attributes().filter(|one| one.kind() == kind && !one.is_resident()) {
            let mut vcn = attribute.first_vcn();
            let mut places = Vec::new();
            for run in attribute.runs(self.geometry.clusters)? {
                places.extend(run.lcn.map(|lcn| (vcn, lcn, run.len)));
                vcn += run.len;
            }
            all.push(places);
        }
        Ok(all)
    }
}

/// True if the runs map the cluster of an attribute to that of the volume.
fn maps(runs: &[(u64, u64, u64)], (vcn, lcn): (u64, u64)) -> bool {
    let behind = runs.partition_point(|&(first, ..)| first <= vcn);
    let Some(&(first, start, len)) = behind.checked_sub(1).and_then(|at| runs.get(at)) else {
        return false;
    };
    vcn - first < len && start + (vcn - first) == lcn
}

fn no_log() -> Reason {
    Reason::Damaged("the log has no clusters".to_owned())
}
