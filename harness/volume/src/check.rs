//! What the check of a volume against itself finds.

use serde::{Deserialize, Serialize};
use winfmt::escaped;

/// Most findings that are kept.
const MAX_FINDINGS: usize = 1000;

/// What [`Volume::check`](crate::Volume::check) found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What contradicts itself: damage.
    pub errors: Vec<String>,
    /// Clusters that are marked as taken and that nothing uses.
    pub lost_clusters: u64,
    /// Directory entries of NTFS with another size than the file. Windows brings them up to date when
    /// a file is closed, and leaves those of its own files as they are.
    pub stale_sizes: u64,
    /// File records of NTFS that are marked as taken and are not in use, or that no directory names.
    pub lost_records: u64,
}

impl Check {
    /// Notes damage. What it quotes comes from the volume.
    pub(crate) fn error(&mut self, text: String) {
        if self.errors.len() < MAX_FINDINGS {
            self.errors.push(escaped(text).to_string());
        }
    }
}
