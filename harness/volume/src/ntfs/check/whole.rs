//! Checking a whole volume against itself.

use super::index::Checked;
use crate::ntfs::engine::{BITMAP, Engine, FIRST_USER, Inode, MFT, ROOT};
use crate::ntfs::index::I30;
use crate::ntfs::name::FileName;
use crate::ntfs::record::{NUMBER_MASK, Record, kind};
use crate::{Check, Reason};
use std::collections::HashMap;

/// `$BadClus`, whose named stream maps the whole volume as holes.
const BOOT_RECORDS_END: u64 = 12;

impl Engine {
    pub(in crate::ntfs) fn check(&mut self) -> Result<Check, Reason> {
        let mut check = Check::default();
        let (taken_clusters, taken_records) =
            (self.load_cluster_bitmap()?, self.load_record_bitmap()?);
        let mut used = vec![0u64; self.geometry.clusters.div_ceil(64) as usize];
        // How often directories name each record, and how many names each has.
        let mut named: HashMap<u64, u64> = HashMap::new();
        let mut names: HashMap<u64, u64> = HashMap::new();
        for number in 0..self.record_count() {
            let taken = taken_records.has(number);
            let record = match self.record(number) {
                Ok(record) => record,
                Err(_) if !taken => continue,
                Err(error) => {
                    check.error(error.to_string());
                    continue;
                }
            };
            if record.is_in_use() && !taken {
                check.error(format!("record {number} is in use but marked as free"));
            }
            if !record.is_in_use() {
                check.lost_records += u64::from(taken && number >= FIRST_USER + 8);
                continue;
            }
            self.check_clusters(&record, &mut used, &mut check)?;
            if record.base != 0 {
                self.check_extension(&record, &mut check);
                continue;
            }
            if let Err(error) = self.check_base(number, &mut named, &mut names, &mut check) {
                check.error(format!("record {number}: {error}"));
            }
        }
        for (&number, &count) in &names {
            let entries = named.get(&number).copied().unwrap_or(0);
            if entries == 0 {
                check.lost_records += u64::from(number >= BOOT_RECORDS_END);
            } else if entries != count {
                check.error(format!("record {number} has {count} names, and {entries} entries"));
            }
        }
        for cluster in 0..self.geometry.clusters {
            let uses = used[(cluster / 64) as usize] & 1 << (cluster % 64) != 0;
            match (uses, taken_clusters.has(cluster)) {
                (true, false) => check.error(format!("cluster {cluster} is used but marked free")),
                (false, true) => check.lost_clusters += 1,
                _ => {}
            }
        }
        self.check_mirror(&mut check)?;
        Ok(check)
    }

    /// Marks the clusters of a record as used, each once.
    fn check_clusters(
        &mut self,
        record: &Record,
        used: &mut [u64],
        check: &mut Check,
    ) -> Result<(), Reason> {
        for attribute in record.attributes.iter().filter(|one| !one.is_resident()) {
            for run in attribute.runs(self.geometry.clusters)? {
                let Some(lcn) = run.lcn else { continue };
                for cluster in lcn..lcn + run.len {
                    let (word, bit) = ((cluster / 64) as usize, 1 << (cluster % 64));
                    if used[word] & bit != 0 {
                        check.error(format!(
                            "cluster {cluster} is used twice, by record {} too",
                            record.number
                        ));
                    }
                    used[word] |= bit;
                }
            }
        }
        Ok(())
    }

    /// Checks a file, and the entries of a directory.
    fn check_base(
        &mut self,
        number: u64,
        named: &mut HashMap<u64, u64>,
        names: &mut HashMap<u64, u64>,
        check: &mut Check,
    ) -> Result<(), Reason> {
        let inode = self.inode(number)?;
        let count = inode.attributes().filter(|one| one.kind() == kind::FILE_NAME).count() as u64;
        if count > 0 {
            names.insert(number, count);
        }
        self.check_file(&inode, check)?;
        if !inode.base.is_directory() || number == BITMAP || number == MFT {
            return Ok(());
        }
        self.check_directory(&inode, named, check)
    }

    fn check_directory(
        &mut self,
        dir: &Inode,
        named: &mut HashMap<u64, u64>,
        check: &mut Check,
    ) -> Result<(), Reason> {
        let number = dir.base.number;
        let mut entries = Checked::new(self, dir, &I30)?;
        while let Some(entry) = entries.next(self, check)? {
            let reference = entry.reference();
            let name = FileName::parse(entry.key())?;
            let child = reference & NUMBER_MASK;
            if child != ROOT {
                *named.entry(child).or_default() += 1;
            }
            match self.check_entry(number, reference, &name) {
                Ok(true) => {}
                Ok(false) => check.stale_sizes += 1,
                Err(text) => {
                    check.error(format!("directory {number}: '{}': {text}", name.text()));
                }
            }
        }
        entries.finish(self, dir, check)
    }
}
