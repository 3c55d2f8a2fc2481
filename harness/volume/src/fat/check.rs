//! Checking a FAT volume against itself.
//!
//! `fatfs` follows chains of clusters wherever they lead, so nothing is written to a volume on which
//! they were not seen to end. This reads the tables itself (Microsoft FAT specification 1.03).

use crate::{BlockDevice, Check, Reason, probe_boot_sector};

/// Largest table that is read: 32 million clusters of FAT32.
const MAX_TABLE: u64 = 128 << 20;
/// Largest directory: 65536 slots.
const MAX_DIRECTORY: usize = 65536 * 32;
/// Where BPB and tables keep the mark of a volume that was not let go of.
const DIRTY: u8 = 1;

/// Where things lie, in bytes.
pub(super) struct Geometry {
    bits: u32,
    cluster: u64,
    fat_start: u64,
    fat_len: u64,
    fats: u64,
    /// Copies of the table are kept alike.
    mirrored: bool,
    root_start: u64,
    root_len: u64,
    /// First cluster of the root directory of FAT32.
    root_cluster: u32,
    data_start: u64,
    /// One more than the highest cluster number; the first is 2.
    end: u32,
    /// The state byte of the boot sector.
    state: u8,
}

fn damaged(what: &str) -> Reason {
    Reason::Damaged(what.to_owned())
}

impl Geometry {
    pub(super) fn parse(boot: &[u8; 512], device: u64) -> Result<Self, Reason> {
        if !probe_boot_sector(boot).is_some_and(|found| found.kind.is_fat()) {
            return Err(damaged("its boot sector is none of FAT"));
        }
        let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let long = |at: usize| word(at) | word(at + 2) << 16;
        let some = |value: u64, other: u64| if value != 0 { value } else { other };
        let (sector, per_cluster) = (word(0x0b), u64::from(boot[0x0d]));
        let (fats, roots) = (u64::from(boot[0x10]), word(0x11));
        let wide = word(0x16) == 0 && roots == 0;
        let total = some(word(0x13), long(0x20));
        let fat_start = word(0x0e) * sector;
        let fat_len = some(word(0x16), long(0x24)) * sector;
        let root_start = fat_start + fats * fat_len;
        let root_len = (roots * 32).next_multiple_of(sector);
        let data_start = root_start + root_len;
        let cluster = sector * per_cluster;
        if total * sector > device {
            return Err(damaged("it is larger than its partition"));
        }
        let count = (total * sector)
            .checked_sub(data_start)
            .ok_or_else(|| damaged("its tables are larger than the volume"))?
            / cluster;
        let bits = match count {
            _ if wide => 32,
            ..4085 => 12,
            _ => 16,
        };
        let end = count + 2;
        if end * u64::from(bits) > fat_len * 8 {
            return Err(damaged("its tables are too short for its clusters"));
        }
        Ok(Self {
            bits,
            cluster,
            fat_start,
            fat_len,
            fats,
            mirrored: !wide || boot[0x28] & 0x80 == 0,
            root_start,
            root_len,
            root_cluster: if wide { long(0x2c) as u32 } else { 0 },
            data_start,
            end: u32::try_from(end).map_err(|_| damaged("it has too many clusters"))?,
            state: if wide { boot[0x41] } else { boot[0x25] },
        })
    }

    /// Reads the part of a table that stands for clusters.
    pub(super) fn table(&self, device: &mut dyn BlockDevice, copy: u64) -> Result<Vec<u8>, Reason> {
        let len = (u64::from(self.end) * u64::from(self.bits)).div_ceil(8);
        if len > MAX_TABLE {
            return Err(Reason::Unsupported(format!("FAT volumes of {} clusters", self.end)));
        }
        let mut table = vec![0; len as usize];
        let place = self.fat_start + copy * self.fat_len;
        device.read_at(place, &mut table).map_err(Reason::Device)?;
        Ok(table)
    }

    /// Where a cluster lies; `None` for numbers that are none.
    pub(super) fn place(&self, cluster: u32) -> Option<u64> {
        let number = cluster.checked_sub(2).filter(|_| cluster < self.end)?;
        Some(self.data_start + u64::from(number) * self.cluster)
    }

    /// The cluster at which the file of an entry begins.
    pub(super) fn first_cluster(&self, entry: &[u8]) -> u32 {
        let half = |at: usize| u32::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
        if self.bits == 32 { half(20) << 16 | half(26) } else { half(26) }
    }

