//! What NTFS keeps about files beside the files, in `\\$Extend`.
//!
//! - `$ObjId`, `$Reparse`: indexes of the object ids and reparse points of the volume. A file that is
//!   deleted leaves them. Windows looks object ids up there (shortcuts that follow moved files), and
//!   finds a stale one pointing at whatever file has the record then.
//! - `$Quota`: what each owner uses. It is not counted here; where quotas are tracked they are marked
//!   as out of date, and Windows counts anew.
//! - `$UsnJrnl`: the change journal. No records are written for changes from here, so whoever follows
//!   the journal (search, backup, replication) would miss them. The journal gets a new identifier and
//!   none of its old records counts: by the documentation of `FSCTL_READ_USN_JOURNAL` a reader that
//!   comes with another identifier is refused and starts from the files themselves. The Linux driver
//!   of old did the same (`ntfs_stamp_usnjrnl`). The records themselves stay, for who looks into them.

use super::engine::{Engine, Inode, ROOT};
use super::index::Sought;
use super::record::{kind, u32_at, u64_at};
use crate::Reason;

/// `$O`, the index of `$ObjId`.
pub(super) const OBJECT_IDS: [u16; 2] = [0x24, 0x4f];
/// `$R`, the index of `$Reparse`.
pub(super) const REPARSE_POINTS: [u16; 2] = [0x24, 0x52];
/// `$Q`, the index of `$Quota`.
pub(super) const QUOTAS: [u16; 2] = [0x24, 0x51];
/// `$Max`, the stream with the settings of the change journal.
const JOURNAL_SETTINGS: [u16; 4] = [0x24, 0x4d, 0x61, 0x78];
/// `$J`, the stream with the records of the change journal.
const JOURNAL: [u16; 2] = [0x24, 0x4a];

/// The owner whose entry has the settings of the volume (`QUOTA_DEFAULTS_ID`).
const QUOTA_DEFAULTS: [u8; 4] = 1u32.to_le_bytes();
/// Quotas are tracked, or will be from the next start (`QUOTA_FLAG_TRACKING_ENABLED`, `_REQUESTED`).
const QUOTA_TRACKED: u32 = 0x10 | 0x40;
/// `QUOTA_FLAG_OUT_OF_DATE`.
const QUOTA_OUT_OF_DATE: u32 = 0x200;

