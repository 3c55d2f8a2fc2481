//! What the world and the shards tell each other between two minutes.

use std::ops::Range;

/// What the world decided for a minute.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) minute: u32,
    /// Rings that begin.
    pub(crate) begin: Range<usize>,
    /// Whether the update is given out.
    pub(crate) offering: bool,
    /// Whether good content and the remediation are given out.
    pub(crate) good: bool,
    /// Since when machines that ask get the version before the update.
    pub(crate) rolled_back: Option<u32>,
    /// By shard: requests of the minute before that are answered with content.
    pub(crate) answered: Vec<u32>,
    /// The same of the remediation service.
    pub(crate) remedied: Vec<u32>,
    /// By shard: pairs of hands that become free for it.
    pub(crate) hands: Vec<u32>,
}

/// What a shard did in a minute.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    /// Machines that wait for an answer.
    pub(crate) asking: u32,
    pub(crate) seeking: u32,
    /// Machines that began to wait for hands.
    pub(crate) called: u32,
    /// Hands that are done.
    pub(crate) freed: u32,
    /// Machines that took the update, for the first time.
    pub(crate) took: u32,
    pub(crate) canaries_took: u32,
    /// Machines that broke: for the first time, and all times.
    pub(crate) broke: u32,
    pub(crate) canaries_broke: u32,
    pub(crate) broke_any: u32,
    pub(crate) recovered: u32,
    pub(crate) refused: u32,
    /// What was heard in this minute.
    pub(crate) crash_reports: u32,
    pub(crate) healthy: u32,
    /// Machines that should have been heard of by now, and those that were not.
    pub(crate) due: u32,
    pub(crate) silent: u32,
    /// Machines that have something before them.
    pub(crate) pending: u32,
    /// The last minute in which anything will be heard of its machines.
    pub(crate) heard_until: u32,
}

/// What a shard adds up to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    /// By layer, and the help desk last.
    pub(crate) recovered: Vec<u64>,
    pub(crate) rolled_back: u64,
    pub(crate) lost_minutes: u64,
    pub(crate) touches: [u64; 3],
    pub(crate) still_broken: u64,
}
