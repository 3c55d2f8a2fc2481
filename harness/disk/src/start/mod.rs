//! Which of what lies on a disk is what the machine starts: the boot stores, the partitions that they name, and the
//! Windows that follows from them.
//!
//! Everything that is done to "the Windows of a disk" must be done to the one that starts: a fault in another one
//! never happens. So where this is not certain it is refused ([`DiskError::Uncertain`](crate::DiskError)), and
//! [`Starting`] says it from outside.

mod choice;
mod firmware_entry;
mod hive;
mod named;
mod stores;

pub use choice::Starting;
pub use hive::{HiveOnDisk, read_hive};
pub use named::entry_device;
pub use stores::BootStore;
