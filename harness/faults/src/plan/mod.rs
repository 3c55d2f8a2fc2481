//! What has to be done to a machine, as data.
//!
//! A plan knows no disk and no hypervisor. Its offline part is done by [`StagePlan::apply`] on whatever
//! implements [`Offline`] (the engine's disk, a map in memory in the tests); its online part is done by
//! the engine through the guest agent. A [`Change`] may depend on what a disk holds; before it is done it is
//! resolved to an [`Edit`], which is the same on every disk. Either way each change is read back where it was put, and what
//! was there before is kept, so that it can be undone.

mod apply;
mod change;
mod edit;
mod offline;
mod online;
mod servicing;
mod stage_plan;

pub use apply::{Applied, ApplyError};
pub use change::{Change, Rewrite};
pub use edit::{Before, Edit, FileState, HiveName, RegistryValue, TpmState, VolumeRole};
pub(crate) use offline::real_key;
pub use offline::{KeyEntries, Offline, OfflineError};
pub use online::{Act, InterruptedWrite, Online, OnlineAct, OnlineWrite};
pub(crate) use servicing::{
    DRIVER_DATABASE, DRIVER_STORE, PUBLISHED, hive_of, install_time, package_names,
    published_number, value_of,
};
pub use servicing::{Servicing, Touched};
pub use stage_plan::{Origin, StagePlan, StagedEdit};
