//! Checking a whole volume against itself.

use super::engine::{BITMAP, Engine, FIRST_USER, MFT, ROOT};
use super::name::FileName;
use super::record::{NUMBER_MASK, Record, kind};
use crate::{Check, Reason};
use std::collections::HashMap;

/// `$BadClus`, whose named stream maps the whole volume as holes.
const BOOT_RECORDS_END: u64 = 12;

impl Engine {
    pub(super) fn check(&mut self) -> Result<Check, Reason> {
        let mut check = Check::default();
        self.clusters = None;
        self.records = None;
        let mut used = vec![0u64; self.geometry.clusters.div_ceil(64) as usize];
        // How often directories name each record, and how many names each has.
        let mut named: HashMap<u64, u64> = HashMap::new();
        let mut names: HashMap<u64, u64> = HashMap::new();
        for number in 0..self.record_count() {
            let taken = self.record_is_taken(number)?;
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
                continue;
            }
            if let Err(error) = self.check_file(number, &mut named, &mut names, &mut check) {
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
            match (uses, self.cluster_is_taken(cluster)?) {
                (true, false) => check.error(format!("cluster {cluster} is used but marked free")),
                (false, true) => check.lost_clusters += 1,
                _ => {}
            }
        }
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

    /// Checks the names of a file, and the entries of a directory.
    fn check_file(
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
        if number >= FIRST_USER && count != u64::from(inode.base.links) {
            check
                .error(format!("record {number} has {count} names, and says {}", inode.base.links));
        }
        if !inode.base.is_directory() || number == BITMAP || number == MFT {
            return Ok(());
        }
        let entries = self.all_names(&inode)?;
        for pair in entries.windows(2) {
            if self.upcase.compare(&pair[0].1.name, &pair[1].1.name).is_ge() {
                check.error(format!(
                    "directory {number}: '{}' and '{}' are out of order",
                    pair[0].1.text(),
                    pair[1].1.text()
                ));
            }
        }
        for (reference, entry) in entries {
            let child = reference & NUMBER_MASK;
            if child != ROOT {
                *named.entry(child).or_default() += 1;
            }
            match self.check_entry(number, reference, &entry) {
                Ok(true) => {}
                Ok(false) => check.stale_sizes += 1,
                Err(text) => {
                    check.error(format!("directory {number}: '{}': {text}", entry.text()));
                }
            }
        }
        Ok(())
    }

    /// True if the size in the entry is that of the file.
    fn check_entry(&mut self, dir: u64, reference: u64, entry: &FileName) -> Result<bool, String> {
        let child = reference & NUMBER_MASK;
        let inode = self.inode(child).map_err(|error| error.to_string())?;
        if reference >> 48 != u64::from(inode.base.sequence) {
            return Err(format!("a stale reference to record {child}"));
        }
        let own = inode
            .attributes()
            .filter(|one| one.kind() == kind::FILE_NAME)
            .filter_map(|one| FileName::parse(one.value()).ok())
            .any(|name| name.parent & NUMBER_MASK == dir && name.name == entry.name);
        if !own {
            return Err(format!("record {child} has no such name"));
        }
        let (_, real) = self.entry_sizes(&inode).map_err(|error| error.to_string())?;
        let single = inode.attributes().filter(|one| one.kind() == kind::FILE_NAME).count() == 1;
        Ok(!single || inode.base.is_directory() || child < FIRST_USER || real == entry.real)
    }
}
