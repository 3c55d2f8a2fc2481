//! Packages and components: what the servicing stack keeps of an update that it installed (windows-facts.md 4.5).
//!
//! A package (`Windows\servicing\Packages\*.mum`) names the components that it brought. A component is a folder of the
//! store with its files, and a manifest that says where each goes and which values of the registry are its own. Of a
//! component several versions may lie in the store; which of them is in place, it does not say.

mod component;
mod identity;
mod manifest;
mod places;
mod values;

pub use component::{Component, ComponentKey, PlacedFile};
pub use identity::Identity;
pub use manifest::{Package, ServicingError};
pub use places::{
    INSTALL_PENDING, INSTALLED, MANIFESTS, PACKAGES, PENDING_LIST, SERVICING_KEY, STAGED, STORE,
    package_key,
};
