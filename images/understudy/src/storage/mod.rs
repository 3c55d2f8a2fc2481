//! What the machine keeps: its disk, drive `C:`, the registry, and the services that drivers get of
//! them.

mod disk;
mod drive;
mod host;
mod last_known_good;
mod registry;
mod watch;

pub use disk::{Disk, DiskError};
pub use drive::{Drive, drive_path};
pub use host::Host;
pub use last_known_good::{control_set, fall_back};
pub use registry::{Registry, RegistryError, SOFTWARE_HIVE, SYSTEM_HIVE, load_hive};
