//! What is decided and refused before there is a machine.

mod brought_drivers;
mod driver_imports;
mod driver_signatures;
mod driver_taken;
mod image_checks;
mod image_facts;
mod needs;
mod not_applicable;
mod plan;
mod prepared;
mod trust;
mod waits;
mod wanted;

pub use driver_taken::what_speaks_against;
pub(crate) use image_facts::KnownImages;
pub use not_applicable::{Lack, NotApplicable, NotApplicableSummary};
pub(crate) use plan::phase_of;
pub use plan::{Plan, PlanInputs};
pub(crate) use prepared::{Prepared, Preparing, prepare};
