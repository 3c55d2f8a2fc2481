//! The indexes of object ids and reparse points, and the table of quotas.

use super::changes::{Comparison, Pair};
use super::names::{Change, Files};
use crate::Reason;
use crate::ntfs::engine::Inode;
use crate::ntfs::extend::{OBJECT_IDS, QUOTAS, REPARSE_POINTS};
use crate::ntfs::index::Sought;
use crate::ntfs::node::IndexEntry;
use crate::ntfs::record::{NUMBER_MASK, kind, u64_at};

/// The file of `\$Extend`, its index, and the attribute of a file that is entered there.
const VIEWS: [(&str, &[u16], Option<u32>); 3] = [
    ("$ObjId", &OBJECT_IDS, Some(kind::OBJECT_ID)),
    ("$Reparse", &REPARSE_POINTS, Some(kind::REPARSE_POINT)),
    ("$Quota", &QUOTAS, None),
];

impl Comparison {
    pub(super) fn compare_views(&mut self, files: &Files) -> Result<(), Reason> {
        for (file, index, entered) in VIEWS {
            let view = Pair {
                was: self.was.extended(file).unwrap_or_default(),
                is: self.is.extended(file).unwrap_or_default(),
            };
            if self.index_differs(&view, index) {
                let compared = self.compare_index(&view, index, |comparison, change| {
                    let Some(entered) = entered else { return Ok(()) };
                    match change {
                        Change::Went(old) => comparison.went_from_view(file, &old, entered),
                        Change::Became(old, new)
                            if reference_of(&old, entered) != reference_of(&new, entered) =>
                        {
                            comparison.went_from_view(file, &old, entered);
                        }
                        Change::Became(..) | Change::Came(_) => {}
                    }
                    Ok(())
                });
                self.note(file, compared)?;
            }
            let (Some(view), Some(entered)) = (view.is, entered) else { continue };
            for gone in files.values().filter_map(|file| gone(file)) {
                let Some(key) = key_of(gone, entered) else { continue };
                let found = self.is.find_entry(&view, Sought::Longs(index, &key));
                let refers = |entry: IndexEntry| reference_of(&entry, entered);
                if found.is_ok_and(|entry| entry.map(refers) == Some(gone.base.reference())) {
                    self.check.error(format!(
                        "{file} has an entry of record {}, which was deleted",
                        gone.base.number
                    ));
                }
            }
        }
        Ok(())
    }

    /// What went from the index must not belong to a file that is there.
    fn went_from_view(&mut self, view: &str, entry: &IndexEntry, entered: u32) {
        let reference = reference_of(entry, entered);
        let file = self.is.file(reference & NUMBER_MASK).unwrap_or_default();
        if file.is_some_and(|file| {
            file.base.reference() == reference
                && key_of(&file, entered).as_deref() == Some(entry.key())
        }) {
            self.check
                .error(format!("{view} has lost the entry of record {}", reference & NUMBER_MASK));
        }
    }
}

/// A file that was, and is not any more.
fn gone(file: &Pair<Option<Inode>>) -> Option<&Inode> {
    let was = file.was.as_ref()?;
    let same = file.is.as_ref().is_some_and(|is| is.base.sequence == was.base.sequence);
    (!same).then_some(was)
}

/// What a file is entered as.
fn key_of(file: &Inode, entered: u32) -> Option<Vec<u8>> {
    let value = file.attributes().find(|one| one.kind() == entered)?.value();
    if entered == kind::OBJECT_ID {
        return value.get(..16).map(<[u8]>::to_vec);
    }
    let mut key = value.get(..4)?.to_vec();
    key.extend(file.base.reference().to_le_bytes());
    Some(key)
}

/// Which file an entry stands for.
fn reference_of(entry: &IndexEntry, entered: u32) -> u64 {
    match entered {
        kind::OBJECT_ID => u64_at(entry.data().unwrap_or_default(), 0),
        _ => u64_at(entry.key(), 4),
    }
}