    /// What follows a cluster, by a table that was read.
    fn next(&self, table: &[u8], cluster: u32) -> Next {
        let at = cluster as usize;
        let byte = |at: usize| u32::from(table.get(at).copied().unwrap_or(0));
        let (value, top) = match self.bits {
            12 => {
                let pair = byte(at * 3 / 2) | byte(at * 3 / 2 + 1) << 8;
                (if at % 2 == 1 { pair >> 4 } else { pair & 0xfff }, 0xfff)
            }
            16 => (byte(at * 2) | byte(at * 2 + 1) << 8, 0xffff),
            _ => {
                let four = (0..4).map(|index| byte(at * 4 + index) << (8 * index)).sum::<u32>();
                (four & 0x0fff_ffff, 0x0fff_ffff)
            }
        };
        match value {
            0 => Next::Free,
            value if value >= top - 7 => Next::End,
            value if value == top - 8 => Next::Bad,
            value if (2..self.end).contains(&value) => Next::Cluster(value),
            value => Next::Outside(value),
        }
    }

    /// The entries of the directory that starts at `first`; 0 is the root.
    pub(super) fn directory(
        &self,
        device: &mut dyn BlockDevice,
        table: &[u8],
        first: u32,
    ) -> Result<Vec<u8>, Reason> {
        let mut bytes = Vec::new();
        let mut read = |place: u64, len: u64| {
            let start = bytes.len();
            bytes.resize(start + len as usize, 0);
            device.read_at(place, &mut bytes[start..]).map_err(Reason::Device)?;
            Ok(bytes.len())
        };
        let mut cluster = if first == 0 { self.root_cluster } else { first };
        if cluster == 0 {
            read(self.root_start, self.root_len)?;
            return Ok(bytes);
        }
        loop {
            let place =
                self.place(cluster).ok_or_else(|| damaged("a directory leaves the volume"))?;
            if read(place, self.cluster)? > MAX_DIRECTORY + self.cluster as usize {
                return Err(damaged("a directory does not end"));
            }
            match self.next(table, cluster) {
                Next::Cluster(next) => cluster = next,
                _ => return Ok(bytes),
            }
        }
    }
}

pub(super) fn boot_sector(device: &mut dyn BlockDevice) -> Result<[u8; 512], Reason> {
    let mut boot = [0; 512];
    if device.len() < 512 {
        return Err(damaged("it is smaller than a sector"));
    }
    device.read_at(0, &mut boot).map_err(Reason::Device)?;
    Ok(boot)
}

/// True if the volume is marked as one that was not let go of: by Windows in the boot sector, by others
/// in the second entry of the table.
pub(super) fn is_dirty(device: &mut dyn BlockDevice) -> Result<bool, Reason> {
    let boot = boot_sector(device)?;
    let geometry = Geometry::parse(&boot, device.len())?;
    let mut head = [0; 8];
    device.read_at(geometry.fat_start, &mut head).map_err(Reason::Device)?;
    let unclean = match geometry.bits {
        16 => head[3] & 0x80 == 0,
        32 => head[7] & 0x08 == 0,
        _ => false,
    };
    Ok(unclean || geometry.state & DIRTY != 0)
}

/// Checks chains, directories, sizes, and the copies of the table.
pub(super) fn check(device: &mut dyn BlockDevice) -> Result<Check, Reason> {
    let boot = boot_sector(device)?;
    let geometry = Geometry::parse(&boot, device.len())?;
    let table = geometry.table(device, 0)?;
    let mut check = Check::default();
    if geometry.mirrored {
        for copy in 1..geometry.fats {
            if geometry.table(device, copy)? != table {
                check.error(format!("copy {copy} of the allocation table differs from the first"));
            }
        }
    }
    let mut walk =
        Walk { used: vec![0; (geometry.end as usize).div_ceil(64)], table, geometry, check };
    walk.tree(device)?;
    Ok(walk.finish())
}

struct Walk {
    geometry: Geometry,
    table: Vec<u8>,
    /// One bit for each cluster.
    used: Vec<u64>,
    check: Check,
}

/// What an entry of the table says.
enum Next {
    Free,
    Cluster(u32),
    Bad,
    End,
    Outside(u32),
}

impl Walk {
    fn next(&self, cluster: u32) -> Next {
        self.geometry.next(&self.table, cluster)
    }

