//! In which order scenarios are run, on which machine, and for how long.

mod history;
mod order;
mod queue;
mod shard;

pub(crate) use history::{History, Past, TOGETHER, Together};
pub(crate) use order::{Known, first_to_last};
pub(crate) use queue::Queue;
pub(crate) use shard::{Shard, parts};
