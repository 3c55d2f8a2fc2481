//! The boot configuration data store: a registry hive with objects (boot manager, loaders, settings),
//! each a set of typed elements.
//!
//! [`BcdStore`] is a typed view over a [`Hive`](crate::hive::Hive). What it does not know it leaves
//! alone: unknown elements and devices keep their bytes. Layout and ids: windows-facts.md 3.3 to 3.5,
//! checked against the stores that Windows wrote.
//!
//! The harness asks a store whether an image can recover ([`BcdStore::default_loader`],
//! [`BcdStore::recovery_sequence`], [`BcdStore::recovery_enabled`]); the understudy's boot manager boots
//! by it; the image recipe makes one with [`StandardStore`].

mod device;
mod element;
mod error;
mod ids;
mod listing;
mod names;
mod object;
mod render;
mod standard;
mod store;
mod text;

pub use device::{Device, DeviceKind, LocalDevice, Located};
pub use element::ElementValue;
pub use error::BcdError;
pub use ids::{BootStatusPolicy, ElementFormat, ElementId, SafeBoot, known};
pub use listing::{DeviceListing, ElementListing, Listing, ObjectListing, ValueListing};
pub use object::{Object, ObjectType};
pub use standard::StandardStore;
pub use store::BcdStore;
