//! What the layer `uninstall-update` takes back from a disk: an update that was left half done, a package, a driver
//! package. From what the disk itself has of them to changes; nothing is known here of how they came there.

mod driver;
mod error;
mod package;
mod pending;
mod plan;

pub use error::UninstallError;
pub(crate) use pending::left_pending;
pub use plan::uninstall;