    /// The clusters of a chain, each taken once; what is wrong with it is noted, and ends it.
    fn chain(&mut self, first: u32, path: &str) -> Vec<u32> {
        let mut chain = Vec::new();
        if !(2..self.geometry.end).contains(&first) {
            self.check.error(format!("'{path}' begins at cluster {first}, which does not exist"));
            return chain;
        }
        let mut cluster = first;
        loop {
            let (word, bit) = (cluster as usize / 64, 1 << (cluster % 64));
            if self.used[word] & bit != 0 {
                self.check.error(format!(
                    "the chain of '{path}' comes to cluster {cluster}, which it or another file uses \
                     already"
                ));
                return chain;
            }
            self.used[word] |= bit;
            chain.push(cluster);
            cluster = match self.next(cluster) {
                Next::Cluster(next) => next,
                Next::End => return chain,
                Next::Free | Next::Bad => {
                    self.check.error(format!(
                        "the chain of '{path}' has no end: cluster {cluster} is marked free or bad"
                    ));
                    return chain;
                }
                Next::Outside(next) => {
                    self.check.error(format!(
                        "the chain of '{path}' leads to cluster {next}, which does not exist"
                    ));
                    return chain;
                }
            };
        }
    }

    /// Every directory; each has clusters of its own, so there are at most as many as clusters.
    fn tree(&mut self, device: &mut dyn BlockDevice) -> Result<(), Reason> {
        let mut left = Vec::new();
        let root = if self.geometry.root_cluster == 0 {
            let mut bytes = vec![0; self.geometry.root_len as usize];
            device.read_at(self.geometry.root_start, &mut bytes).map_err(Reason::Device)?;
            bytes
        } else {
            let chain = self.chain(self.geometry.root_cluster, "\\");
            self.contents(device, &chain, "\\")?
        };
        self.directory(&root, "", &mut left);
        while let Some((path, first)) = left.pop() {
            let chain = self.chain(first, &path);
            let bytes = self.contents(device, &chain, &path)?;
            self.directory(&bytes, &path, &mut left);
        }
        Ok(())
    }

    fn contents(
        &mut self,
        device: &mut dyn BlockDevice,
        chain: &[u32],
        path: &str,
    ) -> Result<Vec<u8>, Reason> {
        let mut bytes = Vec::new();
        for &cluster in chain {
            if bytes.len() >= MAX_DIRECTORY {
                self.check.error(format!("directory '{path}' is longer than 65536 entries"));
                break;
            }
            let start = bytes.len();
            bytes.resize(start + self.geometry.cluster as usize, 0);
            let place = self.geometry.place(cluster).expect("chains hold clusters that exist");
            device.read_at(place, &mut bytes[start..]).map_err(Reason::Device)?;
        }
        Ok(bytes)
    }

    /// Checks the files of a directory, and collects the directories in it.
    fn directory(&mut self, bytes: &[u8], path: &str, left: &mut Vec<(String, u32)>) {
        for entry in bytes.chunks_exact(32) {
            let attributes = entry[11];
            match entry[0] {
                0 => break,
                0xe5 | b'.' => continue,
                // The label, and the pieces of long names.
                _ if attributes & 0x08 != 0 => continue,
                _ => {}
            }
            let half = |at: usize| u32::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
            let first = self.geometry.first_cluster(entry);
            let size = u64::from(half(28) | half(30) << 16);
            let path = format!("{path}\\{}", short_name(entry));
            if attributes & 0x10 != 0 {
                left.push((path, first));
                continue;
            }
            let chain = if first == 0 { Vec::new() } else { self.chain(first, &path) };
            let room = chain.len() as u64 * self.geometry.cluster;
            if room < size || room >= size + self.geometry.cluster {
                // The size is written when a file is closed, and the page file never is.
                self.check.unfinished(format!(
                    "'{path}' has {size} bytes, and {} clusters of {}",
                    chain.len(),
                    self.geometry.cluster
                ));
            }
        }
    }

    fn finish(mut self) -> Check {
        for cluster in 2..self.geometry.end {
            let used = self.used[cluster as usize / 64] & 1 << (cluster % 64) != 0;
            if !used && !matches!(self.next(cluster), Next::Free | Next::Bad) {
                self.check.lost_clusters += 1;
            }
        }
        self.check
    }
}

/// The 8.3 name of an entry.
fn short_name(entry: &[u8]) -> String {
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (name, extension) = (part(&entry[..8]), part(&entry[8..11]));
    if extension.is_empty() { name } else { format!("{name}.{extension}") }
}
