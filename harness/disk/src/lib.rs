//! Images and disks, as long as no machine uses them.
//!
//! - [`Store`]: sealed images and checkpoints, addressed by digest, never written again.
//! - [`create_overlay`]: what a machine gets to write into.
//! - [`OfflineDisk`]: a disk opened without root, kernel modules or an appliance, with its partitions and
//!   volumes; staging edits it before a run, collecting evidence reads it afterwards. What a guest left on
//!   it is parsed in a process of its own, the program `loopbreak-volumes`.
//! - [`ServedDisk`]: the disk of a machine that runs, where the harness itself has to be the drive.
//! - [`Tree`]: what is on a volume, to tell what a run changed.
//!
//! File systems are the `volume` crate's, hives and BCD `winfmt`'s. Nothing here knows scenarios.

mod chain;
mod daemon;
mod error;
mod guestfs;
mod nbd;
mod offline;
mod overlay;
mod readback;
mod served;
mod session;
mod start;
mod store;
mod summary;
mod tree;
mod worker;

pub use error::DiskError;
pub use guestfs::{Acceleration, Guestfs, GuestfsError, GuestfsVolume};
pub use offline::{Access, OfflineDisk};
pub use overlay::{OverlayError, check_qcow2, create_overlay};
pub use served::{Cut, DiskTrouble, Hears, OnCut, OnFailure, ServedDisk, Unflushed};
pub use start::{BootStore, HiveOnDisk, Starting, entry_device, read_hive};
pub use store::{
    DiskFormat, DiskSource, Draft, FileRecord, Garbage, GarbageKind, IMAGE_FORMAT, Image, Listed,
    Manifest, Partial, Progress, Removed, SourceError, SourceRecord, Store, StoreError,
    StoredCheckpoint, Watch, unwatched,
};
pub use summary::{NotWritable, VolumeRole, VolumeSummary};
pub use tree::{Difference, Mark, Noise, Tree, TreeChange};
pub use worker::{WorkerError, volumes_main};