impl Engine {
    /// A file of `\\$Extend`; volumes of old versions have not all of them.
    pub(super) fn extended(&mut self, name: &str) -> Result<Option<Inode>, Reason> {
        match self.resolve(&["$Extend", name]) {
            Ok(inode) if inode.base.number != ROOT => Ok(Some(inode)),
            Ok(_) | Err(Reason::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a file that is about to go out of the indexes of object ids and reparse points.
    pub(super) fn leave_indexes(&mut self, inode: &Inode) -> Result<(), Reason> {
        let value = |wanted: u32| {
            inode.attributes().find(|one| one.kind() == wanted).map(|one| one.value().to_vec())
        };
        if let Some(id) = value(kind::OBJECT_ID).filter(|id| id.len() >= 16) {
            self.leave_index("$ObjId", &OBJECT_IDS, &id[..16])?;
        }
        match value(kind::REPARSE_POINT) {
            Some(point) => self.leave_reparse_points(inode.base.reference(), &point),
            None => Ok(()),
        }
    }

    /// Takes a file out of the index of reparse points. `point` is the value of the attribute that it had.
    pub(super) fn leave_reparse_points(
        &mut self,
        reference: u64,
        point: &[u8],
    ) -> Result<(), Reason> {
        let Some(tag) = point.get(..4) else { return Ok(()) };
        let key = [tag, &reference.to_le_bytes()].concat();
        self.leave_index("$Reparse", &REPARSE_POINTS, &key)
    }

    fn leave_index(&mut self, file: &str, index: &[u16], key: &[u8]) -> Result<(), Reason> {
        let Some(mut inode) = self.extended(file)? else { return Ok(()) };
        match self.remove_entry(&mut inode, Sought::Longs(index, key)) {
            // An id that was never entered, or an index that is not there: nothing to leave.
            Ok(()) | Err(Reason::NotFound | Reason::NotADirectory) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Before the first change: whoever follows changes is told that it has missed some.
    pub(super) fn announce_changes(&mut self) -> Result<(), Reason> {
        self.renew_journal()?;
        self.outdate_quotas()
    }

    /// Gives the change journal another identifier, and makes its records not count.
    fn renew_journal(&mut self) -> Result<(), Reason> {
        let Some(mut inode) = self.extended("$UsnJrnl")? else { return Ok(()) };
        let Some(layout) = self.layout(&inode, kind::DATA, &JOURNAL)? else { return Ok(()) };
        let now = self.now();
        let settings =
            inode.records_mut().find_map(|one| one.find_mut(kind::DATA, &JOURNAL_SETTINGS));
        if let Some(settings) = settings {
            let mut value = settings.value().to_vec();
            if value.len() < 32 {
                return Err(Reason::Damaged(
                    "the settings of the change journal are short".to_owned(),
                ));
            }
            // Maximum size, allocation delta, identifier, lowest valid record.
            let id = now.ticks().max(u64_at(&value, 16).saturating_add(1));
            value[16..24].copy_from_slice(&id.to_le_bytes());
            value[24..32].copy_from_slice(&layout.size().to_le_bytes());
            settings.set_value(&value);
            self.write_inode(&mut inode)?;
        }
        Ok(())
    }

    fn outdate_quotas(&mut self) -> Result<(), Reason> {
        let Some(mut inode) = self.extended("$Quota")? else { return Ok(()) };
        let sought = Sought::Longs(&QUOTAS, &QUOTA_DEFAULTS);
        let updated = self.update_entry(&mut inode, sought, |entry| {
            let data = entry.data_mut().filter(|data| data.len() >= 8);
            let Some(data) = data else { return Ok(()) };
            let flags = u32_at(data, 4);
            if flags & QUOTA_TRACKED != 0 {
                data[4..8].copy_from_slice(&(flags | QUOTA_OUT_OF_DATE).to_le_bytes());
            }
            Ok(())
        });
        match updated {
            Ok(()) | Err(Reason::NotFound | Reason::NotADirectory) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ntfs::crafted::{add_attribute, entry, keys, make_index};
    use crate::ntfs::record::{Attribute, Sizes};
    use crate::{FileTime, MemoryDevice, Ntfs, NtfsFormat, Volume};

    const NOW: FileTime = FileTime::from_unix_seconds(1_721_362_140);

    fn volume() -> Ntfs {
        let options = NtfsFormat { label: String::new(), serial: 1, time: NOW };
        let mut ntfs = Ntfs::format(MemoryDevice::zeroed(12 << 20), &options).unwrap();
        ntfs.set_clock(NOW);
        ntfs
    }

    #[test]
    fn a_deleted_file_leaves_the_index_of_object_ids() {
        let mut ntfs = volume();
        let id = |number: u8| [number; 16];
        let entries = (1..6).map(|number| entry(&id(number), &[0; 56])).collect();
        make_index(&mut ntfs, "$ObjId", &OBJECT_IDS, entries);
        for name in ["a", "b"] {
            ntfs.write(name, b"x").unwrap();
        }
        add_attribute(&mut ntfs, "a", kind::OBJECT_ID, &id(3));
        // An id that is not in the index.
        add_attribute(&mut ntfs, "b", kind::OBJECT_ID, &id(99));
        ntfs.remove_file("a").unwrap();
        ntfs.remove_file("b").unwrap();
        let left = keys(&mut ntfs, "$ObjId", &OBJECT_IDS);
        assert_eq!(left, [1, 2, 4, 5].map(|number| id(number).to_vec()));
        // A file that another one replaces goes, too.
        ntfs.write("c", b"x").unwrap();
        add_attribute(&mut ntfs, "c", kind::OBJECT_ID, &id(4));
        ntfs.write("d", b"y").unwrap();
        ntfs.rename("d", "c").unwrap();
        assert_eq!(keys(&mut ntfs, "$ObjId", &OBJECT_IDS).len(), 3);
        assert_eq!(ntfs.read("c").unwrap(), b"y");
    }

    #[test]
    fn a_deleted_link_leaves_the_index_of_reparse_points() {
        let mut ntfs = volume();
        ntfs.create_dir_all("junction").unwrap();
        let point = [&0xa000_0003u32.to_le_bytes()[..], &[0; 20]].concat();
        let reference = add_attribute(&mut ntfs, "junction", kind::REPARSE_POINT, &point);
        let key = |reference: u64| [&point[..4], &reference.to_le_bytes()].concat();
        let entries = vec![entry(&key(reference), &[]), entry(&key(reference + 1), &[])];
        make_index(&mut ntfs, "$Reparse", &REPARSE_POINTS, entries);
        ntfs.remove_file("junction").unwrap();
        assert_eq!(keys(&mut ntfs, "$Reparse", &REPARSE_POINTS), [key(reference + 1)]);
    }

    #[test]
    fn the_change_journal_gets_another_identifier_with_the_first_change() {
        let mut ntfs = volume();
        ntfs.write("$Extend\\$UsnJrnl", b"").unwrap();
        let settings = [32u64 << 20, 4 << 20, 4711, 100]
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect::<Vec<u8>>();
        let mut inode = ntfs.engine.resolve(&["$Extend", "$UsnJrnl"]).unwrap();
        let sizes = Sizes { allocated: 8192, real: 5000, initialized: 5000 };
        let runs = ntfs.engine.allocate_clusters(2, None).unwrap();
        let journal = Attribute::non_resident(kind::DATA, &JOURNAL, 0, &runs, sizes);
        inode.base.add(journal);
        inode.base.add(Attribute::resident(kind::DATA, &JOURNAL_SETTINGS, &settings, false));
        ntfs.engine.write_inode(&mut inode).unwrap();
        let now = |ntfs: &mut Ntfs| -> Vec<u64> {
            let inode = ntfs.engine.resolve(&["$Extend", "$UsnJrnl"]).unwrap();
            let value = inode.base.find(kind::DATA, &JOURNAL_SETTINGS).unwrap().value().to_vec();
            (0..4).map(|index| u64_at(&value, index * 8)).collect()
        };
        // This handle has announced its changes before there was a journal; another has not.
        ntfs.engine.announced = false;
        ntfs.read("$Extend\\$UsnJrnl").unwrap();
        assert_eq!(now(&mut ntfs), [32 << 20, 4 << 20, 4711, 100]);
        ntfs.write("file", b"x").unwrap();
        assert_eq!(now(&mut ntfs), [32 << 20, 4 << 20, NOW.ticks(), 5000]);
        ntfs.write("file", b"y").unwrap();
        assert_eq!(now(&mut ntfs)[2], NOW.ticks());
        // The clock stands: another identifier all the same.
        ntfs.engine.announced = false;
        ntfs.write("file", b"z").unwrap();
        assert_eq!(now(&mut ntfs)[2], NOW.ticks() + 1);
    }

    #[test]
    fn quotas_that_are_tracked_are_out_of_date_after_a_change() {
        for (flags, wanted) in [(0x1u32, 0x1u32), (0x11, 0x211)] {
            let mut ntfs = volume();
            let data = [&2u32.to_le_bytes()[..], &flags.to_le_bytes(), &[0; 40]].concat();
            let owners = vec![entry(&QUOTA_DEFAULTS, &data), entry(&256u32.to_le_bytes(), &data)];
            make_index(&mut ntfs, "$Quota", &QUOTAS, owners);
            ntfs.engine.announced = false;
            ntfs.write("file", b"x").unwrap();
            let inode = ntfs.engine.resolve(&["$Extend", "$Quota"]).unwrap();
            let tree = ntfs.engine.tree(&inode, &QUOTAS).unwrap();
            let mut entries = ntfs.engine.all_entries(tree).unwrap();
            assert_eq!(u32_at(entries[0].data_mut().unwrap(), 4), wanted);
            assert_eq!(u32_at(entries[1].data_mut().unwrap(), 4), flags);
        }
    }
}
