//! What the log of a volume asked for.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a log is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// In memory only, to see whether it can be done. Nothing is written.
    Rehearse,
    /// In memory, then on the volume.
    CarryOut,
}

/// What the replay of a log did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// Steps that were not on the volume yet, and were carried out.
    pub redone: u64,
    /// Steps of changes that were not finished, and were taken back.
    pub undone: u64,
    /// Clusters that were written by that.
    pub clusters: u64,
}

impl fmt::Display for Replayed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "its log ($LogFile) was replayed: {} steps carried out, {} taken back, {} clusters changed",
            self.redone, self.undone, self.clusters
        )
    }
}
