//! What the check of a volume against itself finds.

use serde::{Deserialize, Serialize};
use words::escaped;

/// Most findings that are kept.
const MAX_FINDINGS: usize = 1000;

/// What [`Volume::check`](crate::Volume::check) found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What contradicts itself: damage.
    pub errors: Vec<String>,
    /// What a crash leaves in the middle of a change, and chkdsk mends: files of FAT whose size does not fit their
    /// clusters.
    #[serde(default)]
    pub unfinished: Vec<String>,
    /// Clusters that are marked as taken and that nothing uses.
    pub lost_clusters: u64,
    /// Directory entries of NTFS with another size than the file. Windows brings them up to date when
    /// a file is closed, and leaves those of its own files as they are.
    pub stale_sizes: u64,
    /// File records of NTFS that are marked as taken and are not in use, or that no directory names.
    pub lost_records: u64,
}

impl Check {
    /// Notes what was not finished.
    pub(crate) fn unfinished(&mut self, text: String) {
        if self.unfinished.len() < MAX_FINDINGS {
            self.unfinished.push(escaped(text).to_string());
        }
    }

    /// Notes damage. What it quotes comes from the volume.
    pub(crate) fn error(&mut self, text: String) {
        if self.errors.len() < MAX_FINDINGS {
            self.errors.push(escaped(text).to_string());
        }
    }
}
